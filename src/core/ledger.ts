import {
	addFacts,
	addSegments,
	addTotals,
	beginLedger,
	cleanSince,
	deleteSegments,
	dropLedgerHosts,
	enterHosts,
	factsOf,
	heardAgain,
	type LedgerHost,
	type LedgerState,
	ledgerHosts,
	ledgerHostsBefore,
	ledgerState,
	markBooked,
	type NewFact,
	onDemandOf,
	pendingFacts,
	reportsAfter,
	type StoredFact,
	saveLedgerHosts,
	saveLedgerState,
	segmentsOf,
	vouchedHosts,
} from '../store/ledger.ts';
import { serviceClock } from '../store/liveness.ts';
import { NO_SUMS, SUMS, type Sums } from '../store/savings.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { apply, bookAll, DAY_MS, type Fact, type Machine, rewrites, type Segment, turnDay, valuation } from './segments.ts';

/** A report is read once no transaction that is older can still commit. */
const REPORT_LAG_MS = 15_000;
/** A price is believed for so long after the last report that was noted; reports are noted at most this often. */
const FRESH_MS = 2 * 3_600_000;
const NOTED_MS = 30 * 60_000;
/** How old somebody else's price of the pool, or of the type on demand, may be to stand for a machine that has not said its own. */
const QUOTE_SPOT_MS = 3_600_000;
const QUOTE_ONDEMAND_MS = 24 * 3_600_000;
/** How often it is noted that somebody listens: an outage counts from the last note. */
const ALIVE_MS = 60_000;

/**
 * Brings the books up to date with what has become true since the last run; work grows with that. Every step is a transaction that books
 * facts and moves on, so a run can be killed anywhere and begun again. Returns how many machines it booked.
 */
export const keepLedger = async (context: Context): Promise<number> => {
	const state = await open(context);
	const { read } = context.store;
	const now = context.clock.now();
	const reports = { at: state.reports_at, id: state.reports_id, until: now - REPORT_LAG_MS };
	let booked = await noteOutage(context, state);
	booked += await pages(context, heardAgain.first(read, {}), noteHeard);
	booked += await pages(context, pendingFacts.first(read, {}), bookPending);
	booked += await pages(context, reportsAfter.first(read, reports), readReports);
	booked += await pages(context, ledgerHostsBefore.first(read, { midnight: midnightOf(now) }), turnDays);
	return booked;
};

/** How many machines a page booked, and whether there may be another. */
type Page = { readonly booked: number; readonly more: boolean };

