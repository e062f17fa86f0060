import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import { gather, turn } from '../turns.ts';
import { sqlite } from './dialect.ts';
import { asUnavailable, databaseLocked, databaseUnavailable, type Lane, type OpenOptions, type Store } from './open.ts';
import type { Tables } from './schema.ts';
import { createCheckpoints, OWN_PAGES } from './sqlite-checkpoints.ts';
import { type Db, runDirectly, together } from './statement.ts';

/** How many transactions may share one commit; bounds what a crash can undo before anybody was answered. */
const GROUP = 256;
/** How long work waits for a file that another process has locked; for longer, whoever comes is refused at once. */
const LOCK_MS = 5_000;
/** How often it looks meanwhile, after a few looks in quick succession. */
const LOOK_MS = 50;
/** A lock this old is worth a word. */
const LONG_LOCK_MS = 1_000;
/** Readers meet a lock only where another process repairs or closes the file. */
const READER_BUSY_MS = 100;

type Waiting = { readonly isUrgent: boolean; readonly isLarge: boolean; run: () => Promise<void>; settle: (failure: unknown) => void };

/** The file a SQLite URL names, absolute. */
export const sqliteFile = (url: string): string => {
	const path = decodeURIComponent(url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, ''));
	if (path === '' || path.includes('\0') || path === ':memory:') {
		throw new SpotError('invalid', 'CONFIG_INVALID', `"${url}" names no file`, { hint: 'use sqlite:/path/file.db' });
	}
	return resolve(path);
};

type Row = Record<string, unknown>;

/** What Kysely's driver asks of a statement. */
type Prepared = Pick<Database.Statement<unknown[]>, 'reader' | 'run' | 'iterate'> & { all(parameters: readonly unknown[]): Row[] };

/** Makes rows of the values of these columns; of two with one name the last counts. */
const rowMaker = (columns: readonly string[]): ((values: readonly unknown[]) => Row) =>
	new Function('v', `return {${columns.map((name, index) => `${keyText(name)}:v[${index}]`).join(',')}}`) as never;

const keyText = (name: string): string => (name === '__proto__' ? '["__proto__"]' : JSON.stringify(name));

/**
 * A statement whose rows are made here: better-sqlite3 sets each key of each row by its name (1,000 rows of 40 columns: 15 ms; from their
 * values by a function of these columns: 4.5).
 */
const withRows = (statement: Database.Statement<unknown[]>): Prepared => {
	if (!statement.reader) return statement as unknown as Prepared;
	statement.raw(true);
	let columns: readonly string[] = [];
	let make = rowMaker(columns);
	const rowOf = (values: readonly unknown[]): Row => {
		// Asked once it has run: before, a connection does not know what another one did to the table. Later only their number is looked at:
		// another process may add a column while a daemon runs, but no release renames one.
		if (values.length !== columns.length) {
			columns = statement.columns().map(({ name }) => name);
			make = rowMaker(columns);
		}
		return make(values);
	};
	return {
		reader: true,
		run: (...parameters) => statement.run(...parameters),
		all: (parameters) => (statement.all(parameters) as unknown[][]).map(rowOf),
		*iterate(...parameters) {
			for (const values of statement.iterate(...parameters)) yield rowOf(values as unknown[]);
		},
	};
};

const DDL = /^\s*(create|alter|drop) /i;

/** better-sqlite3 prepares on every call through Kysely; this keeps the statement of each text until a connection of `schema` changes a table. */
const withStatementCache = (database: Database.Database, schema: { changes: number }, watch: ((sql: string) => void) | undefined) => {
	const known = new Map<string, Prepared>();
	let seen = schema.changes;
	return {
		close: () => database.close(),
		prepare: (text: string): Prepared => {
			watch?.(text);
			if (DDL.test(text)) schema.changes++;
			if (seen !== schema.changes) known.clear();
			seen = schema.changes;
			let prepared = known.get(text);
			if (prepared === undefined) {
				prepared = withRows(database.prepare(text));
				if (known.size >= 500) known.delete(known.keys().next().value ?? '');
				known.set(text, prepared);
			}
			return prepared;
		},
	};
};

/** Kysely on a connection, its declared statements without a wait: 63 of them make a switch, and nothing else runs meanwhile. */
const speak = (database: ReturnType<typeof withStatementCache>): Db => {
	const db: Db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: database as SqliteDatabase }) });
	runDirectly(db, ({ sql, parameters }) => {
		const prepared = database.prepare(sql);
		if (prepared.reader) return { rows: prepared.all(parameters as unknown[]) };
		return { rows: [], numAffectedRows: BigInt(prepared.run(parameters as unknown[]).changes) };
	});
	return db;
};

class NoWal extends Error {}

/** SQLite keeps its old mode, without an error, where processes cannot share memory: on most network file systems. */
const checkWal = (mode: unknown): void => {
	if (mode === 'wal') return;
	throw new NoWal(`its file system has no shared memory, which spotctl needs (journal mode "${mode}" instead of "wal")`);
};

