import type { Mode, Role } from '../store/schema.ts';
import type { CostSegmentTable, LedgerFactTable, Line, Quality } from '../store/tables/ledger.ts';

export const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** AWS takes a machine back two minutes after its notice; who calls or reports a price long after that was not taken back. */
const NOTICE_MS = 2 * 60_000;
const RECLAIM_SLACK_MS = 12 * 60_000;

export type Fact = Omit<LedgerFactTable, 'id' | 'pending'> & { readonly id: number };
export type Segment = Omit<CostSegmentTable, 'id'>;

/** A price somebody said, micro-dollars per hour, and when. */
type Said = { readonly micros: number; readonly at: number; readonly own: boolean };

/** What is known of one machine after a fact; plain data, kept as JSON between runs. */
export type Machine = {
	readonly clientId: string;
	readonly agentId: string;
	readonly handle: string;
	readonly instanceId: string;
	readonly role: Role | 'left';
	readonly registered: boolean;
	readonly mode: Mode | null;
	readonly poolId: string | null;
	readonly spot: Said | null;
	readonly onDemand: Said | null;
	/** Its own price reports stopped: an estimate until it says a price itself, whatever others say of its pool. */
	readonly stale: boolean;
	readonly silentAt: number | null;
	/** AWS took it back in its first hour, which it does not bill (AWS EC2 user guide, "Billing for interrupted Spot Instances"). */
	readonly free: boolean;
	/** From when on a call of it would show that AWS did not; null: nothing is free. */
	readonly freedAt: number | null;
	/** Until when an old primary is planned to run beside the new one: till then its time is the overlap of a switch. Missing, null: nothing is planned, or it is overdue. */
	readonly overlapUntil?: number | null;
	/** Since when it is known. */
	readonly launched: number;
	/** Begin of the open segment. */
	readonly since: number;
	/** Time of the last fact: one that is earlier cannot simply be added. */
	readonly last: number;
	/** Id of that fact: of two with one time, the one that was written first counts first. Missing in older books. */
	readonly lastId?: number;
	/** Id of the last word on what it is: one that was written before that cannot simply be added either. Missing in older books. */
	readonly word?: number;
};

/** What an hour of a machine counts for, and how sure that is. */
export type Valuation = {
	/** Null: not booked any more. */
	readonly line: Line | null;
	readonly quality: Quality;
	readonly price: number | null;
	readonly source: string;
	readonly pricedAt: number | null;
	readonly onDemand: number | null;
	/** What counts as baseline: the on-demand price of a primary, else 0; null while unknown. */
	readonly baseline: number | null;
};

const LINE_OF: Readonly<Record<Role | 'left', Line | null>> = {
	primary: 'primary',
	replica: 'replica',
	candidate: 'replica',
	named: 'replica',
	zombie: 'zombie',
	ended: 'zombie',
	terminated: null,
	left: null,
};

/** Whose silence is noticed: the time of any other machine that runs is an estimate. */
const VOUCHED: ReadonlySet<Role | 'left'> = new Set(['primary', 'replica'] as const);

/** Values a machine's time (spec section 11 "Ours"): unknown while nobody vouches for it or a price is missing, an estimate where the last price is taken for want of a new one. */
export const valuation = (machine: Machine): Valuation => {
	const line = machine.role === 'zombie' && (machine.overlapUntil ?? null) !== null ? 'overlap' : LINE_OF[machine.role];
	const said = machine.mode === 'spot' ? machine.spot : machine.mode === 'ondemand' ? machine.onDemand : null;
	const onDemand = machine.onDemand?.micros ?? null;
	const unvouched = VOUCHED.has(machine.role) && machine.silentAt !== null;
	const price = machine.free ? 0 : (said?.micros ?? null);
	const lacking = price === null || (line === 'primary' && onDemand === null);
	if (line === null || unvouched || lacking) {
		const source = unvouched || said === null ? 'none' : said.own ? 'own' : 'quote';
		return { line, quality: 'unknown', price: unvouched ? null : price, source, pricedAt: said?.at ?? null, onDemand, baseline: null };
	}
	const guessed = !VOUCHED.has(machine.role) || machine.stale || !machine.registered;
	const source = machine.free ? 'aws-first-hour' : guessed ? 'last' : said?.own === true ? 'own' : 'quote';
	const quality = guessed ? 'estimated' : 'measured';
	return { line, quality, price, source, pricedAt: said?.at ?? null, onDemand, baseline: line === 'primary' ? onDemand : 0 };
};

