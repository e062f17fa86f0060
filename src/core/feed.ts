import type { Clock } from '../deps.ts';
import { changesAfter, newestChange, pruneChanges } from '../store/journal.ts';
import { databaseUnavailable, type Store } from '../store/open.ts';
import type { Topic } from './journal.ts';

/** How often the change log is read; a revoked token is refused within this time and that of a read (decided 6 allows one second). */
const POLL_MS = 400;
/** Older than this, caches are asked again before they are believed. */
const STALE_MS = 900;
/** An id that is missing may belong to a transaction that has not committed yet; after this time it was rolled back. */
const GAP_MS = 30_000;
/** How far back a new reader looks for ids that were not committed yet when it began. */
const LOOK_BACK = 200;
const KEEP_MS = 10 * 60_000;

/** Tells what other daemons and local commands changed, so that caches can forget it. */
export type Feed = {
	/** True while what caches hold can be believed. */
	fresh(): boolean;
	/** Reads the log now; concurrent calls share one read. Errors: 503 DATABASE_UNAVAILABLE. */
	refresh(): Promise<void>;
	/**
	 * Resolves when the log was read by a reading that began after this call, so with all that was answered before it, by whichever daemon.
	 * One reading serves all who wait; there is one at a time. Errors: 503 DATABASE_UNAVAILABLE.
	 */
	catchUp(): Promise<void>;
	/** Calls back with every change somebody else made, and with null when everything must be forgotten. */
	onChange(listener: (topic: Topic | null, key: string) => void): void;
	/** What a transaction of this process changed: told to the listeners at once. */
	changedHere(changes: ReadonlyArray<{ readonly topic: Topic; readonly key: string }>): void;
	start(): () => void;
	lastFreshAt(): number;
	/** Forgets old changes, through the store of whoever may; returns how many. */
	prune(store: Store): Promise<number>;
};

/**
 * Follows the change log by id. Ids of an auto-increment can commit out of order, so a hole is remembered and asked for again until it
 * is filled or too old to be (../shared/performance.md, last line).
 */
export const createFeed = (store: Store, clock: Clock, origin: string): Feed => {
	const listeners: Array<(topic: Topic | null, key: string) => void> = [];
	const holes = new Map<number, number>();
	let position: number | null = null;
	let freshAt = Number.NEGATIVE_INFINITY;
	let reading: Promise<void> | null = null;
	let next: Promise<void> | null = null;

	const tell = (topic: Topic | null, key: string): void => {
		for (const listener of listeners) listener(topic, key);
	};

	const read = async (): Promise<void> => {
		const startedAt = clock.now();
		// After a pause longer than half of what is kept, changes may be gone unread: everything is forgotten, as at the start.
		if (position === null || startedAt - freshAt > KEEP_MS / 2) {
			position = await newestChange(store.read);
			holes.clear();
			for (let id = Math.max(1, position - LOOK_BACK); id <= position; id++) holes.set(id, startedAt + GAP_MS);
			tell(null, '');
		} else {
			for (;;) {
				const from: number = position;
				const rows = await changesAfter(store.read, from, [...holes.keys()]);
				let last = from;
				for (const row of rows) {
					holes.delete(row.id);
					if (row.id > last) {
						for (let id = last + 1; id < row.id && holes.size < 2000; id++) holes.set(id, startedAt + GAP_MS);
						last = row.id;
					}
					if (row.origin !== origin) tell(row.topic, row.key);
				}
				position = last;
				if (last - from < 5000) break;
			}
			for (const [id, until] of holes) if (until < startedAt) holes.delete(id);
		}
		freshAt = startedAt;
	};

	const refresh = (): Promise<void> => {
		reading ??= read()
			.catch((error: unknown) => {
				throw databaseUnavailable(error);
			})
			.finally(() => {
				reading = null;
			});
		return reading;
	};

	const catchUp = (): Promise<void> => {
		if (reading === null) return refresh();
		next ??= reading
			.catch(() => undefined)
			.then(() => {
				next = null;
				return refresh();
			});
		return next;
	};

	return {
		fresh: () => clock.now() - freshAt < STALE_MS,
		refresh,
		catchUp,
		onChange: (listener) => listeners.push(listener),
		changedHere: (changes) => {
			for (const { topic, key } of changes) tell(topic, key);
		},
		start: () => clock.every(POLL_MS, () => void refresh().catch(() => undefined)),
		lastFreshAt: () => freshAt,
		prune: (within) => within.transact((tx) => pruneChanges(tx, clock.now() - KEEP_MS)),
	};
};
