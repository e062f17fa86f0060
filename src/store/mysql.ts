import { promisify } from 'node:util';
import { Kysely, MysqlDialect, type MysqlPool, type MysqlPoolConnection, sql } from 'kysely';
import { createPool, type Pool, type PoolConnection } from 'mysql2';
import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import { createFlights } from '../flights.ts';
import { mysql } from './dialect.ts';
import { openWire, STATEMENT_MS, type Wire } from './mysql-wire.ts';
import { asUnavailable, databaseUnavailable, isOutage, type OpenOptions, type Store } from './open.ts';
import type { Tables } from './schema.ts';
import { type Call, type Db, type Rows, together } from './statement.ts';

/** How long a request waits for a connection before it is told 503 (D-44: bounded, never for ever, never at once). */
const ACQUIRE_MS = 5_000;
/** Building an index on a large table takes its time, and so may a new column. */
const DDL_MS = 3_600_000;
const DDL = /^(create|alter) /i;
const ATTEMPTS = 4;
/** Connections that only notices use: opened when the first comes. */
const URGENT = 3;
/** Connections that only transactions of several callers use: opened when the first comes. */
const SHARED = 6;
/**
 * Such a transaction never waits for a lock while it holds those of others (MySQL: at most a second): a notice would wait behind all of them.
 * At full load one in twelve is refused by this, and each of its callers goes alone.
 */
const IMPATIENT = ['set session innodb_lock_wait_timeout = 1', 'set session innodb_lock_wait_timeout = 0'];
/** How many callers' statements make one packet, and how many such packets may be under way. */
const TOGETHER = { most: 16, flights: 2 };
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

/** A connection of the pool, after a bounded wait. Errors: 503, the server's. */
const acquire = (pool: Pool, clock: Clock): Promise<PoolConnection> =>
	new Promise((accept, reject) => {
		let waiting = true;
		const cancel = clock.after(ACQUIRE_MS, () => {
			waiting = false;
			reject(databaseUnavailable(new Error('no free connection')));
		});
		pool.getConnection((error, connection) => {
			if (!waiting) {
				connection?.release();
				return;
			}
			waiting = false;
			cancel();
			if (error) reject(error);
			else accept(connection);
		});
	});

/** Kysely's view of the pool: a bounded wait for a connection and a bounded time for a statement. */
const bounded = (pool: Pool, clock: Clock, watch: ((sql: string) => void) | undefined): MysqlPool => ({
	getConnection: (callback) => {
		acquire(pool, clock).then(
			(connection) => callback(null, limited(connection, watch)),
			(error: unknown) => callback(error, undefined as never),
		);
	},
	end: (callback) => pool.end((error) => callback(error)),
});

/** A connection for what runs outside transactions, each statement with a bounded time. */
const limited = (connection: PoolConnection, watch: ((sql: string) => void) | undefined): MysqlPoolConnection => ({
	query: ((text: string, values: unknown[], callback?: (error: unknown, rows: unknown) => void) => {
		watch?.(text);
		return connection.query({ sql: text, values, timeout: DDL.test(text) ? DDL_MS : STATEMENT_MS }, (error, result) => {
			if (error?.code === 'PROTOCOL_SEQUENCE_TIMEOUT') connection.destroy();
			callback?.(error, result);
		});
	}) as MysqlPoolConnection['query'],
	release: () => connection.release(),
});

/** What `work` does with the transaction of a connection, which then goes back to its pool; whatever it throws undoes it. */
const carriedOut = async <T>(connection: PoolConnection, wire: Wire, work: (wire: Wire) => Promise<T>): Promise<T> => {
	try {
		const value = await work(wire);
		connection.release();
		return value;
	} catch (error) {
		await wire.rollback().then(
			() => connection.release(),
			() => connection.destroy(),
		);
		throw error;
	}
};

/** Whether a connection that stood was cut off: killed, or closed on the way. */
const isCut = (error: unknown): boolean =>
	/^(PROTOCOL_CONNECTION_LOST|ECONNRESET|EPIPE|ER_CONNECTION_KILLED)$/.test(String((error as { code?: unknown }).code));

