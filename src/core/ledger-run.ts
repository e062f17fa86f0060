import { lockLedger, MACHINES, REPORTS } from '../store/ledger.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { nextSize, rest, type Sizes } from './pace.ts';

/** Facts or reports of a transaction. */
export const SIZES: Sizes = { first: 40, least: 20, most: REPORTS };
/** A run rests for so many times what a transaction took, its wait for others too: with a backlog, most of the time is everybody else's. */
const REST = 4;
/** One wait for somebody who held the books long does not make a run stand still. */
const LONGEST_REST_MS = 5_000;

/** A run of the ledger: how much its next transaction takes on. */
export type Run = Context & { readonly signal?: AbortSignal; readonly pace: { size: number } };

/** A daemon that stops leaves the books between two transactions; the next run goes on there. */
export const goesOn = ({ signal }: Run): boolean => signal?.aborted !== true;

/** How many machines a page booked, and whether there may be another. */
export type Page = { readonly booked: number; readonly more: boolean };

/** Of the machines a look found, those that this transaction takes, and whether there may be others. */
export const portion = <R>({ pace }: Run, found: readonly R[]): { readonly rows: readonly R[]; readonly isPart: boolean } => {
	const rows = found.slice(0, pace.size);
	return { rows, isPart: rows.length < found.length || found.length === MACHINES };
};

/** A transaction of the books, then a rest that grows with it. */
export const inLedger = async (context: Run, page: (context: Run, tx: Db) => Promise<Page>): Promise<Page> => {
	const { clock, pace } = context;
	const from = clock.elapsed();
	let took = 0;
	const done = await context.unit(null, async (tx) => {
		await lockLedger.first(tx, {});
		const started = clock.elapsed();
		const booked = await page(context, tx);
		took = clock.elapsed() - started;
		return booked;
	});
	pace.size = nextSize(pace.size, took, SIZES);
	await rest(context, Math.min(REST * (clock.elapsed() - from), LONGEST_REST_MS));
	return done;
};

/** Pages, a transaction each, where a look outside of one has found something. Returns how many machines were booked. */
export const pages = async (context: Run, found: Promise<unknown>, page: (context: Run, tx: Db) => Promise<Page>): Promise<number> => {
	if ((await found) === undefined) return 0;
	for (let booked = 0; ; ) {
		const done = await inLedger(context, page);
		booked += done.booked;
		if (!done.more || !goesOn(context)) return booked;
	}
};
