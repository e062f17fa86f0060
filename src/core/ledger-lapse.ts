import { type LedgerHost, lapsedHosts, lapsedQuotes, ledgerHostsBefore, overdueHosts } from '../store/ledger.ts';
import type { Db } from '../store/statement.ts';
import { book, factOf, machineOf, midnightOf } from './ledger-book.ts';
import { type Page, pages, portion, type Run } from './ledger-run.ts';

/** A price is believed for so long after the last report that was noted. */
export const FRESH_MS = 2 * 3_600_000;

/** When somebody last said what a machine is billed by: its own report, or the quote that stands for one. 0: nobody did. */
const pricedAt = (row: LedgerHost): number => {
	const { mode, spot, onDemand } = machineOf(row);
	return row.priced_at ?? (mode === 'spot' ? spot : mode === 'ondemand' ? onDemand : null)?.at ?? 0;
};

/**
 * Notes of machines whose own reports stopped that what they cost is an estimate since, also today's, and of old primaries whose planned end
 * is over that they have not ended. `until`: up to when every report that could have come is read. Returns how many machines.
 */
export const lapse = async (context: Run, until: number): Promise<number> => {
	const before = until - FRESH_MS;
	let booked = 0;
	for (const whose of [lapsedHosts, lapsedQuotes])
		booked += await pages(context, whose.first(context.store.read, { before }), (run, tx) => noteLapsed(run, tx, whose, before));
	return booked + (await pages(context, overdueHosts.first(context.store.read, { until }), (run, tx) => noteOverdue(run, tx, until)));
};

const noteOverdue = async (run: Run, tx: Db, until: number): Promise<Page> => {
	const { rows, isPart } = portion(run, await overdueHosts.all(tx, { until }));
	const overdue = rows.map((row) => factOf(row, 'overdue', row.overlap_until ?? until));
	return { booked: await book(tx, overdue, new Map()), more: isPart };
};

const noteLapsed = async (run: Run, tx: Db, whose: typeof lapsedHosts, before: number): Promise<Page> => {
	const { rows, isPart } = portion(run, await whose.all(tx, { before }));
	const stale = rows.flatMap((row) => (machineOf(row).stale ? [] : [factOf(row, 'stale', pricedAt(row) + FRESH_MS)]));
	return { booked: await book(tx, stale, new Map()), more: isPart && stale.length > 0 };
};

/** Closes the day of machines that ran over a midnight that is in the books (see {@link lapse}). Returns how many. */
export const turnDays = (context: Run, until: number): Promise<number> => {
	const midnight = midnightOf(until);
	return pages(context, ledgerHostsBefore.first(context.store.read, { midnight }), (run, tx) => turn(run, tx, midnight));
};

const turn = async (run: Run, tx: Db, midnight: number): Promise<Page> => {
	const { rows, isPart } = portion(run, await ledgerHostsBefore.all(tx, { midnight }));
	const lapsed = rows.flatMap((row) => {
		const { stale, last } = machineOf(row);
		const priced = pricedAt(row);
		const due = Math.max(priced + FRESH_MS, last, row.start_at);
		return !stale && priced > 0 && due < midnight ? [factOf(row, 'stale', due)] : [];
	});
	const known = new Map(rows.map((row) => [row.handle, row]));
	return {
		booked: await book(tx, lapsed, new Map(rows.map(({ handle }) => [handle, []])), { known, midnight }),
		more: isPart,
	};
};
