import type { Clock, Ids } from '../deps.ts';
import type { Store } from '../store/open.ts';
import type { RetentionSetting } from '../store/retention-plan.ts';
import type { FailoverSettings } from './failover-plan.ts';

/** What the core needs from outside. */
export type CoreDeps = {
	readonly store: Store;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly settings: CoreSettings;
	readonly log: CoreLog;
};

/** The part of the configuration the core reads; durations in milliseconds. */
export type CoreSettings = {
	readonly heartbeatTimeoutMs: number;
	readonly terminateWaitSeconds: number;
	readonly leaseMs: number;
	readonly expireMs: { readonly emergency: number; readonly manual: number; readonly model: number; readonly scheduled: number };
	readonly failover: FailoverSettings;
	/** Days that old rows are kept; 0 is for ever. */
	readonly retention: Readonly<Record<RetentionSetting, number>>;
	readonly adminToken: string | null;
	/** 32 bytes, or null: tokens cannot be shown again. */
	readonly tokenRevealKey: Buffer | null;
};

/** What the core writes to the log: changes of state and trouble, never a token. */
export type CoreLog = {
	info(fields: Readonly<Record<string, unknown>>, message: string): void;
	warn(fields: Readonly<Record<string, unknown>>, message: string): void;
	error(fields: Readonly<Record<string, unknown>>, message: string): void;
};
