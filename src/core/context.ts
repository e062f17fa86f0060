import type { CoreDeps } from './core-deps.ts';
import type { Directory } from './directory.ts';
import type { Feed } from './feed.ts';
import type { Liveness } from './liveness.ts';
import type { Unit } from './unit.ts';

/** Everything a handler may use. */
export type Context = CoreDeps & {
	readonly origin: string;
	readonly feed: Feed;
	readonly unit: Unit;
	readonly directory: Directory;
	readonly liveness: Liveness;
	/** Counted for /metrics, by the metric's name. */
	readonly counters: Map<string, number>;
};

/** Adds one to a counter of /metrics. */
export const count = (context: Pick<Context, 'counters'>, name: string, by = 1): void => {
	context.counters.set(name, (context.counters.get(name) ?? 0) + by);
};