/** Statements that one caller asks for at once, and who waits for their rows. */
type Together = {
	readonly calls: ReadonlyArray<Call<unknown>>;
	readonly accept: (rows: unknown[][]) => void;
	readonly reject: (error: unknown) => void;
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
	const urgent = open(URGENT, [...SESSION, 'set session innodb_lock_wait_timeout = 2']);
	const shared = open(SHARED, [...SESSION, ...IMPATIENT]);
	const { clock, watch } = options;

	let failing = false;

	/** One transaction of `count` members: `work` ends it, and whatever it throws undoes it. Errors: the server's. */
	const once = async <T>(on: Pool, count: number, work: (wire: Wire) => Promise<T>): Promise<T> => {
		try {
			const connection = await acquire(on, clock);
			const value = await carriedOut(connection, openWire(connection, count, watch), work);
			failing = false;
			return value;
		} catch (error) {
			if (isOutage(mysql, error)) failing = true;
			throw error;
		}
	};

	/** As {@link once}, of one member; a busy database repeats it. */
	const begin = async <T>(on: Pool, work: (tx: Db, wire: Wire) => Promise<T>): Promise<T> => {
		for (let attempt = 1; ; attempt++) {
			try {
				return await once(on, 1, (wire) => work(wire.members[0] as Db, wire));
			} catch (error) {
				if (!mysql.isBusy(error) || attempt >= ATTEMPTS) throw asUnavailable(mysql, error);
				await clock.sleep(attempt * 5);
			}
		}
	};

	const send = async (calls: Together['calls'], tx: Db, wire: Wire): Promise<unknown[][]> => {
		const [rows] = await Promise.all([together(tx, calls), wire.commit()]);
		return rows;
	};

	const alone = ({ calls, accept, reject }: Together): Promise<void> =>
		begin(pool, (tx, wire) => send(calls, tx, wire)).then(accept, reject);

	/** What asks for nothing but statements goes with its like; where one of them cannot, each goes by itself. */
	const join = createFlights<Together>(clock, { ...TOGETHER, late: ({ reject }) => reject(databaseUnavailable()) }, async (batch) => {
		const calls = batch.flatMap((each) => each.calls);
		try {
			if (batch.length > 1) {
				const answers = await once(shared, 1, (wire) => send(calls, wire.members[0] as Db, wire));
				for (const each of batch) each.accept(answers.splice(0, each.calls.length));
				return;
			}
		} catch (error) {
			if (isOutage(mysql, error)) {
				for (const { reject } of batch) reject(asUnavailable(mysql, error));
				return;
			}
		}
		await Promise.all(batch.map(alone));
	});

	return {
		dialect: mysql,
		read: db,
		ddl: db,
		transact: (work, lane = 'routine') =>
			begin(lane === 'urgent' ? urgent : pool, async (tx, wire) => {
				const value = await work(tx);
				await wire.commit();
				return value;
			}),
		transactShared: async (works, last) => {
			let mayBeCommitted = false;
			try {
				return await once(shared, works.length + 1, async ({ members, hasWritten, failure, commit }) => {
					const settled = await Promise.allSettled(works.map((work, member) => work(members[member] as Db)));
					const done = settled.map((each, member) => {
						if (each.status === 'fulfilled') return { value: each.value };
						if (hasWritten(member)) throw each.reason;
						return null;
					});
					await last(members[works.length] as Db, done);
					if (failure() !== null) throw failure();
					mayBeCommitted = true;
					await commit();
					return done;
				});
			} catch (error) {
				// Cut off before its end, it was undone, and each can go alone: an agent never repeats what was answered with 503.
				throw isOutage(mysql, error) && (mayBeCommitted || !isCut(error)) ? asUnavailable(mysql, error) : error;
			}
		},
		transactTogether: <const C extends ReadonlyArray<Call<unknown>>>(calls: C) =>
			new Promise<Rows<C>>((accept, reject) => join({ calls, accept: (rows) => accept(rows as Rows<C>), reject })),
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
			await Promise.all([db.destroy(), ...[urgent, shared].map((each) => promisify(each.end.bind(each))())]);
		},
	};
};
