import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, closeSync, constants, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { inject } from 'vitest';

/** What the global setup hands to the workers: a server everybody shares, or why there is none. */
export type SharedMariadb = { adminUrl: string; template: string | null } | { missing: string };

declare module 'vitest' {
	export interface ProvidedContext {
		mariadb: SharedMariadb;
	}
}

/** A private MariaDB with its own data, socket and port. It ends with the process that started it, however that ends. */
export type MariadbServer = {
	/** An account that may do everything: `mysql://root:password@127.0.0.1:port`. */
	readonly adminUrl: string;
	readonly port: number;
	/** An initialised data folder, never started, that further servers are copied from. */
	readonly template: string;
	/** A fresh, empty database on this server. */
	createDatabase(): Promise<TestDatabase>;
	/** Ends it at once, as a power cut does; the data stays. */
	kill(): Promise<void>;
	/** Starts it again on the same port and data; ends it in order first when it still runs. */
	restart(): Promise<void>;
	/** It keeps its connections and answers nothing until `resume`. */
	pause(): void;
	resume(): void;
	/** Ends it and removes its data. */
	stop(): Promise<void>;
};

export type TestDatabase = {
	/** `mysql://user:password@127.0.0.1:port/name` */
	readonly url: string;
	/** Fails after five seconds when a transaction is still open in it. */
	drop(): Promise<void>;
};

const isRunnable = (path: string): boolean => {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
};

const find = (...names: string[]): string | undefined => {
	const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/libexec', '/usr/local/sbin', '/usr/local/bin'];
	return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isRunnable);
};

/** The server binary, or undefined when this machine has none. A `mysqld` that is MySQL itself does not count: it is prepared differently. */
export const mariadbBinary = (): string | undefined => {
	const path = find('mariadbd', 'mysqld');
	if (path === undefined) return undefined;
	return execFileSync(path, ['--no-defaults', '--version'], { encoding: 'utf8' }).includes('MariaDB') ? path : undefined;
};

/** Servers refuse to run as root unless told that it is meant. */
const asUser = process.getuid?.() === 0 ? ['--user=root'] : [];
const LOG_SIZE = '--innodb-log-file-size=16M';

