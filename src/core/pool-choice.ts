import { dialectOf } from '../store/dialect.ts';
import type { Host } from '../store/hosts.ts';
import { anyPoolsOfRegion, newestPrices, poolsOfRegion } from '../store/prices.ts';
import type { Mode, PoolTable } from '../store/schema.ts';
import { type Db, mayFail, together } from '../store/statement.ts';
import type { PoolSignals } from './pool-signals.ts';

const DAY = 86_400_000;

/** Signals of AWS in a pool within 30 days, as a share of one a day: 0 to 1 (contract/endpoints.md #53). */
export const riskOf = (signals: number): number => Math.min(1, signals / 30);

/** Where a replica shall run. `pool` is what the launch order names; a price of null is not known. */
export type Choice = {
	readonly mode: Mode;
	readonly poolId: string;
	readonly type: string;
	readonly region: string;
	readonly az: string;
	readonly hourlyMicros: number | null;
	readonly why: string;
};

export type Rejected = { readonly what: string; readonly why: string };
export type Chosen = { readonly choice: Choice | null; readonly rejected: readonly Rejected[] };

/** What is known of the pools around a machine. */
export type Market = {
	/** `own`: an agent of this client has reported a price of it. Anybody can report prices of zones that do not exist. */
	readonly pools: ReadonlyArray<Pick<PoolTable, 'id' | 'instance_type' | 'region' | 'az'> & { readonly own: boolean }>;
	/** Newest price by pool, micro-dollars per hour. */
	readonly prices: ReadonlyMap<string, number>;
	readonly signals: ReadonlyMap<string, number>;
};

export type Wishes = {
	/** Pools that were tried and failed, newest last; they come after all others. */
	readonly failed: readonly string[];
	/** How often on-demand was tried in vain. */
	readonly onDemandFailed: boolean;
	readonly preferredZones: readonly string[];
	readonly excludedZones: readonly string[];
	readonly mostMicros: number | null;
	/** The pool an operator or agent named. */
	readonly poolId: string | null;
};

export const NO_WISHES: Wishes = {
	failed: [],
	onDemandFailed: false,
	preferredZones: [],
	excludedZones: [],
	mostMicros: null,
	poolId: null,
};

/** What is known of a zone: a pool of the type, pools of other types, or only what agents of others have said. */
type Known = 'type' | 'zone' | 'hearsay' | 'nothing';
const RANK: Readonly<Record<Known, number>> = { type: 0, zone: 1, hearsay: 2, nothing: 3 };
const WORDS: Readonly<Record<Known, string>> = {
	type: 'same type and region',
	zone: 'only other types are known in its zone',
	hearsay: 'no agent of this client knows its zone',
	nothing: 'nothing is known of it',
};

/**
 * Chooses the pool of a replica: type and region of the primary by risk then price (unknown prices last), else a zone where only other types
 * are known, else on-demand. Never the primary's own pool; missing or old prices stop nothing; pools that just failed come last. Pure.
 */
