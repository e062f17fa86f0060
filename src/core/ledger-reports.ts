import {
	factsOf,
	firstPending,
	type LedgerHost,
	type LedgerState,
	lastStates,
	ledgerHosts,
	ledgerState,
	type NewFact,
	type Report,
	reportsAfter,
	saveLedgerState,
	statesOf,
} from '../store/ledger.ts';
import type { Db } from '../store/statement.ts';
import { book, bookStored, factOf, groups, inPortions, machineOf, rowOf } from './ledger-book.ts';
import { FRESH_MS, lapse } from './ledger-lapse.ts';
import { pending } from './ledger-pending.ts';
import { goesOn, inLedger, type Page, type Run } from './ledger-run.ts';
import { bills, bookAll, type Machine, valuation } from './segments.ts';

/** Clocks of daemons that are this far apart delay reports; one that is further ahead is not waited for. */
const AHEAD_MS = 60_000;
/** That a price goes on being said is noted at most this often. */
const NOTED_MS = 30 * 60_000;

/**
 * Reads price reports page by page, and before each what was written up to its end. In any other order a backlog is late for machines whose
 * newest change is booked already, and each page of it books them anew from their first fact. A price that had lapsed by then is noted first:
 * of a machine whose end or silence is booked nobody would. Up to a time; returns how many machines it booked.
 */
export const readInTime = async (context: Run, until: number): Promise<number> => {
	let booked = 0;
	for (;;) {
		const state = await ledgerState.first(context.store.read, {});
		if (state === undefined) return booked;
		const page = oldEnough(await reportsAfter.all(context.store.read, { id: state.reports_id }), until, context.clock.now());
		const part = page.slice(0, context.pace.size);
		const last = part.at(-1);
		if (last === undefined) return booked;
		booked += await lapse(context, Math.min(until, ...part.map(({ arrived_at }) => arrived_at)));
		booked += await pending(context, Math.min(until, latest(part)));
		if (!goesOn(context)) return booked;
		booked += (await inLedger(context, (_, tx) => readReports(tx, last.id))).booked;
		if (!goesOn(context)) return booked;
	}
};

const latest = (reports: readonly Report[]): number => Math.max(...reports.map(({ arrived_at }) => arrived_at));

/**
 * Reports up to the first one that is younger. They are read in the order of their ids, which the database gives: in that of their arrival,
 * one that came through a daemon whose clock is behind was passed over for good. One dated long after now shows a clock that is ahead, not its age.
 */
const oldEnough = (reports: readonly Report[], until: number, now: number): readonly Report[] => {
	const young = reports.findIndex(({ arrived_at }) => arrived_at > until && arrived_at <= now + AHEAD_MS);
	return young === -1 ? reports : reports.slice(0, young);
};

/** What is remembered of a machine while its reports are read: what it said last in time, and when; at first what the books hold. */
type Told = { readonly spot: number | null; readonly onDemand: number | null; readonly at: number | null; readonly stale: boolean };

const toldBy = ({ spot, onDemand, stale }: Machine): Told => ({
	spot: spot?.own === true ? spot.micros : null,
	onDemand: onDemand?.own === true ? onDemand.micros : null,
	at: null,
	stale,
});

/** Whether what was told last is what was known at a time: nothing was booked or said between the two. What was booked before, the last does not say. */
const isNext = (told: Told, machine: Machine, at: number): boolean =>
	at >= machine.last && (told.at === null || (told.at >= machine.last && at >= told.at));

