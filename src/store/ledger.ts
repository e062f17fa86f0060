import { sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import { multiRow } from './multi-row.ts';
import { SUMS, type Sums } from './savings.ts';
import { among, type Db, inList, statement } from './statement.ts';
import type { CostSegmentTable, LedgerFactTable, LedgerHostTable, LedgerStateTable } from './tables/ledger.ts';

export type NewFact = Omit<LedgerFactTable, 'id'>;
export type StoredFact = Omit<LedgerFactTable, 'id'> & { id: number };
export type NewSegment = Omit<CostSegmentTable, 'id'>;
export type StoredSegment = NewSegment & { id: number };
export type LedgerHost = LedgerHostTable;
export type LedgerState = LedgerStateTable;

const FACT = [
	'client_id',
	'agent_id',
	'handle',
	'at',
	'kind',
	'instance_id',
	'role',
	'registered',
	'mode',
	'pool_id',
	'instance_type',
	'region',
	'spot_micros',
	'ondemand_micros',
	'overlap_until',
	'pending',
] as const;
const facts = multiRow('ledger_fact', FACT, '');

/** Appends facts, in the transaction that makes them true. */
export const addFacts = async (tx: Db, rows: readonly NewFact[]): Promise<void> => {
	if (rows.length > 0)
		await facts(
			tx,
			rows.map((row) => FACT.map((column) => row[column])),
		);
};

/** Facts up to a time that nobody has booked yet, oldest first, at most 500. */
export const pendingFacts = statement<{ until: number }>()((db, v) =>
	db
		.selectFrom('ledger_fact')
		.selectAll()
		.where('pending', '=', 1)
		.where('at', '<=', v('until'))
		.orderBy('at')
		.orderBy('id')
		.limit(sql.lit(500)),
);

/** Facts that nobody has booked yet, of agents that have no machine in the books that runs, oldest first, at most 500. */
export const newcomers = statement<Record<string, never>>()((db) =>
	db
		.selectFrom('ledger_fact as f')
		.selectAll('f')
		.where('f.pending', '=', 1)
		.where((row) => row.not(row.exists(row.selectFrom('ledger_host as h').select('h.handle').whereRef('h.agent_id', '=', 'f.agent_id'))))
		.orderBy('f.at')
		.orderBy('f.id')
		.limit(sql.lit(500)),
);

/** Of some machines, the first fact that nobody has booked yet. */
export const firstPending = async (tx: Db, handles: readonly string[]): Promise<StoredFact[]> => {
	if (handles.length === 0) return [];
	const first = await tx
		.selectFrom('ledger_fact')
		.select((eb) => eb.fn.min<number>('id').as('id'))
		.where(among(tx, 'handle', handles))
		// Not by the index of what is pending, which holds everybody's.
		.where(sql<boolean>`pending + 0 = 1`)
		.groupBy('handle')
		.execute();
	if (first.length === 0) return [];
	const ids = first.map(({ id }) => Number(id));
	return tx
		.selectFrom('ledger_fact')
		.selectAll()
		.where(among(tx, 'id', ids))
		.orderBy('id')
		.execute();
};

/** How many facts each of some machines has. */
export const factCounts = async (db: Db, handles: readonly string[]): Promise<Map<string, number>> => {
	if (handles.length === 0) return new Map();
	const rows = await db
		.selectFrom('ledger_fact')
		.select((eb) => ['handle', eb.fn.countAll<number>().as('count')])
		.where(among(db, 'handle', handles))
		.groupBy('handle')
		.execute();
	return new Map(rows.map(({ handle, count }) => [handle, Number(count)]));
};

/** What some machines are and were, in the order in which it was booked. */
export const statesOf = async (db: Db, handles: readonly string[]): Promise<StoredFact[]> =>
	handles.length === 0
		? []
		: db
				.selectFrom('ledger_fact')
				.selectAll()
				.where(among(db, 'handle', handles))
				.where('kind', 'in', ['state', 'entered'])
				.orderBy('at')
				.orderBy('id')
				.execute();

/** Every fact of some machines, in the order in which they are booked. */
export const factsOf = async (db: Db, handles: readonly string[]): Promise<Map<string, StoredFact[]>> => {
	const found = new Map<string, StoredFact[]>();
	if (handles.length === 0) return found;
	const rows = await db
		.selectFrom('ledger_fact')
		.selectAll()
		.where(among(db, 'handle', handles))
		.orderBy('handle')
		.orderBy('at')
		.orderBy('id')
		.execute();
	for (const row of rows) {
		const of = found.get(row.handle);
		if (of === undefined) found.set(row.handle, [row]);
		else of.push(row);
	}
	return found;
};

/** When what these machines are changed last, of those that have facts at all. */
export const lastStates = async (db: Db, handles: readonly string[]): Promise<Map<string, number>> => {
	if (handles.length === 0) return new Map();
	const rows = await db
		.selectFrom('ledger_fact')
		.select((eb) => ['handle', eb.fn.max('at').as('at')])
		.where(among(db, 'handle', handles))
		.where('kind', 'in', ['state', 'entered'])
		.groupBy('handle')
		.execute();
	return new Map(rows.map(({ handle, at }) => [handle, Number(at)]));
};

export const markBooked = async (tx: Db, ids: readonly number[]): Promise<void> => {
	if (ids.length > 0)
		await tx
			.updateTable('ledger_fact')
			.set({ pending: null })
			.where(among(tx, 'id', ids))
			.execute();
};

export const ledgerState = statement<Record<string, never>>()((db) => db.selectFrom('ledger_state').selectAll().where('id', '=', 1));

/** The same, held until the end of the transaction: whoever changes the books does it one after the other. */
export const lockLedger = statement<Record<string, never>>()((db, _, dialect) =>
	db.selectFrom('ledger_state').selectAll().where('id', '=', 1).modifyEnd(dialect.forUpdate),
);

export const beginLedger = statement<LedgerState>()((db, v) =>
	db.insertInto('ledger_state').values({
		id: v('id'),
		reports_at: v('reports_at'),
		reports_id: v('reports_id'),
		serving_since: v('serving_since'),
		alive_at: v('alive_at'),
		outage_at: v('outage_at'),
		outage_after: v('outage_after'),
	}),
);

export const saveLedgerState = statement<LedgerState>()((db, v) =>
	db
		.updateTable('ledger_state')
		.set({
			reports_at: v('reports_at'),
			reports_id: v('reports_id'),
			serving_since: v('serving_since'),
			outage_at: v('outage_at'),
			outage_after: v('outage_after'),
		})
		.where('id', '=', v('id')),
);

/** Enters machines that lived before the books began, at most 1,000; returns how many. */
export const enterHosts = async (tx: Db, now: number): Promise<number> => {
	const result = await tx
		.insertInto('ledger_fact')
		.columns([
			'client_id',
			'agent_id',
			'handle',
			'at',
			'kind',
			'instance_id',
			'role',
			'registered',
			'mode',
			'pool_id',
			'instance_type',
			'region',
			'pending',
		])
		.expression((eb) =>
			eb
				.selectFrom('host as h')
				.innerJoin('agent as a', 'a.id', 'h.agent_id')
				.select((row) => [
					'h.client_id',
					'h.agent_id',
					'h.handle',
					row.val(now).as('at'),
					row.val('entered' as const).as('kind'),
					'h.instance_id',
					'h.role',
					row.case().when('h.registered_at', 'is', null).then(row.lit(0)).else(row.lit(1)).end().as('registered'),
					'h.mode',
					'h.pool_id',
					'h.instance_type',
					'h.region',
					row.lit(1).as('pending'),
				])
				.where('h.role', '<>', 'terminated')
				.where((row) => row.not(row.and([row('a.status', '=', 'deleted'), row('h.role', '=', 'primary')])))
				.where((row) => row.not(row.exists(row.selectFrom('ledger_fact as f').select('f.id').whereRef('f.handle', '=', 'h.handle'))))
				.limit(sql.lit(1000)),
		)
		.executeTakeFirst();
	// Whom nobody listens for is not vouched for: it was judged silent before there were books.
	await tx
		.insertInto('ledger_fact')
		.columns(['client_id', 'agent_id', 'handle', 'at', 'kind', 'pending'])
		.expression((eb) =>
			eb
				.selectFrom('ledger_fact as f')
				.innerJoin('host_liveness as l', 'l.handle', 'f.handle')
				.select((row) => [
					'f.client_id',
					'f.agent_id',
					'f.handle',
					row.val(now).as('at'),
					row.val('silent' as const).as('kind'),
					row.lit(1).as('pending'),
				])
				.where('f.pending', '=', 1)
				.where('f.kind', '=', 'entered')
				.where('f.role', 'in', ['primary', 'replica'])
				.where('f.at', '=', now)
				.where('l.watch_at', 'is', null)
				.where((row) =>
					row.not(
						row.exists(
							row.selectFrom('ledger_fact as s').select('s.id').whereRef('s.handle', '=', 'f.handle').where('s.kind', '=', 'silent'),
						),
					),
				),
		)
		.execute();
	return Number(result.numInsertedOrUpdatedRows ?? 0);
};

/** How many machines are looked at at once. */
export const MACHINES = 300;

const byHandle = (rows: readonly LedgerHost[]): Map<string, LedgerHost> => new Map(rows.map((row) => [row.handle, row]));

/** Where these machines stand in the books. */
export const ledgerHosts = async (db: Db, handles: readonly string[]): Promise<Map<string, LedgerHost>> =>
	handles.length === 0
		? new Map()
		: byHandle(
				await db
					.selectFrom('ledger_host')
					.selectAll()
					.where(among(db, 'handle', handles))
					.execute(),
			);

/** Machines whose open segment began before a midnight, at most 300. */
export const ledgerHostsBefore = statement<{ midnight: number }>()((db, v) =>
	db.selectFrom('ledger_host').selectAll().where('start_at', '<', v('midnight')).limit(sql.lit(MACHINES)),
);

/** Machines after a handle that somebody vouched for, at most 300. */
export const vouchedHosts = statement<{ after: string }>()((db, v) =>
	db
		.selectFrom('ledger_host')
		.selectAll()
		.where('handle', '>', v('after'))
		.where('line', 'not in', ['overlap', 'zombie'])
		.where('silent_at', 'is', null)
		.orderBy('handle')
		.limit(sql.lit(MACHINES)),
);

/**
 * Silent machines that have called since and whose next silence would be noticed, with when they last called, at most 300. Not those of which
 * something is to be booked: where a transaction has noted the first call after a silence, that is the one that counts.
 */
export const heardAgain = statement<Record<string, never>>()((db) =>
	db
		.selectFrom('ledger_host as h')
		.innerJoin('host_liveness as l', 'l.handle', 'h.handle')
		.innerJoin('host as m', 'm.handle', 'h.handle')
		.selectAll('h')
		.select('l.seen_at')
		// Its last call may have said that it goes.
		.where('m.said_offline_at', 'is', null)
		// A range: SQLite reads no index for "is not null".
		.where('h.silent_at', '>', sql.lit(0))
		.where('l.watch_at', 'is not', null)
		.whereRef('l.seen_at', '>', 'h.silent_at')
		// A call from before an outage that was told of proves nothing of the time after it.
		.where('l.seen_at', '>=', (row) => row.selectFrom('ledger_state').select('serving_since').where('id', '=', sql.lit(1)))
		.where('h.handle', 'not in', (row) => row.selectFrom('ledger_fact').select('handle').where('pending', '=', 1))
		.limit(sql.lit(MACHINES)),
);

/** Machines that count as taken back by AWS and have called after that, with when they last called, at most 300. */
export const notTaken = statement<Record<string, never>>()((db) =>
	db
		.selectFrom('ledger_host as h')
		.innerJoin('host_liveness as l', 'l.handle', 'h.handle')
		.selectAll('h')
		.select('l.seen_at')
		.where('h.freed_at', '>', sql.lit(0))
		.whereRef('l.seen_at', '>', 'h.freed_at')
		.limit(sql.lit(MACHINES)),
);

/** Machines whose time counts as measured, and not for nothing, and whose last noted report is from before a time, at most 300. */
export const lapsedHosts = statement<{ before: number }>()((db, v) =>
	db
		.selectFrom('ledger_host')
		.selectAll()
		.where('priced_at', '<', v('before'))
		.where('quality', '=', 'measured')
		.where('freed_at', 'is', null)
		.orderBy('priced_at', 'desc')
		.limit(sql.lit(MACHINES)),
);

/** Machines that never said what they cost, counted by others' word since before a time, and not for nothing, at most 300. */
export const lapsedQuotes = statement<{ before: number }>()((db, v) =>
	db
		.selectFrom('ledger_host')
		.selectAll()
		.where('priced_at', 'is', null)
		.where('quality', '=', 'measured')
		.where('start_at', '<', v('before'))
		.where('freed_at', 'is', null)
		.limit(sql.lit(MACHINES)),
);

/** Old primaries whose planned end is over and that have not ended, at most 300. */
export const overdueHosts = statement<{ until: number }>()((db, v) =>
	db
		.selectFrom('ledger_host')
		.selectAll()
		// A range: SQLite reads no index for "is not null".
		.where('overlap_until', '>', sql.lit(0))
		.where('overlap_until', '<=', v('until'))
		.limit(sql.lit(MACHINES)),
);

/** How many reports are read at once. */
export const REPORTS = 400;

/** Price reports after an id, in the order of their ids, a page of them. */
export const reportsAfter = statement<{ id: number }>()((db, v) =>
	db
		.selectFrom('price_report')
		.select(['id', 'handle', 'current_micros', 'ondemand_micros', 'observed_at', 'arrived_at'])
		.where('id', '>', v('id'))
		.orderBy('id')
		.limit(sql.lit(REPORTS)),
);
export type Report = { id: number; handle: string; current_micros: number | null; ondemand_micros: number | null } & {
	observed_at: number;
	arrived_at: number;
};

/** The newest price report. */
export const lastReport = statement<Record<string, never>>()((db) =>
	db.selectFrom('price_report').select('id').orderBy('id', 'desc').limit(sql.lit(1)),
);

export type Quote = { pool_id: string; bucket: number; spot_micros: number; observed_at: number };

/** Measured clean prices of pools from a bucket on. */
export const cleanSince = async (db: Db, pools: readonly string[], since: number): Promise<Quote[]> =>
	pools.length === 0
		? []
		: db
				.selectFrom('price_clean')
				.select(['pool_id', 'bucket', 'spot_micros', 'observed_at'])
				.where(among(db, 'pool_id', pools))
				.where('bucket', '>=', since)
				.where('data_source', '=', 'measured')
				.orderBy('bucket', 'desc')
				.limit(sql.lit(20_000))
				.execute();

/** What types cost on demand. */
export const onDemandOf = async (
	db: Db,
	types: readonly string[],
): Promise<{ instance_type: string; region: string; micros: number; observed_at: number }[]> =>
	types.length === 0
		? []
		: db
				.selectFrom('ondemand_price')
				.selectAll()
				.where(among(db, 'instance_type', types))
				.execute();

/** Every column of a segment but its number. */
export const SEGMENT = [
	'client_id',
	'agent_id',
	'handle',
	'instance_id',
	'line',
	'role',
	'mode',
	'pool_id',
	'start_at',
	'end_at',
	'price_micros',
	'price_source',
	'priced_at',
	'ondemand_micros',
	'quality',
	'cost_micros',
	'baseline_micros',
	'closed_by',
] as const;
const segments = multiRow('cost_segment', SEGMENT, '');

export const addSegments = async (tx: Db, rows: readonly NewSegment[]): Promise<void> => {
	if (rows.length > 0)
		await segments(
			tx,
			rows.map((row) => SEGMENT.map((column) => row[column])),
		);
};

/** The closed segments of machines, oldest first. */
export const segmentsOf = statement<{ handles: readonly string[] }>()((db, v, dialect) =>
	db
		.selectFrom('cost_segment')
		.selectAll()
		.where(inList(dialect, 'handle', v('handles')))
		.orderBy('start_at'),
);

export const deleteSegments = statement<{ handles: readonly string[] }>()((db, v, dialect) =>
	db.deleteFrom('cost_segment').where(inList(dialect, 'handle', v('handles'))),
);

/** Deletes segments by their numbers. */
export const dropSegments = async (tx: Db, ids: readonly number[]): Promise<void> => {
	for (let from = 0; from < ids.length; from += 1000)
		await tx
			.deleteFrom('cost_segment')
			.where(among(tx, 'id', ids.slice(from, from + 1000)))
			.execute();
};

const LEDGER_HOST = [
	'handle',
	'client_id',
	'agent_id',
	'instance_id',
	'line',
	'quality',
	'mode',
	'pool_id',
	'start_at',
	'price_micros',
	'baseline_micros',
	'silent_at',
	'priced_at',
	'freed_at',
	'overlap_until',
	'state',
] as const;
const upsert = (d: 'sqlite' | 'mysql') =>
	multiRow(
		'ledger_host',
		LEDGER_HOST,
		`${d === 'sqlite' ? 'on conflict (handle) do update set' : 'on duplicate key update'} ${LEDGER_HOST.slice(1)
			.map((column) => `${column} = ${d === 'sqlite' ? `excluded.${column}` : `values(${column})`}`)
			.join(', ')}`,
	);
const hosts = { sqlite: upsert('sqlite'), mysql: upsert('mysql') };

export const saveLedgerHosts = async (tx: Db, rows: readonly LedgerHost[]): Promise<void> => {
	if (rows.length > 0)
		await hosts[dialectOf(tx).name](
			tx,
			rows.map((row) => LEDGER_HOST.map((column) => row[column])),
		);
};

export const dropLedgerHosts = async (tx: Db, handles: readonly string[]): Promise<void> => {
	if (handles.length > 0)
		await tx
			.deleteFrom('ledger_host')
			.where(among(tx, 'handle', handles))
			.execute();
};

const TOTAL = ['client_id', 'period', ...SUMS] as const;
const addTo = (d: 'sqlite' | 'mysql') =>
	multiRow(
		'ledger_total',
		TOTAL,
		`${d === 'sqlite' ? 'on conflict (client_id, period) do update set' : 'on duplicate key update'} ${SUMS.map(
			(column) => `${column} = ledger_total.${column} + ${d === 'sqlite' ? `excluded.${column}` : `values(${column})`}`,
		).join(', ')}`,
	);
const totals = { sqlite: addTo('sqlite'), mysql: addTo('mysql') };

/** Adds to the sums of clients and periods; amounts may be negative. */
export const addTotals = async (tx: Db, rows: ReadonlyArray<Sums & { client_id: string; period: string }>): Promise<void> => {
	if (rows.length > 0)
		await totals[dialectOf(tx).name](
			tx,
			rows.map((row) => TOTAL.map((column) => row[column])),
		);
};
