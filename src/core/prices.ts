import type { Output, Valid } from '../contract/index.ts';
import { isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import type { View } from '../store/host-view.ts';
import { type Host, saveHost } from '../store/hosts.ts';
import { newestPrices, onDemandPrice, poolsOf, typesOfFamily } from '../store/prices.ts';
import type { PriceSource } from '../store/schema.ts';
import type { Caller } from './caller.ts';
import { callingHost, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { bucketOf, observedAt, type Prices, pointsOf, readPrices, type Unkept } from './price-points.ts';
import type { PriceWriter } from './price-writer.ts';
import { priceMicros, usd } from './report.ts';
import { note, withHost } from './routine.ts';

const HOUR = 3_600_000;

const sourceOf = (host: View): PriceSource => (host.role === 'primary' ? 'primary' : 'replica-manual');

const whereOf = (host: View) => ({ type: host.instance_type, region: host.region, az: host.az });

const store = async (context: Context, writer: PriceWriter, host: View, caller: Caller, prices: Prices): Promise<void> => {
	await writer.write({
		clientId: host.client_id,
		handle: host.handle,
		source: sourceOf(host),
		own: host.role === 'primary' || host.role === 'replica' || host.role === 'candidate',
		prices,
		arrivedAt: context.clock.now(),
	});
	context.counters.add('price_points_total', prices.points.length);
	if (speaksForAgent(caller)) {
		await context.unit(caller, async (_, journal) =>
			journal.audit('prices.report', 'agent', host.agent_id, host.client_id, null, {
				pools: prices.points.length,
				source: host.instance_id,
			}),
		);
	}
	if (
		host.role === 'primary' &&
		prices.mode !== null &&
		(prices.mode !== host.host_mode || (prices.mode === 'spot' && prices.currentPoolId !== null && prices.currentPoolId !== host.pool_id))
	) {
		await changeMode(context, host, caller, prices);
	}
};

/** v3.2 registers without a mode and says it here first: the host's mode and pool follow its reports. */
const changeMode = (context: Context, seen: View, caller: Caller, prices: Prices): Promise<void> =>
	context.unit(caller, async (tx, journal) => {
		const { host } = await callingHost(tx, seen.handle, caller);
		if (host.role !== 'primary' || prices.mode === null) return;
		const pool = prices.mode === 'spot' ? (prices.currentPoolId ?? host.pool_id) : null;
		const moved: Host = { ...host, mode: prices.mode, pool_id: pool !== null && pool.length <= 128 ? pool : host.pool_id };
		await saveHost.run(tx, moved);
		// As of the report, so that the price in it is that of the new pool; but not before what made it the primary.
		journal.book(moved, { at: Math.min(context.clock.now(), Math.max(prices.observedAt, host.last_switch_at ?? host.created_at)) });
		journal.changed('agent', host.agent_id);
	});

const reported = ({ points, duplicates, ignored }: Pick<Prices, 'points'> & Unkept): Output<'pricingReport'> => ({
	success: true,
	records_inserted: points.length,
	duplicates,
	ignored: Object.values(ignored).reduce((sum, count) => sum + count, 0),
	ignored_because: ignored,
});

/** #48. Errors: 400 when a pool's type cannot be known, 404 for a foreign handle. A report of a zombie is kept as pool prices only. */
export const pricingReport =
	(context: Context, writer: PriceWriter) =>
	(input: Valid<'pricingReport'>, caller: Caller): Promise<Output<'pricingReport'>> =>
		Promise.resolve(
			withHost(context, input.agent_id, caller, async (host) => {
				note(context, host, caller, 'other');
				const given = (input.pricing?.spot_pools ?? input.spot_pools ?? input.spot_prices ?? input.pools ?? []).length;
				if (host.status === 'deleted')
					return reported({ points: [], duplicates: 0, ignored: given > 0 ? { 'the agent is deleted': given } : {} });
				const prices = readPrices(input, whereOf(host), context.clock.now());
				if (given > 0 && prices.points.length === 0 && prices.type === null) {
					throw new SpotError('invalid', 'VALIDATION_ERROR', 'the report does not say which instance type its prices are for', {
						extras: { details: { 'instance.instance_type': ['is missing, and the host did not register with one'] } },
					});
				}
				await store(context, writer, host, caller, prices);
				return reported(prices);
			}),
		);

/** Why nothing is recommended before part 4. */
export const WAITING = 'no decision engine is installed yet: prices were stored, the machine stays where it is';

/** #43: stores the prices of the body (v4 sends them nowhere else) and answers stay with its reason, in both vocabularies. */
export const decide =
	(context: Context, writer: PriceWriter) =>
	(input: Valid<'decide'>, caller: Caller): Promise<Output<'decide'>> =>
		Promise.resolve(
			withHost(context, input.agent_id, caller, async (host) => {
				note(context, host, caller, 'other');
				const now = context.clock.now();
				const { points } = pointsOf(input.spot_pools ?? [], whereOf(host));
				const current =
					(input.spot_pools ?? []).find((pool) => pool.is_current === true)?.price ??
					input.pricing?.current_spot_price ??
					input.pricing?.spot_price ??
					null;
				const prices: Prices = {
					points,
					onDemandMicros: priceMicros(input.ondemand_price ?? input.pricing?.ondemand_price),
					currentMicros: host.host_mode === 'ondemand' ? null : priceMicros(current),
					mode: null,
					currentPoolId: null,
					type: host.instance_type ?? input.instance?.instance_type ?? null,
					region: host.region,
					observedAt: observedAt(null, now),
				};
				const stored = host.status !== 'deleted' && (points.length > 0 || prices.onDemandMicros !== null);
				if (stored) await store(context, writer, host, caller, prices);
				const reason =
					host.status === 'deleted'
						? 'Agent deleted'
						: host.role !== 'primary'
							? 'standby host'
							: host.enabled === 0
								? 'Agent disabled'
								: WAITING;
				return {
					instance_id: host.instance_id,
					risk_score: 0,
					recommended_action: 'stay',
					recommended_mode: host.host_mode,
					recommended_pool_id: host.pool_id,
					target_pool_id: null,
					expected_savings_per_hour: 0,
					allowed: false,
					reason,
					action: 'NO_ACTION',
					confidence: 0,
					reasoning: reason,
					decision_type: host.host_mode === 'ondemand' ? 'stay_ondemand' : 'stay_spot',
					prices_stored: stored ? points.length : 0,
				};
			}),
		);

const pricesAround = async (context: Context, host: Host, since: number) => {
	if (host.instance_type === null || host.region === null) return { pools: [], newest: new Map(), listed: undefined };
	const key = { instance_type: host.instance_type, region: host.region };
	const [pools, clean, listed] = await Promise.all([
		poolsOf.all(context.store.read, key),
		newestPrices.all(context.store.read, { ...key, since: bucketOf(since) }),
		onDemandPrice.first(context.store.read, key),
	]);
	return { pools, newest: new Map(clean.filter((price) => price.observed_at >= since).map((price) => [price.pool_id, price])), listed };
};

const byPrice = (a: { price: number | null; id: string }, b: { price: number | null; id: string }): number =>
	(a.price ?? Number.POSITIVE_INFINITY) - (b.price ?? Number.POSITIVE_INFINITY) || (a.id < b.id ? -1 : 1);

/** #28: cheapest first, unknown last; a price older than an hour counts as unknown (0 with `known: false`, D-37). */
export const instancePricing =
	(context: Context) =>
	async (input: Valid<'instancePricing'>, caller: Caller): Promise<Output<'instancePricing'>> => {
		const host = await instanceOf(context.store.read, input.instance_id, input.client_id, caller);
		const { pools, newest, listed } = await pricesAround(context, host, context.clock.now() - HOUR);
		const onDemand = listed?.micros ?? null;
		const rows = pools.map((pool) => {
			const price = newest.get(pool.id);
			return {
				id: pool.id,
				az: pool.az,
				price: price?.spot_micros ?? null,
				observedAt: isoOr(price?.observed_at ?? null),
				confidence: price?.confidence ?? null,
			};
		});
		const current = host.mode === 'spot' && host.pool_id !== null ? host.pool_id : null;
		return {
			currentMode: host.mode ?? 'ondemand',
			currentPool: current === null ? null : { id: current, name: current, az: host.az ?? current.slice(current.lastIndexOf('.') + 1) },
			onDemand: { name: 'On-Demand', price: usd(onDemand) ?? 0, known: onDemand !== null, observedAt: isoOr(listed?.observed_at ?? null) },
			pools: rows.sort(byPrice).map((row) => ({
				id: row.id,
				name: row.id,
				az: row.az,
				price: usd(row.price) ?? 0,
				savings: row.price === null || onDemand === null ? 0 : Math.round(((onDemand - row.price) / onDemand) * 10_000) / 100,
				known: row.price !== null,
				observedAt: row.observedAt,
				confidence: row.confidence,
			})),
		};
	};

/** #31 */
export const instanceOptions =
	(context: Context) =>
	async (input: Valid<'instanceOptions'>, caller: Caller): Promise<Output<'instanceOptions'>> => {
		const host = await instanceOf(context.store.read, input.instance_id, input.client_id, caller);
		const { pools, newest } = await pricesAround(context, host, context.clock.now() - 24 * HOUR);
		const available = pools
			.map((pool) => {
				const price = newest.get(pool.id);
				return {
					id: pool.id,
					az: pool.az,
					instanceType: pool.instance_type,
					price: usd(price?.spot_micros ?? null),
					observedAt: isoOr(price?.observed_at ?? null),
					current: host.mode === 'spot' && pool.id === host.pool_id,
				};
			})
			.sort(byPrice);
		const family = host.instance_type?.split('.')[0];
		const types = family === undefined || host.region === null ? [] : await typesOfFamily(context.store.read, family, host.region);
		const availableTypes = host.instance_type === null || types.includes(host.instance_type) ? types : [host.instance_type, ...types];
		return {
			currentType: host.instance_type,
			currentRegion: host.region,
			currentAz: host.az,
			currentPoolId: host.mode === 'spot' ? host.pool_id : null,
			availablePools: available,
			availableTypes,
			pools: available,
			instanceTypes: availableTypes,
		};
	};
