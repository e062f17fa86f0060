import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { onlineAgents } from '../store/analytics.ts';
import { type Host, primaryOf } from '../store/hosts.ts';
import { newestOf, priceSeries, type Stretch } from '../store/price-series.ts';
import { onDemandPrice } from '../store/prices.ts';
import type { Db } from '../store/statement.ts';
import { agentOf } from './agent-id.ts';
import { type Caller, clientOf } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { poolsAround } from './market.ts';
import { dollars, usd } from './report.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** A region has fewer zones: with 90 days of hours this bounds an answer. */
const MOST_POOLS = 20;

/** Prices of one bucket of a chart; micro-dollars. */
export type Bucket = {
	readonly at: number;
	readonly onDemandMicros: number | null;
	/** Mean price by pool, and whether an interpolated point is in it. */
	readonly pools: ReadonlyMap<string, { readonly micros: number; readonly synthetic: boolean }>;
};

/** Buckets of a series, oldest first: those that have a price, and no others (D-36, D-37). Pure. */
export const bucketsOf = (stretches: readonly Stretch[]): Bucket[] => {
	const times = new Map<number, Map<string, Stretch>>();
	for (const each of stretches) {
		const pools = times.get(each.at) ?? new Map<string, Stretch>();
		const earlier = pools.get(each.poolId);
		pools.set(
			each.poolId,
			earlier === undefined
				? each
				: {
						...each,
						points: each.points + earlier.points,
						synthetic: each.synthetic + earlier.synthetic,
						spotSum: each.spotSum + earlier.spotSum,
						onDemandSum: each.onDemandSum + earlier.onDemandSum,
						onDemandPoints: each.onDemandPoints + earlier.onDemandPoints,
					},
		);
		times.set(each.at, pools);
	}
	return [...times]
		.sort(([a], [b]) => a - b)
		.map(([at, pools]) => {
			const all = [...pools.values()];
			const known = all.reduce((sum, { onDemandPoints }) => sum + onDemandPoints, 0);
			return {
				at,
				onDemandMicros: known === 0 ? null : Math.round(all.reduce((sum, { onDemandSum }) => sum + onDemandSum, 0) / known),
				pools: new Map(
					all.map(({ poolId, points, synthetic, spotSum }) => [poolId, { micros: Math.round(spotSum / points), synthetic: synthetic > 0 }]),
				),
			};
		});
};

