import { CompiledQuery, type Kysely, sql } from 'kysely';
import { type Dialect, dialectOf, StaleRow } from './dialect.ts';
import type { Tables } from './schema.ts';

/** A connection or a transaction: both run statements. */
export type Db = Kysely<Tables>;

/** Stands in a statement for a value that is bound at each run. */
class Slot {
	readonly name: string;
	/** Its value is a list: see {@link inList}. */
	isList = false;
	constructor(name: string) {
		this.name = name;
	}
}

type Slots<P> = <K extends keyof P & string>(name: K) => P[K];

/** A statement with its values, to be sent with others: see {@link together}. */
export type Call<O> = { query(db: Db): CompiledQuery<O> };

/** A statement compiled once per database and run with new values each time (9.9 against 28 µs, ../shared/performance.md). */
export type Statement<P, O> = {
	all(db: Db, values: P): Promise<O[]>;
	first(db: Db, values: P): Promise<O | undefined>;
	/** How many rows it matched. */
	run(db: Db, values: P): Promise<number>;
	/**
	 * Writes without asking what it matched, inside a transaction only: on MySQL it travels with the next statement or the commit, which
	 * then also reports its failure, so that a transaction costs a few round trips instead of one per statement.
	 */
	later(tx: Db, values: P): Promise<void>;
	/** As `later`, for a conditional update that has to match a row: the transaction ends with {@link StaleRow} when it did not. */
	must(tx: Db, values: P): Promise<void>;
	/** The statement with its values, unsent. */
	of(values: P): Call<O>;
};

/** What a statement text begins with when the connection may keep it for the next packet (see mysql-wire.ts). */
export const LATER = '/*later*/';

/** What a statement did. */
export type Ran<O> = { readonly rows: O[]; readonly numAffectedRows?: bigint | undefined };

/** Runs statements of a connection without Kysely's executor: at once where the driver is synchronous. */
export type Direct = (query: CompiledQuery) => Ran<unknown> | Promise<Ran<unknown>>;
const directs = new WeakMap<Db, Direct>();

/** Makes declared statements of `db` take the short way. */
export const runDirectly = (db: Db, direct: Direct): void => void directs.set(db, direct);

const forgiving = new WeakMap<Db, Db>();

/** Gives `db` a view whose reads may fail: see {@link mayFail}. */
export const forgive = (db: Db, view: Db): void => void forgiving.set(db, view);

/**
 * The view of a transaction for reads that may fail and be done without: what it goes on to write is kept. On MySQL they travel by themselves,
 * since of a packet that fails it is not known which of its statements did. Where several share the transaction it is lost all the same, and
 * each is tried again alone.
 */
export const mayFail = (db: Db): Db => forgiving.get(db) ?? db;

/** Runs a compiled statement the shortest way its connection has. */
export const execute = <O>(db: Db, query: CompiledQuery<O>): Ran<O> | Promise<Ran<O>> => {
	const direct = directs.get(db);
	return direct === undefined ? db.executeQuery(query) : (direct(query) as Ran<O> | Promise<Ran<O>>);
};

/** Fails, and with it the packet before its commit, when the statement before it matched no row. Tested: `do` would only warn. */
const GUARD = CompiledQuery.raw(`${LATER}set @kept = if(row_count() > 0, 0, (select 1 union all select 2))`);

/**
 * Declares a hot statement: `statement<{ id: string }>()((db, value) => db.selectFrom('agent').selectAll().where('id', '=', value('id')))`.
 * A slot cannot be a list, nor a null compared with `=`.
 */
