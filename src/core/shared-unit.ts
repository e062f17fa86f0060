import { SpotError } from '../errors.ts';
import { createFlights } from '../flights.ts';
import { databaseUnavailable } from '../store/open.ts';
import type { Db } from '../store/statement.ts';
import { type Journal, openJournal, writeJournals } from './journal.ts';
import type { For, Unit, UnitParts } from './unit.ts';

/** How many callers may share a transaction, and how many such transactions may be under way. */
const MOST = 16;
const FLIGHTS = 3;
/** How often they are begun, together, where a row of one was locked: it waits for none, and most are held for a moment. */
const ATTEMPTS = 3;

type Waiting = {
	readonly caller: For;
	readonly work: (tx: Db, journal: Journal) => Promise<unknown>;
	readonly accept: (value: never) => void;
	readonly reject: (error: unknown) => void;
};

/**
 * Units of several callers in one transaction, where that is what the database does best: what asks while others are under way goes with
 * them. Whoever cannot, or meets another of them, goes by itself.
 */
export const createSharedUnit = ({ store, clock, ids, origin, feed, counters, anyWebhook }: UnitParts, unit: Unit): Unit => {
	const { transactShared } = store;
	if (transactShared === null) return unit;
	const alone = ({ caller, work, accept, reject }: Waiting): Promise<void> => unit(caller, work).then(accept as never, reject);

	/** Answers whoever was served, and returns the others. */
	const shared = async (batch: readonly Waiting[], attempt = 1): Promise<readonly Waiting[]> => {
		const journals = batch.map(({ caller }) => openJournal(clock, ids, origin, caller));
		let done: Awaited<ReturnType<typeof transactShared<unknown>>>;
		try {
			const any = await anyWebhook();
			done = await transactShared(
				batch.map(({ caller, work }, index) => async (tx: Db): Promise<unknown> => {
					const value = await work(tx, journals[index] as Journal);
					await caller?.remember?.(tx, value);
					return value;
				}),
				(tx, outcomes) =>
					writeJournals(
						tx,
						journals.filter((_, index) => outcomes[index] !== null),
						any,
					),
			);
		} catch (error) {
			// The commit may have arrived although its answer did not: what it would have changed must not be believed.
			for (const { changes } of journals) feed.changedHere(changes);
			if (store.dialect.isBusy(error) && attempt < ATTEMPTS) return shared(batch, attempt + 1);
			if (!(error instanceof SpotError && error.kind === 'unavailable')) return batch;
			for (const journal of journals) journal.report(counters, 'lost');
			for (const { reject } of batch) reject(error);
			return [];
		}
		for (const [index, outcome] of done.entries()) {
			const journal = journals[index] as Journal;
			if (outcome === null) continue;
			feed.changedHere(journal.changes);
			journal.report(counters, 'committed');
			batch[index]?.accept(outcome.value as never);
		}
		return batch.filter((_, index) => done[index] === null);
	};

	const join = createFlights<Waiting>(
		clock,
		{ most: MOST, flights: FLIGHTS, late: ({ reject }) => reject(databaseUnavailable()) },
		async (batch) => {
			const rest = batch.length === 1 ? batch : await shared(batch);
			await Promise.all(rest.map(alone));
		},
	);
	return (caller, work) => new Promise((accept, reject) => join({ caller, work, accept, reject }));
};
