import { type Kysely, type RawBuilder, SqliteAdapter, sql } from 'kysely';
import type { Tables } from './schema.ts';

/** A conditional update matched nothing: the rows it was made from are out of date. Whoever began the transaction may begin it again. */
export class StaleRow extends Error {}

/** Why a database that is there lets nobody in: who logs in, what they may, what it holds, or another process. */
export type Refusal = 'login' | 'access' | 'no database' | 'locked';

/** What differs between the databases, one value each; nothing outside this file asks which one it is. */
export type Dialect = {
	readonly name: 'sqlite' | 'mysql';
	/** `on conflict (…) do update set` or its like, to stand before assignments. */
	onConflict(keys: readonly string[]): RawBuilder<unknown>;
	/** The value the refused row of an upsert carried for a column. */
	incoming(column: string): RawBuilder<never>;
	/** The larger of two values. */
	greatest(a: RawBuilder<unknown>, b: RawBuilder<unknown>): RawBuilder<number>;
	/** The smaller of two values. */
	least(a: RawBuilder<unknown>, b: RawBuilder<unknown>): RawBuilder<number>;
	/** The whole part of a quotient of integers that are not negative. */
	wholes(a: RawBuilder<unknown>, b: RawBuilder<unknown>): RawBuilder<number>;
	/**
	 * The name of a table in a query, read through one of its indexes. MariaDB takes an equality on the first part of an index for all there is
	 * to it, and walks from the newest row down to a page's cursor (12,000 rows for a page of 1,000); told which index to use, it begins at the
	 * cursor.
	 */
	through(alias: string, index: string): RawBuilder<unknown>;
	/** Text to stand at the end of a select that is about to be changed: a row lock, or nothing where there is one writer. */
	readonly forUpdate: RawBuilder<unknown>;
	/** Where the rows of an insert come from when one parameter holds them all, so that its text is the same for any number. */
	readonly manyRows: { from(columns: number): string; bind(rows: ReadonlyArray<readonly unknown[]>): unknown };
	/** A name that may be a word of the language. */
	quote(name: string): string;
	/** What stands around one parameter that holds a list, and how the list is bound to it. */
	readonly list: readonly [string, string];
	bindList(values: ReadonlyArray<string | number>): unknown;
	/** The database's own clock, UTC milliseconds as `Store.leaseNow` counts them; null where it has none and the time is always bound. */
	readonly databaseNow: RawBuilder<number | null>;
	/** Whether statements can wait for the next packet, and several travel in one. */
	readonly defers: boolean;
	/** A conditional update that had to match a row matched none (see `must` in statement.ts). */
	isStale(error: unknown): boolean;
	/** A unique key refused the row. */
	isDuplicate(error: unknown): boolean;
	/** A foreign key refused the row: what it belongs to was deleted meanwhile. */
	isOrphan(error: unknown): boolean;
	/** Deadlock, lock wait or busy: the whole transaction may be repeated. */
	isBusy(error: unknown): boolean;
	/** The database cannot be reached or cannot write at all: 503, never 404. */
	isUnavailable(error: unknown): boolean;
	/** What whoever configures the database can do something about; null for every other error. */
	refusalOf(error: unknown): Refusal | null;
};

type WithCode = { code?: unknown; errno?: unknown; fatal?: unknown };
const codeOf = (error: unknown): string => (typeof error === 'object' && error !== null ? String((error as WithCode).code ?? '') : '');
const numberOf = (error: unknown): number => (typeof error === 'object' && error !== null ? Number((error as WithCode).errno ?? 0) : 0);

