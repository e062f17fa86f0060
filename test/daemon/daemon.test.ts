import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { isLoopback } from '../../daemon/daemon.ts';
import { loadConfig } from '../../src/config/load.ts';
import { coreSettings } from '../../src/core/core-settings.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { ADMIN, emptyFolder, fakeParts, loadInput, start } from './daemon-world.ts';

const mode = (file: string): number => statSync(file).mode & 0o777;
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
	promise.then(
		() => 'started',
		(error: { code?: unknown }) => error.code,
	);

describe('a daemon with no configuration', () => {
	it('makes its folder, its database and its schema, and answers', async () => {
		const stateDir = join(emptyFolder(), 'not', 'there', 'yet');
		const { get, parts } = await start(stateDir);
		expect(mode(stateDir)).toBe(0o700);
		expect(existsSync(join(stateDir, 'spotctl.db'))).toBe(true);
		expect(await get('/health')).toMatchObject({
			status: 200,
			body: { status: 'healthy', database: 'connected', version: '1.2.3', decision_engine_loaded: false },
		});
		expect(await get('/livez')).toMatchObject({ status: 200, body: { status: 'ok' } });
		expect(await get('/readyz')).toMatchObject({
			status: 200,
			body: { status: 'ok', checks: { serving: 'ok', database: 'ok', writes: 'ok', schema: 'ok', caches: 'ok' } },
		});
		expect(parts.events).toEqual(['start jobs=true']);
	});

	it('tells what it is, its contract and its metrics', async () => {
		const { get } = await start(emptyFolder());
		expect((await get('/')).body).toMatchObject({
			status: 'success',
			name: 'spotctl',
			data: { version: '1.2.3', endpoints: { health: '/health' } },
		});
		expect((await get('/openapi.json')).body).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } });
		const metrics = await get('/metrics');
		expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4');
		expect(metrics.text).toContain('agent_heartbeat_received_total 3');
	});

	it('leaves word where it is, for this user only, and takes that back when it stops', async () => {
		const stateDir = emptyFolder();
		const { daemon } = await start(stateDir);
		const file = join(stateDir, 'daemon.json');
		expect(mode(file)).toBe(0o600);
		expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
			url: daemon.url,
			pid: process.pid,
			version: '1.2.3',
			startedAt: expect.stringMatching(/Z$/),
			adminToken: 'file',
		});
		await daemon.stop();
		expect(existsSync(file)).toBe(false);
	});

	it('leaves the word of another daemon alone', async () => {
		const stateDir = emptyFolder();
		const { daemon } = await start(stateDir);
		const other = '{"url":"http://127.0.0.1:1","pid":1,"version":"9","startedAt":"x"}';
		writeFileSync(join(stateDir, 'daemon.json'), other);
		await daemon.stop();
		expect(readFileSync(join(stateDir, 'daemon.json'), 'utf8')).toBe(other);
	});
});

describe('the admin token', () => {
	it('is made once, into a file of one line that only this user may read', async () => {
		const stateDir = emptyFolder();
		const first = await start(stateDir);
		const file = join(stateDir, 'admin-token');
		expect([readFileSync(file, 'utf8'), mode(file)]).toEqual([`${ADMIN}\n`, 0o600]);
		expect(first.daemon.admin).toEqual({ kind: 'file', created: ADMIN });
		await first.daemon.stop();
		const second = await start(stateDir, { parts: first.parts });
		expect(second.daemon.admin).toEqual({ kind: 'file', created: null });
		expect(first.parts.existing).toEqual([null, ADMIN]);
		expect(first.log() + second.log()).not.toContain(ADMIN);
	});

	it('is not made when one is configured, nor when the database has one', async () => {
		const configured = await start(emptyFolder(), { flags: { 'security.adminToken': 'kP3vN8xQ2mW7rT5yB9cL4hJ6' } });
		expect([configured.daemon.admin, configured.parts.existing]).toEqual([{ kind: 'configured' }, []]);
		const stateDir = emptyFolder();
		const parts = Object.assign(fakeParts(), { admin: () => null });
		expect((await start(stateDir, { parts })).daemon.admin).toEqual({ kind: 'elsewhere' });
		expect(existsSync(join(stateDir, 'admin-token'))).toBe(false);
	});

	it('in a file that others could read is closed to them', async () => {
		const stateDir = emptyFolder();
		const file = join(stateDir, 'admin-token');
		writeFileSync(file, `${ADMIN}\n`);
		chmodSync(file, 0o644);
		const { log } = await start(stateDir);
		expect(mode(file)).toBe(0o600);
		expect(log()).toContain('could be read by others');
	});

	it('that is weak, or nothing, is not taken over from the file', async () => {
		const stateDir = emptyFolder();
		for (const text of ['\n', 'admin', 'change-this-in-production-1234']) {
			writeFileSync(join(stateDir, 'admin-token'), text, { mode: 0o600 });
			const { daemon, parts } = await start(stateDir);
			expect(parts.existing).toEqual([null]);
			expect(readFileSync(join(stateDir, 'admin-token'), 'utf8')).toBe(`${ADMIN}\n`);
			await daemon.stop();
		}
	});
});

