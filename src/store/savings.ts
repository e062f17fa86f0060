import { type SelectQueryBuilder, sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import type { Tables } from './schema.ts';
import { among, type Db } from './statement.ts';
import { type CostSegmentTable, type LedgerHostTable, LINES, type Line, type Quality } from './tables/ledger.ts';

/** Sums of the books, as they are stored: integers of micro-dollars and milliseconds. */
export type Sums = {
	baseline_micros: number;
	primary_micros: number;
	replica_micros: number;
	overlap_micros: number;
	zombie_micros: number;
	measured_ms: number;
	estimated_ms: number;
	unknown_ms: number;
};

export const NO_SUMS: Sums = {
	baseline_micros: 0,
	primary_micros: 0,
	replica_micros: 0,
	overlap_micros: 0,
	zombie_micros: 0,
	measured_ms: 0,
	estimated_ms: 0,
	unknown_ms: 0,
};

export const SUMS = Object.keys(NO_SUMS) as readonly (keyof Sums)[];

export const addSums = (a: Sums, b: Sums): Sums => Object.fromEntries(SUMS.map((key) => [key, a[key] + b[key]])) as Sums;

const DAY_MS = 86_400_000;

/** Which part of the books: of everybody, a client, an agent or a machine; `since` is the begin of a UTC day. */
export type Scope = {
	readonly clientId?: string | null;
	readonly agentId?: string | null;
	readonly instanceId?: string | null;
	readonly since?: number | null;
	readonly until?: number | null;
};

// biome-ignore lint/suspicious/noExplicitAny: the two tables share these columns and no type.
type Scoped = SelectQueryBuilder<Tables, any, any>;

const within = <Q extends Scoped>(query: Q, { clientId, agentId, instanceId }: Scope): Q => {
	let scoped: Scoped = query;
	if (clientId != null) scoped = scoped.where('client_id', '=', clientId);
	if (agentId != null) scoped = scoped.where('agent_id', '=', agentId);
	if (instanceId != null) scoped = scoped.where('instance_id', '=', instanceId);
	return scoped as Q;
};

type Micros = ReturnType<typeof sql<number>>;

/** The parts of an open segment: of the day on which it began, of each whole day since, and of the present day. */
const PARTS = ['first', 'whole', 'last'] as const;
type Part = (typeof PARTS)[number];
const KINDS = ['cost', 'baseline', 'ms'] as const;
type Amount = `${Part}_${(typeof KINDS)[number]}`;
const AMOUNTS = PARTS.flatMap((part) => KINDS.map((kind): Amount => `${part}_${kind}`));

/** The sums of closed segments stand where the open ones have their amounts. */
const closedAs = (sums: ReadonlyArray<Micros>) => [
	sql<string>`''`.as('line'),
	sql<string>`''`.as('quality'),
	...AMOUNTS.map((amount, index) => (sums[index] ?? sql<number>`0`).as(amount)),
];

const closedColumns = closedAs([
	sql`sum(baseline_micros)`,
	...LINES.map((line) => sql<number>`sum(case when line = ${sql.lit(line)} then cost_micros else 0 end)`),
	...(['measured', 'estimated', 'unknown'] as const).map(
		(quality) => sql<number>`sum(case when quality = ${sql.lit(quality)} then end_at - start_at else 0 end)`,
	),
]);
const totalColumns = closedAs(SUMS.map((key) => sql<number>`sum(${sql.ref(key)})`));
const plainColumns = closedAs(SUMS.map((key) => sql<number>`${sql.ref(key)}`));

const startDay = sql<number>`(start_at - start_at % ${sql.lit(DAY_MS)})`;

const openColumns = (db: Db, now: number) => {
	const { greatest, least, wholes } = dialectOf(db);
	const present = sql`${sql.lit(Math.trunc(now))}`;
	const lasted: Readonly<Record<Part, Micros>> = {
		first: greatest(sql`0`, sql`${least(sql`${startDay} + ${sql.lit(DAY_MS)}`, present)} - start_at`),
		whole: sql`${sql.lit(DAY_MS)}`,
		last: sql`${sql.lit(Math.trunc(now) % DAY_MS)}`,
	};
	const today = sql.lit(Math.trunc(now) - (Math.trunc(now) % DAY_MS));
	return PARTS.flatMap((part) => {
		// Few were open at midnight: the others have neither a whole day nor a last one, and are not asked what those came to.
		const [from, to] = part === 'first' ? [sql``, sql``] : [sql`case when start_at < ${today} then `, sql` else 0 end`];
		const ms = sql<number>`(${lasted[part]})`;
		// Rounded as a closed segment is: half up (src/core/segments.ts). Unknown time has no price here.
		const amount = (micros: string): Micros =>
			sql<number>`sum(${from}${wholes(sql`coalesce(${sql.ref(micros)}, 0) * ${ms} + ${sql.lit(1_800_000)}`, sql`${sql.lit(3_600_000)}`)}${to})`;
		return [
			amount('price_micros').as(`${part}_cost` as Amount),
			amount('baseline_micros').as(`${part}_baseline` as Amount),
			sql<number>`sum(${from}${ms}${to})`.as(`${part}_ms` as Amount),
		];
	});
};

/** Sums of a client, or of all where it is '', and of what is called a period: a UTC day or month, or '' where none was asked for. */
export type PeriodSums = Sums & { readonly client_id: string; readonly period: string };

/** What the books come to: of closed segments as they were asked for, and of the open ones by UTC day (its begin). */
export type Books = {
	readonly closed: readonly PeriodSums[];
	readonly open: ReadonlyArray<Sums & { readonly client_id: string; readonly day: number }>;
};

type Row = { client_id: string; period: string; day: number; line: Line | ''; quality: Quality | '' } & Record<Amount, unknown>;

const closedOf = (row: Row): PeriodSums => ({
	client_id: row.client_id,
	period: row.period,
	...(Object.fromEntries(SUMS.map((key, index) => [key, Number(row[AMOUNTS[index] as Amount] ?? 0)])) as Sums),
});

const partOf = (row: Row, part: Part): Sums => ({
	...NO_SUMS,
	baseline_micros: Number(row[`${part}_baseline`] ?? 0),
	[`${row.line}_micros`]: Number(row[`${part}_cost`] ?? 0),
	[`${row.quality}_ms`]: Number(row[`${part}_ms`] ?? 0),
});

const daysOf = (row: Row, now: number): Books['open'] => {
	const begin = Number(row.day);
	const today = now - (now % DAY_MS);
	const { client_id } = row;
	const days = [{ client_id, day: begin, ...partOf(row, 'first') }];
	for (let day = begin + DAY_MS; day < today; day += DAY_MS) days.push({ client_id, day, ...partOf(row, 'whole') });
	if (begin < today) days.push({ client_id, day: today, ...partOf(row, 'last') });
	return days;
};

/**
 * Closed and open segments in one statement, so in one state of the books: between two, a segment could close and be in both, or in neither.
 * An open one is cut at each midnight as it will be when it closes.
 */
const readBooks = async (db: Db, closed: Scoped, open: (query: Scoped) => Scoped, byClient: boolean, now: number): Promise<Books> => {
	const running = open(
		db
			.selectFrom('ledger_host')
			.select([
				byClient ? sql<string>`client_id`.as('client_id') : sql<string>`''`.as('client_id'),
				sql<string>`''`.as('period'),
				startDay.as('day'),
				'line',
				'quality',
				...openColumns(db, now),
			]) as Scoped,
	).groupBy([...(byClient ? ['client_id' as never] : []), startDay as never, 'line' as never, 'quality' as never]);
	const rows = (await closed.unionAll(running as never).execute()) as Row[];
	return {
		closed: rows.flatMap((row) => (Number(row.day) < 0 ? [closedOf(row)] : [])),
		open: rows.flatMap((row) => (Number(row.day) < 0 ? [] : daysOf(row, now))),
	};
};

const CLOSED = sql<number>`-1`.as('day');
const ALL = sql<string>`''`;

/**
 * The books of everybody, a client, an agent or a machine. Closed segments from rows of `ledger_total` where that is enough, else from the
 * segments of an agent or machine; `since` and `until` bind both the closed and the open.
 */
export const booksOf = async (db: Db, scope: Scope, now: number): Promise<Sums> => {
	const { agentId, instanceId, clientId } = scope;
	const [since, until] = [scope.since ?? null, scope.until ?? null];
	let closed: Scoped;
	if (agentId != null || instanceId != null) {
		closed = within(
			db.selectFrom('cost_segment').select([ALL.as('client_id'), ALL.as('period'), CLOSED, ...closedColumns]) as Scoped,
			scope,
		);
		if (since !== null) closed = closed.where('start_at', '>=', since);
		if (until !== null) closed = closed.where('start_at', '<', until);
	} else {
		closed = db.selectFrom('ledger_total').select([ALL.as('client_id'), ALL.as('period'), CLOSED, ...totalColumns]) as Scoped;
		if (clientId != null) closed = closed.where('client_id', '=', clientId);
		if (since === null && until === null) closed = closed.where('period', '=', 'all');
		else
			closed = closed
				.where('period', '>=', dayOf(since ?? 0))
				.where('period', '<', dayOf(until ?? 253_402_214_400_000))
				.where(sql`length(period)`, '=', 10);
	}
	const books = await readBooks(db, closed, (query) => within(query, scope), false, now);
	const open = books.open.filter(({ day }) => (since === null || day >= since) && (until === null || day < until));
	return [...books.closed, ...open].reduce<Sums>(addSums, NO_SUMS);
};

/** The books of clients: of a period as `ledger_total` names it, `all` for all time. A client without any has no entry. */
export const booksByClient = async (db: Db, clientIds: readonly string[], period: string, now: number): Promise<Map<string, Sums>> => {
	const closed = db
		.selectFrom('ledger_total')
		.select(['client_id', 'period', CLOSED, ...plainColumns])
		.where(among(db, 'client_id', clientIds))
		.where('period', '=', period) as Scoped;
	const books = await readBooks(db, closed, (query) => query.where(among(db, 'client_id', clientIds)), true, now);
	const open = books.open.filter(({ day }) => period === 'all' || dayOf(day).startsWith(period));
	const found = new Map<string, Sums>();
	for (const row of [...books.closed, ...open]) found.set(row.client_id, addSums(found.get(row.client_id) ?? NO_SUMS, row));
	return found;
};

/** The books of a client, or of everybody, by month (`2026-11`) or day (`2026-11-26`), from a period on, oldest first. */
export const booksByPeriod = async (
	db: Db,
	clientId: string | null,
	unit: 'month' | 'day',
	from: string,
	now: number,
): Promise<Array<Sums & { period: string }>> => {
	const length = unit === 'month' ? 7 : 10;
	let closed = db
		.selectFrom('ledger_total')
		.select([ALL.as('client_id'), 'period', CLOSED, ...totalColumns])
		.where('period', '>=', from)
		.where(sql<number>`length(period)`, '=', length)
		.groupBy('period') as Scoped;
	if (clientId !== null) closed = closed.where('client_id', '=', clientId);
	const books = await readBooks(db, closed, (query) => within(query, { clientId }), false, now);
	const found = new Map<string, Sums>();
	const days = books.open.map((row) => ({ ...row, period: dayOf(row.day).slice(0, length) })).filter(({ period }) => period >= from);
	for (const row of [...books.closed, ...days]) found.set(row.period, addSums(found.get(row.period) ?? NO_SUMS, row));
	return [...found]
		.filter(([, sums]) => SUMS.some((key) => sums[key] !== 0))
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([period, sums]) => ({ period, ...sums }));
};

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);

