import { type SelectQueryBuilder, sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import type { Tables } from './schema.ts';
import type { Db } from './statement.ts';
import type { CostSegmentTable, LedgerHostTable } from './tables/ledger.ts';

/** Sums of the books, as they are stored: integers of micro-dollars and milliseconds. */
export type Sums = {
	baseline_micros: number;
	primary_micros: number;
	replica_micros: number;
	zombie_micros: number;
	measured_ms: number;
	estimated_ms: number;
	unknown_ms: number;
};

export const NO_SUMS: Sums = {
	baseline_micros: 0,
	primary_micros: 0,
	replica_micros: 0,
	zombie_micros: 0,
	measured_ms: 0,
	estimated_ms: 0,
	unknown_ms: 0,
};

export const SUMS = Object.keys(NO_SUMS) as readonly (keyof Sums)[];

export const addSums = (a: Sums, b: Sums): Sums => Object.fromEntries(SUMS.map((key) => [key, a[key] + b[key]])) as Sums;

/** A driver hands sums over as numbers, text or big integers, and null where there was no row. */
export const readSums = (row: Readonly<Record<keyof Sums, unknown>> | undefined): Sums =>
	Object.fromEntries(SUMS.map((key) => [key, Number(row?.[key] ?? 0)])) as Sums;

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

const columns = (cost: ReturnType<typeof sql<number>>, baseline: ReturnType<typeof sql<number>>, ms: ReturnType<typeof sql<number>>) => [
	sql<number>`sum(${baseline})`.as('baseline_micros'),
	...(['primary', 'replica', 'zombie'] as const).map((line) =>
		sql<number>`sum(case when line = ${sql.lit(line)} then ${cost} else 0 end)`.as(`${line}_micros` as const),
	),
	...(['measured', 'estimated', 'unknown'] as const).map((quality) =>
		sql<number>`sum(case when quality = ${sql.lit(quality)} then ${ms} else 0 end)`.as(`${quality}_ms` as const),
	),
];

const closedColumns = columns(sql`cost_micros`, sql`baseline_micros`, sql`(end_at - start_at)`);

/** How long the open segment of a machine has lasted: to now, but no longer than its day; the next begins when the job has closed it. */
const openMs = (db: Db, now: number) => {
	const dialect = dialectOf(db);
	const midnight = sql`(start_at - start_at % ${sql.lit(DAY_MS)} + ${sql.lit(DAY_MS)})`;
	return dialect.greatest(sql`0`, sql`${dialect.least(midnight, sql`${sql.lit(Math.trunc(now))}`)} - start_at`);
};

const openColumns = (db: Db, now: number) => {
	const { wholes } = dialectOf(db);
	const ms = openMs(db, now);
	// Rounded as a closed segment is: half up (src/core/segments.ts).
	const amount = (micros: string) =>
		wholes(
			sql`(case when quality = 'unknown' then 0 else coalesce(${sql.ref(micros)}, 0) end) * (${ms}) + ${sql.lit(1_800_000)}`,
			sql`${sql.lit(3_600_000)}`,
		);
	return columns(amount('price_micros'), amount('baseline_micros'), sql`(${ms})`);
};

/** What the machines that run have cost since their open segments began. */
export const openSums = async (db: Db, scope: Scope, now: number): Promise<Sums> =>
	readSums(await within(db.selectFrom('ledger_host').select(openColumns(db, now)) as Scoped, scope).executeTakeFirst());

/** The same by client. */
export const openSumsByClient = async (db: Db, clientIds: readonly string[], now: number): Promise<Map<string, Sums>> => {
	const rows = await db
		.selectFrom('ledger_host')
		.select(['client_id', ...openColumns(db, now)])
		.where('client_id', 'in', clientIds)
		.groupBy('client_id')
		.execute();
	return new Map(rows.map((row) => [row.client_id, readSums(row)]));
};

/** Sums of closed segments: of rows of `ledger_total` where that is enough, else of the segments of an agent or machine. */
export const closedSums = async (db: Db, scope: Scope): Promise<Sums> => {
	const { agentId, instanceId, since, until } = scope;
	if (agentId != null || instanceId != null) {
		let query = within(db.selectFrom('cost_segment').select(closedColumns) as Scoped, scope);
		if (since != null) query = query.where('start_at', '>=', since);
		if (until != null) query = query.where('start_at', '<', until);
		return readSums(await query.executeTakeFirst());
	}
	let query = db.selectFrom('ledger_total').select(SUMS.map((key) => sql<number>`sum(${sql.ref(key)})`.as(key))) as Scoped;
	if (scope.clientId != null) query = query.where('client_id', '=', scope.clientId);
	if (since == null && until == null) query = query.where('period', '=', 'all');
	else
		query = query
			.where('period', '>=', dayOf(since ?? 0))
			.where('period', '<', dayOf(until ?? 253_402_214_400_000))
			.where(sql`length(period)`, '=', 10);
	return readSums(await query.executeTakeFirst());
};

/** Sums of clients: of a period as `ledger_total` names it. */
export const closedSumsByClient = async (db: Db, clientIds: readonly string[], period: string): Promise<Map<string, Sums>> => {
	const rows = await db.selectFrom('ledger_total').selectAll().where('client_id', 'in', clientIds).where('period', '=', period).execute();
	return new Map(rows.map((row) => [row.client_id, readSums(row)]));
};

/** Sums of a client by period: `month` (`2026-11`) or `day` (`2026-11-26`), from `from` on, oldest first. */
export const periodSums = async (
	db: Db,
	clientId: string | null,
	unit: 'month' | 'day',
	from: string,
	to: string,
): Promise<Array<Sums & { period: string }>> => {
	let query = db
		.selectFrom('ledger_total')
		.select(['period', ...SUMS.map((key) => sql<number>`sum(${sql.ref(key)})`.as(key))])
		.where('period', '>=', from)
		.where('period', '<=', to)
		.where(sql<number>`length(period)`, '=', unit === 'month' ? 7 : 10);
	if (clientId !== null) query = query.where('client_id', '=', clientId);
	const rows = await query.groupBy('period').orderBy('period').limit(sql.lit(1000)).execute();
	return rows.map((row) => ({ period: row.period, ...readSums(row) }));
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

/** The machines of an agent whose books are open. */
export const openOfAgent = (db: Db, agentId: string): Promise<LedgerHostTable[]> =>
	db.selectFrom('ledger_host').selectAll().where('agent_id', '=', agentId).orderBy('start_at').limit(sql.lit(500)).execute();

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
