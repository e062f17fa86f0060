import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Host, serve } from '../../daemon/serve.ts';
import type { PartialSettings } from '../../src/config/load.ts';
import { systemClock, systemIds } from '../../src/deps.ts';
import { ADMIN, emptyFolder, type FakeParts, fakeParts, loadInput } from './daemon-world.ts';
import { collector } from './world.ts';

type Run = {
	flags?: PartialSettings;
	file?: string;
	terminal?: boolean;
	env?: Readonly<Record<string, string>>;
	admin?: FakeParts['admin'];
};

const run = (stateDir: string, { flags = {}, file, terminal = false, env = {}, admin }: Run = {}) => {
	const host = new EventEmitter();
	const exits: number[] = [];
	const out = collector();
	const err = collector();
	const parts = Object.assign(fakeParts(), admin === undefined ? {} : { admin });
	const ended = serve({
		...loadInput(stateDir, flags),
		env,
		file,
		version: '1.2.3',
		clock: systemClock,
		ids: systemIds,
		parts,
		stdout: Object.assign(out.stream, { isTTY: terminal }),
		stderr: err.stream,
		host: Object.assign(host, { exit: (code: number) => exits.push(code) }) as unknown as Host,
	});
	const url = async () => {
		await expect.poll(out.text, { timeout: 5000 }).toContain('serves at');
		return /serves at (\S+)/.exec(out.text())?.[1] ?? '';
	};
	return { host, exits, ended, parts, url, out: out.text, err: err.text };
};

