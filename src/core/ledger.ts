import {
	agentsInBooks,
	beginLedger,
	enterHosts,
	factsOf,
	firstPending,
	heardAgain,
	type LedgerHost,
	type LedgerState,
	lapsedHosts,
	lapsedQuotes,
	lastStates,
	ledgerHosts,
	ledgerHostsBefore,
	ledgerState,
	lockLedger,
	markBooked,
	type NewFact,
	notTaken,
	pendingFacts,
	REPORTS,
	reportsAfter,
	type StoredFact,
	saveLedgerState,
	vouchedHosts,
} from '../store/ledger.ts';
import { serviceClock } from '../store/liveness.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { book, factOf, groups, keptUntil, machineOf, midnightOf, rowOf } from './ledger-book.ts';
import { nextSize, rest, type Sizes } from './pace.ts';
import { bookAll, valuation } from './segments.ts';

/** A price is believed for so long after the last report that was noted; reports are noted at most this often. */
const FRESH_MS = 2 * 3_600_000;
const NOTED_MS = 30 * 60_000;
/** How often it is noted that somebody listens: an outage counts from the last note. */
const ALIVE_MS = 60_000;

/** Facts or reports of a transaction. */
const SIZES: Sizes = { first: 200, least: 20, most: REPORTS };
/** A run rests for so many times what a transaction took, its wait for others too: with a backlog, most of the time is everybody else's. */
const REST = 4;

/** A run: how much its next transaction takes on. */
type Run = Context & { readonly signal?: AbortSignal; readonly pace: { size: number } };

/**
 * Brings the books up to date with what has become true since the last run; work grows with that. Every step is a transaction that books
 * facts and moves on, so a run can be killed anywhere and begun again. Returns how many machines it booked.
 */
export const keepLedger = async (job: Context & { readonly signal?: AbortSignal }): Promise<number> => {
	const context: Run = { ...job, pace: { size: SIZES.first } };
	const state = await open(context);
	const { read } = context.store;
	const now = context.clock.now();
	const until = keptUntil(now);
	const steps: ReadonlyArray<() => Promise<number>> = [
		() => noteOutage(context, state),
		...[heardAgain, notTaken].map((whose) => () => pages(context, whose.first(read, {}), (the, tx) => noteHeard(the, tx, whose))),
		() => readInTime(context, state, until),
		() => pending(context, until),
		() => pages(context, pendingFacts.first(read, since(until)), (the, tx) => bookNewcomers(the, tx, until)),
		...[lapsedHosts, lapsedQuotes].map(
			(whose) => () => pages(context, whose.first(read, { before: lapsedBefore(now) }), (the, tx) => noteLapsed(the, tx, whose)),
		),
		() => pages(context, ledgerHostsBefore.first(read, { midnight: midnightOf(until) }), turnDays),
	];
	let booked = 0;
	for (const step of steps) if (goesOn(context)) booked += await step();
	return booked;
};

/** A daemon that stops leaves the books between two transactions; the next run goes on there. */
const goesOn = ({ signal }: Run): boolean => signal?.aborted !== true;

/** How many machines a page booked, and whether there may be another. */
type Page = { readonly booked: number; readonly more: boolean };

/** A transaction of the books, then a rest that grows with it. */
const inLedger = async (context: Run, page: (context: Run, tx: Db) => Promise<Page>): Promise<Page> => {
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
	await rest(context, REST * (clock.elapsed() - from));
	return done;
};

/** Pages, a transaction each, where a look outside of one has found something. */
const pages = async (context: Run, found: Promise<unknown>, page: (context: Run, tx: Db) => Promise<Page>): Promise<number> => {
	if ((await found) === undefined) return 0;
	for (let booked = 0; ; ) {
		const done = await inLedger(context, page);
		booked += done.booked;
		if (!done.more || !goesOn(context)) return booked;
	}
};

const upTo = (until: number) => ({ after: Number.MIN_SAFE_INTEGER, until });
const since = (after: number) => ({ after, until: Number.MAX_SAFE_INTEGER });

/** Books what transactions have written, up to a time. */
const pending = (context: Run, until: number): Promise<number> =>
	pages(context, pendingFacts.first(context.store.read, upTo(until)), (the, tx) => bookPending(the, tx, until));

/**
 * Reads price reports page by page, and before each what was written up to its end. In any other order a backlog is late for machines whose
 * newest change is booked already, and each page of it books them anew from their first fact.
 */
const readInTime = async (context: Run, begin: LedgerState, until: number): Promise<number> => {
	let booked = 0;
	for (let state: LedgerState | undefined = begin; state !== undefined; ) {
		const page = await reportsAfter.all(context.store.read, { at: state.reports_at, id: state.reports_id, until });
		const end = page.slice(0, context.pace.size).at(-1)?.arrived_at;
		if (end === undefined) return booked;
		booked += await pending(context, end);
		if (!goesOn(context)) return booked;
		const done = await inLedger(context, (the, tx) => readReports(the, tx, end));
		booked += done.booked;
		if (!goesOn(context) || (page.length < REPORTS && end === page.at(-1)?.arrived_at)) return booked;
		state = await ledgerState.first(context.store.read, {});
	}
	return booked;
};

