import type { Output } from '../contract/index.ts';
import { ledgerState } from '../store/ledger.ts';
import { nextSegment, nextTotal, segmentTotals, setTotals, storedTotals, type Totals } from '../store/ledger-totals.ts';
import { addSums, NO_SUMS, SUMS, type Sums } from '../store/savings.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { midnightOf } from './ledger-book.ts';

const DAY_MS = 86_400_000;
/** How many days of a client a call adds up. */
const DAYS = 7;

type Difference = Output<'recomputeSavings'>['totals'][number];

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);
const cost = (sums: Sums): number => (sums.primary_micros + sums.replica_micros + sums.overlap_micros + sums.zombie_micros) / 1_000_000;

/** Stores what differs from what is stored. */
const mend = async (tx: Db, clientId: string, stored: Totals, right: Totals, dryRun: boolean): Promise<Difference[]> => {
	const changed = new Map<string, Sums>();
	for (const period of new Set([...stored.keys(), ...right.keys()])) {
		const [before, after] = [stored.get(period) ?? NO_SUMS, right.get(period) ?? NO_SUMS];
		if (SUMS.some((key) => before[key] !== after[key])) changed.set(period, after);
	}
	if (!dryRun) await setTotals(tx, clientId, changed);
	return [...changed].sort().map(([period, after]) => {
		const before = stored.get(period) ?? NO_SUMS;
		return {
			clientId,
			period,
			costBefore: cost(before),
			costAfter: cost(after),
			baselineBefore: before.baseline_micros / 1_000_000,
			baselineAfter: after.baseline_micros / 1_000_000,
		};
	});
};

/** Sums of months and of all time, by the stored days. */
const monthsOf = (days: Totals): Totals => {
	const sums = new Map<string, Sums>();
	for (const [day, of] of days)
		if (day.length === 10) for (const period of [day.slice(0, 7), 'all']) sums.set(period, addSums(sums.get(period) ?? NO_SUMS, of));
	return sums;
};

/**
 * Adds up the days of a client anew from its segments, a week from `from` (the begin of a UTC day) on, and after the last one its months and
 * its total from its days. Days whose segments retention may have ended already keep their sums. Answers where to go on; null: the client is
 * done. The ledger is locked by the caller.
 */
export const recomputeTotals = async (
	context: Pick<Context, 'clock' | 'settings'>,
	tx: Db,
	clientId: string,
	from: number,
	dryRun: boolean,
): Promise<{ readonly differences: Difference[]; readonly next: number | null }> => {
	const { ledger } = context.settings.retention;
	const pruned = (await ledgerState.first(tx, {}))?.pruned_before ?? null;
	const kept = Math.max(
		ledger === 0 ? 0 : midnightOf(context.clock.now() - (ledger - 1) * DAY_MS),
		// The setting may have been less once.
		pruned === null ? 0 : midnightOf(pruned) + DAY_MS,
	);
	const begin = Math.max(from, kept);
	const segment = await nextSegment.first(tx, { client_id: clientId, from: begin });
	const total = await nextTotal.first(tx, { client_id: clientId, from: dayOf(begin) });
	const first = Math.min(
		segment === undefined ? Number.POSITIVE_INFINITY : midnightOf(segment.start_at),
		total === undefined ? Number.POSITIVE_INFINITY : Date.parse(`${total.period}T00:00:00Z`),
	);
	if (first === Number.POSITIVE_INFINITY) {
		const all = await storedTotals(tx, clientId, '', 'b');
		const periods = new Map([...all].filter(([period]) => period.length !== 10));
		return { differences: await mend(tx, clientId, periods, monthsOf(all), dryRun), next: null };
	}
	const to = first + DAYS * DAY_MS;
	const stored = new Map([...(await storedTotals(tx, clientId, dayOf(first), dayOf(to)))].filter(([period]) => period.length === 10));
	return { differences: await mend(tx, clientId, stored, await segmentTotals(tx, clientId, first, to), dryRun), next: to };
};