/** Micro-dollars for a time at an hourly price, half up: rounded here, once, for every segment of at most a day. */
export const amount = (microsPerHour: number, ms: number): number => Number((BigInt(microsPerHour) * BigInt(ms) + 1_800_000n) / 3_600_000n);

const midnightAfter = (at: number): number => (Math.floor(at / DAY_MS) + 1) * DAY_MS;

/** The segments of the time from `machine.since` to `until`, cut at UTC midnights; `by` is what ends the last one. */
export const closed = (machine: Machine, until: number, by: string): Segment[] => {
	const { line, quality, price, source, pricedAt, onDemand, baseline } = valuation(machine);
	const segments: Segment[] = [];
	if (line === null) return segments;
	for (let start = machine.since; start < until; ) {
		const end = Math.min(until, midnightAfter(start));
		const counts = quality !== 'unknown';
		segments.push({
			client_id: machine.clientId,
			agent_id: machine.agentId,
			handle: machine.handle,
			instance_id: machine.instanceId,
			line,
			role: machine.role,
			mode: machine.mode,
			pool_id: machine.poolId,
			start_at: start,
			end_at: end,
			price_micros: price,
			price_source: source,
			priced_at: pricedAt,
			ondemand_micros: onDemand,
			quality,
			cost_micros: counts ? amount(price ?? 0, end - start) : 0,
			baseline_micros: counts ? amount(baseline ?? 0, end - start) : 0,
			closed_by: end % DAY_MS === 0 ? 'midnight' : by,
		});
		start = end;
	}
	return segments;
};

const begin = (fact: Fact): Machine => ({
	clientId: fact.client_id,
	agentId: fact.agent_id,
	handle: fact.handle,
	instanceId: fact.instance_id ?? fact.handle,
	role: 'left',
	registered: false,
	mode: null,
	poolId: null,
	spot: null,
	onDemand: null,
	stale: false,
	silentAt: null,
	free: false,
	freedAt: null,
	launched: fact.at,
	since: fact.at,
	last: fact.at,
});

const said = (micros: number | null, fact: Fact, before: Said | null): Said | null => {
	if (micros === null) return before;
	// The same price said again is the same price: its age is that of its first report.
	if (before !== null && before.micros === micros && before.own === (fact.kind === 'price')) return before;
	return { micros, at: fact.at, own: fact.kind === 'price' };
};

/** Whether prices name the one that a machine of this mode is billed by: what else it says keeps no other price fresh. */
export const bills = (mode: Mode | null, { spot_micros, ondemand_micros }: Pick<Fact, 'spot_micros' | 'ondemand_micros'>): boolean =>
	mode === null || (mode === 'spot' ? spot_micros : ondemand_micros) !== null;

/** Until when it is planned to run after a state: what was planned stays so until another is said, or that none is (0). */
const plannedEnd = (machine: Machine, { role, overlap_until }: Fact): number | null => {
	if (role !== 'zombie' || overlap_until === 0) return null;
	return overlap_until ?? (machine.role === 'zombie' ? (machine.overlapUntil ?? null) : null);
};