describe('serve', () => {
	it('says where it is, where its data and its token are, and what to type next', async () => {
		const stateDir = emptyFolder();
		const { host, ended, url, out, err } = run(stateDir);
		const address = await url();
		expect((await fetch(`${address}/health`)).status).toBe(200);
		expect(out().split('\n')).toEqual([
			`spotctl 1.2.3 serves at ${address}`,
			`  database       sqlite:${stateDir}/spotctl.db`,
			'  configuration  defaults and environment',
			`  admin token    in ${stateDir}/admin-token`,
			'',
			'In another terminal:',
			'  bin/spotctl health',
			'  bin/spotctl clients create acme',
			'  bin/spotctl agents list',
			'',
		]);
		expect(err()).toContain('"msg":"listening"');
		expect(out() + err()).not.toContain(ADMIN);
		host.emit('SIGTERM');
		expect(await ended).toBe(0);
	});

	it('shows a new admin token on a terminal, once', async () => {
		const stateDir = emptyFolder();
		for (const shown of [true, false]) {
			const { host, ended, url, out } = run(stateDir, { terminal: true });
			await url();
			expect(out().includes(ADMIN)).toBe(shown);
			expect(out()).toContain(join(stateDir, 'admin-token'));
			host.emit('SIGTERM');
			await ended;
		}
	});

	it('says how commands come by an admin token that only the daemon was given', async () => {
		const token = 'kP3vN8xQ2mW7rT5yB9cL4hJ6';
		for (const name of ['ADMIN_TOKEN', 'SPOTCTL_ADMIN_TOKEN']) {
			const { host, ended, url, out } = run(emptyFolder(), { env: { [name]: token } });
			await url();
			expect(out()).toContain(`  admin token    the configured one (${name})\n`);
			expect(out()).toContain(
				`\nIn another terminal, where ${name} is set too, or with SPOTCTL_TOKEN=… before each:\n  bin/spotctl health\n`,
			);
			expect(out()).not.toContain(token);
			host.emit('SIGTERM');
			await ended;
		}
	});

	it('has commands read the file it was told to read itself', async () => {
		const folder = join(emptyFolder(), "it's here");
		mkdirSync(folder);
		const file = join(folder, 'spot.yaml');
		writeFileSync(file, 'security:\n  adminToken: kP3vN8xQ2mW7rT5yB9cL4hJ6\n');
		const quoted = `'${file.replace("'", "'\\''")}'`;
		for (const told of [{ file }, { env: { SPOTCTL_CONFIG: file } }]) {
			const { host, ended, url, out } = run(emptyFolder(), told);
			await url();
			expect(out()).toContain(
				`\nIn another terminal:\n  bin/spotctl --config ${quoted} health\n  bin/spotctl --config ${quoted} clients create acme\n  bin/spotctl --config ${quoted} agents list\n`,
			);
			host.emit('SIGTERM');
			await ended;
		}
	});

	it('says where a .env with the admin token is', async () => {
		const folder = emptyFolder();
		writeFileSync(join(folder, '.env'), 'ADMIN_TOKEN=kP3vN8xQ2mW7rT5yB9cL4hJ6\n', { mode: 0o600 });
		const { host, ended, url, out } = run(folder);
		await url();
		expect(out()).toContain(
			`\nIn another terminal, in ${folder} (its .env has ADMIN_TOKEN), or with SPOTCTL_TOKEN=… before each:\n  bin/spotctl health\n`,
		);
		host.emit('SIGTERM');
		await ended;
	});

	it('says how to make an admin token where the database has one and this state folder none', async () => {
		const { host, ended, url, out } = run(emptyFolder(), { admin: () => null });
		await url();
		expect(out()).toContain('a new one: spotctl --local admin-tokens create NAME --scope admin\n');
		host.emit('SIGTERM');
		await ended;
	});

	it('shows no password of a database', async () => {
		const flags = { 'database.url': 'mysql://root:hunter2@127.0.0.1:1/spot' };
		const { ended, out, err } = run(emptyFolder(), { flags });
		await expect(ended).rejects.toMatchObject({
			code: 'DATABASE_UNAVAILABLE',
			message: 'the database does not answer: mysql://root:***@127.0.0.1:1/spot',
		});
		expect(out() + err()).not.toContain('hunter2');
	});

	it.each(['SIGTERM', 'SIGINT'])('drains on %s and ends with 0, leaving no listener behind', async (signal) => {
		const stateDir = emptyFolder();
		const { host, ended, url, exits, parts } = run(stateDir);
		await url();
		host.emit(signal);
		expect(await ended).toBe(0);
		expect(exits).toEqual([]);
		expect(parts.events.at(-1)).toBe('stop');
		expect(existsSync(join(stateDir, 'daemon.json'))).toBe(false);
		expect(host.eventNames()).toEqual([]);
	});

	it.each([
		['SIGINT', 130],
		['SIGTERM', 143],
	] as const)('ends at once on a second signal, %s with %i', async (signal, code) => {
		const { host, ended, url, exits, parts } = run(emptyFolder(), { flags: { 'server.drainTimeout': '300ms' } });
		parts.handler = () => {
			parts.events.push('called');
			return new Promise(() => undefined);
		};
		const hanging = fetch(`${await url()}/api/agents/a/config`, { headers: { authorization: `Bearer ${ADMIN}` } }).catch(() => 'cut');
		await expect.poll(() => parts.events).toContain('called');
		host.emit('SIGTERM');
		expect(exits).toEqual([]);
		host.emit(signal);
		expect(exits).toEqual([code]);
		expect(await ended).toBe(0);
		expect(await hanging).toBe('cut');
	});

	it('asked to stop while it starts, stops when it has started', async () => {
		const { host, ended, parts } = run(emptyFolder());
		await expect.poll(() => host.listenerCount('SIGTERM')).toBe(1);
		host.emit('SIGTERM');
		expect(await ended).toBe(0);
		expect(parts.events).toEqual(['start jobs=true', 'stop']);
	});

	it.each(['uncaughtException', 'unhandledRejection'])('logs an error nobody caught and ends with 1: %s', async (event) => {
		const { host, ended, url, exits, err } = run(emptyFolder());
		await url();
		host.emit(event, new Error('boom'));
		expect(exits).toEqual([1]);
		expect(err()).toMatch(/"level":"fatal"[^\n]*"message":"boom"/);
		host.emit('SIGTERM');
		await ended;
	});

	it('refuses a bad configuration with every problem, before anything is opened', async () => {
		const stateDir = emptyFolder();
		const { ended, out } = run(stateDir, { flags: { 'server.port': 'many', 'security.adminToken': 'short' } });
		await expect(ended).rejects.toMatchObject({
			code: 'CONFIG_INVALID',
			message: expect.stringMatching(/server\.port[\s\S]*security\.adminToken/),
		});
		expect(out()).toBe('');
		expect(existsSync(join(stateDir, 'spotctl.db'))).toBe(false);
	});

	it('writes its log files, and reopens them on SIGHUP', async () => {
		const stateDir = emptyFolder();
		const dir = join(stateDir, 'logs');
		const { host, ended, url } = run(stateDir, { flags: { 'log.dir': dir } });
		await url();
		host.emit('SIGHUP');
		host.emit('SIGTERM');
		expect(await ended).toBe(0);
		expect(readFileSync(join(dir, 'app.log'), 'utf8')).toMatch(/"msg":"listening"[\s\S]*"msg":"stopped"/);
	});

	it('stops when the terminal that showed it is closed', async () => {
		const { host, ended, url } = run(emptyFolder(), { terminal: true });
		await url();
		host.emit('SIGHUP');
		expect(await ended).toBe(0);
	});
});