export const statement =
	<P extends object>() =>
	<O>(build: (db: Db, value: Slots<P>, dialect: Dialect) => { compile(): CompiledQuery<O> }): Statement<P, O> => {
		const compiled = new Map<Dialect, CompiledQuery<O>>();
		const deferred = new Map<Dialect, CompiledQuery<O>>();
		const slot: Slots<P> = (name) => new Slot(name) as never;
		const compile = (db: Db): CompiledQuery<O> => {
			const dialect = dialectOf(db);
			let query = compiled.get(dialect);
			if (query === undefined) {
				query = build(db, slot, dialect).compile();
				compiled.set(dialect, query);
				deferred.set(dialect, dialect.defers ? { ...query, sql: `${LATER}${query.sql}` } : query);
			}
			return query;
		};
		const bind = (query: CompiledQuery<O>, values: P, { bindList: list }: Dialect): CompiledQuery<O> => {
			const given = values as Record<string, unknown>;
			const value = (parameter: unknown): unknown => {
				if (!(parameter instanceof Slot)) return parameter;
				return parameter.isList ? list(given[parameter.name] as readonly string[]) : given[parameter.name];
			};
			return { ...query, parameters: query.parameters.map(value) };
		};
		return {
			all: async (db, values) => (await execute(db, bind(compile(db), values, dialectOf(db)))).rows,
			first: async (db, values) => (await execute(db, bind(compile(db), values, dialectOf(db)))).rows[0],
			run: async (db, values) => Number((await execute(db, bind(compile(db), values, dialectOf(db)))).numAffectedRows ?? 0n),
			later: async (tx, values) => {
				const query = compile(tx);
				await execute(tx, bind(deferred.get(dialectOf(tx)) ?? query, values, dialectOf(tx)));
			},
			must: async (tx, values) => {
				const query = compile(tx);
				const ran = execute(tx, bind(deferred.get(dialectOf(tx)) ?? query, values, dialectOf(tx)));
				// In the same turn: nothing of another member of the transaction may come between.
				if (dialectOf(tx).defers) await Promise.all([ran, execute(tx, GUARD)]);
				else if ((await ran).numAffectedRows === 0n) throw new StaleRow();
			},
			of: (values) => ({ query: (db) => bind(compile(db), values, dialectOf(db)) }),
		};
	};

/** A limit as part of the text: bound as a value it would make SQLite plan the statement anew at every run (measured: 57 µs instead of 12). */
export const atMost = (count: number) => sql.lit(count);

/**
 * The pattern of a text that holds another, to stand before `escape '!'`. SQLite would take a NUL for the pattern's end; no stored text has one.
 */
export const holding = (text: string): string => `%${text.replaceAll('\0', '\uFFFD').replace(/[!%_]/g, (sign) => `!${sign}`)}%`;

const listed = ({ list: [open, close] }: Dialect, column: string, values: unknown) =>
	sql<boolean>`${sql.ref(column)} in ${sql.raw(open)}${values}${sql.raw(close)}`;

/** `column in (…)` for a list bound at each run: `where(inList(dialect, 'id', v('ids')))`. */
export const inList = (dialect: Dialect, column: string, ids: ReadonlyArray<string | number>) => {
	const slot: unknown = ids;
	if (slot instanceof Slot) slot.isList = true;
	return listed(dialect, column, slot);
};

/**
 * `column in (…)` for a list that is there when a query is built: on SQLite one text whatever its length. With a text for each length, the
 * prepared statements of one query of the books took 2 MB a minute.
 */
export const among = (db: Db, column: string, values: ReadonlyArray<string | number>) => {
	const dialect = dialectOf(db);
	return listed(dialect, column, dialect.bindList(values));
};

/** What {@link together} answers: the rows of each call, in order. */
export type Rows<C extends ReadonlyArray<Call<unknown>>> = { -readonly [I in keyof C]: C[I] extends Call<infer O> ? O[] : never };

/** Sends several statements in their order, in one packet where the database takes that; answers the rows of each. */
export const together = async <const C extends ReadonlyArray<Call<unknown>>>(db: Db, calls: C): Promise<Rows<C>> => {
	const queries = calls.map((call) => call.query(db));
	if (dialectOf(db).defers && directs.has(db)) {
		return (await Promise.all(queries.map((query) => execute(db, query)))).map(({ rows }) => rows) as Rows<C>;
	}
	if (dialectOf(db).defers && queries.length > 1) {
		const joined = CompiledQuery.raw(
			queries.map((query) => query.sql).join(';'),
			queries.flatMap((query) => query.parameters),
		);
		return (await db.executeQuery(joined)).rows.map((rows) => (Array.isArray(rows) ? rows : [])) as Rows<C>;
	}
	const answers: unknown[][] = [];
	for (const query of queries) answers.push((await execute(db, query)).rows);
	return answers as Rows<C>;
};
