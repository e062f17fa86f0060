import type { Valid } from '../contract/index.ts';
import type { Mode, PriceSource } from '../store/schema.ts';
import { regionOf, typeOf, zoneOf } from './orders.ts';
import { priceMicros } from './report.ts';

const BUCKET_MS = 5 * 60_000;
/** collected_at is believed within this distance of the arrival (spec section 9 "Ours"). */
const COLLECTED_MS = 15 * 60_000;

/** The 5-minute bucket of an instant, in UTC milliseconds. */
export const bucketOf = (at: number): number => Math.floor(at / BUCKET_MS) * BUCKET_MS;

/** primary 4, replica-automatic 3, replica-manual 2, interpolated 1 (spec section 9). */
export const PRIORITY: Readonly<Record<PriceSource, number>> = { primary: 4, 'replica-automatic': 3, 'replica-manual': 2, interpolated: 1 };
/** How far a price of each source is believed, 0 to 1 (spec section 9). */
export const CONFIDENCE: Readonly<Record<PriceSource, number>> = {
	primary: 1,
	'replica-automatic': 0.95,
	'replica-manual': 0.95,
	interpolated: 0.7,
};

export type Point = {
	readonly poolId: string;
	readonly type: string;
	readonly region: string;
	readonly az: string;
	readonly spotMicros: number;
};

/** What one report says, whichever shape it came in. */
export type Prices = {
	readonly points: readonly Point[];
	readonly onDemandMicros: number | null;
	readonly currentMicros: number | null;
	readonly mode: Mode | null;
	readonly currentPoolId: string | null;
	readonly type: string | null;
	readonly region: string | null;
	readonly observedAt: number;
};

/** What a list held beside its points. */
export type Unkept = {
	/** Entries of a pool that had one before. */
	readonly duplicates: number;
	/** Entries that are no price of a pool: why, and how many. */
	readonly ignored: Readonly<Record<string, number>>;
};

/** What is known of the reporting host, for what a report leaves out. */
export type Where = { readonly type: string | null; readonly region: string | null; readonly az: string | null };

type Listed = NonNullable<Valid<'pricingReport'>['spot_pools']>[number];

const POOL_ID = /^[a-z0-9][a-z0-9-]*\.[a-z0-9-]+\.[a-z0-9-]+$/i;

/** A listed price as a point, or why it is none; one too small to be counted in micro-dollars is none. */
const pointOf = (listed: Listed, where: Where): Point | string => {
	if (listed.price === null || listed.price === undefined) return 'no price';
	const type = listed.instance_type ?? (listed.pool_id === null ? where.type : typeOf(listed.pool_id));
	const az = listed.az ?? (listed.pool_id === null ? null : zoneOf(listed.pool_id));
	if (type === null || az === null || type === '' || az === '') return 'no type or zone is known';
	const poolId = `${type}.${az}`;
	if (listed.pool_id !== null && listed.pool_id !== poolId) return 'its pool is not its type and zone';
	if (!POOL_ID.test(poolId) || poolId.length > 128) return 'its type or zone has no form of one';
	const region = regionOf(az) ?? where.region;
	if (region === null) return 'no region is known';
	const spotMicros = priceMicros(listed.price);
	return spotMicros !== null ? { poolId, type, region, az, spotMicros } : 'the price is below a micro-dollar';
};

/** Points of a list, each pool once: the first counts. */
export const pointsOf = (listed: readonly Listed[], where: Where): Unkept & { readonly points: Point[] } => {
	const points = new Map<string, Point>();
	const ignored: Record<string, number> = {};
	let duplicates = 0;
	for (const each of listed) {
		const point = pointOf(each, where);
		if (typeof point === 'string') ignored[point] = (ignored[point] ?? 0) + 1;
		else if (points.has(point.poolId)) duplicates++;
		else points.set(point.poolId, point);
	}
	return { points: [...points.values()], duplicates, ignored };
};

/** When the prices were seen: the agent's word when its clock is within 15 minutes of ours, else the arrival. */
export const observedAt = (collectedAt: number | null | undefined, now: number): number =>
	collectedAt !== null && collectedAt !== undefined && Math.abs(collectedAt - now) <= COLLECTED_MS ? Math.min(collectedAt, now) : now;

/** Reads a pricing report in any of its three shapes (endpoints.md #48). */
export const readPrices = (input: Valid<'pricingReport'>, where: Where, now: number): Prices & Unkept => {
	const { instance, pricing } = input;
	const known: Where = {
		type: instance?.instance_type ?? input.instance_type ?? where.type,
		region: instance?.region ?? input.region ?? where.region,
		az: instance?.az ?? input.az ?? where.az,
	};
	const flat = input.on_demand_price;
	const onDemand = pricing?.on_demand_price ?? (typeof flat === 'object' && flat !== null ? flat.price : flat) ?? input.ondemand_price;
	const { points, duplicates, ignored } = pointsOf(
		pricing?.spot_pools ?? input.spot_pools ?? input.spot_prices ?? input.pools ?? [],
		known,
	);
	const mode = instance?.mode ?? instance?.current_mode ?? input.current_mode;
	const currentPoolId = mode === 'ondemand' ? null : (instance?.pool_id ?? instance?.current_pool_id ?? input.current_pool_id ?? null);
	return {
		points,
		duplicates,
		ignored,
		onDemandMicros: priceMicros(onDemand),
		currentMicros:
			priceMicros(pricing?.current_spot_price ?? input.current_spot_price) ??
			points.find((point) => point.poolId === currentPoolId)?.spotMicros ??
			null,
		mode: mode ?? null,
		currentPoolId,
		type: known.type,
		region: known.region,
		observedAt: observedAt(pricing?.collected_at ?? input.collected_at, now),
	};
};
