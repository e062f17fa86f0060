import { CompiledQuery, type Kysely } from 'kysely';
import { type Dialect, dialectOf } from './dialect.ts';
import type { Tables } from './schema.ts';

/** A connection or a transaction: both run statements. */
export type Db = Kysely<Tables>;

/** Stands in a statement for a value that is bound at each run. */
class Slot {
	readonly name: string;
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
	/** The statement with its values, unsent. */
	of(values: P): Call<O>;
};

/** What a statement text begins with when the connection may keep it for the next packet (see mysql.ts). */
export const LATER = '/*later*/';

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
		const bind = (query: CompiledQuery<O>, values: P): CompiledQuery<O> => {
			const given = values as Record<string, unknown>;
			return { ...query, parameters: query.parameters.map((parameter) => (parameter instanceof Slot ? given[parameter.name] : parameter)) };
		};
		return {
			all: async (db, values) => (await db.executeQuery(bind(compile(db), values))).rows,
			first: async (db, values) => (await db.executeQuery(bind(compile(db), values))).rows[0],
			run: async (db, values) => Number((await db.executeQuery(bind(compile(db), values))).numAffectedRows ?? 0n),
			later: async (tx, values) => {
				const query = compile(tx);
				await tx.executeQuery(bind(deferred.get(dialectOf(tx)) ?? query, values));
			},
			of: (values) => ({ query: (db) => bind(compile(db), values) }),
		};
	};

/** What {@link together} answers: the rows of each call, in order. */
export type Rows<C extends ReadonlyArray<Call<unknown>>> = { -readonly [I in keyof C]: C[I] extends Call<infer O> ? O[] : never };

/** Sends several statements in their order, in one packet where the database takes that; answers the rows of each. */
export const together = async <const C extends ReadonlyArray<Call<unknown>>>(db: Db, calls: C): Promise<Rows<C>> => {
	const queries = calls.map((call) => call.query(db));
	if (dialectOf(db).defers && queries.length > 1) {
		const joined = CompiledQuery.raw(
			queries.map((query) => query.sql).join(';'),
			queries.flatMap((query) => query.parameters),
		);
		return (await db.executeQuery(joined)).rows.map((rows) => (Array.isArray(rows) ? rows : [])) as Rows<C>;
	}
	const answers: unknown[][] = [];
	for (const query of queries) answers.push((await db.executeQuery(query)).rows);
	return answers as Rows<C>;
};