export type StoredSegment = CostSegmentTable & { id: number };

/** Segments of an agent that began in a time, in order of time and id, after a position. */
export const agentSegments = async (
	db: Db,
	agentId: string,
	from: number,
	to: number,
	after: { readonly at: number; readonly id: number } | null,
	limit: number,
): Promise<StoredSegment[]> => {
	let query = db
		.selectFrom('cost_segment')
		.selectAll()
		.where('agent_id', '=', agentId)
		.where('start_at', '>=', after?.at ?? from)
		.where('start_at', '<', to);
	if (after !== null)
		query = query.where((eb) => eb.or([eb('start_at', '>', after.at), eb.and([eb('start_at', '=', after.at), eb('id', '>', after.id)])]));
	return (await query
		.orderBy('start_at')
		.orderBy('id')
		.limit(sql.lit(limit + 1))
		.execute()) as StoredSegment[];
};

/** Machines of an agent whose segment is open and began before a time, by handle, from one on. */
export const openOfAgent = (
	db: Db,
	agentId: string,
	{ from, before, limit }: { readonly from: string; readonly before: number; readonly limit: number },
): Promise<LedgerHostTable[]> =>
	db
		.selectFrom('ledger_host')
		.selectAll()
		.where('agent_id', '=', agentId)
		.where('handle', '>=', from)
		.where('start_at', '<', before)
		.orderBy('handle')
		.limit(limit)
		.execute();

