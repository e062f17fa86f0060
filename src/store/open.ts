import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import type { Dialect } from './dialect.ts';
import type { Call, Db, Rows } from './statement.ts';

/**
 * How a transaction goes: `urgent` ones before all that wait, on MySQL over connections of their own, so that a notice never waits behind
 * routine traffic; `large` ones, which change more rows than memory should hold, on SQLite by themselves, with what undoes them in a file.
 */
export type Lane = 'routine' | 'urgent' | 'large';

/** The database as the rest of the program sees it. */
export type Store = {
	readonly dialect: Dialect;
	/** For reading what is committed; never for writing. */
	readonly read: Db;
	/** For migrations only: statements run outside any transaction of ours. */
	readonly ddl: Db;
	/**
	 * Runs `work` in one transaction and resolves after it is durable. A busy database (deadlock, lock wait) repeats it, at most
	 * three times, so `work` must have no effect but its statements. SQLite gathers waiting transactions into one commit, each
	 * behind a savepoint of its own (../shared/performance.md, group commit); while another process has locked the file they wait 5 s in
	 * all without holding up anything else, then are refused with 503, and so at once is whoever comes later until it is free.
	 */
	transact<T>(work: (tx: Db) => Promise<T>, lane?: Lane): Promise<T>;
	/**
	 * One transaction of several callers, side by side, each with a view of its own, so that what they ask for travels together; `last` is the
	 * end of it, told what each answered. Null for whoever failed before it wrote anything: the others go on without it. Rejects when the
	 * transaction as a whole was lost, or when two members met: each can be tried again by itself. Null where transactions are gathered
	 * anyway (SQLite).
	 */
	readonly transactShared:
		| (<T>(
				works: ReadonlyArray<(tx: Db) => Promise<T>>,
				last: (tx: Db, done: ReadonlyArray<{ readonly value: T } | null>) => Promise<void>,
		  ) => Promise<ReadonlyArray<{ readonly value: T } | null>>)
		| null;
	/** As {@link Store.transact}, for statements of which none waits for another's result: one round trip on MySQL. */
	transactTogether<const C extends ReadonlyArray<Call<unknown>>>(calls: C): Promise<Rows<C>>;
	/** The time that leases are compared with; null: the clock of the database itself, which all its daemons share. */
	leaseNow(): number | null;
	/** Throws 503 DATABASE_UNAVAILABLE when the database does not answer. */
	ping(): Promise<void>;
	/**
	 * How writing went last: `locked` while another process has a SQLite file to itself, `failing` when the last transaction could not be
	 * written for a reason of the database's. Asks nobody.
	 */
	writes(): 'ok' | 'locked' | 'failing';
	/**
	 * Runs work that is safe to repeat again while another process has the SQLite file locked, no longer than a transaction would wait:
	 * counted from the first refusal, and anew from the next one after the work called `moved`.
	 */
	patiently<T>(work: (moved: () => void) => Promise<T>): Promise<T>;
	/** Idle and allowed connections, for the page that shows them. */
	connections(): { idle: number; size: number };
	close(): Promise<void>;
};

/** Counts statements per kind of use; tests assert the number a request takes. */
export type StatementWatch = (sql: string) => void;

export type OpenOptions = {
	readonly url: string;
	readonly poolSize: number;
	readonly clock: Clock;
	readonly watch?: StatementWatch;
	/** Hears of what works without being well, in a sentence for the log. */
	readonly tell?: (trouble: string) => void;
	/** Stands in for the database's clock in tests. */
	readonly leaseClock?: Pick<Clock, 'now'>;
};

/** What a database error means to a caller: 503 when it cannot be reached, itself otherwise. */
export const asUnavailable = (dialect: Dialect, error: unknown): unknown =>
	error instanceof SpotError || !(dialect.isUnavailable(error) || dialect.isBusy(error)) ? error : databaseUnavailable(error);

/** 503 with Retry-After; the driver's own text stays in the log (D-49). */
export const databaseUnavailable = (cause?: unknown): SpotError =>
	new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer', {
		hint: 'try again in a few seconds; see: spotctl health',
		extras: { retry_after_seconds: 2 },
		cause,
	});

/** 503 with Retry-After: a SQLite file that another process writes to. */
export const databaseLocked = (cause?: unknown): SpotError =>
	new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'another process has locked the database', {
		hint: 'try again in a few seconds; GET /readyz says whether it is free',
		extras: { retry_after_seconds: 2 },
		cause,
	});

/** Throws 503 when the database as a whole is out: whoever failed with one row then need not try the others. */
export const checkServing = async (store: Store): Promise<void> => {
	await store.ping();
	if (store.writes() === 'locked') throw databaseLocked();
};

/** Whether an error of {@link Store.transact} means that the database is out: neither that this work was wrong, nor that its rows were locked. */
export const isOutage = (dialect: Dialect, error: unknown): boolean => {
	if (!(error instanceof SpotError)) return dialect.isUnavailable(error);
	return error.code === 'DATABASE_UNAVAILABLE' && (!dialect.isBusy(error.cause) || dialect.refusalOf(error.cause) === 'locked');
};

/** Opens `sqlite:/path/file.db` or `mysql://user:password@host:port/name`. Errors: CONFIG_INVALID, DATABASE_UNAVAILABLE. */
export const openStore = async (options: OpenOptions): Promise<Store> => {
	if (options.url.startsWith('sqlite:')) return (await import('./sqlite.ts')).openSqlite(options);
	if (options.url.startsWith('mysql:')) return (await import('./mysql.ts')).openMysql(options);
	throw new SpotError('invalid', 'CONFIG_INVALID', `no such kind of database: "${options.url.split(':')[0] ?? ''}:"`, {
		hint: 'use sqlite:/path/file.db or mysql://user:password@host:port/name',
	});
};
