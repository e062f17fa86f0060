import { crossedWatches, fire, rearm, watchNewPools } from '../store/price-alerts.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { openJournal, writeJournals } from './journal.ts';
import { usd } from './report.ts';

/** Pools that got a clean price, and which clients' agents reported which pools for the first time. */
export type NewPrices = {
	readonly pools: readonly string[];
	readonly clientPools: ReadonlyArray<{ readonly client_id: string; readonly pool_id: string }>;
};

/** Judges the price alerts of pools that got a price, in the transaction that writes it. */
export type PriceWatcher = (tx: Db, prices: NewPrices) => Promise<void>;

/**
 * An alert is told once when the newest price of a pool passes its threshold, and again only after the price went back. One statement for
 * a batch of reports; what it reads is the alerts of the pools that got a price.
 */
export const watchPrices =
	({ clock, ids, origin }: Pick<Context, 'clock' | 'ids' | 'origin'>): PriceWatcher =>
	async (tx, { pools, clientPools }) => {
		if (clientPools.length > 0) {
			await watchNewPools.later(tx, {
				clients: [...new Set(clientPools.map(({ client_id }) => client_id))],
				pools: [...new Set(clientPools.map(({ pool_id }) => pool_id))],
			});
		}
		if (pools.length === 0) return;
		const crossed = await crossedWatches.all(tx, { pools });
		if (crossed.length === 0) return;
		const journal = openJournal(clock, ids, origin, null);
		for (const watch of crossed) {
			const { alert_id, pool_id, direction, threshold_micros, spot_micros } = watch;
			if (watch.armed === 0) {
				await rearm.later(tx, { alert_id, pool_id });
				continue;
			}
			const isOurs = (await fire.run(tx, { alert_id, pool_id, now: clock.now(), micros: spot_micros })) === 1;
			if (!isOurs) continue;
			const about = { clientId: watch.client_id };
			const message = `${pool_id} costs $${usd(spot_micros)} an hour: ${direction === 'above' ? 'at or above' : 'at or below'} $${usd(threshold_micros)}`;
			journal.notify('price_alert', 'Price alert', message, about, 'warning');
			journal.event('price_alert', message, about, {
				severity: 'warning',
				metadata: {
					alert_id,
					alert_type: watch.alert_type,
					pool_id,
					direction,
					threshold: usd(threshold_micros),
					price: usd(spot_micros),
					channels: JSON.parse(watch.channels),
				},
			});
		}
		await writeJournals(tx, [journal]);
	};