const connect = (file: string, readonly: boolean): Database.Database => {
	// SQLite waits in the thread that serves everybody, so its own wait is none for the writer: it waits in `beginLater`.
	const database = new Database(file, { readonly, fileMustExist: readonly, timeout: readonly ? READER_BUSY_MS : 0 });
	try {
		if (!readonly) {
			checkWal(database.pragma('journal_mode = WAL', { simple: true }));
			database.pragma('synchronous = FULL');
			database.pragma(`wal_autocheckpoint = ${OWN_PAGES}`);
		}
		database.pragma('foreign_keys = ON');
		// Beside it the system keeps the file, so a page costs a copy and no disk. A larger cache fills slowly, between buffers that come and
		// go, and so the C heap grew for minutes: 16 MB were 20 MB more of the daemon's memory at full load, 4 MB still 1.6 MB more each minute
		// after five; no read or switch was faster. Half a MB made switches a fifth slower.
		database.pragma('cache_size = -1000');
		return database;
	} catch (error) {
		database.close();
		throw error;
	}
};

/**
 * Runs work that is safe to repeat, again while the file is locked, for LOCK_MS after `since` (a reading of `clock.elapsed`; null: the
 * first refusal, or the first one after the work called `moved`). Errors: those of the last run.
 */
const patiently = async <T>(clock: Clock, since: number | null, work: (moved: () => void) => T | Promise<T>): Promise<T> => {
	let refusedAt = since;
	let pause = 1;
	const moved = (): void => {
		refusedAt = null;
		pause = 1;
	};
	for (;;) {
		try {
			return await work(moved);
		} catch (error) {
			refusedAt ??= clock.elapsed();
			if (!sqlite.isBusy(error) || clock.elapsed() >= refusedAt + LOCK_MS) throw error;
			await clock.sleep(pause);
			pause = Math.min(2 * pause, LOOK_MS);
		}
	}
};

/** Opens (and creates, mode 0600) a SQLite file: one writing connection with synchronous FULL, one for reading. */
export const openSqlite = async (options: OpenOptions): Promise<Store> => {
	const file = sqliteFile(options.url);
	const { clock } = options;
	const { writer, reader, descriptor } = await openBoth(file, clock);
	const schema = { changes: 0 };
	const write = speak(withStatementCache(writer, schema, options.watch));
	const read = speak(withStatementCache(reader, schema, options.watch));

	const begin = writer.prepare('BEGIN IMMEDIATE');
	const commit = writer.prepare('COMMIT');
	const rollback = writer.prepare('ROLLBACK');
	const savepoint = writer.prepare('SAVEPOINT request');
	const release = writer.prepare('RELEASE request');
	const undo = writer.prepare('ROLLBACK TO request');

	const checkpoints = createCheckpoints(writer, file, descriptor, options);
	const queue: Waiting[] = [];
	let draining: Promise<void> | null = null;
	let closed = false;
	/** Since when another process has the file, by `clock.elapsed`; null when the last transaction could begin. */
	let lockedAt: number | null = null;
	let spoiled = false;
	let failing = false;
	let undoIn: 'FILE' | 'MEMORY' = 'FILE';

	/** Begins when the file is free: LOCK_MS after the lock was met first, looks only once. */
	const beginLater = async (refused: unknown): Promise<void> => {
		try {
			if (!sqlite.isBusy(refused)) throw refused;
			lockedAt ??= clock.elapsed();
			await patiently(clock, lockedAt, () => begin.run());
		} catch (error) {
			if (sqlite.isBusy(error)) throw databaseLocked(error);
			lockedAt = null;
			throw error;
		}
	};

	/**
	 * What undoes a statement or a savepoint is kept in memory, where each request of a group would write its pages to a file that nobody
	 * reads (10 % of a switch), but in a file where it may be large: the deletion of a client with a million rows took 400 MB. Migrations,
	 * which come before every transaction, find SQLite's default, a file.
	 */
	const keepUndo = (where: 'FILE' | 'MEMORY'): void => {
		if (where !== undoIn) writer.pragma(`temp_store = ${where}`);
		undoIn = where;
	};

	const commitGroup = async (): Promise<void> => {
		const answered: Waiting[] = [];
		let failure: unknown = null;
		spoiled = false;
		try {
			keepUndo(queue[0]?.isLarge === true ? 'FILE' : 'MEMORY');
			try {
				begin.run();
			} catch (error) {
				await beginLater(error);
			}
			lockedAt = null;
			while (answered.length < GROUP) {
				const [next] = queue;
				if (next === undefined || (next.isLarge && answered.length > 0)) break;
				queue.shift();
				answered.push(next);
				await next.run();
				if (next.isLarge) break;
			}
			commit.run();
			checkpoints.committed();
		} catch (error) {
			failure = asUnavailable(sqlite, error);
			if (writer.inTransaction) rollback.run();
			// BEGIN itself was refused: nobody was served yet, and whoever waits must hear of it rather than wait for ever.
			if (answered.length === 0) for (const each of queue.splice(0)) answered.push(each);
		}
		failing = spoiled || failure !== null;
		for (const each of answered) each.settle(failure);
	};

	const drain = async (): Promise<void> => {
		try {
			// Whoever is urgent has waited for his like already: one turn, for what begins with him.
			await gather(clock, GROUP, () => (queue[0]?.isUrgent === true ? GROUP : queue.length));
			await turn();
			while (queue.length > 0) await commitGroup();
		} finally {
			// In the same turn as the last look at the queue: whoever comes later must begin a drain of his own, or he waits for ever.
			draining = null;
		}
	};

	const transact = <T>(work: (tx: Db) => Promise<T>, lane: Lane = 'routine'): Promise<T> =>
		new Promise<T>((accept, reject) => {
			if (closed) {
				reject(databaseUnavailable());
				return;
			}
			let outcome: { value: T } | { error: unknown };
			const waiting: Waiting = {
				isUrgent: lane === 'urgent',
				isLarge: lane === 'large',
				run: async () => {
					savepoint.run();
					try {
						outcome = { value: await work(write) };
					} catch (error) {
						// On a full disk SQLite may end the whole transaction by itself: then all of the group failed, and for this reason.
						if (!writer.inTransaction) throw error;
						undo.run();
						outcome = { error };
						spoiled ||= sqlite.isUnavailable(error);
					}
					release.run();
				},
				settle: (failure) => {
					if (failure !== null) reject(failure);
					else if ('error' in outcome) reject(asUnavailable(sqlite, outcome.error));
					else accept(outcome.value);
				},
			};
			if (lane === 'urgent') queue.unshift(waiting);
			else queue.push(waiting);
			draining ??= drain();
		});

	return {
		dialect: sqlite,
		read,
		ddl: write,
		transact,
		transactShared: null,
		transactTogether: (calls) => transact((tx) => together(tx, calls)),
		leaseNow: () => (options.leaseClock ?? options.clock).now(),
		ping: async () => {
			try {
				reader.prepare('select 1').get();
			} catch (error) {
				throw databaseUnavailable(error);
			}
		},
		writes: () => {
			if (lockedAt !== null && clock.elapsed() - lockedAt >= LONG_LOCK_MS) return 'locked';
			return failing ? 'failing' : 'ok';
		},
		patiently: (work) => patiently(clock, null, work),
		connections: () => ({ idle: draining === null ? 2 : 1, size: 2 }),
		close: async () => {
			closed = true;
			while (draining !== null) await draining;
			await checkpoints.close();
			await read.destroy();
			if (writer.open) writer.pragma('wal_checkpoint(TRUNCATE)');
			await write.destroy();
			closeSync(descriptor);
		},
	};
};

