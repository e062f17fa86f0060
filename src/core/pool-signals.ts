import type { Clock } from '../deps.ts';
import { signalsByPool } from '../store/emergencies.ts';
import type { Db } from '../store/statement.ts';

/** How far back signals of AWS count. */
const WINDOW_MS = 30 * 86_400_000;
/** So few are counted each time: the risk is at its most from 30 on. */
const FEW = 100;
/** More are counted again after this long: in a storm of n notices each order counted all n (a third of SQLite's time for 1,000 of them). */
const FRESH_MS = 10_000;
/** Pools remembered; beyond it all are forgotten. */
const MOST_POOLS = 10_000;

/** How often AWS signalled in a pool within 30 days: as of now up to 100, beyond it as of at most 10 s ago. */
export type PoolSignals = {
	/** By pool id; a pool without signals is 0. Two reads of the same pool at once are two statements. Throws what the store throws. */
	of(db: Db, pools: readonly string[]): Promise<ReadonlyMap<string, number>>;
};

/** One per daemon: orders of replicas and answers to signals read the same counts. */
export const createPoolSignals = (clock: Clock): PoolSignals => {
	const known = new Map<string, { readonly count: number; readonly at: number }>();
	return {
		of: async (db, pools) => {
			const now = clock.elapsed();
			const isFresh = (pool: string): boolean => now - (known.get(pool)?.at ?? Number.NEGATIVE_INFINITY) < FRESH_MS;
			const counts = new Map(pools.map((pool) => [pool, isFresh(pool) ? (known.get(pool)?.count ?? 0) : 0]));
			const unknown = pools.filter((pool) => !isFresh(pool));
			const read = await signalsByPool(db, unknown, clock.now() - WINDOW_MS);
			if (known.size + read.size > MOST_POOLS) known.clear();
			for (const [pool, count] of read) if (count > FEW) known.set(pool, { count, at: now });
			return new Map([...counts, ...read]);
		},
	};
};