describeEachDatabase('an admin token', ({ freshUrl }) => {
	it('that cannot be read or written is the trouble of its file, not of the database', async () => {
		const flags = { 'database.url': await freshUrl(), 'database.migrate': true };
		const stateDir = emptyFolder();
		const file = join(stateDir, 'admin-token');
		mkdirSync(file);
		const hint = 'check its rights, or choose another state folder: SPOTCTL_STATE_DIR=/path';
		await expect(start(stateDir, { flags })).rejects.toMatchObject({
			code: 'CONFIG_INVALID',
			message: expect.stringMatching(`^cannot read the admin token in "${file}": EISDIR`),
			hint,
		});
		rmSync(file, { recursive: true });
		const parts = fakeParts();
		parts.admin = () => {
			rmSync(stateDir, { recursive: true });
			return { token: ADMIN, created: true };
		};
		await expect(start(stateDir, { flags, parts })).rejects.toMatchObject({
			code: 'CONFIG_INVALID',
			message: expect.stringMatching(`^cannot write the admin token to "${file}": ENOENT`),
			hint,
		});
	});
});

describe('a daemon refuses to start', () => {
	it('on a SQLite file that another daemon holds, and starts when that one is gone', async () => {
		const stateDir = emptyFolder();
		const { daemon } = await start(stateDir);
		expect(await codeOf(start(stateDir))).toBe('DATABASE_IN_USE');
		await daemon.stop();
		expect(await codeOf(start(stateDir))).toBe('started');
	});

	it('on tables that are not ours, leaving nothing open', async () => {
		const stateDir = emptyFolder();
		const url = `sqlite:${join(stateDir, 'other.db')}`;
		const other = new Database(join(stateDir, 'other.db'));
		other.exec('create table customers (id integer)');
		other.close();
		expect(await codeOf(start(stateDir, { flags: { 'database.url': url } }))).toBe('DATABASE_NOT_OURS');
		expect(await codeOf(start(stateDir, { flags: { 'database.url': url } }))).toBe('DATABASE_NOT_OURS');
	});

	it('on an address that is taken, and says which', async () => {
		const first = await start(emptyFolder());
		const port = Number(new URL(first.daemon.url).port);
		const stateDir = emptyFolder();
		const parts = fakeParts();
		await expect(start(stateDir, { parts, flags: { 'server.port': port } })).rejects.toMatchObject({
			code: 'ADDRESS_UNAVAILABLE',
			message: `cannot listen: 127.0.0.1:${port} is in use`,
		});
		// Nothing was done: no job ran, and there is no database.
		expect(parts.events).toEqual([]);
		expect(readdirSync(stateDir).filter((name) => !name.startsWith('spotctl.db.daemon'))).toEqual([]);
		expect(await codeOf(start(stateDir))).toBe('started');
	});

	it('on an address this machine does not have', async () => {
		expect(await codeOf(start(emptyFolder(), { flags: { 'server.host': '203.0.113.1' } }))).toBe('ADDRESS_UNAVAILABLE');
	});
});

describeEachDatabase('the schema', ({ kind, freshUrl }) => {
	it('is made at start on SQLite, on MySQL only when told to', async () => {
		const url = await freshUrl();
		const flags = { 'database.url': url };
		if (kind === 'mariadb') expect(await codeOf(start(emptyFolder(), { flags }))).toBe('SCHEMA_OLDER');
		const { daemon, get } = await start(emptyFolder(), { flags: { ...flags, 'database.migrate': kind === 'mariadb' } });
		expect((await get('/readyz')).status).toBe(200);
		await daemon.stop();
		const again = await start(emptyFolder(), { flags });
		expect((await again.get('/health')).status).toBe(200);
		await again.daemon.stop();
	});
});

