import type { Replica } from '../store/replicas.ts';
import type { ReplicaStatus } from '../store/schema.ts';

/** How long a launch order that was handed out is not handed out again (identity.md section 5). */
export const SERVE_MS = 5 * 60_000;

/** Every state a replica can have. */
export const REPLICA_STATES = [
	'launching',
	'syncing',
	'ready',
	'promoted',
	'terminated',
	'failed',
] as const satisfies readonly ReplicaStatus[];

/** Which state may follow which (spec section 2 "Ours"); promoted, terminated and failed are final. */
const NEXT: Readonly<Record<ReplicaStatus, readonly ReplicaStatus[]>> = {
	launching: ['syncing', 'ready', 'failed', 'terminated'],
	syncing: ['ready', 'failed', 'terminated', 'promoted'],
	ready: ['syncing', 'promoted', 'failed', 'terminated'],
	promoted: [],
	terminated: [],
	failed: [],
};

/** Whether a replica may go from one state to another. */
export const mayBecome = (from: ReplicaStatus, to: ReplicaStatus): boolean => NEXT[from].includes(to);

/** Whether a replica occupies the slot of its agent. */
export const isLive = ({ live_of }: Pick<Replica, 'live_of'>): boolean => live_of !== null;

/** What stands for the machine of a replica until one is named; every agent skips the prefix (contract/endpoints.md #54). */
export const placeholder = ({ id }: Pick<Replica, 'id'>): string => `replica-${id.replaceAll('-', '').slice(-8)}`;

/** What a replica has cost so far, micro-dollars: its price when it was ordered times the time its machine ran; null while no price is known. */
export const costOf = (replica: Replica, now: number): number | null => {
	if (replica.hourly_micros === null) return null;
	if (replica.launched_at === null) return 0;
	// A machine costs until somebody has seen its end, whatever its replica is booked as.
	const until = replica.promoted_at ?? replica.confirmed_at ?? (replica.handle === null ? replica.ended_at : null) ?? now;
	return Math.round((replica.hourly_micros * Math.max(0, until - replica.launched_at)) / 3_600_000);
};

/** First wait after a failed launch, doubled with each further one in a row (issue "Part 2" section 1). */
const FIRST_BACKOFF_MS = 30_000;
const LONGEST_BACKOFF_MS = 15 * 60_000;

/** Older failures say nothing about the next launch. */
const ROW_MS = 24 * 3_600_000;

/** Launches that failed in a row within a day, newest first; one that was overtaken by another promotion says nothing. */
export const failuresInARow = (newestFirst: readonly Replica[], now: number): readonly Replica[] => {
	const failed: Replica[] = [];
	for (const replica of newestFirst) {
		if (replica.created_at < now - ROW_MS) break;
		if (replica.status === 'failed' && (replica.void === 1 || replica.error_message === 'another machine became the primary')) continue;
		// One that had been ready was launched well, and lost later.
		if (replica.status !== 'failed' || replica.ready_at !== null) break;
		failed.push(replica);
	}
	return failed;
};

/** When the next launch may be ordered after failures in a row (newest first); 0 when at once. */
export const retryAt = (failures: readonly Replica[]): number => {
	const [last] = failures;
	if (last === undefined) return 0;
	return (last.ended_at ?? last.created_at) + Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures.length - 1));
};

/** What a replica is called: its machine, or its order while nobody has named one. */
export const nameOf = (replica: Replica): string => replica.instance_id ?? placeholder(replica);
