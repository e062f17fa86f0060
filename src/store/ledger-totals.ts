import { sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import { multiRow } from './multi-row.ts';
import { SUMS, type Sums } from './savings.ts';
import { type Db, statement } from './statement.ts';
import { LINES } from './tables/ledger.ts';

const DAY_MS = 86_400_000;

const TOTAL = ['client_id', 'period', ...SUMS] as const;
const setTo = (d: 'sqlite' | 'mysql') =>
	multiRow(
		'ledger_total',
		TOTAL,
		`${d === 'sqlite' ? 'on conflict (client_id, period) do update set' : 'on duplicate key update'} ${SUMS.map(
			(column) => `${column} = ${d === 'sqlite' ? `excluded.${column}` : `values(${column})`}`,
		).join(', ')}`,
	);
const set = { sqlite: setTo('sqlite'), mysql: setTo('mysql') };

/** Sums of a client's periods, by their names: days (`2026-11-26`), months (`2026-11`) and `all`. */
export type Totals = ReadonlyMap<string, Sums>;

const read = (row: Readonly<Record<keyof Sums, unknown>>): Sums => Object.fromEntries(SUMS.map((key) => [key, Number(row[key])])) as Sums;

/** What is stored of a client's periods from one name to before another. */
export const storedTotals = async (db: Db, clientId: string, from: string, to: string): Promise<Totals> => {
	const rows = await db
		.selectFrom('ledger_total')
		.selectAll()
		.where('client_id', '=', clientId)
		.where('period', '>=', from)
		.where('period', '<', to)
		.execute();
	return new Map(rows.map((row) => [row.period, read(row)]));
};

/** What a client's segments that began in a time come to, by UTC day; times are begins of days. */
export const segmentTotals = async (db: Db, clientId: string, from: number, to: number): Promise<Totals> => {
	const day = sql<number>`start_at - start_at % ${sql.lit(DAY_MS)}`;
	const rows = await db
		.selectFrom('cost_segment')
		.select([
			day.as('day'),
			sql<number>`sum(baseline_micros)`.as('baseline_micros'),
			...LINES.map((line) => sql<number>`sum(case when line = ${sql.lit(line)} then cost_micros else 0 end)`.as(`${line}_micros` as const)),
			...(['measured', 'estimated', 'unknown'] as const).map((quality) =>
				sql<number>`sum(case when quality = ${sql.lit(quality)} then end_at - start_at else 0 end)`.as(`${quality}_ms` as const),
			),
		])
		.where('client_id', '=', clientId)
		.where('start_at', '>=', from)
		.where('start_at', '<', to)
		.groupBy(day)
		.execute();
	return new Map(rows.map((row) => [new Date(Number(row.day)).toISOString().slice(0, 10), read(row)]));
};

/** Stores sums of periods as they are. */
export const setTotals = async (tx: Db, clientId: string, totals: Totals): Promise<void> => {
	if (totals.size === 0) return;
	await set[dialectOf(tx).name](
		tx,
		[...totals].map(([period, sums]) => [clientId, period, ...SUMS.map((key) => sums[key])]),
	);
};

/** The begin of the first segment of a client from a time on. */
export const nextSegment = statement<{ client_id: string; from: number }>()((db, v) =>
	db
		.selectFrom('cost_segment')
		.select('start_at')
		.where('client_id', '=', v('client_id'))
		.where('start_at', '>=', v('from'))
		.orderBy('start_at')
		.limit(sql.lit(1)),
);

/** The first stored day of a client from a name on. */
export const nextTotal = statement<{ client_id: string; from: string }>()((db, v) =>
	db
		.selectFrom('ledger_total')
		.select('period')
		.where('client_id', '=', v('client_id'))
		.where('period', '>=', v('from'))
		.where('period', '<', 'a')
		.where(sql`length(period)`, '=', 10)
		.orderBy('period')
		.limit(sql.lit(1)),
);

/** The next client, by id, that is in the books. */
export const nextClient = async (db: Db, after: string): Promise<string | null> => {
	const [segment, total] = [await nextInSegments.first(db, { after }), await nextInTotals.first(db, { after })];
	const ids = [segment?.client_id, total?.client_id].filter((id) => id !== undefined).sort();
	return ids[0] ?? null;
};

const nextInSegments = statement<{ after: string }>()((db, v) =>
	db.selectFrom('cost_segment').select('client_id').where('client_id', '>', v('after')).orderBy('client_id').limit(sql.lit(1)),
);

const nextInTotals = statement<{ after: string }>()((db, v) =>
	db.selectFrom('ledger_total').select('client_id').where('client_id', '>', v('after')).orderBy('client_id').limit(sql.lit(1)),
);
