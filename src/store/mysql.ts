import { CompiledQuery, Kysely, MysqlDialect, type MysqlPool, type MysqlPoolConnection, sql } from 'kysely';
import { createPool, type Pool, type PoolConnection } from 'mysql2';
import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import { mysql } from './dialect.ts';
import { asUnavailable, databaseUnavailable, isOutage, type OpenOptions, type Store } from './open.ts';
import type { Tables } from './schema.ts';
import { type Db, LATER, type Rows, together } from './statement.ts';

/** How long a request waits for a connection before it is told 503 (D-44: bounded, never for ever, never at once). */
const ACQUIRE_MS = 5_000;
/** A statement that takes longer has lost its server. */
const STATEMENT_MS = 20_000;
/** Building an index on a large table takes its time, and so may a new column. */
const DDL_MS = 3_600_000;
const DDL = /^(create|alter) /i;
const ATTEMPTS = 4;
/** Connections that only notices use: opened when the first comes. */
const URGENT = 3;
/** Sent on every new connection before its first statement. */
const SESSION = [
	'set session transaction isolation level read committed',
	"set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', session innodb_lock_wait_timeout = 10",
];

const parse = (url: string): { host: string; port: number; user: string; password: string; database: string } => {
	try {
		const parsed = new URL(url);
		const database = decodeURIComponent(parsed.pathname.slice(1));
		if (database === '' || parsed.hostname === '') throw new Error('no database name');
		return {
			host: parsed.hostname.replace(/^\[|\]$/g, ''),
			port: parsed.port === '' ? 3306 : Number(parsed.port),
			user: decodeURIComponent(parsed.username) || 'root',
			password: decodeURIComponent(parsed.password),
			database,
		};
	} catch (error) {
		throw new SpotError('invalid', 'CONFIG_INVALID', 'the database URL is not mysql://user:password@host:port/name', {
			hint: 'percent-encode special characters of the password',
			cause: error,
		});
	}
};

/** Kysely's view of the pool: a bounded wait for a connection and a bounded time for a statement. */
const bounded = (pool: Pool, clock: Clock, watch: ((sql: string) => void) | undefined): MysqlPool => ({
	getConnection: (callback) => {
		let waiting = true;
		const cancel = clock.after(ACQUIRE_MS, () => {
			waiting = false;
			callback(databaseUnavailable(new Error('no free connection')), undefined as never);
		});
		pool.getConnection((error, connection) => {
			if (!waiting) {
				connection?.release();
				return;
			}
			waiting = false;
			cancel();
			if (error) callback(error, undefined as never);
			else callback(null, limited(connection, watch));
		});
	},
	end: (callback) => pool.end((error) => callback(error)),
});

const COMMIT = CompiledQuery.raw('commit');

const OK = { insertId: 0, affectedRows: 0 };

/**
 * A connection that keeps what can wait: `start transaction` and statements marked {@link LATER} travel with the next one that is asked
 * for its result, in one packet. A round trip costs more than a statement here (measured: 52 µs for the write alone). Values are
 * always escaped by mysql2, never spliced; the packet is the only place where two statements meet.
 */
const limited = (connection: PoolConnection, watch: ((sql: string) => void) | undefined): MysqlPoolConnection => {
	let waiting: string[] = [];
	const send = (text: string, values: unknown[], callback: (error: unknown, rows: unknown) => void) => {
		const before = waiting;
		waiting = [];
		const packet = before.length === 0 ? text : `${before.join(';')};${values.length === 0 ? text : connection.format(text, values)}`;
		return connection.query(
			{ sql: packet, timeout: DDL.test(text) ? DDL_MS : STATEMENT_MS, ...(before.length === 0 ? { values } : {}) },
			(error, result) => {
				// mysql2 leaves a timed-out connection as it is; what it answers later would belong to somebody else's question.
				if (error?.code === 'PROTOCOL_SEQUENCE_TIMEOUT') connection.destroy();
				if (error || before.length === 0) callback(error, result);
				else {
					const rest = (result as unknown as unknown[]).slice(before.length);
					callback(null, rest.length === 1 ? rest[0] : rest);
				}
			},
		);
	};
	return {
		query: ((text: string, values: unknown[], callback?: (error: unknown, rows: unknown) => void) => {
			watch?.(text);
			const done = callback ?? (() => undefined);
			if (text.startsWith(LATER) || text === 'start transaction') {
				waiting.push(values.length === 0 ? text : connection.format(text.slice(text.startsWith(LATER) ? LATER.length : 0), values));
				done(null, OK);
				return undefined;
			}
			if (text === 'rollback') waiting = [];
			return send(text, values, done);
		}) as MysqlPoolConnection['query'],
		release: () => {
			// Nothing may be left: whatever ends a transaction sends it, or throws it away with a rollback.
			if (waiting.length > 0) connection.destroy();
			else connection.release();
		},
	};
};

