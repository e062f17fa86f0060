import type { Clock, Ids } from '../deps.ts';
import { SpotError } from '../errors.ts';
import type { Store } from '../store/open.ts';
import type { Db } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import type { Counters } from './counters.ts';
import type { Feed } from './feed.ts';
import { type Journal, openJournal } from './journal.ts';

/**
 * One transaction with its journal: `work` may run again from the start (deadlock, a unique key that somebody else took first), so it
 * must not change anything but the database. Caches hear of the changes after the commit and before the caller is answered.
 */
export type Unit = <T>(
	caller: Pick<Caller, 'requestId' | 'principal' | 'remember'> | null,
	work: (tx: Db, journal: Journal) => Promise<T>,
) => Promise<T>;

/** How often a transaction that lost a race against a unique key or a version is begun again. */
const ATTEMPTS = 4;

/** Thrown inside a unit when a conditional update matched nothing: the rows read are out of date, begin again. */
export class StaleRow extends Error {}

export const createUnit =
	(store: Store, clock: Clock, ids: Ids, origin: string, feed: Feed, counters: Counters): Unit =>
	async (caller, work) => {
		for (let attempt = 1; ; attempt++) {
			let journal: Journal | null = null;
			try {
				const value = await store.transact(async (tx) => {
					journal = openJournal(clock, ids, origin, caller);
					const result = await work(tx, journal);
					await caller?.remember?.(tx, result);
					await journal.write(tx);
					return result;
				});
				const written = journal as Journal | null;
				if (written !== null) {
					feed.changedHere(written.changes);
					for (const [name, by] of written.counted) counters.add(name, by);
				}
				return value;
			} catch (error) {
				// The commit may have arrived although its answer did not: what it would have changed must not be believed.
				const attempted = journal as Journal | null;
				if (attempted !== null) feed.changedHere(attempted.changes);
				const raced = error instanceof StaleRow || store.dialect.isDuplicate(error) || store.dialect.isOrphan(error);
				if (!raced) throw error;
				counters.add('optimistic_lock_conflicts_total', 1);
				if (attempt >= ATTEMPTS)
					throw new SpotError('conflict', 'CONFLICT', 'somebody else changed the same thing at the same time', {
						hint: 'try again',
						cause: error,
					});
			}
		}
	};