/** What machines said of their own price, up to an id, where it differs from what they said before. */
const readReports = async (tx: Db, until: number): Promise<Page> => {
	const state = await ledgerState.first(tx, {});
	if (state === undefined) return { booked: 0, more: false };
	const reports = (await reportsAfter.all(tx, { id: state.reports_id })).filter(({ id }) => id <= until);
	const last = reports.at(-1);
	if (last === undefined) return { booked: 0, more: false };
	const handles = [...new Set(reports.map(({ handle }) => handle))];
	const known = await enteredHosts(tx, handles);
	const over = await overSince(
		tx,
		handles.filter((handle) => !known.has(handle)),
		reports,
	);
	const modeAt = await modesOf(tx, reports, (handle) => known.get(handle) ?? over.get(handle));
	const fresh: NewFact[] = [];
	const noted = new Map<string, number>();
	const told = new Map<string, Told>();
	for (const report of reports) {
		const row = known.get(report.handle) ?? over.get(report.handle);
		if (row === undefined || (report.current_micros === null && report.ondemand_micros === null)) continue;
		const machine = machineOf(row);
		// Its clock may be behind ours: what it says before we knew it, it says of the time from then on.
		const at = Math.max(report.observed_at, machine.launched);
		const isOver = over.has(row.handle);
		// Of one that is over, the time from the report to its end counts.
		if (isOver && at >= row.start_at) continue;
		const prices = { spot_micros: report.current_micros, ondemand_micros: report.ondemand_micros };
		const isBilled = bills(modeAt(machine, at), prices);
		const before = told.get(row.handle) ?? toldBy(machine);
		const notedAt = noted.get(row.handle) ?? row.priced_at;
		const lapsed = notedAt !== null && at - notedAt > FRESH_MS;
		if (lapsed && !before.stale && isBilled) fresh.push(factOf(row, 'stale', notedAt + FRESH_MS));
		const after: Told = {
			spot: report.current_micros ?? before.spot,
			onDemand: report.ondemand_micros ?? before.onDemand,
			at,
			stale: before.stale && !isBilled,
		};
		const revives = isBilled && (before.stale || lapsed);
		const differs = revives || !isNext(before, machine, at) || after.spot !== before.spot || after.onDemand !== before.onDemand;
		if (differs) fresh.push({ ...factOf(row, 'price', at), ...prices });
		if (isBilled && !isOver && (differs || notedAt === null || at - notedAt > NOTED_MS)) noted.set(row.handle, Math.max(at, notedAt ?? 0));
		if (before.at === null || at >= before.at) told.set(row.handle, after);
	}
	const booked = await book(tx, fresh, new Map(), { noted, known });
	const next: LedgerState = { ...state, reports_at: Math.max(state.reports_at, latest(reports)), reports_id: last.id };
	await saveLedgerState.run(tx, next);
	return { booked, more: false };
};

/** By which mode machines were billed at a time, read for those that have reports from before their newest fact. */
const modesOf = async (tx: Db, reports: readonly Report[], rowOf: (handle: string) => LedgerHost | undefined) => {
	const late = new Set<string>();
	for (const { handle, observed_at } of reports) {
		const row = rowOf(handle);
		if (row !== undefined && observed_at < machineOf(row).last) late.add(handle);
	}
	const states = groups((await statesOf(tx, [...late])).filter(({ pending }) => pending === null));
	return (machine: Machine, at: number): Machine['mode'] => {
		if (at >= machine.last) return machine.mode;
		const before = states.get(machine.handle)?.filter((state) => state.at <= at);
		return before === undefined || before.length === 0 ? machine.mode : (before.at(-1)?.mode ?? null);
	};
};

/**
 * Where machines stand in the books. One that a daemon whose clock is ahead has dated after its own reports is booked first: reports of a
 * machine that nobody has booked are passed over for good.
 */
const enteredHosts = async (tx: Db, handles: readonly string[]): Promise<Map<string, LedgerHost>> => {
	const known = await ledgerHosts(tx, handles);
	const first = await firstPending(
		tx,
		handles.filter((handle) => !known.has(handle)),
	);
	if (first.length === 0) return known;
	await bookStored(tx, first);
	return ledgerHosts(tx, handles);
};

/** Machines that were over before their last reports were read, as they stood at their end. */
const overSince = async (
	tx: Db,
	handles: readonly string[],
	reports: ReadonlyArray<{ readonly handle: string; readonly observed_at: number }>,
): Promise<Map<string, LedgerHost>> => {
	const first = new Map<string, number>();
	for (const { handle, observed_at } of reports) first.set(handle, Math.min(observed_at, first.get(handle) ?? observed_at));
	const ends = await lastStates(tx, handles);
	const found = new Map<string, LedgerHost>();
	const late = handles.filter((handle) => (first.get(handle) ?? 0) <= (ends.get(handle) ?? -1));
	for await (const part of inPortions(tx, late))
		for (const [handle, facts] of await factsOf(tx, part)) {
			const result = bookAll(facts.filter(({ pending }) => pending === null));
			if (result !== null && valuation(result.machine).line === null) found.set(handle, rowOf(result.machine, null));
		}
	return found;
};
