import {
	addFacts,
	addSegments,
	addTotals,
	cleanSince,
	dropLedgerHosts,
	dropSegments,
	factCounts,
	factsOf,
	type LedgerHost,
	ledgerHosts,
	markBooked,
	type NewFact,
	onDemandOf,
	SEGMENT,
	type StoredFact,
	type StoredSegment,
	saveLedgerHosts,
	segmentsOf,
	statesOf,
} from '../store/ledger.ts';
import { NO_SUMS, SUMS, type Sums } from '../store/savings.ts';
import type { Db } from '../store/statement.ts';
import { apply, bills, bookAll, DAY_MS, type Fact, type Machine, rewrites, type Segment, turnDay, valuation } from './segments.ts';

/** How old somebody else's price of the pool, or of the type on demand, may be to stand for a machine that has not said its own. */
const QUOTE_SPOT_MS = 3_600_000;
const QUOTE_ONDEMAND_MS = 24 * 3_600_000;
/** Only the newest price of a type on demand is kept: one said so much later is believed to have been the price before. */
const QUOTE_AHEAD_MS = 3_600_000;

/** A report is read when the oldest of those written after it is this old: a transaction that is still under way then will most likely fail. */
const LAG_MS = 15_000;

/**
 * Up to when the books are kept: no report that is older should still come. What else has become true waits as long, since an end that is
 * booked before the last reports of its machine are read makes these late, and its whole history is booked anew.
 */
export const keptUntil = (now: number): number => now - LAG_MS;

/** The UTC midnight at or before an instant. */
export const midnightOf = (at: number): number => Math.floor(at / DAY_MS) * DAY_MS;

/** What is known of an open machine. */
export const machineOf = ({ state }: LedgerHost): Machine => JSON.parse(state) as Machine;

/** A fact about an open machine that is nothing but its kind and time. */
export const factOf = (row: LedgerHost, kind: NewFact['kind'], at: number): NewFact => ({
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
	overlap_until: null,
	pending: null,
});

/** Rows by machine. */
export const groups = <F extends { readonly handle: string }>(rows: readonly F[]): Map<string, F[]> => {
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

/** What else {@link book} may be told. */
type Besides = {
	/** When machines last said what they are billed by. */
	readonly noted?: ReadonlyMap<string, number>;
	/** Where they stand in the books, if that was read already. */
	readonly known?: ReadonlyMap<string, LedgerHost>;
	/** A UTC midnight up to which everything is read: the days before it are closed. Closed earlier, each report of them would be late. */
	readonly midnight?: number;
};

/**
 * Books facts of machines in this transaction: `fresh` ones are appended too, `stored` ones are rows already. A machine whose past they change
 * is booked anew from its first fact. Reads and writes by set, whatever the number of machines. Returns how many machines there were.
 */
export const book = async (
	tx: Db,
	fresh: readonly NewFact[],
	stored: ReadonlyMap<string, readonly StoredFact[]>,
	{ noted = new Map(), known, midnight = 0 }: Besides = {},
): Promise<number> => {
	const freshOf = groups(fresh.map(unsaved));
	const handles = [...new Set([...freshOf.keys(), ...stored.keys(), ...noted.keys()])];
	if (handles.length === 0) return 0;
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
			moved.set(handle, machine);
			added.push(...segments);
		}
	}
	for await (const part of inPortions(tx, anew)) await bookAnew(tx, part, rows, stored, moved);
	const quotedAt = new Map<string, number>();
	const ask = async (machines: Iterable<Machine>): Promise<void> => {
		const quoted = await quote(tx, [...machines].filter(lacksPrice), stored);
		for (const fact of quoted) {
			const machine = moved.get(fact.handle);
			if (machine === undefined) continue;
			const applied = apply(machine, unsaved(fact));
			moved.set(fact.handle, applied.machine);
			if (bills(machine.mode, fact)) quotedAt.set(fact.handle, fact.at);
			added.push(...applied.segments);
		}
		await addFacts(tx, quoted);
	};
	// Before the day turns: what changed before midnight is priced from there, although it is booked after. What did not was asked when it did.
	const hasChanged = (handle: string): boolean =>
		[...(stored.get(handle) ?? []), ...(freshOf.get(handle) ?? [])].some(({ kind }) => kind !== 'stale');
	await ask([...moved].flatMap(([handle, machine]) => (hasChanged(handle) ? [machine] : [])));
	const overnight: Machine[] = [];
	for (const [handle, machine] of moved) {
		const turned = turnDay(machine, midnight);
		if (turned.machine === machine) continue;
		moved.set(handle, turned.machine);
		added.push(...turned.segments);
		overnight.push(turned.machine);
	}
	await ask(overnight);
	await addSegments(tx, added);
	await addTotals(tx, totalsOf(added, []));
	const running = [...moved.values()].filter((machine) => valuation(machine).line !== null);
	await saveLedgerHosts(
		tx,
		running.map((machine) =>
			rowOf(machine, noted.get(machine.handle) ?? rows.get(machine.handle)?.priced_at ?? quotedAt.get(machine.handle) ?? null),
		),
	);
	await dropLedgerHosts(
		tx,
		[...moved.values()].filter((machine) => valuation(machine).line === null && rows.has(machine.handle)).map(({ handle }) => handle),
	);
	return handles.length;
};