/** Opens a MySQL 8.0.19+ or MariaDB 10.6+ database through a pool, READ COMMITTED (../shared/style/guide.md section 6). */
export const openMysql = async (options: OpenOptions): Promise<Store> => {
	const address = parse(options.url);
	const open = (size: number, settings: readonly string[]): Pool => {
		const pool = createPool({
			...address,
			connectionLimit: size,
			maxIdle: size,
			connectTimeout: ACQUIRE_MS,
			charset: 'utf8mb4',
			timezone: 'Z',
			supportBigNumbers: true,
			enableKeepAlive: true,
			multipleStatements: true,
			stringifyObjects: true,
		});
		pool.on('connection', (connection) => {
			for (const setting of settings) connection.query(setting, () => undefined);
			connection.on('error', () => undefined);
		});
		return pool;
	};
	const speak = (pool: Pool): Db =>
		new Kysely<Tables>({ dialect: new MysqlDialect({ pool: bounded(pool, options.clock, options.watch) }) });
	// A migration holds one connection for its lock and works on another.
	const pool = open(Math.max(2, options.poolSize), SESSION);
	const db = speak(pool);
	const urgentDb = speak(open(URGENT, [...SESSION, 'set session innodb_lock_wait_timeout = 2']));

	let failing = false;

	/** One transaction from its start; `work` ends it, and whatever it throws undoes it. A busy database repeats it. */
	const begin = async <T>(on: Db, work: (tx: Db) => Promise<T>): Promise<T> => {
		for (let attempt = 1; ; attempt++) {
			try {
				const value = await on.connection().execute(async (tx) => {
					await sql`start transaction`.execute(tx);
					try {
						return await work(tx);
					} catch (error) {
						await sql`rollback`.execute(tx).catch(() => undefined);
						throw error;
					}
				});
				failing = false;
				return value;
			} catch (error) {
				if (isOutage(mysql, error)) failing = true;
				if (!mysql.isBusy(error) || attempt >= ATTEMPTS) throw asUnavailable(mysql, error);
				await options.clock.sleep(attempt * 5);
			}
		}
	};

	return {
		dialect: mysql,
		read: db,
		ddl: db,
		transact: (work, lane = 'routine') =>
			begin(lane === 'urgent' ? urgentDb : db, async (tx) => {
				const value = await work(tx);
				await tx.executeQuery(COMMIT);
				return value;
			}),
		transactTogether: (calls) =>
			begin(db, async (tx) => (await together(tx, [...calls, { query: () => COMMIT }])).slice(0, -1) as Rows<typeof calls>),
		leaseNow: () => options.leaseClock?.now() ?? null,
		ping: async () => {
			try {
				await sql`select 1`.execute(db);
			} catch (error) {
				throw databaseUnavailable(error);
			}
		},
		writes: () => (failing ? 'failing' : 'ok'),
		patiently: (work) => work(() => undefined),
		connections: () => {
			const inner = pool as unknown as { _freeConnections?: { length: number } };
			return { idle: inner._freeConnections?.length ?? 0, size: options.poolSize };
		},
		close: async () => {
			await Promise.all([db.destroy(), urgentDb.destroy()]);
		},
	};
};