const learn = (machine: Machine, fact: Fact): Machine => {
	const known = { ...machine, last: fact.at, lastId: fact.id };
	switch (fact.kind) {
		case 'state':
		case 'entered': {
			// A price belongs to a pool: a machine that turns out to be elsewhere has not said what it costs. Nor has one that was nobody's: its
			// reports were not read meanwhile.
			const back = machine.role === 'left';
			const same = machine.mode === fact.mode && machine.poolId === fact.pool_id && !back;
			return {
				...known,
				agentId: fact.agent_id,
				instanceId: fact.instance_id ?? machine.instanceId,
				role: fact.role ?? machine.role,
				registered: fact.registered === 1,
				mode: fact.mode,
				poolId: fact.pool_id,
				spot: same ? machine.spot : null,
				onDemand: back ? null : machine.onDemand,
				overlapUntil: plannedEnd(machine, fact),
				word: Math.max(machine.word ?? 0, fact.id),
				silentAt: fact.role === machine.role && fact.agent_id === machine.agentId ? machine.silentAt : null,
			};
		}
		case 'price':
			return {
				...known,
				stale: machine.stale && !bills(machine.mode, fact),
				spot: said(fact.spot_micros, fact, machine.spot),
				onDemand: said(fact.ondemand_micros, fact, machine.onDemand),
			};
		case 'quote': {
			// Made while the machine had not said its own; where a report that was read later is older, its own word goes before it.
			// It is of the pool it was looked up for: of two changes in one millisecond it may stand behind the second.
			const elsewhere = fact.pool_id !== null && fact.pool_id !== machine.poolId;
			const spot = machine.spot?.own === true || elsewhere ? machine.spot : said(fact.spot_micros, fact, machine.spot);
			const onDemand = machine.onDemand?.own === true ? machine.onDemand : said(fact.ondemand_micros, fact, machine.onDemand);
			return { ...known, spot, onDemand };
		}
		case 'stale':
			return { ...known, stale: true };
		case 'silent':
			return { ...known, silentAt: machine.silentAt ?? fact.at };
		case 'heard':
			return { ...known, silentAt: null };
		// An overlap ends by its own date (see endOverlap): of two that followed each other fast, the job may have seen the first one only.
		case 'overdue':
		case 'reclaimed':
			return known;
	}
};

const WHY: Readonly<Record<Fact['kind'], string>> = {
	state: 'role',
	entered: 'role',
	price: 'price',
	quote: 'price',
	stale: 'stale',
	silent: 'silence',
	heard: 'heard',
	reclaimed: 'reclaimed',
	overdue: 'overdue',
};

const reasonOf = (before: Machine, fact: Fact): string => {
	if (fact.kind !== 'state' && fact.kind !== 'entered') return WHY[fact.kind];
	if (fact.role === 'terminated' || fact.role === 'left') return 'end';
	if (fact.role !== before.role) return fact.role === 'primary' ? 'promotion' : before.role === 'primary' ? 'switch' : 'role';
	if (fact.mode !== before.mode) return 'mode';
	return fact.overlap_until === 0 && (before.overlapUntil ?? null) !== null ? 'kept' : 'pool';
};

/**
 * Ends an overlap whose planned end is not after `at`. Also where no `overdue` fact says so: a machine may have ended, or a day be over, before
 * the ledger job wrote one, and the books must not depend on when it looked.
 */
const endOverlap = (machine: Machine, at: number): { machine: Machine; segments: Segment[] } => {
	const due = machine.overlapUntil ?? null;
	if (due === null || at < due) return { machine, segments: [] };
	const end = Math.max(due, machine.since);
	return { machine: { ...machine, since: end, overlapUntil: null }, segments: closed(machine, end, 'overdue') };
};