/** Books facts that are stored, of each machine one, and marks them. Returns how many machines there were. */
export const bookStored = async (tx: Db, facts: readonly StoredFact[]): Promise<number> => {
	const booked = await book(tx, [], groups(facts));
	await markBooked(
		tx,
		facts.map(({ id }) => id),
	);
	return booked;
};

/** So many facts, and of so many machines, are in memory at once, and the segments made of them. One machine may have more. */
const PORTION_FACTS = 20_000;
const PORTION = 50;

/** Machines in portions whose facts fit into memory. */
export async function* inPortions(db: Db, handles: readonly string[]): AsyncGenerator<readonly string[]> {
	for (let from = 0; from < handles.length; from += PORTION) {
		const some = handles.slice(from, from + PORTION);
		const counts = await factCounts(db, some);
		let part: string[] = [];
		let facts = 0;
		for (const handle of some) {
			const count = counts.get(handle) ?? 0;
			if (part.length > 0 && facts + count > PORTION_FACTS) {
				yield part;
				part = [];
				facts = 0;
			}
			part.push(handle);
			facts += count;
		}
		yield part;
	}
}

/** Books machines from their first fact, leaving out what is pending and not in `stored`, in place of what was booked of them. */
const bookAnew = async (
	tx: Db,
	handles: readonly string[],
	rows: ReadonlyMap<string, LedgerHost>,
	stored: ReadonlyMap<string, readonly StoredFact[]>,
	moved: Map<string, Machine>,
): Promise<void> => {
	const facts = await factsOf(tx, handles);
	const replaced: string[] = [];
	const added: Segment[] = [];
	for (const handle of handles) {
		const now = new Set(stored.get(handle)?.map(({ id }) => id));
		const result = bookAll((facts.get(handle) ?? []).filter(({ id, pending }) => pending === null || now.has(id)));
		const row = rows.get(handle);
		if (result === null) {
			// Its facts are forgotten: what is booked stays, and it goes on from there.
			if (row !== undefined) moved.set(handle, machineOf(row));
			continue;
		}
		replaced.push(handle);
		moved.set(handle, result.machine);
		added.push(...result.segments);
	}
	if (replaced.length === 0) return;
	const { gone, fresh } = changed(await segmentsOf.all(tx, { handles: replaced }), added);
	await dropSegments(
		tx,
		gone.map(({ id }) => id),
	);
	await addSegments(tx, fresh);
	await addTotals(tx, totalsOf(fresh, gone));
};

/** Which segments that are stored are booked no more, and which are not stored: a late word changes few of a long history. */
const changed = (stored: readonly StoredSegment[], booked: readonly Segment[]): { gone: StoredSegment[]; fresh: Segment[] } => {
	const gone = new Map<string, StoredSegment[]>();
	for (const { id, ...segment } of stored) {
		const key = keyOf(segment);
		const alike = gone.get(key);
		if (alike === undefined) gone.set(key, [{ id, ...segment }]);
		else alike.push({ id, ...segment });
	}
	const fresh = booked.filter((segment) => gone.get(keyOf(segment))?.pop() === undefined);
	return { gone: [...gone.values()].flat(), fresh };
};

const keyOf = (segment: Segment): string => SEGMENT.map((column) => String(segment[column])).join('\n');

const lacksPrice = (machine: Machine): boolean => {
	const { line, quality } = valuation(machine);
	return line !== null && quality === 'unknown' && machine.silentAt === null && machine.mode !== null;
};

const isState = ({ kind }: Pick<NewFact, 'kind'>): boolean => kind === 'state' || kind === 'entered';

/** The type and region of machines, as the facts say that are being booked. */
const typesOf = async (
	tx: Db,
	handles: readonly string[],
	stored: ReadonlyMap<string, readonly StoredFact[]>,
): Promise<Map<string, { type: string | null; region: string | null }>> => {
	const found = new Map<string, { type: string | null; region: string | null }>();
	const unknown = handles.filter((handle) => !stored.get(handle)?.some(isState));
	for (const fact of [...[...stored.values()].flat().filter(isState), ...(await statesOf(tx, unknown))])
		found.set(fact.handle, { type: fact.instance_type, region: fact.region });
	return found;
};

/** What others say that these machines cost, as facts: from the end of what is booked on. */
const quote = async (tx: Db, machines: readonly Machine[], stored: ReadonlyMap<string, readonly StoredFact[]>): Promise<NewFact[]> => {
	if (machines.length === 0) return [];
	const types = await typesOf(
		tx,
		machines.map(({ handle }) => handle),
		stored,
	);
	const spots = machines.filter(({ mode, spot, poolId }) => mode === 'spot' && spot === null && poolId !== null);
	const oldest = Math.min(...machines.map(({ last }) => last)) - QUOTE_SPOT_MS;
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
				? prices.find(
						(price) =>
							price.instance_type === type &&
							price.region === region &&
							at - price.observed_at <= QUOTE_ONDEMAND_MS &&
							price.observed_at - at <= QUOTE_AHEAD_MS,
					)
				: undefined;
		if (spot === undefined && onDemand === undefined) continue;
		facts.push({
			...factOf(rowOf(machine, null), 'quote', at),
			pool_id: machine.poolId,
			spot_micros: spot?.spot_micros ?? null,
			ondemand_micros: onDemand?.micros ?? null,
		});
	}
	return facts;
};

/** The row of an open machine. */
export const rowOf = (machine: Machine, pricedAt: number | null): LedgerHost => {
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
		freed_at: machine.freedAt,
		overlap_until: line === 'overlap' ? (machine.overlapUntil ?? null) : null,
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