export const choosePool = (
	primary: Pick<Host, 'instance_type' | 'region' | 'az' | 'mode' | 'pool_id'>,
	market: Market,
	wishes: Wishes,
): Chosen => {
	const rejected: Rejected[] = [];
	const { instance_type: type, region, az: ownZone } = primary;
	if (type === null || region === null)
		return { choice: null, rejected: [{ what: 'every pool', why: 'the type or region of the primary is not known' }] };
	const ownPool = primary.mode === 'ondemand' ? null : (primary.pool_id ?? (ownZone === null ? null : `${type}.${ownZone}`));
	const failed = new Set(wishes.failed);
	const zones = new Map<string, Known>();
	for (const pool of market.pools) {
		if (pool.region !== region) continue;
		const known = pool.own ? (pool.instance_type === type ? 'type' : 'zone') : 'hearsay';
		if (RANK[known] < RANK[zones.get(pool.az) ?? 'nothing']) zones.set(pool.az, known);
	}
	type Candidate = { poolId: string; az: string; known: Known; signals: number; micros: number | null; preferred: boolean };
	const candidates: Candidate[] = [];
	for (const [az, known] of zones) {
		const poolId = `${type}.${az}`;
		const micros = market.prices.get(poolId) ?? null;
		const refuse = (why: string): void => void rejected.push({ what: poolId, why });
		if (poolId === ownPool) refuse('it is the pool of the primary');
		else if (wishes.excludedZones.includes(az)) refuse('its zone was excluded');
		else if (wishes.poolId !== null && wishes.poolId !== poolId) refuse('another pool was asked for');
		else if (wishes.mostMicros !== null && micros === null) refuse('its price is not known, and a highest price was given');
		else if (wishes.mostMicros !== null && micros !== null && micros > wishes.mostMicros) refuse('it costs more than allowed');
		else if (failed.has(poolId)) refuse('a launch there has just failed');
		else
			candidates.push({
				poolId,
				az,
				known,
				signals: market.signals.get(poolId) ?? 0,
				micros,
				preferred: wishes.preferredZones.includes(az),
			});
	}
	candidates.sort(
		(a, b) =>
			RANK[a.known] - RANK[b.known] ||
			Number(b.preferred) - Number(a.preferred) ||
			Number(a.az === ownZone) - Number(b.az === ownZone) ||
			a.signals - b.signals ||
			(a.micros ?? Number.POSITIVE_INFINITY) - (b.micros ?? Number.POSITIVE_INFINITY) ||
			(a.poolId < b.poolId ? -1 : 1),
	);
	const [best, ...rest] = candidates;
	if (best !== undefined) {
		const { poolId, az, micros, known } = best;
		const reasons = [WORDS[known], `${best.signals} signals in 30 days`, micros === null ? 'price unknown' : `${micros / 1_000_000} USD/h`];
		for (const other of rest) rejected.push({ what: other.poolId, why: comparison(other, best) });
		return { choice: { mode: 'spot', poolId, type, region, az, hourlyMicros: micros, why: reasons.join(', ') }, rejected };
	}
	const barred = ownZone === null || wishes.excludedZones.includes(ownZone);
	if (wishes.poolId !== null || wishes.mostMicros !== null || barred) return { choice: null, rejected };
	if (wishes.onDemandFailed) return { choice: null, rejected: [...rejected, { what: 'on-demand', why: 'a launch has just failed' }] };
	// What such a machine costs is known when it says what it is: the agents of the field launch spot whatever they are told.
	const why = 'no other pool is left; an agent that launches spot only tries its own zone';
	return {
		choice: { mode: 'ondemand', poolId: `${type}.${ownZone}`, type, region, az: ownZone, hourlyMicros: null, why },
		rejected,
	};
};

/** What a machine costs an hour by the newest price of its pool within a day, micro-dollars; null where that is not known. */
export const spotPriceOf = async (db: Db, { mode, pool_id, instance_type, region }: Host, now: number): Promise<number | null> => {
	if (mode === 'ondemand' || pool_id === null || instance_type === null || region === null) return null;
	const prices = await newestPrices.all(db, { instance_type, region, since: now - DAY });
	return prices.find((price) => price.pool_id === pool_id)?.spot_micros ?? null;
};

type Compared = { readonly known: Known; readonly preferred: boolean; readonly signals: number; readonly micros: number | null };

const comparison = (other: Compared, best: Compared): string => {
	if (RANK[best.known] < RANK[other.known]) return WORDS[other.known];
	if (best.preferred && !other.preferred) return 'its zone was not asked for';
	if (other.signals > best.signals) return `${other.signals} signals in 30 days`;
	if (other.micros === null && best.micros !== null) return 'price unknown';
	if (other.micros !== null && best.micros !== null && other.micros > best.micros) return `${other.micros / 1_000_000} USD/h`;
	return 'no better';
};

/**
 * Reads the pools of a region that the client's own agents know, with their newest prices and signals: a fixed number of statements. What
 * cannot be read is not known, and stops nothing.
 */
export const readMarket = async (
	db: Db,
	signals: PoolSignals,
	host: Pick<Host, 'client_id' | 'instance_type' | 'region'>,
	now: number,
): Promise<Market> => {
	const [instance_type, region] = [host.instance_type ?? '', host.region ?? ''];
	const { client_id } = host;
	const reads = mayFail(db);
	try {
		const [own, any, prices] = await together(reads, [
			poolsOfRegion.of({ client_id, region, instance_type }),
			anyPoolsOfRegion.of({ region, instance_type }),
			newestPrices.of({ instance_type, region, since: now - DAY }),
		]);
		const pools = [...own.map((pool) => ({ ...pool, own: true })), ...any.map((pool) => ({ ...pool, own: false }))];
		const ofType = [...new Set(pools.filter((pool) => pool.instance_type === instance_type).map((pool) => pool.id))];
		return {
			pools,
			prices: new Map(prices.map((price) => [price.pool_id, price.spot_micros])),
			signals: await signals.of(reads, ofType),
		};
	} catch (error) {
		if (dialectOf(db).isBusy(error) || dialectOf(db).isUnavailable(error)) throw error;
		return { pools: [], prices: new Map(), signals: new Map() };
	}
};