/** Pages, a transaction each, where a look outside of one has found something. */
const pages = async (context: Context, found: Promise<unknown>, page: (context: Context, tx: Db) => Promise<Page>): Promise<number> => {
	if ((await found) === undefined) return 0;
	for (let booked = 0; ; ) {
		const done = await context.unit(null, (tx) => page(context, tx));
		booked += done.booked;
		if (!done.more) return booked;
	}
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
const noteOutage = async (context: Context, before: LedgerState): Promise<number> => {
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
	let booked = 0;
	while (state.outage_at !== null) {
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

/** Machines that were silent and have called. */
const noteHeard = async (context: Context, tx: Db): Promise<Page> => {
	const rows = await heardAgain.all(tx, {});
	const heard = rows.map(({ seen_at, ...row }) => factOf(row, 'heard', Math.max(seen_at, machineOf(row).last)));
	return { booked: await book(context, tx, heard, new Map()), more: rows.length === 300 };
};

/** What transactions have written since. */
const bookPending = async (context: Context, tx: Db): Promise<Page> => {
	const rows = await pendingFacts.all(tx, {});
	const booked = await book(context, tx, [], groups(rows));
	await markBooked(
		tx,
		rows.map(({ id }) => id),
	);
	return { booked, more: rows.length === 500 };
};

/** What machines said of their own price, where it differs from what they said before. */
const readReports = async (context: Context, tx: Db): Promise<Page> => {
	const state = await ledgerState.first(tx, {});
	if (state === undefined) return { booked: 0, more: false };
	const reports = await reportsAfter.all(tx, {
		at: state.reports_at,
		id: state.reports_id,
		until: context.clock.now() - REPORT_LAG_MS,
	});
	const last = reports.at(-1);
	if (last === undefined) return { booked: 0, more: false };
	const known = await ledgerHosts(tx, [...new Set(reports.map(({ handle }) => handle))]);
	const fresh: NewFact[] = [];
	const noted = new Map<string, number>();
	const said = new Map<string, { spot: number | null; onDemand: number | null }>();
	for (const report of reports) {
		const row = known.get(report.handle);
		if (row === undefined || (report.current_micros === null && report.ondemand_micros === null)) continue;
		const machine = machineOf(row);
		const pricedAt = noted.get(row.handle) ?? row.priced_at;
		const before = said.get(row.handle) ?? {
			spot: machine.spot?.own === true ? machine.spot.micros : null,
			onDemand: machine.onDemand?.own === true ? machine.onDemand.micros : null,
		};
		const stale = machine.stale || (pricedAt !== null && report.observed_at - pricedAt > FRESH_MS);
		if (stale && !machine.stale && pricedAt !== null) fresh.push(factOf(row, 'stale', pricedAt + FRESH_MS));
		const spot = report.current_micros ?? before.spot;
		const onDemand = report.ondemand_micros ?? before.onDemand;
		const differs = stale || spot !== before.spot || onDemand !== before.onDemand;
		if (differs)
			fresh.push({
				...factOf(row, 'price', report.observed_at),
				spot_micros: report.current_micros,
				ondemand_micros: report.ondemand_micros,
			});
		if (differs || pricedAt === null || report.observed_at - pricedAt > NOTED_MS)
			noted.set(row.handle, Math.max(report.observed_at, pricedAt ?? 0));
		said.set(row.handle, { spot, onDemand });
	}
	const booked = await book(context, tx, fresh, new Map(), noted, known);
	await saveLedgerState.run(tx, { ...state, reports_at: last.arrived_at, reports_id: last.id });
	return { booked, more: reports.length === 1000 };
};

/** Closes the day of machines that run over midnight. */
const turnDays = async (context: Context, tx: Db): Promise<Page> => {
	const midnight = midnightOf(context.clock.now());
	const rows = await ledgerHostsBefore.all(tx, { midnight });
	const lapsed = rows.flatMap((row) => {
		const { stale, last, spot, onDemand } = machineOf(row);
		const priced = row.priced_at ?? Math.max(spot?.at ?? 0, onDemand?.at ?? 0);
		const due = Math.max(priced + FRESH_MS, last, row.start_at);
		return !stale && priced > 0 && due < midnight ? [factOf(row, 'stale', due)] : [];
	});
	const known = new Map(rows.map((row) => [row.handle, row]));
	return {
		booked: await book(context, tx, lapsed, new Map(rows.map(({ handle }) => [handle, []])), new Map(), known),
		more: rows.length === 300,
	};
};

const midnightOf = (at: number): number => Math.floor(at / DAY_MS) * DAY_MS;

const machineOf = ({ state }: LedgerHost): Machine => JSON.parse(state) as Machine;

const factOf = (row: LedgerHost, kind: NewFact['kind'], at: number): NewFact => ({
	client_id: row.client_id,
	agent_id: row.agent_id,
	handle: row.handle,
	at,
	kind,
	instance_id: null,
	role: null,
	registered: null,
	mode: null,
	pool_id: null,
	instance_type: null,
	region: null,
	spot_micros: null,
	ondemand_micros: null,
	pending: null,
});

const groups = <F extends { readonly handle: string }>(rows: readonly F[]): Map<string, F[]> => {
	const found = new Map<string, F[]>();
	for (const row of rows) {
		const of = found.get(row.handle);
		if (of === undefined) found.set(row.handle, [row]);
		else of.push(row);
	}
	return found;
};

/** Facts of one machine in the order in which they count; new ones have no id yet and follow those that have. */
const inOrder = (facts: readonly Fact[]): Fact[] => [...facts].sort((a, b) => a.at - b.at || a.id - b.id);

const unsaved = (fact: NewFact): Fact => ({ ...fact, id: Number.MAX_SAFE_INTEGER });

/**
 * Books facts of machines in this transaction: `fresh` ones are appended too, `stored` ones are rows already. A machine whose past they change
 * is booked anew from its first fact. Reads and writes by set, whatever the number of machines. Returns how many machines there were.
 */
const book = async (
	context: Context,
	tx: Db,
	fresh: readonly NewFact[],
	stored: ReadonlyMap<string, readonly StoredFact[]>,
	noted: ReadonlyMap<string, number> = new Map(),
	known?: ReadonlyMap<string, LedgerHost>,
): Promise<number> => {
	const freshOf = groups(fresh.map(unsaved));
	const handles = [...new Set([...freshOf.keys(), ...stored.keys(), ...noted.keys()])];
	if (handles.length === 0) return 0;
	const midnight = midnightOf(context.clock.now());
	const rows = known ?? (await ledgerHosts(tx, handles));
	await addFacts(tx, fresh);
	const added: Segment[] = [];
	const moved = new Map<string, Machine>();
	const anew: string[] = [];
	for (const handle of handles) {
		const row = rows.get(handle);
		let machine = row === undefined ? null : machineOf(row);
		const segments: Segment[] = [];
		for (const fact of inOrder([...(stored.get(handle) ?? []), ...(freshOf.get(handle) ?? [])])) {
			if (machine === null || rewrites(machine, fact)) {
				machine = null;
				break;
			}
			const applied = apply(machine, fact);
			machine = applied.machine;
			segments.push(...applied.segments);
		}
		if (machine === null) anew.push(handle);
		else {
			const turned = turnDay(machine, midnight);
			moved.set(handle, turned.machine);
			added.push(...segments, ...turned.segments);
		}
	}
	const removed = await bookAnew(tx, anew, rows, midnight, moved, added);
	const quoted = await quote(tx, context.clock.now(), [...moved.values()].filter(lacksPrice), await typesOf(tx, handles, stored));
	for (const fact of quoted) {
		const machine = moved.get(fact.handle);
		if (machine === undefined) continue;
		const applied = apply(machine, unsaved(fact));
		moved.set(fact.handle, applied.machine);
		added.push(...applied.segments);
	}
	await addFacts(tx, quoted);
	await addSegments(tx, added);
	await addTotals(tx, totalsOf(added, removed));
	const running = [...moved.values()].filter((machine) => valuation(machine).line !== null);
	await saveLedgerHosts(
		tx,
		running.map((machine) => rowOf(machine, noted.get(machine.handle) ?? rows.get(machine.handle)?.priced_at ?? null)),
	);
	await dropLedgerHosts(
		tx,
		[...moved.values()].filter((machine) => valuation(machine).line === null && rows.has(machine.handle)).map(({ handle }) => handle),
	);
	return handles.length;
};

/** Books machines from their first fact; returns the segments that this replaces. */
const bookAnew = async (
	tx: Db,
	handles: readonly string[],
	rows: ReadonlyMap<string, LedgerHost>,
	midnight: number,
	moved: Map<string, Machine>,
	added: Segment[],
): Promise<Segment[]> => {
	const removed: Segment[] = [];
	const facts = await factsOf(tx, handles);
	for (const handle of handles) {
		const result = bookAll(facts.get(handle) ?? [], midnight);
		const row = rows.get(handle);
		if (result === null) {
			// Its facts are forgotten: what is booked stays, and it goes on from there.
			if (row === undefined) continue;
			const turned = turnDay(machineOf(row), midnight);
			moved.set(handle, turned.machine);
			added.push(...turned.segments);
			continue;
		}
		const before = await segmentsOf.all(tx, { handle });
		if (before.length > 0) await deleteSegments.run(tx, { handle });
		removed.push(...before);
		moved.set(handle, result.machine);
		added.push(...result.segments);
	}
	return removed;
};

const lacksPrice = (machine: Machine): boolean => {
	const { line, quality } = valuation(machine);
	return line !== null && quality === 'unknown' && machine.silentAt === null && machine.mode !== null;
};

/** The type and region of machines, as the facts say that are being booked. */
const typesOf = async (
	tx: Db,
	handles: readonly string[],
	stored: ReadonlyMap<string, readonly StoredFact[]>,
): Promise<Map<string, { type: string | null; region: string | null }>> => {
	const found = new Map<string, { type: string | null; region: string | null }>();
	const unknown = handles.filter((handle) => !stored.get(handle)?.some(({ kind }) => kind === 'state'));
	for (const [handle, facts] of [...stored, ...(await factsOf(tx, unknown))])
		for (const { kind, instance_type, region } of facts) if (kind === 'state') found.set(handle, { type: instance_type, region });
	return found;
};

/** What others say that these machines cost, as facts: from the end of what is booked on. */
const quote = async (
	tx: Db,
	now: number,
	machines: readonly Machine[],
	types: ReadonlyMap<string, { type: string | null; region: string | null }>,
): Promise<NewFact[]> => {
	if (machines.length === 0) return [];
	const spots = machines.filter(({ mode, spot, poolId }) => mode === 'spot' && spot === null && poolId !== null);
	const oldest = Math.min(now, ...machines.map(({ last }) => last)) - QUOTE_SPOT_MS;
	const clean = await cleanSince(tx, [...new Set(spots.flatMap(({ poolId }) => poolId ?? []))], oldest);
	const prices = await onDemandOf(tx, [...new Set([...types.values()].flatMap(({ type }) => type ?? []))]);
	const facts: NewFact[] = [];
	for (const machine of machines) {
		const at = Math.max(machine.last, machine.since);
		const spot = spots.includes(machine)
			? clean.find(({ pool_id, observed_at }) => pool_id === machine.poolId && observed_at <= at && at - observed_at <= QUOTE_SPOT_MS)
			: undefined;
		const { type = null, region = null } = types.get(machine.handle) ?? {};
		const onDemand =
			machine.onDemand === null
				? prices.find((price) => price.instance_type === type && price.region === region && at - price.observed_at <= QUOTE_ONDEMAND_MS)
				: undefined;
		if (spot === undefined && onDemand === undefined) continue;
		facts.push({
			...factOf(rowOf(machine, null), 'quote', at),
			spot_micros: spot?.spot_micros ?? null,
			ondemand_micros: onDemand?.micros ?? null,
		});
	}
	return facts;
};

const rowOf = (machine: Machine, pricedAt: number | null): LedgerHost => {
	const { line, quality, price, baseline } = valuation(machine);
	return {
		handle: machine.handle,
		client_id: machine.clientId,
		agent_id: machine.agentId,
		instance_id: machine.instanceId,
		line: line ?? 'zombie',
		quality,
		mode: machine.mode,
		pool_id: machine.poolId,
		start_at: machine.since,
		price_micros: quality === 'unknown' ? null : price,
		baseline_micros: quality === 'unknown' ? null : baseline,
		silent_at: machine.silentAt,
		priced_at: pricedAt,
		state: JSON.stringify(machine),
	};
};

/** What segments add to the sums of their clients, days and months; those of `removed` are taken away. */
export const totalsOf = (added: readonly Segment[], removed: readonly Segment[]): Array<Sums & { client_id: string; period: string }> => {
	const sums = new Map<string, Sums & { client_id: string; period: string }>();
	const count = (segment: Segment, sign: 1 | -1): void => {
		const day = new Date(segment.start_at).toISOString().slice(0, 10);
		for (const period of [day, day.slice(0, 7), 'all']) {
			const key = `${segment.client_id} ${period}`;
			const sum = sums.get(key) ?? { client_id: segment.client_id, period, ...NO_SUMS };
			sums.set(key, sum);
			sum.baseline_micros += sign * segment.baseline_micros;
			sum[`${segment.line}_micros`] += sign * segment.cost_micros;
			sum[`${segment.quality}_ms`] += sign * (segment.end_at - segment.start_at);
		}
	};
	for (const segment of added) count(segment, 1);
	for (const segment of removed) count(segment, -1);
	return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, sum]) => (SUMS.some((key) => sum[key] !== 0) ? [sum] : []));
};
