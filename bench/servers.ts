import { type ChildProcess, fork, type Serializable, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { startMariadb } from '../test/helpers/mariadb.ts';
import type { FloorAnswers } from './floor.ts';

const root = dirname(import.meta.dirname);
/** What users start; it runs the build. */
export const cli = join(root, 'bin/spotctl');

/** The file of a SQLite database of this run. */
export const sqlitePath = ({ url }: Pick<BenchDatabase, 'url'>): string => url.slice('sqlite:'.length);

export type DatabaseName = 'sqlite' | 'mariadb';

/** A database of this run, gone with it. */
export type BenchDatabase = {
	readonly name: DatabaseName;
	/** Name and version, with what it promises at a commit. */
	readonly title: string;
	readonly url: string;
	/** The server's process; none for SQLite, which works inside the daemon. */
	readonly pids: readonly number[];
	/** Runs a statement beside the daemon. */
	query(sql: string): Promise<Array<Record<string, unknown>>>;
	stop(): Promise<void>;
};

const startSqlite = (folder: string): BenchDatabase => {
	const file = join(folder, 'spotctl.db');
	const query = (sql: string): Array<Record<string, unknown>> => {
		const database = new Database(file, { readonly: true });
		try {
			return database.prepare(sql).all() as Array<Record<string, unknown>>;
		} finally {
			database.close();
		}
	};
	const memory = new Database(':memory:');
	const version = memory.prepare('select sqlite_version()').pluck().get();
	memory.close();
	return {
		name: 'sqlite',
		title: `SQLite ${version} (WAL, synchronous FULL)`,
		url: `sqlite:${file}`,
		pids: [],
		query: async (sql) => query(sql),
		stop: async () => undefined,
	};
};

/** What a server has by default, where the tests make do with less to start sooner; and what the figures depend on. */
const MARIADB = ['--innodb-buffer-pool-size=128M', '--innodb-log-file-size=96M', '--innodb-flush-log-at-trx-commit=1'];

const startPrivateMariadb = async (): Promise<BenchDatabase> => {
	const server = await startMariadb({ args: MARIADB });
	const { url } = await server.createDatabase();
	const query = async (sql: string): Promise<Array<Record<string, unknown>>> => {
		const connection = await createConnection({ uri: url, supportBigNumbers: true });
		try {
			return (await connection.query<RowDataPacket[]>(sql))[0];
		} finally {
			await connection.end();
		}
	};
	const [row = {}] = await query('select version() as version, @@pid_file as pid, @@innodb_flush_log_at_trx_commit as flush');
	if (row['flush'] !== 1) throw new Error('this MariaDB does not flush at commit');
	return {
		name: 'mariadb',
		title: `MariaDB ${String(row['version']).split('-')[0]} (private server, flush at commit)`,
		url,
		pids: [Number(readFileSync(String(row['pid']), 'utf8'))],
		query,
		stop: () => server.stop(),
	};
};

export const startDatabase = (name: DatabaseName, folder: string): Promise<BenchDatabase> =>
	name === 'sqlite' ? Promise.resolve(startSqlite(folder)) : startPrivateMariadb();

/** A server process under load. */
export type Server = { readonly port: number; readonly pid: number; stop(): Promise<void> };

const pidOf = (child: ChildProcess): number => {
	if (child.pid === undefined) throw new Error('the process did not start');
	return child.pid;
};

const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.once('exit', (code) => resolve(code)));

export const startFloor = (answers: FloorAnswers): Promise<Server> => forkServer(join(import.meta.dirname, 'floor.ts'), answers);

/** Starts a server of this bench in a process of its own; it is sent `answers` and says its URL. */
export const forkServer = async (file: string, answers: Serializable): Promise<Server> => {
	const child = fork(file, { execArgv: ['--import', 'tsx'] });
	const exit = ended(child);
	child.send(answers);
	const url = await Promise.race([
		new Promise<string>((resolve) => child.once('message', (message) => resolve(String(message)))),
		exit.then((code) => Promise.reject(new Error(`the floor ended with ${code}`))),
	]);
	return {
		port: Number(new URL(url).port),
		pid: pidOf(child),
		stop: async () => {
			child.disconnect();
			await exit;
		},
	};
};

/** The daemon as it is built, with a configuration of its own. */
export type Daemon = Server & { readonly url: string; readonly adminToken: string };

/** Starts `bin/spotctl serve` as users do; the log goes to a file. With `nodeArgs` it is Node with those, and without what the launcher gives it. */
export const startDaemon = async (database: BenchDatabase, folder: string, nodeArgs: readonly string[]): Promise<Daemon> => {
	const state = mkdtempSync(join(folder, 'state-'));
	const logFile = join(state, 'daemon.log');
	const adminToken = randomBytes(24).toString('hex');
	const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('SPOTCTL_')));
	const log = openSync(logFile, 'a');
	const [command, ...args] = nodeArgs.length === 0 ? [cli] : [process.execPath, ...nodeArgs, cli];
	const child = spawn(command ?? cli, [...args, 'serve'], {
		cwd: state,
		stdio: ['ignore', log, log],
		env: {
			...inherited,
			HOME: state,
			XDG_CONFIG_HOME: state,
			NODE_ENV: 'production',
			SPOTCTL_STATE_DIR: state,
			SPOTCTL_DATABASE_URL: database.url,
			SPOTCTL_DATABASE_MIGRATE: 'true',
			SPOTCTL_HOST: '127.0.0.1',
			SPOTCTL_PORT: '0',
			SPOTCTL_ADMIN_TOKEN: adminToken,
			SPOTCTL_LOG_LEVEL: 'info',
		},
	});
	closeSync(log);
	const exit = ended(child);
	const kill = (): boolean => child.kill('SIGKILL');
	process.once('exit', kill);
	child.once('exit', () => process.off('exit', kill));
	const failed = exit.then((code) => {
		throw new Error(`the daemon ended with ${code}:\n${readFileSync(logFile, 'utf8').slice(-3000)}`);
	});
	failed.catch(() => undefined);
	const url = await Promise.race([addressIn(state), failed]);
	return {
		url,
		adminToken,
		port: Number(new URL(url).port),
		pid: pidOf(child),
		stop: async () => {
			child.kill('SIGTERM');
			const code = await exit;
			if (code !== 0) throw new Error(`the daemon ended with ${code}:\n${readFileSync(logFile, 'utf8').slice(-3000)}`);
			const troubles = readFileSync(logFile, 'utf8').match(/^\{"level":"(?:warn|error|fatal)".*$/gm) ?? [];
			if (troubles.length > 0) process.stderr.write(`the daemon logged ${troubles.length} warnings or errors, first: ${troubles[0]}\n`);
		},
	};
};

const addressIn = async (state: string): Promise<string> => {
	for (let attempt = 0; attempt < 600; attempt++) {
		try {
			const { url } = JSON.parse(readFileSync(join(state, 'daemon.json'), 'utf8')) as { url: string };
			return url;
		} catch {
			await new Promise((done) => setTimeout(done, 50));
		}
	}
	throw new Error('the daemon did not start within 30 s');
};

/** A folder for everything a run writes; `remove` takes it away. */
export const makeFolder = (parent: string | undefined): { path: string; remove: () => void } => {
	const base = parent ?? tmpdir();
	mkdirSync(base, { recursive: true });
	const path = mkdtempSync(join(base, 'spotctl-bench-'));
	return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
};