/** Live machines of a client by mode. */
export const modesOf = async (db: Db, clientId: string): Promise<{ mode: string | null; count: number }[]> =>
	(
		await db
			.selectFrom('host')
			.select((eb) => ['mode', eb.fn.countAll<number>().as('count')])
			.where('client_id', '=', clientId)
			.where('role', 'in', ['primary', 'replica', 'candidate', 'named'])
			.groupBy('mode')
			.orderBy('mode')
			.execute()
	).map(({ mode, count }) => ({ mode, count: Number(count) }));

/** Successful switches of a client by UTC day since a time, oldest first. */
export const switchesByDay = async (db: Db, clientId: string, since: number): Promise<{ day: number; count: number }[]> => {
	const day = sql<number>`created_at - created_at % ${sql.lit(DAY_MS)}`;
	const rows = await db
		.selectFrom('switch_record')
		.select((eb) => [day.as('day'), eb.fn.countAll<number>().as('count')])
		.where('client_id', '=', clientId)
		.where('created_at', '>=', since)
		.groupBy(day)
		.orderBy(day)
		.execute();
	return rows.map((row) => ({ day: Number(row.day), count: Number(row.count) }));
};

/** Machines after a handle, of a client or an agent where named. */
export const machinesAfter = async (
	db: Db,
	{ clientId, agentId }: Pick<Scope, 'clientId' | 'agentId'>,
	after: string,
	limit: number,
): Promise<string[]> => {
	let query = db.selectFrom('host').select('handle').where('handle', '>', after);
	if (clientId != null) query = query.where('client_id', '=', clientId);
	if (agentId != null) query = query.where('agent_id', '=', agentId);
	return (await query.orderBy('handle').limit(sql.lit(limit)).execute()).map(({ handle }) => handle);
};