const prepareData = (folder: string, temporary: string): void => {
	const tool = find('mariadb-install-db', 'mysql_install_db');
	if (tool === undefined) throw new Error('no mariadb-install-db beside the MariaDB server');
	const args = [
		'--no-defaults',
		...asUser,
		`--datadir=${folder}`,
		`--tmpdir=${temporary}`,
		'--auth-root-authentication-method=normal',
		'--skip-test-db',
		'--skip-name-resolve',
		LOG_SIZE,
	];
	execFileSync(tool, args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

const freePort = (): Promise<number> =>
	new Promise((resolve, reject) => {
		const probe = createServer().once('error', reject);
		probe.listen(0, '127.0.0.1', () => {
			const address = probe.address();
			probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
		});
	});

/**
 * Reads the process number of the server that runs now, line after line, an empty one for none. The end of input is the end of the process
 * that started the server, however it ended: then the server is killed and its folder removed, so that a crashed test run leaves nothing.
 */
const WATCH = `
server=
while read -r line; do server=$line; done
if [ -n "$server" ]; then
	kill -KILL "$server"
	for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$server" || break; sleep 0.1; done
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && break; sleep 0.3; done
`;

/** Removes the folder, and kills the server it was told of last, when `release` is called or this process ends. */
const watchOver = (folder: string): { tell: (server: number | undefined) => void; release: () => Promise<void> } => {
	const watch = spawn('sh', ['-c', WATCH, 'sh', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
	const ended = new Promise<void>((resolve) => watch.once('exit', () => resolve()));
	watch.unref();
	if (watch.stdin instanceof Socket) watch.stdin.unref();
	return {
		tell: (server) => {
			watch.stdin.write(`${server ?? ''}\n`);
		},
		release: async () => {
			watch.ref();
			watch.stdin.end();
			await ended;
		},
	};
};

type Running = { server: ChildProcess; ended: Promise<void> };

const connect = (url: string): Promise<Connection> => createConnection({ uri: url, connectTimeout: 2000 });

const createOn = async (adminUrl: string): Promise<TestDatabase> => {
	const name = `spotctl_${randomBytes(6).toString('hex')}`;
	const run = async (statement: string): Promise<void> => {
		const connection = await connect(adminUrl);
		try {
			await connection.query('SET SESSION lock_wait_timeout = 5');
			await connection.query(statement);
		} finally {
			await connection.end();
		}
	};
	await run(`CREATE DATABASE ${name}`);
	const url = new URL(adminUrl);
	url.pathname = `/${name}`;
	return { url: url.href, drop: () => run(`DROP DATABASE IF EXISTS ${name}`) };
};

/** Starts a private server: half a second when it may copy a template, about two otherwise. */
export const startMariadb = async (options: { template?: string | null; args?: readonly string[] } = {}): Promise<MariadbServer> => {
	const binary = mariadbBinary();
	if (binary === undefined) throw new Error('no MariaDB server on this machine');
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-db-'));
	const watch = watchOver(folder);
	const data = join(folder, 'data');
	const template = join(folder, 'template');
	// A server that starts removes the temporary tables it finds, also those of another server that runs.
	const temporary = join(folder, 'tmp');
	mkdirSync(temporary);
	const password = randomBytes(12).toString('hex');
	let port = await freePort();
	let running: Running | undefined;
	const adminUrl = () => `mysql://root:${password}@127.0.0.1:${port}`;

	const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
		if (running === undefined) return;
		const { server, ended } = running;
		running = undefined;
		server.ref();
		server.kill(signal);
		server.kill('SIGCONT');
		await ended;
	};

	const start = async (): Promise<void> => {
		const args = [
			...[
				'--no-defaults',
				...asUser,
				`--datadir=${data}`,
				`--tmpdir=${temporary}`,
				`--socket=${join(folder, 'socket')}`,
				`--pid-file=${join(folder, 'pid')}`,
			],
			...[`--port=${port}`, '--bind-address=127.0.0.1', '--skip-name-resolve', '--skip-log-bin', `--init-file=${join(folder, 'init.sql')}`],
			...['--innodb-flush-log-at-trx-commit=1', '--innodb-buffer-pool-size=64M', LOG_SIZE, '--aria-pagecache-buffer-size=8M'],
			...['--key-buffer-size=1M', '--performance-schema=OFF', '--max-connections=300', ...(options.args ?? [])],
		];
		const log = openSync(join(folder, 'server.log'), 'a');
		const server = spawn(binary, args, { stdio: ['ignore', log, log], detached: true });
		closeSync(log);
		watch.tell(server.pid);
		server.unref();
		const ended = new Promise<void>((resolve) => {
			server.once('exit', () => {
				watch.tell(undefined);
				resolve();
			});
		});
		running = { server, ended };
		for (const until = Date.now() + 60_000; Date.now() < until && server.exitCode === null && server.signalCode === null; await delay(25)) {
			try {
				await (await connect(adminUrl())).end();
				return;
			} catch (error) {
				if ((error as { code?: string }).code !== 'ECONNREFUSED') throw error;
			}
		}
		await end('SIGKILL');
		throw new Error(`MariaDB did not start:\n${readFileSync(join(folder, 'server.log'), 'utf8').slice(-2000)}`);
	};

	try {
		if (options.template) cpSync(options.template, template, { recursive: true });
		else prepareData(template, temporary);
		cpSync(template, data, { recursive: true });
		const accounts = ["'root'@'localhost'", "'root'@'127.0.0.1'"].flatMap((who) => [
			`CREATE USER IF NOT EXISTS ${who};`,
			`ALTER USER ${who} IDENTIFIED BY '${password}';`,
			`GRANT ALL ON *.* TO ${who} WITH GRANT OPTION;`,
		]);
		writeFileSync(join(folder, 'init.sql'), `${accounts.join('\n')}\n`, { mode: 0o600 });
		await start().catch(async () => {
			// Somebody may have taken the port in between: once more with another.
			await end('SIGKILL');
			port = await freePort();
			await start();
		});
	} catch (error) {
		await end('SIGKILL');
		await watch.release();
		throw error;
	}

	return {
		get adminUrl() {
			return adminUrl();
		},
		get port() {
			return port;
		},
		template,
		createDatabase: () => createOn(adminUrl()),
		kill: () => end('SIGKILL'),
		restart: async () => {
			await end('SIGTERM');
			await start();
		},
		pause: () => {
			running?.server.kill('SIGSTOP');
		},
		resume: () => {
			running?.server.kill('SIGCONT');
		},
		stop: async () => {
			await end('SIGKILL');
			await watch.release();
		},
	};
};

/** The server of this test run, or why there is none. */
export const sharedMariadb = (): SharedMariadb => inject('mariadb');

/** A fresh, empty database on the server of this test run. */
export const createDatabase = async (): Promise<TestDatabase> => {
	const shared = sharedMariadb();
	if ('missing' in shared) throw new Error(shared.missing);
	return createOn(shared.adminUrl);
};
