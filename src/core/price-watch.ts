import { iso } from '../contract/instant.ts';
import { type Crossed, crossedWatches, fire, passedWatches, rearm, watchNewPools } from '../store/price-alerts.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { openJournal, writeJournals } from './journal.ts';
import { usd } from './report.ts';

/** Pools that got a clean price, and which clients' agents reported which pools for the first time. */
export type NewPrices = {
	readonly pools: readonly string[];
	/** Of them, those of a time that is over: others of the same pool may be stored that are newer. */
	readonly late: ReadonlyArray<{ readonly pool_id: string; readonly bucket: number }>;
	readonly clientPools: ReadonlyArray<{ readonly client_id: string; readonly pool_id: string }>;
};

/** Judges the price alerts of pools that got a price, in the transaction that writes it. */
export type PriceWatcher = (tx: Db, prices: NewPrices) => Promise<void>;

/** What was passed while newer prices were there already: a bucket that another pool's late price is of is not judged again. */
const passedLate = async (tx: Db, late: NewPrices['late']) => {
	if (late.length === 0) return [];
	const pools = [...new Set(late.map(({ pool_id }) => pool_id))];
	const passed = await passedWatches.all(tx, { pools, buckets: [...new Set(late.map(({ bucket }) => bucket))] });
	const wanted = new Set(late.map(({ pool_id, bucket }) => `${pool_id} ${bucket}`));
	return passed.filter(({ pool_id, bucket }) => wanted.has(`${pool_id} ${bucket}`));
};

/**
 * An alert is told once when a price of a pool passes its threshold, and again only after the newest price went back; what came late is told with
 * its time. One statement for a batch of reports, and one more where something was late; what they read is the alerts of the pools that got a
 * price.
 */
export const watchPrices =
	({ clock, ids, origin }: Pick<Context, 'clock' | 'ids' | 'origin'>): PriceWatcher =>
	async (tx, { pools, late, clientPools }) => {
		if (clientPools.length > 0) {
			await watchNewPools.later(tx, {
				clients: [...new Set(clientPools.map(({ client_id }) => client_id))],
				pools: [...new Set(clientPools.map(({ pool_id }) => pool_id))],
			});
		}
		if (pools.length === 0) return;
		const journal = openJournal(clock, ids, origin, null);
		const tell = async (watch: Crossed, when: string): Promise<void> => {
			const { alert_id, pool_id, direction, threshold_micros, spot_micros } = watch;
			if ((await fire.run(tx, { alert_id, pool_id, now: clock.now(), micros: spot_micros })) !== 1) return;
			const about = { clientId: watch.client_id };
			const side = direction === 'above' ? 'at or above' : 'at or below';
			const message = `${pool_id} ${when} $${usd(spot_micros)} an hour: ${side} $${usd(threshold_micros)}`;
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
					observed_at: iso(watch.observed_at),
					channels: JSON.parse(watch.channels),
				},
			});
		};
		const passed = await passedLate(tx, late);
		for (const watch of passed) await tell(watch, `cost at ${iso(watch.observed_at)}`);
		for (const watch of await crossedWatches.all(tx, { pools })) {
			if (watch.armed === 0) await rearm.later(tx, { alert_id: watch.alert_id, pool_id: watch.pool_id });
			else await tell(watch, 'costs');
		}
		if (journal.written.notifications.length > 0) await writeJournals(tx, [journal]);
	};