/** The row of the ledger; its first run begins the books and enters the machines that live. */
const open = async (context: Context): Promise<LedgerState> => {
	const found = await ledgerState.first(context.store.read, {});
	if (found !== undefined) return found;
	const now = context.clock.now();
	for (;;) if ((await context.unit(null, (tx) => enterHosts(tx, now))) < 1000) break;
	return context.unit(null, async (tx) => {
		const clock = await serviceClock.first(tx, {});
		const state: LedgerState = {
			id: 1,
			reports_at: now,
			reports_id: 0,
			serving_since: clock?.serving_since ?? now,
			alive_at: clock?.alive_at ?? now,
			outage_at: null,
			outage_after: null,
		};
		await beginLedger.run(tx, state);
		return state;
	});
};

/**
 * After a time in which no daemon listened, nobody vouches for what ran from one timeout after its begin: every machine is told, and each
 * that calls again ends its own silence.
 */
const noteOutage = async (context: Run, before: LedgerState): Promise<number> => {
	const clock = await serviceClock.first(context.store.read, {});
	let state = before;
	const due = clock !== undefined && (clock.serving_since !== state.serving_since || clock.alive_at - state.alive_at >= ALIVE_MS);
	if (due && state.outage_at === null) {
		const vouched = state.alive_at + context.settings.heartbeatTimeoutMs;
		const gap = clock.serving_since !== state.serving_since && clock.serving_since > vouched;
		state = {
			...state,
			serving_since: clock.serving_since,
			alive_at: clock.alive_at,
			outage_at: gap ? vouched : null,
			outage_after: gap ? '' : null,
		};
		await context.unit(null, (tx) => saveLedgerState.run(tx, state));
	}
	// A machine that nobody has booked yet would hear nothing of it, and be priced for all that time.
	let booked = state.outage_at === null ? 0 : await pending(context, state.outage_at);
	while (state.outage_at !== null && goesOn(context)) {
		const [at, after]: [number, string] = [state.outage_at, state.outage_after ?? ''];
		const seen: LedgerState = state;
		state = await context.unit(null, async (tx) => {
			const rows = await vouchedHosts.all(tx, { after });
			const silent = rows
				.filter((row) => machineOf(row).launched < at)
				.map((row) => factOf(row, 'silent', Math.max(at, machineOf(row).last)));
			booked += await book(context, tx, silent, new Map());
			const last = rows.at(-1)?.handle ?? null;
			const next = { ...seen, ...(rows.length < 300 || last === null ? { outage_at: null, outage_after: null } : { outage_after: last }) };
			await saveLedgerState.run(tx, next);
			return next;
		});
	}
	return booked;
};

/** Machines that were silent, or taken back by AWS as we thought, and have called. */
const noteHeard = async (context: Context, tx: Db, whose: typeof heardAgain): Promise<Page> => {
	const rows = await whose.all(tx, {});
	const heard = rows.map(({ seen_at, ...row }) => factOf(row, 'heard', Math.max(seen_at, machineOf(row).last)));
	return { booked: await book(context, tx, heard, new Map()), more: rows.length === 300 };
};

/** Books facts that are stored, of each machine one, and marks them. Returns how many machines there were. */
const bookStored = async (context: Context, tx: Db, facts: readonly StoredFact[]): Promise<number> => {
	const booked = await book(context, tx, [], groups(facts));
	await markBooked(
		tx,
		facts.map(({ id }) => id),
	);
	return booked;
};

/** What transactions have written since: of each machine one fact at a time, since what it costs by others' word is looked up as of each. */
const bookPending = async (context: Run, tx: Db, until: number): Promise<Page> => {
	const due = await pendingFacts.all(tx, upTo(until));
	const rows = due.slice(0, context.pace.size);
	const first = [...groups(rows).values()].flatMap(([fact]) => fact ?? []);
	const booked = await bookStored(context, tx, first);
	return { booked, more: due.length === 500 || first.length < due.length };
};

/** The first machines of agents that have none in the books: nothing that is yet to be read can be older, so they need not wait. */
const bookNewcomers = async (context: Run, tx: Db, after: number): Promise<Page> => {
	const rows = await pendingFacts.all(tx, since(after));
	const known = await agentsInBooks(tx, [...new Set(rows.map(({ agent_id }) => agent_id))]);
	const first = new Map<string, StoredFact>();
	for (const fact of rows) if (!known.has(fact.agent_id) && !first.has(fact.agent_id)) first.set(fact.agent_id, fact);
	const due = [...first.values()].slice(0, context.pace.size);
	const booked = await bookStored(context, tx, due);
	return { booked, more: due.length > 0 };
};

