import type { CoreDeps } from './core-deps.ts';
import type { Counters } from './counters.ts';
import type { Directory } from './directory.ts';
import type { Feed } from './feed.ts';
import type { Liveness } from './liveness.ts';
import type { NoticeLoad } from './notice-lane.ts';
import type { PoolSignals } from './pool-signals.ts';
import type { Unit, Units } from './unit.ts';
import type { AnyWebhook } from './webhook-wanted.ts';

/** Everything a handler may use. */
export type Context = CoreDeps & {
	readonly origin: string;
	readonly feed: Feed;
	readonly unit: Unit;
	/** For what agents and operators ask in masses: may share its transaction with others of its kind. */
	readonly sharedUnit: Unit;
	readonly units: Units;
	readonly anyWebhook: AnyWebhook;
	readonly directory: Directory;
	readonly liveness: Liveness;
	readonly notices: NoticeLoad;
	readonly signals: PoolSignals;
	/** Aborted when the product stops: what waits for somebody outside waits no longer. */
	readonly closing: AbortSignal;
	/** What /metrics counts outside a transaction; inside one, the journal counts. */
	readonly counters: Counters;
};
