import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import {
	type Alert,
	addAlert,
	addWatches,
	alertById,
	alertCount,
	listAlertRows,
	lockClient,
	MOST_ALERTS,
	poolsOfClient,
	removeAlert,
	removeWatches,
	setAlertEnabled,
} from '../store/price-alerts.ts';
import { newestOf } from '../store/price-series.ts';
import { poolQuotes } from '../store/prices.ts';
import type { Db } from '../store/statement.ts';
import type { Direction } from '../store/tables/prices.ts';
import { actorOf, type Caller } from './caller.ts';
import { noClient } from './client-named.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { dollars, micros } from './report.ts';
import { invalid } from './switch-target.ts';

const alertPages = pagesOf('price_alerts.list');

const HOUR = 3_600_000;

const DIRECTIONS: Readonly<Record<string, Direction>> = {
	price_above: 'above',
	above: 'above',
	price_threshold: 'above',
	price_spike: 'above',
	price_below: 'below',
	below: 'below',
	price_drop: 'below',
};
const DEFAULT_TYPE = 'price_above';
const CHANNELS = ['dashboard'];

/** Whether a price is beyond the threshold of an alert. */
export const isBeyond = (direction: Direction, threshold: number, price: number): boolean =>
	direction === 'above' ? price >= threshold : price <= threshold;

const show = (alert: Alert) => ({
	alert_id: alert.id,
	alert_type: alert.alert_type,
	direction: alert.direction,
	threshold: dollars(alert.threshold_micros),
	pool_id: alert.pool_id,
	enabled: alert.enabled === 1,
	notification_channels: JSON.parse(alert.channels) as string[],
	created_at: iso(alert.created_at),
});

/** X11 */
export const listPriceAlerts =
	(context: Context) =>
	async (input: Valid<'listPriceAlerts'>): Promise<Output<'listPriceAlerts'>> => {
		const db = context.store.read;
		const after = alertPages.afterNumber(input.cursor);
		const rows = await listAlertRows(db, { clientId: input.client_id, limit: input.limit, after });
		return alertPages.page(
			rows,
			input.limit,
			(row) => ({ ...show(row), last_fired_at: isoOr(row.fired_at) }),
			(row) => String(row.id),
		);
	};

/**
 * Begins to watch the pools of an alert, each from the side its price is on now: one that is beyond the threshold already is told when it
 * passes it the next time. A price older than an hour is not known.
 */
const watch = async (tx: Db, alert: Alert, now: number): Promise<number> => {
	const pools =
		alert.pool_id === null ? (await poolsOfClient.all(tx, { client_id: alert.client_id })).map(({ pool_id }) => pool_id) : [alert.pool_id];
	const newest = new Map((await newestOf.all(tx, { pools })).map((price) => [price.id, price]));
	await addWatches(
		tx,
		pools.map((pool_id) => {
			const price = newest.get(pool_id);
			const isThere =
				price !== undefined && now - price.observed_at <= HOUR && isBeyond(alert.direction, alert.threshold_micros, price.spot_micros);
			return { alert_id: alert.id, pool_id, direction: alert.direction, threshold_micros: alert.threshold_micros, armed: isThere ? 0 : 1 };
		}),
	);
	return pools.length;
};

const noAlert = (): SpotError =>
	new SpotError('missing', 'NOT_FOUND', 'the client has no price alert of this number', { hint: 'see: GET …/pricing-alerts' });

/** X12 */
export const createPriceAlert =
	(context: Context) =>
	(input: Valid<'createPriceAlert'>, caller: Caller): Promise<Output<'createPriceAlert'>> =>
		context.unit(caller, async (tx, journal) => {
			const { client_id, pool_id } = input;
			const threshold = micros(input.threshold ?? input.threshold_price);
			if (threshold === null || threshold <= 0) throw invalid('a threshold is needed, in dollars an hour', 'threshold');
			const type = input.alert_type ?? DEFAULT_TYPE;
			const direction = Object.hasOwn(DIRECTIONS, type.toLowerCase()) ? DIRECTIONS[type.toLowerCase()] : undefined;
			if (direction === undefined) throw invalid(`"${type}" is no type of alert: price_above or price_below`, 'alert_type');
			if ((await lockClient.first(tx, { id: client_id })) === undefined) throw noClient(client_id);
			if (pool_id !== null && (await poolQuotes.all(tx, { one: pool_id, other: '' })).length === 0) {
				throw invalid(`no pool "${pool_id}" is known`, 'pool_id', 'leave it out to watch every pool your agents report');
			}
			if (Number((await alertCount.first(tx, { client_id }))?.count ?? 0) >= MOST_ALERTS) {
				throw new SpotError('conflict', 'TOO_MANY_ALERTS', `this client has ${MOST_ALERTS} price alerts, which is the most`, {
					hint: 'delete one: DELETE …/pricing-alerts/ID',
				});
			}
			const row = {
				client_id,
				pool_id,
				alert_type: type,
				direction,
				threshold_micros: threshold,
				enabled: input.enabled === false ? (0 as const) : (1 as const),
				channels: JSON.stringify(input.notification_channels ?? CHANNELS),
				created_by: actorOf(caller),
				created_at: context.clock.now(),
			};
			const alert: Alert = { ...row, id: await addAlert(tx, row) };
			const watched = alert.enabled === 1 ? await watch(tx, alert, context.clock.now()) : 0;
			journal.audit('price_alerts.create', 'price_alert', String(alert.id), client_id, null, show(alert));
			return {
				success: true,
				...show(alert),
				message: alert.enabled === 1 ? `watches ${watched} ${watched === 1 ? 'pool' : 'pools'}` : 'it is off: nothing is watched',
			};
		});

const lockedAlert = async (tx: Db, client_id: string, id: number): Promise<Alert> => {
	if ((await lockClient.first(tx, { id: client_id })) === undefined) throw noClient(client_id);
	const alert = await alertById.first(tx, { client_id, id });
	if (alert === undefined) throw noAlert();
	return alert;
};

export const setPriceAlert =
	(context: Context) =>
	(input: Valid<'setPriceAlert'>, caller: Caller): Promise<Output<'setPriceAlert'>> =>
		context.unit(caller, async (tx, journal) => {
			const alert = await lockedAlert(tx, input.client_id, input.alert_id);
			const enabled = input.enabled ? 1 : 0;
			const changed: Alert = { ...alert, enabled };
			if (enabled !== alert.enabled) {
				await setAlertEnabled.later(tx, { id: alert.id, enabled });
				await removeWatches.later(tx, { alert_id: alert.id });
				if (enabled === 1) await watch(tx, changed, context.clock.now());
				journal.audit(
					'price_alerts.set',
					'price_alert',
					String(alert.id),
					alert.client_id,
					{ enabled: alert.enabled === 1 },
					{ enabled: enabled === 1 },
				);
			}
			return { success: true, ...show(changed) };
		});

export const deletePriceAlert =
	(context: Context) =>
	(input: Valid<'deletePriceAlert'>, caller: Caller): Promise<Output<'deletePriceAlert'>> =>
		context.unit(caller, async (tx, journal) => {
			const alert = await lockedAlert(tx, input.client_id, input.alert_id);
			await removeAlert.later(tx, { id: alert.id });
			journal.audit('price_alerts.delete', 'price_alert', String(alert.id), alert.client_id, show(alert), null);
			return { success: true, message: `price alert ${alert.id} was deleted` };
		});