type Both = { readonly writer: Database.Database; readonly reader: Database.Database; readonly descriptor: number };

/**
 * Both connections, and a descriptor of the file, opened before and to be closed after them: with any descriptor of a file that a process
 * closes, the operating system drops all its locks on that file (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
const openBoth = async (file: string, clock: Clock): Promise<Both> => {
	let descriptor: number | null = null;
	try {
		mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
		const opened = openSync(file, 'a', 0o600);
		descriptor = opened;
		return await patiently(clock, null, () => {
			const writer = connect(file, false);
			try {
				return { writer, reader: connect(file, true), descriptor: opened };
			} catch (error) {
				writer.close();
				throw error;
			}
		});
	} catch (error) {
		if (descriptor !== null) closeSync(descriptor);
		const locked = sqlite.isBusy(error);
		const hint =
			error instanceof NoWal
				? 'put it on a disk of this machine: --database sqlite:/path/file.db'
				: 'check the path and its rights, or pass --database sqlite:/path/file.db';
		throw new SpotError(
			'unavailable',
			'DATABASE_UNAVAILABLE',
			`cannot open the database file "${file}": ${locked ? 'another process has locked it' : reason(error)}`,
			{
				hint: locked ? `see who has it open: fuser -v "${file}"` : hint,
				cause: error,
			},
		);
	}
};

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Holds a SQLite file for one daemon (design.md, decided 15): an exclusive lock on `<file>.daemon`, taken by SQLite itself so that the
 * operating system drops it with the process, however that ends. Returns what lets go. Errors: 409 DATABASE_IN_USE.
 */
export const holdForDaemon = (url: string): (() => void) => {
	if (!url.startsWith('sqlite:')) return () => undefined;
	const file = sqliteFile(url);
	mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
	const lock = new Database(`${file}.daemon`);
	try {
		lock.pragma('busy_timeout = 200');
		lock.pragma('locking_mode = EXCLUSIVE');
		lock.exec('BEGIN EXCLUSIVE');
	} catch (error) {
		lock.close();
		throw new SpotError('conflict', 'DATABASE_IN_USE', `another spotctl daemon is using "${file}"`, {
			hint: 'stop it first, or give this one its own: spotctl serve --database sqlite:/other/file.db',
			cause: error,
		});
	}
	return () => {
		lock.close();
	};
};