describe('stopping', () => {
	const slow = () => {
		const parts = fakeParts();
		let release = (): void => undefined;
		parts.handler = (name) =>
			name === 'readConfig'
				? new Promise((done) => {
						parts.events.push('called');
						release = () => done({ enabled: true });
					})
				: { success: true };
		return { parts, release: () => release() };
	};

	const ask = (url: string) => {
		const socket = connect(Number(new URL(url).port), '127.0.0.1');
		let text = '';
		const closed = new Promise<string>((done) => socket.on('close', () => done(text)));
		socket.on('data', (chunk) => {
			text += String(chunk);
		});
		socket.on('error', () => undefined);
		return { socket, closed };
	};

	const SLOW = `GET /api/agents/a/config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`;
	const READY = 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n';

	it('finishes what runs, takes nobody new, is not ready, then stops the core and closes the database', async () => {
		const { parts, release } = slow();
		const { daemon } = await start(emptyFolder(), { parts });
		const idle = ask(daemon.url);
		const busy = ask(daemon.url);
		idle.socket.write(READY);
		busy.socket.write(SLOW);
		await expect.poll(() => parts.events).toContain('called');
		const stopped = daemon.stop();
		expect(await idle.closed).toContain('200 OK');
		await expect(fetch(`${daemon.url}/livez`)).rejects.toThrow();
		expect(parts.events).not.toContain('stop');
		busy.socket.write(READY);
		await delay(100);
		release();
		await stopped;
		const answers = await busy.closed;
		expect(answers).toMatch(/HTTP\/1\.1 200 OK[\s\S]*"enabled":true[\s\S]*HTTP\/1\.1 503[\s\S]*"serving":"stopping"/);
		expect(parts.events).toEqual(['start jobs=true', 'called', 'stop']);
		await expect(daemon.store.ping()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
	});

	it('does not wait for connections that nobody uses any more', async () => {
		const { parts, release } = slow();
		const { daemon } = await start(emptyFolder(), { parts });
		const busy = ask(daemon.url);
		busy.socket.write(SLOW);
		await expect.poll(() => parts.events).toContain('called');
		const began = performance.now();
		const stopped = daemon.stop();
		release();
		await stopped;
		expect(performance.now() - began).toBeLessThan(2000);
		expect(await busy.closed).toContain('"enabled":true');
	});

	it('cuts off what still runs when the drain timeout is over', async () => {
		const { parts } = slow();
		const { daemon, log } = await start(emptyFolder(), { parts, flags: { 'server.drainTimeout': '200ms' } });
		const busy = ask(daemon.url);
		busy.socket.write(SLOW);
		await expect.poll(() => parts.events).toContain('called');
		await daemon.stop();
		expect(await busy.closed).toBe('');
		expect(log()).toContain('cut off');
		expect(parts.events.at(-1)).toBe('stop');
	});

	it('twice is stopping once', async () => {
		const { daemon, parts } = await start(emptyFolder());
		await Promise.all([daemon.stop(), daemon.stop()]);
		expect(parts.events.filter((event) => event === 'stop')).toHaveLength(1);
	});
});

describe('listening beyond this machine', () => {
	it('is warned about, and commands find the daemon all the same', async () => {
		const { daemon, log } = await start(emptyFolder(), { flags: { 'server.host': '0.0.0.0' } });
		expect(daemon.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
		expect(log()).toContain('without TLS');
		expect((await start(emptyFolder())).log()).not.toContain('without TLS');
	});

	it('is everything but the loopback addresses', () => {
		expect(['127.0.0.1', '127.1.2.3', '::1', 'localhost'].map(isLoopback)).toEqual([true, true, true, true]);
		expect(['0.0.0.0', '::', '10.0.0.1', 'db.internal', '127.evil.example'].map(isLoopback)).toEqual([false, false, false, false, false]);
	});
});

describe('the settings of the core', () => {
	it('are the configuration in its own words', async () => {
		const key = Buffer.alloc(32, 'k1').toString('base64url');
		const { config } = await loadConfig(loadInput(emptyFolder(), { 'agents.terminateWait': '90s', 'security.tokenRevealKey': key }));
		expect(coreSettings(config)).toEqual({
			heartbeatTimeoutMs: 120_000,
			terminateWaitSeconds: 90,
			leaseMs: 900_000,
			expireMs: { emergency: 300_000, manual: 1_800_000, model: 900_000, scheduled: 86_400_000 },
			failover: {
				launchMs: 45_000,
				readyMs: 60_000,
				silentAfterMs: 180_000,
				retireRepeatedMs: 1_800_000,
				retireSingleMs: 7_200_000,
				override: true,
			},
			retention: config.retention,
			webhook: { url: null, secret: null, minSeverity: 'warning', allowed: [] },
			adminToken: null,
			tokenRevealKey: Buffer.alloc(32, 'k1'),
		});
	});
});