/** Adds a fact: the machine as it is then, and the segments that ended with it. The fact must not be earlier than `machine.last`. */
export const apply = (was: Machine, fact: Fact): { machine: Machine; segments: Segment[] } => {
	const { machine, segments } = endOverlap(was, fact.at);
	const next = learn(machine, fact);
	const [before, after] = [valuation(machine), valuation(next)];
	const same =
		machine.role === next.role &&
		machine.mode === next.mode &&
		machine.poolId === next.poolId &&
		machine.agentId === next.agentId &&
		machine.instanceId === next.instanceId &&
		(Object.keys(before) as (keyof Valuation)[]).every((key) => before[key] === after[key]);
	if (same) return { machine: next, segments };
	const at = Math.max(fact.at, machine.since);
	return { machine: { ...next, since: at }, segments: [...segments, ...closed(machine, at, reasonOf(machine, fact))] };
};

/** Closes what lies before a UTC midnight; the open segment goes on from there. */
export const turnDay = (was: Machine, midnight: number): { machine: Machine; segments: Segment[] } => {
	const { machine, segments } = endOverlap(was, midnight);
	return machine.since >= midnight
		? { machine, segments }
		: { machine: { ...machine, since: midnight }, segments: [...segments, ...closed(machine, midnight, 'midnight')] };
};

/**
 * When a machine that AWS took back within an hour of its launch would have called for the last time, by all that is known of it; null for
 * every other. Its launch is its first fact: of a machine that was there when the books began it is not known, and nothing is free.
 */
export const freedAt = (facts: readonly Fact[]): number | null => {
	const [first] = facts;
	// What a machine said with a clock that is ahead or behind may be dated before.
	if (first === undefined || facts.some(({ kind }) => kind === 'entered')) return null;
	for (const { kind, at } of facts) {
		if (kind !== 'reclaimed' || at + NOTICE_MS - first.at >= HOUR_MS) continue;
		const last = at + RECLAIM_SLACK_MS;
		if (!facts.some((later) => (later.kind === 'heard' || later.kind === 'price') && later.at > last)) return last;
	}
	return null;
};

/**
 * Facts without those that a later one (a higher id) has disproved: a machine that was reported as ended and then called had not ended, and
 * one that had ended before we knew was nothing after its end.
 */
export const settled = <F extends Fact>(facts: readonly F[]): readonly F[] => {
	const isEnd = ({ kind, role }: F): boolean => kind === 'state' && role === 'terminated';
	const ends = facts.filter(isEnd);
	if (ends.length === 0) return facts;
	const alive = Math.max(
		...facts.flatMap((fact) => ((fact.kind === 'state' || fact.kind === 'entered') && !isEnd(fact) ? fact.id : [])),
		-1,
	);
	const [end] = ends.filter(({ id }) => id > alive).sort((a, b) => a.id - b.id);
	return facts.filter((fact) => fact === end || (!isEnd(fact) && (end === undefined || fact.at <= end.at)));
};

/** Whether this fact changes how the time before it is valued, so that the machine has to be booked anew from its first fact. */
export const rewrites = (machine: Machine, fact: Fact): boolean =>
	fact.at < Math.max(machine.last, machine.since) ||
	(fact.at === machine.last && fact.id < (machine.lastId ?? 0)) ||
	((fact.kind === 'state' || fact.kind === 'entered') && fact.id < (machine.word ?? 0)) ||
	fact.kind === 'reclaimed' ||
	(machine.role === 'terminated' && fact.kind === 'state' && fact.role !== 'terminated') ||
	(machine.free && (fact.kind === 'heard' || fact.kind === 'price'));

/** Books a machine from all its facts, in order of time and id, its days closed up to `midnight`; null where there are none. */
export const bookAll = (facts: readonly Fact[], midnight = 0): { machine: Machine; segments: Segment[] } | null => {
	const [first] = facts;
	if (first === undefined) return null;
	const freed = freedAt(facts);
	let machine: Machine = { ...begin(first), free: freed !== null, freedAt: freed };
	const segments: Segment[] = [];
	for (const fact of settled(facts)) {
		const applied = apply(machine, fact);
		machine = applied.machine;
		segments.push(...applied.segments);
	}
	const turned = turnDay(machine, midnight);
	return { machine: turned.machine, segments: [...segments, ...turned.segments] };
};