export const sqlite: Dialect = {
	name: 'sqlite',
	onConflict: (keys) => sql`on conflict (${sql.join(keys.map((key) => sql.ref(key)))}) do update set`,
	incoming: (column) => sql`excluded.${sql.ref(column)}`,
	greatest: (a, b) => sql<number>`max(${a}, ${b})`,
	least: (a, b) => sql<number>`min(${a}, ${b})`,
	wholes: (a, b) => sql<number>`((${a}) / (${b}))`,
	through: (alias) => sql`${sql.ref(alias)}`,
	forUpdate: sql``,
	manyRows: {
		// `where true`: without it the parser takes the `on` of an upsert for a join.
		from: (columns) => `select ${Array.from({ length: columns }, (_, index) => `value->>${index}`).join(',')} from json_each(?) where true`,
		bind: (rows) => JSON.stringify(rows),
	},
	quote: (name) => `"${name}"`,
	list: ['(select value from json_each(', '))'],
	bindList: (values) => JSON.stringify(values),
	databaseNow: sql`null`,
	defers: false,
	isStale: (error) => error instanceof StaleRow,
	isDuplicate: (error) => ['SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY'].includes(codeOf(error)),
	isOrphan: (error) => codeOf(error) === 'SQLITE_CONSTRAINT_FOREIGNKEY',
	isBusy: (error) => codeOf(error).startsWith('SQLITE_BUSY') || codeOf(error) === 'SQLITE_LOCKED',
	isUnavailable: (error) =>
		/^SQLITE_(CANTOPEN|IOERR|FULL|READONLY|CORRUPT|NOTADB|PERM|PROTOCOL)/.test(codeOf(error)) ||
		(error instanceof TypeError && error.message === 'The database connection is not open'),
	refusalOf: (error) => (sqlite.isBusy(error) ? 'locked' : null),
};

/** ER_CON_COUNT_ERROR, shutdown, access lost, read only, disk full: states of the server, not of the statement. */
const SERVER_STATES = new Set([
	1021, 1030, 1040, 1041, 1044, 1045, 1049, 1053, 1077, 1129, 1130, 1152, 1158, 1159, 1160, 1161, 1203, 1226, 1290, 1836, 1927,
]);

/** Access denied to a database, to a user with and without a password; unknown database; a command on a table is denied. */
const REFUSALS: ReadonlyMap<number, Refusal> = new Map([
	[1044, 'access'],
	[1045, 'login'],
	[1698, 'login'],
	[1049, 'no database'],
	[1142, 'access'],
]);

export const mysql: Dialect = {
	name: 'mysql',
	onConflict: () => sql`on duplicate key update`,
	incoming: (column) => sql`values(${sql.ref(column)})`,
	greatest: (a, b) => sql<number>`greatest(${a}, ${b})`,
	least: (a, b) => sql<number>`least(${a}, ${b})`,
	wholes: (a, b) => sql<number>`((${a}) div (${b}))`,
	through: (alias, index) => sql`${sql.ref(alias)} force index (${sql.ref(index)})`,
	forUpdate: sql`for update`,
	manyRows: { from: () => 'values ?', bind: (rows) => rows },
	quote: (name) => `\`${name}\``,
	list: ['(', ')'],
	// An empty list is no syntax here: it holds what no key is.
	bindList: (values) => (values.length === 0 ? [''] : values),
	// Not unix_timestamp(now()): in the hour that a zone's winter repeats, it is an hour behind.
	databaseNow: sql`timestampdiff(microsecond, '1970-01-01', utc_timestamp(3)) div 1000`,
	defers: true,
	// Subquery returns more than one row: the guard of `must`.
	isStale: (error) => error instanceof StaleRow || numberOf(error) === 1242,
	isDuplicate: (error) => numberOf(error) === 1062 || numberOf(error) === 1586,
	isOrphan: (error) => numberOf(error) === 1452,
	isBusy: (error) => [1205, 1213, 1020].includes(numberOf(error)),
	isUnavailable: (error) =>
		SERVER_STATES.has(numberOf(error)) ||
		/^(ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENOENT|EACCES|PROTOCOL_|POOL_CLOSED)/.test(codeOf(error)) ||
		(typeof error === 'object' && error !== null && (error as WithCode).fatal === true),
	refusalOf: (error) => REFUSALS.get(numberOf(error)) ?? null,
};

/** The dialect a connection speaks. */
export const dialectOf = (db: Kysely<Tables>): Dialect => (db.getExecutor().adapter instanceof SqliteAdapter ? sqlite : mysql);
