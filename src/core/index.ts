import type { CoreName, Handlers, Principal } from './caller.ts';
import type { Figure } from './counters.ts';

export type { CoreDeps, CoreLog, CoreSettings } from './core-deps.ts';

/** The product without its faces. */
export type Core = {
	readonly handlers: Handlers<CoreName>;
	/**
	 * Who a token belongs to; usually without a wait. Errors: 401 INVALID_TOKEN (also revoked or expired), 403 INACTIVE_CLIENT,
	 * 503 DATABASE_UNAVAILABLE when that cannot be known.
	 */
	authenticate(token: string): Principal | Promise<Principal>;
	/**
	 * Calls back when tokens may have been revoked, by whichever daemon: with the id of the client whose they are, null for admins', and with
	 * nothing when anybody's may. Whoever is asked about again is found out by {@link Core.authenticate}.
	 */
	onAccessChange(listener: (whose?: string | null) => void): void;
	/** What an error of a handler means to its caller: a SpotError, or the same error when it is a bug. */
	explain(error: unknown): unknown;
	/** Starts what runs beside requests: cache refresh, coalesced writes; background jobs when `jobs`, as their only daemon when `alone`. */
	start(options: { readonly jobs: boolean; readonly alone?: boolean }): Promise<void>;
	/** Writes what is buffered and stops. */
	stop(): Promise<void>;
	/** Numbers for /metrics that the core counts: name of the metric to value. */
	counters(): ReadonlyMap<string, number>;
	/** What of /metrics is more than a number: distributions, and the machines by role. */
	readonly figures: readonly Figure[];
	/** When the caches were last known to agree with the database (clock milliseconds), for /readyz. */
	lastFreshAt(): number;
};

export { ensureAdminToken } from './admin-tokens.ts';
export { createCore } from './create-core.ts';
