import type { Clock, Ids } from '../deps.ts';
import { SpotError } from '../errors.ts';
import type { Lane, Store } from '../store/open.ts';
import type { Db } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import type { Counters } from './counters.ts';
import type { Feed } from './feed.ts';
import { type Journal, openJournal, writeJournals } from './journal.ts';
import type { AnyWebhook } from './webhook-wanted.ts';

/** For whom a transaction works; null: for nobody but the daemon. */
export type For = Pick<Caller, 'requestId' | 'principal' | 'remember'> | null;

/**
 * One transaction with its journal: `work` may run again from the start (deadlock, a unique key that somebody else took first), so it
 * must not change anything but the database. Caches hear of the changes after the commit and before the caller is answered.
 */
export type Unit = <T>(caller: For, work: (tx: Db, journal: Journal) => Promise<T>) => Promise<T>;

/** The same for several callers in one transaction, each with a journal of its own. */
export type Units = <T>(callers: readonly For[], lane: Lane, work: (tx: Db, journals: readonly Journal[]) => Promise<T>) => Promise<T>;

/** How often a transaction that lost a race against a unique key or a version is begun again. */
const ATTEMPTS = 4;

export { StaleRow } from '../store/dialect.ts';

/** Another daemon has the lease of a job, nobody has, or it was not renewed in time: the run ends here and its open transaction is undone. */
export class LeaseLost extends Error {}

/** What units are made of. */
export type UnitParts = {
	readonly store: Store;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly origin: string;
	readonly feed: Feed;
	readonly counters: Counters;
	readonly anyWebhook: AnyWebhook;
};

export const createUnits =
	({ store, clock, ids, origin, feed, counters, anyWebhook }: UnitParts): Units =>
	async (callers, lane, work) => {
		for (let attempt = 1; ; attempt++) {
			let journals: readonly Journal[] = [];
			const any = await anyWebhook();
			try {
				const value = await store.transact(async (tx) => {
					journals = callers.map((caller) => openJournal(clock, ids, origin, caller));
					const result = await work(tx, journals);
					for (const caller of callers) await caller?.remember?.(tx, result);
					await writeJournals(tx, journals, any);
					return result;
				}, lane);
				for (const journal of journals) {
					feed.changedHere(journal.changes);
					journal.report(counters, 'committed');
				}
				return value;
			} catch (error) {
				// The commit may have arrived although its answer did not: what it would have changed must not be believed.
				for (const { changes } of journals) feed.changedHere(changes);
				const raced = store.dialect.isStale(error) || store.dialect.isDuplicate(error) || store.dialect.isOrphan(error);
				if (raced) counters.add('optimistic_lock_conflicts_total', 1);
				// What was lost as one of a set is tried again by itself, and what ends with its lease by whoever has it.
				const isLast = (!raced || attempt >= ATTEMPTS) && (callers.length === 1 || store.dialect.isUnavailable(error));
				if (isLast && !(error instanceof LeaseLost)) for (const journal of journals) journal.report(counters, 'lost');
				if (!raced) throw error;
				if (attempt >= ATTEMPTS)
					throw new SpotError('conflict', 'CONFLICT', 'somebody else changed the same thing at the same time', {
						hint: 'try again',
						cause: error,
					});
			}
		}
	};

/** One caller's transactions. */
export const createUnit =
	(units: Units): Unit =>
	(caller, work) =>
		units([caller], 'routine', (tx, [journal]) => {
			if (journal === undefined) throw new Error('no journal');
			return work(tx, journal);
		});