/** What machines said of their own price, where it differs from what they said before. */
const readReports = async (context: Context, tx: Db, until: number): Promise<Page> => {
	const state = await ledgerState.first(tx, {});
	if (state === undefined) return { booked: 0, more: false };
	const reports = await reportsAfter.all(tx, {
		at: state.reports_at,
		id: state.reports_id,
		until,
	});
	const last = reports.at(-1);
	if (last === undefined) return { booked: 0, more: false };
	const handles = [...new Set(reports.map(({ handle }) => handle))];
	const known = await enteredHosts(context, tx, handles);
	const over = await overSince(
		tx,
		handles.filter((handle) => !known.has(handle)),
		reports,
	);
	const fresh: NewFact[] = [];
	const noted = new Map<string, number>();
	const said = new Map<string, { spot: number | null; onDemand: number | null }>();
	for (const report of reports) {
		const row = known.get(report.handle) ?? over.get(report.handle);
		if (row === undefined || (report.current_micros === null && report.ondemand_micros === null)) continue;
		const machine = machineOf(row);
		const isOver = over.has(row.handle);
		// Of one that is over, the time from the report to its end counts.
		if (isOver && report.observed_at >= row.start_at) continue;
		const notedAt = noted.get(row.handle) ?? row.priced_at;
		const before = said.get(row.handle) ?? {
			spot: machine.spot?.own === true ? machine.spot.micros : null,
			onDemand: machine.onDemand?.own === true ? machine.onDemand.micros : null,
		};
		const stale = machine.stale || (notedAt !== null && report.observed_at - notedAt > FRESH_MS);
		if (stale && !machine.stale && notedAt !== null) fresh.push(factOf(row, 'stale', notedAt + FRESH_MS));
		const spot = report.current_micros ?? before.spot;
		const onDemand = report.ondemand_micros ?? before.onDemand;
		const differs = stale || spot !== before.spot || onDemand !== before.onDemand;
		if (differs)
			fresh.push({
				...factOf(row, 'price', report.observed_at),
				spot_micros: report.current_micros,
				ondemand_micros: report.ondemand_micros,
			});
		if (!isOver && (differs || notedAt === null || report.observed_at - notedAt > NOTED_MS))
			noted.set(row.handle, Math.max(report.observed_at, notedAt ?? 0));
		said.set(row.handle, { spot, onDemand });
	}
	const booked = await book(context, tx, fresh, new Map(), noted, known);
	await saveLedgerState.run(tx, { ...state, reports_at: last.arrived_at, reports_id: last.id });
	return { booked, more: reports.length === REPORTS };
};

/**
 * Where machines stand in the books. One that a daemon whose clock is ahead has dated after its own reports is booked first: reports of a
 * machine that nobody has booked are passed over for good.
 */
const enteredHosts = async (context: Context, tx: Db, handles: readonly string[]): Promise<Map<string, LedgerHost>> => {
	const known = await ledgerHosts(tx, handles);
	const first = await firstPending(
		tx,
		handles.filter((handle) => !known.has(handle)),
	);
	if (first.length === 0) return known;
	await bookStored(context, tx, first);
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
	for (const [handle, facts] of await factsOf(tx, late)) {
		const booked = facts.filter(({ pending }) => pending === null);
		const result = bookAll(booked);
		if (result !== null && valuation(result.machine).line === null) found.set(handle, rowOf(result.machine, null));
	}
	return found;
};

/** Whose last noted report is from before this has lapsed, and every report that could have come in time is read. */
const lapsedBefore = (now: number): number => keptUntil(now) - FRESH_MS;

/** When somebody last said what a machine costs: its own report, or the quote that stands for one. 0: nobody did. */
const pricedAt = (row: LedgerHost): number => {
	const { spot, onDemand } = machineOf(row);
	return row.priced_at ?? Math.max(spot?.at ?? 0, onDemand?.at ?? 0);
};

/** Machines whose own reports stopped: what they cost is an estimate since, also today's. */
const noteLapsed = async (context: Context, tx: Db, whose: typeof lapsedHosts): Promise<Page> => {
	const rows = await whose.all(tx, { before: lapsedBefore(context.clock.now()) });
	// One that costs nothing stays measured, stale or not.
	const stale = rows.flatMap((row) => (machineOf(row).stale ? [] : [factOf(row, 'stale', pricedAt(row) + FRESH_MS)]));
	return { booked: await book(context, tx, stale, new Map()), more: rows.length === 300 && stale.length > 0 };
};

/** Closes the day of machines that run over midnight. */
const turnDays = async (context: Context, tx: Db): Promise<Page> => {
	const midnight = midnightOf(keptUntil(context.clock.now()));
	const rows = await ledgerHostsBefore.all(tx, { midnight });
	const lapsed = rows.flatMap((row) => {
		const { stale, last } = machineOf(row);
		const priced = pricedAt(row);
		const due = Math.max(priced + FRESH_MS, last, row.start_at);
		return !stale && priced > 0 && due < midnight ? [factOf(row, 'stale', due)] : [];
	});
	const known = new Map(rows.map((row) => [row.handle, row]));
	return {
		booked: await book(context, tx, lapsed, new Map(rows.map(({ handle }) => [handle, []])), new Map(), known),
		more: rows.length === 300,
	};
};
