import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '../..');
const ADMIN_TOKEN = 'spa_crash-run-9Qv2Lx7Rn4Tc8Wb1Zk6M';
const START_MS = 30_000;
const STOP_MS = 30_000;

/** The compiled daemon as a process of its own, on one port and one database over all its lives. */
export type DaemonProcess = {
	readonly url: string;
	readonly adminToken: string;
	/** Starts it without waiting for it to serve. */
	launch(): void;
	/** Resolves when it serves, with how long that took since `launch`. Rejects when it ended instead. */
	ready(): Promise<number>;
	/** `kill -9`, and waits for its end. */
	kill(): Promise<void>;
	/** Ends in order; the exit code. */
	stop(): Promise<number | null>;
	/** What it should not have said: errors in its log, and ends that nobody asked for. */
	troubles(): string[];
	/** Kills what still runs and removes its folder. */
	dispose(): Promise<void>;
};

const freePort = (): Promise<number> =>
	new Promise((resolve, reject) => {
		const probe = createServer().once('error', reject);
		probe.listen(0, '127.0.0.1', () => {
			const address = probe.address();
			probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
		});
	});

type Life = { readonly child: ChildProcess; readonly ended: Promise<number | null>; readonly at: number; expected: boolean };

export const createDaemonProcess = async (databaseUrl: string, settings: Readonly<Record<string, string>>): Promise<DaemonProcess> => {
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-crash-'));
	const logFile = join(folder, 'daemon.log');
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const unexpected: string[] = [];
	let life: Life | undefined;

	const env = {
		PATH: process.env['PATH'],
		HOME: folder,
		XDG_CONFIG_HOME: folder,
		SPOTCTL_STATE_DIR: folder,
		SPOTCTL_ADMIN_TOKEN: ADMIN_TOKEN,
		SPOTCTL_DATABASE_MIGRATE: 'true',
		SPOTCTL_LOG_LEVEL: 'info',
		...settings,
	};

	const launch = (): void => {
		const log = openSync(logFile, 'a');
		const args = [join(ROOT, 'dist/bin/spotctl.js'), 'serve', '--port', String(port), '--database', databaseUrl];
		const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', log, log] });
		closeSync(log);
		const own: Life = {
			child,
			at: performance.now(),
			expected: false,
			ended: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
		};
		life = own;
		void own.ended.then((code) => {
			if (!own.expected) unexpected.push(`the daemon ended by itself with ${code ?? child.signalCode}: ${tail()}`);
		});
	};

	const tail = (): string => readFileSync(logFile, 'utf8').slice(-2_000);

	const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
		const own = life;
		if (own === undefined) return null;
		own.expected = true;
		own.child.kill(signal);
		const code = await Promise.race([own.ended, delay(STOP_MS, undefined, { ref: false }).then(() => 'late' as const)]);
		if (code === 'late') throw new Error(`the daemon did not end within ${STOP_MS / 1_000} s of ${signal}: ${tail()}`);
		life = undefined;
		return code;
	};

	return {
		url,
		adminToken: ADMIN_TOKEN,
		launch,
		ready: async () => {
			const own = life;
			if (own === undefined) throw new Error('the daemon was not launched');
			for (; performance.now() - own.at < START_MS; await delay(15)) {
				if (own.child.exitCode !== null || own.child.signalCode !== null) throw new Error(`the daemon did not start: ${tail()}`);
				const isReady = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
					(answer) => answer.ok,
					() => false,
				);
				if (isReady) return performance.now() - own.at;
			}
			throw new Error(`the daemon did not start within ${START_MS / 1_000} s: ${tail()}`);
		},
		kill: async () => {
			await end('SIGKILL');
		},
		stop: () => end('SIGTERM'),
		troubles: () => [
			...unexpected,
			...(readFileSync(logFile, 'utf8').match(/^\{"level":"(?:warn|error|fatal)".*$/gm) ?? []).map(
				(line) => `the daemon logged ${line.slice(0, 600)}`,
			),
		],
		dispose: async () => {
			if (life !== undefined) await end('SIGKILL');
			rmSync(folder, { recursive: true, force: true });
		},
	};
};