/** The label of a bucket in UTC (D-33): `YYYY-MM-DD HH:00` or `YYYY-MM-DD`. */
export const labelOf = (at: number, interval: 'hour' | 'day'): string => {
	const text = iso(at);
	return interval === 'day' ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 13)}:00`;
};

/** Where a chart begins: at the begin of a bucket, so that the first is whole. */
const beginOf = (now: number, length: number, size: number): number => {
	const since = now - length;
	return since - (since % size);
};

const sizeOf = (interval: 'hour' | 'day'): number => (interval === 'day' ? DAY : HOUR);

/** #30. Six statements whatever the length. */
export const instancePriceHistory =
	(context: Context) =>
	async (input: Valid<'instancePriceHistory'>, caller: Caller): Promise<Output<'instancePriceHistory'>> => {
		const db = context.store.read;
		const host = await instanceOf(db, input.instance_id, input.client_id, caller);
		const interval = input.interval ?? 'hour';
		const size = sizeOf(interval);
		const now = context.clock.now();
		const since = beginOf(now, input.days !== undefined ? input.days * DAY : (input.hours ?? 7 * 24) * HOUR, size);
		const around = await poolsAround(db, host);
		const pools = around.slice(0, MOST_POOLS);
		const listed = await onDemandPrice.first(db, { instance_type: host.instance_type ?? '', region: host.region ?? '' });
		const stretches = await priceSeries(
			db,
			pools.map(({ id }) => id),
			{ since, until: now + HOUR, size },
		);
		const series = bucketsOf(stretches).map((bucket) => ({
			time: labelOf(bucket.at, interval),
			onDemand: usd(bucket.onDemandMicros) ?? 0,
			onDemandKnown: bucket.onDemandMicros !== null,
			synthetic: [...bucket.pools].filter(([, { synthetic }]) => synthetic).map(([id]) => `pool_${id}`),
			...Object.fromEntries(pools.map(({ id }) => [`pool_${id}`, usd(bucket.pools.get(id)?.micros ?? null)])),
		}));
		return {
			data: series,
			series,
			pools: pools.map(({ id, az }) => ({ id, name: id, az, key: `pool_${id}` })),
			onDemandPrice: usd(listed?.micros ?? null) ?? 0,
			onDemandKnown: listed !== undefined,
			interval,
			from: iso(since),
			poolsLeftOut: around.length - pools.length,
		};
	};

/** The agent a call is about: the one it names, else the most recently seen online one. Errors: 404. */
const agentAround = async (db: Db, input: { agent_id?: string | undefined; client_id?: string | undefined }, caller: Caller) => {
	if (input.agent_id !== undefined && input.agent_id !== '') {
		const agent = await agentOf(db, input.agent_id, caller);
		if (agent.status === 'deleted') throw agentDeleted(agent.id);
		return agent.id;
	}
	const online = await onlineAgents.all(db, { client_id: clientOf(caller, input.client_id) });
	const [newest] = online.sort((a, b) => (b.seen_at ?? 0) - (a.seen_at ?? 0) || (a.id < b.id ? 1 : -1));
	if (newest === undefined) {
		throw new SpotError('missing', 'NOT_FOUND', 'No active agents found', {
			hint: 'name one: agent_id=ID; see: spotctl agents list',
		});
	}
	return newest.id;
};

/** #33 and X34. */
export const pricingHistory =
	(context: Context) =>
	async (input: Valid<'pricingHistory'>, caller: Caller): Promise<Output<'pricingHistory'>> => {
		const db = context.store.read;
		const agentId = await agentAround(db, input, caller);
		const host = await primaryOf.first(db, { agent_id: agentId });
		const days = input.days ?? 7;
		const interval = input.interval ?? 'hour';
		const now = context.clock.now();
		const pools = host === undefined ? [] : (await poolsAround(db, host)).slice(0, MOST_POOLS);
		const size = sizeOf(interval);
		const stretches = await priceSeries(
			db,
			pools.map(({ id }) => id),
			{ since: beginOf(now, days * DAY, size), until: now + HOUR, size },
		);
		const history = bucketsOf(stretches).map((bucket) => {
			const priced = pools.flatMap(({ id, az }) => {
				const price = bucket.pools.get(id);
				return price === undefined ? [] : [{ pool_id: id, az, price: dollars(price.micros), synthetic: price.synthetic }];
			});
			return {
				timestamp: iso(bucket.at),
				ondemand_price: usd(bucket.onDemandMicros) ?? 0,
				ondemand_known: bucket.onDemandMicros !== null,
				price: Math.min(...priced.map(({ price }) => price)),
				spot_pools: priced,
			};
		});
		return {
			history,
			days,
			data_points: history.length,
			agent_id: agentId,
			...(pools.length === 0 ? {} : placeOf(host)),
			interval,
		};
	};

const placeOf = (host: Host | undefined): { instance_type?: string; region?: string } =>
	host?.instance_type == null || host.region == null ? {} : { instance_type: host.instance_type, region: host.region };

/** X33 */
export const currentPricing =
	(context: Context) =>
	async (input: Valid<'currentPricing'>, caller: Caller): Promise<Output<'currentPricing'>> => {
		const db = context.store.read;
		const agentId = await agentAround(db, input, caller);
		const host = await primaryOf.first(db, { agent_id: agentId });
		const since = context.clock.now() - HOUR;
		const pools = host === undefined ? [] : await poolsAround(db, host);
		const newest = new Map((await newestOf.all(db, { pools: pools.map(({ id }) => id) })).map((price) => [price.id, price]));
		const listed = await onDemandPrice.first(db, { instance_type: host?.instance_type ?? '', region: host?.region ?? '' });
		const rows = pools.map(({ id, az }) => {
			const price = newest.get(id);
			const isKnown = price !== undefined && price.observed_at >= since;
			return { pool_id: id, az, price: isKnown ? dollars(price.spot_micros) : null, observed_at: isoOr(price?.observed_at ?? null) };
		});
		return {
			agent_id: agentId,
			instance_id: host?.instance_id ?? null,
			instance_type: host?.instance_type ?? null,
			region: host?.region ?? null,
			current_mode: host?.mode ?? null,
			current_pool_id: host?.mode === 'spot' ? host.pool_id : null,
			ondemand_price: usd(listed?.micros ?? null),
			pools: rows.sort(
				(a, b) => (a.price ?? Number.POSITIVE_INFINITY) - (b.price ?? Number.POSITIVE_INFINITY) || (a.pool_id < b.pool_id ? -1 : 1),
			),
		};
	};
