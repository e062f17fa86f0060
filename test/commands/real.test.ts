import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { classicPrices, machine, send } from '../helpers/daemon.ts';
import { openRows } from '../helpers/rows.ts';

const ROOT = join(import.meta.dirname, '../..');
const SPOTCTL = join(ROOT, 'bin/spotctl');

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };
type Program = { readonly child: ChildProcess; readonly ended: Promise<Ended>; out(): string; err(): string };

const homes: string[] = [];
const programs: Program[] = [];

const emptyHome = (): string => {
	const home = mkdtempSync(join(tmpdir(), 'spotctl-home-'));
	homes.push(home);
	return home;
};

/** The built program as a process of its own that knows nothing but a home folder. */
const start = (home: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Program => {
	const child = spawn(SPOTCTL, argv, {
		cwd: home,
		env: { PATH: process.env['PATH'], HOME: home, NO_COLOR: '1', ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const said = { out: '', err: '' };
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		said.out += text;
	});
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		said.err += text;
	});
	const ended = new Promise<Ended>((done) =>
		child.once('close', (code, signal) => done({ code: code ?? (signal === null ? null : -1), ...said })),
	);
	const program = { child, ended, out: () => said.out, err: () => said.err };
	programs.push(program);
	return program;
};

const serve = async (home: string, env: Readonly<Record<string, string>> = {}): Promise<Program & { readonly url: string }> => {
	const program = start(home, ['serve'], { SPOTCTL_PORT: '0', ...env });
	let over: Ended | undefined;
	void program.ended.then((ended) => {
		over = ended;
	});
	for (const until = Date.now() + 20_000; !program.out().includes('agents list\n'); await delay(20))
		if (over !== undefined || Date.now() > until) throw new Error(`serve did not start: ${program.out()}${program.err()}`);
	return { ...program, url: /serves at (\S+)/.exec(program.out())?.[1] ?? '' };
};

const stateOf = (home: string): string => join(home, '.local/state/spotctl');
const tokenOf = (home: string): string => readFileSync(join(stateOf(home), 'admin-token'), 'utf8').trim();

beforeAll(() => {
	execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: ROOT, stdio: 'pipe' });
}, 120_000);
afterAll(async () => {
	for (const { child, ended } of programs.splice(0)) {
		if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
		await ended;
	}
	for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true });
});

describe('the built program, on a machine where nothing is', () => {
	let home = '';
	let daemon: Awaited<ReturnType<typeof serve>>;
	const run = (...argv: string[]): Promise<Ended> => start(home, argv).ended;
	const ids: Record<string, string> = {};

	/** What a command prints where nobody sits at a terminal: its exit code, lines of fields, remarks. */
	const good = async (...argv: string[]): Promise<string> => {
		const { code, out, err } = await run(...argv);
		expect([argv.join(' '), code], err).toEqual([argv.join(' '), 0]);
		// biome-ignore lint/suspicious/noControlCharactersInRegex: colour would be one
		expect(out + err).not.toMatch(/\u001b/);
		return out;
	};
	const bad = async (code: number, ...argv: string[]): Promise<string> => {
		const found = await run(...argv);
		expect([argv.join(' '), found.code], found.err).toEqual([argv.join(' '), code]);
		expect(found.err).toMatch(/^spotctl: /m);
		return found.err;
	};
	const field = (out: string, name: string): string => new RegExp(`^${name}\t(.*)$`, 'm').exec(out)?.[1] ?? '';

	beforeAll(async () => {
		home = emptyHome();
		daemon = await serve(home);
	}, 60_000);

	it('starts with no flags, says what to type next, and keeps its key to itself', () => {
		const lines = daemon.out().split('\n');
		expect(lines[0]).toMatch(/^spotctl \S+ serves at http:\/\/127\.0\.0\.1:\d+$/);
		expect(daemon.out()).toContain(`admin token    in ${join(stateOf(home), 'admin-token')}`);
		expect(lines.slice(-4)).toEqual(['  bin/spotctl health', '  bin/spotctl clients create acme', '  bin/spotctl agents list', '']);
		expect([statSync(join(stateOf(home), 'admin-token')).mode & 0o777, statSync(stateOf(home)).mode & 0o777]).toEqual([0o600, 0o700]);
		expect(statSync(join(stateOf(home), 'spotctl.db')).mode & 0o777).toBe(0o600);
		expect(daemon.out() + daemon.err()).not.toContain(tokenOf(home).slice(10));
		expect(readdirSync(home)).toEqual(['.local']);
		expect(JSON.parse(readFileSync(join(stateOf(home), 'daemon.json'), 'utf8'))).toMatchObject({ url: daemon.url, pid: daemon.child.pid });
	});

	it('finds the daemon and its key without a flag: clients and tokens', async () => {
		expect(await good('health')).toContain('status\thealthy\n');
		const made = await good('clients', 'create', 'acme');
		[ids['client'], ids['token']] = [field(made, 'id'), field(made, 'token')];
		expect(ids['token']).toMatch(/^spt_[\w-]{43}$/);
		expect(await good('clients', 'list')).toMatch(new RegExp(`^${ids['client']}\tacme\tactive\t0\t0\t0\t`));
		expect(await good('clients', 'show', 'acme')).toContain('max_agents\tunlimited\n');
		expect(await good('clients', 'set', 'acme', '--max-agents', '50')).toContain('max_agents\t50\n');
		expect(field(await good('tokens', 'create', 'acme', '--name', 'second'), 'token')).toMatch(/^spt_/);
		const listed = (await good('tokens', 'list', 'acme')).trim().split('\n');
		expect(listed.map((line) => line.split('\t').slice(1, 4))).toEqual([
			['second', expect.stringMatching(/^spt_.{6}$/), 'active'],
			['first', expect.stringMatching(/^spt_.{6}$/), 'active'],
		]);
		expect(field(await good('tokens', 'rotate', 'acme', '--overlap', '24h'), 'old_tokens')).toBe('2');
		await good('tokens', 'revoke', 'acme', listed[0]?.split('\t')[0] ?? '', '--yes');
		expect(await bad(5, 'tokens', 'show', 'acme')).toContain('spotctl tokens rotate acme');
		expect(field(await good('admin-tokens', 'create', 'ops', '--scope', 'read'), 'token')).toMatch(/^spa_/);
		expect(await good('admin-tokens', 'list')).toMatch(/\tops\tread\t/);
		await good('admin-tokens', 'revoke', 'ops', '--yes');
	}, 60_000);

	const agent = (path: string, body?: object) =>
		send(daemon.url, {
			method: body === undefined ? 'GET' : 'POST',
			path: `/api/agents/${path}`,
			token: ids['token'] ?? '',
			...(body ? { body } : {}),
		});

	it('shows and changes agents and instances', async () => {
		ids['agent'] = String((await agent('register', machine('i-0aa', { logical_agent_id: 'web' }))).body['agent_id']);
		await agent(`${ids['agent']}/pricing-report`, classicPrices({ 'us-east-1a': 0.04, 'us-east-1b': 0.03 }));
		await agent(`${ids['agent']}/pending-commands`);
		const id = ids['agent'];
		const [agents, shown, instances, instance, offered, plan, orders] = await Promise.all([
			good('agents', 'list'),
			good('agents', 'show', id),
			good('instances', 'list'),
			good('instances', 'show', 'i-0aa'),
			good('instances', 'options', 'i-0aa'),
			good('instances', 'switch', 'i-0aa', '--pool', 'c5.large.us-east-1b', '--dry-run'),
			good('commands', 'list'),
		]);
		expect(agents).toMatch(new RegExp(`^${id}\t`));
		expect(shown).toContain('i-0aa');
		expect(instances).toMatch(/^i-0aa\t/);
		expect(instance).toContain('c5.large');
		expect(
			offered
				.trim()
				.split('\n')
				.map((line) => line.split('\t')[0]),
		).toEqual(['c5.large.us-east-1b', 'c5.large.us-east-1a']);
		expect([plan.includes('0.01'), orders]).toEqual([true, '']);
		await good('agents', 'disable', id);
		expect(await good('agents', 'list', '-o', 'json')).toContain('"enabled": false');
		await good('agents', 'enable', id);
		expect(await good('agents', 'set', id, '--terminate-wait', '7m', '--auto-switch', 'off')).toContain('420');
	}, 60_000);

	/** What an agent does with an order: it polls until it has one. */
	const claimed = async (handle: string): Promise<string> => {
		for (;;) {
			const [command] = ((await agent(`${handle}/pending-commands`)).body['commands'] ?? []) as { id: string }[];
			if (command !== undefined) return command.id;
			await delay(50);
		}
	};

	it('follows a switch to its end and exits by what came of it: 0 done, 9 failed, 8 still open', async () => {
		const first = ids['agent'] ?? '';
		const done = start(home, ['instances', 'switch', 'i-0aa', '--pool', 'c5.large.us-east-1b', '--wait', '--timeout', '30s']);
		const command = await claimed(first);
		await expect.poll(done.err, { timeout: 10_000 }).toContain('claimed by the agent\n');
		const second = String((await agent('register', machine('i-0bb', { logical_agent_id: 'web', az: 'us-east-1b' }))).body['agent_id']);
		await agent(`${first}/switch-report`, {
			old_instance: { instance_id: 'i-0aa', mode: 'spot', pool_id: 'c5.large.us-east-1a' },
			new_instance: { instance_id: 'i-0bb', mode: 'spot', pool_id: 'c5.large.us-east-1b' },
			prices: { on_demand: 0.085, old_spot: 0.04, new_spot: 0.03 },
			timing: { switch_initiated_at: new Date().toISOString() },
			trigger: 'manual',
		});
		await agent(`${first}/commands/${command}/executed`, { success: true });
		const { code, out, err } = await done.ended;
		expect([code, field(out, 'status'), field(out, 'new_instance')], err).toEqual([0, 'completed', 'i-0bb']);
		expect(err.split('\n').map((line) => line.split(/[ :]/)[0])).toEqual(['queued', 'claimed', 'launched', 'reported', 'done', '']);

		const failing = start(home, ['instances', 'switch', 'i-0bb', '--on-demand', '--wait', '--keep-old']);
		const next = await claimed(second);
		await agent(`${second}/commands/${next}/executed`, { success: false, message: 'InsufficientInstanceCapacity' });
		const failed = await failing.ended;
		expect([failed.code, field(failed.out, 'status')]).toEqual([9, 'failed']);
		expect(failed.err).toContain('InsufficientInstanceCapacity');

		const late = await run('instances', 'switch', 'i-0bb', '--on-demand', '--wait', '--timeout', '1s');
		expect([late.code, field(late.out, 'status')], late.err).toEqual([8, 'pending']);
		expect(late.err).toContain('spotctl commands show');
		const listed = (await good('commands', 'list')).trim().split('\n');
		expect(listed).toHaveLength(3);
		const open = field(late.out, 'id');
		expect(await good('commands', 'show', open)).toContain('pending');
		expect(await bad(6, 'instances', 'switch', 'i-0bb', '--on-demand')).toContain('a switch of this agent is pending already');
		await good('commands', 'cancel', open);
		expect(await bad(6, 'commands', 'cancel', open)).toContain('cancelled already');
		await good('instances', 'hold', 'i-0aa');
		await good('instances', 'release', 'i-0aa', '--yes');
		expect(await bad(6, 'instances', 'switch', 'i-0aa', '--on-demand')).toContain('i-0bb');
	}, 60_000);

	it('exits with 2, 4, 5, 6 and 7 where it must, and asks before it deletes', async () => {
		const wrong: ReadonlyArray<readonly [number, string, ...string[]]> = [
			[2, 'Did you mean one of list, ls?', 'clients', 'lst'],
			[2, '--pool POOL or --on-demand', 'instances', 'switch', 'i-0bb'],
			[2, 'email', 'clients', 'create', 'x', '--email', 'no address'],
			[2, 'add --yes', 'clients', 'delete', 'acme'],
			[2, 'no pool "c5.large.us-east-1z" is known', 'instances', 'switch', 'i-0bb', '--pool', 'c5.large.us-east-1z'],
			[5, 'no client "nobody"', 'clients', 'show', 'nobody'],
			[5, 'spotctl instances list', 'instances', 'show', 'i-nobody'],
			[6, 'exists already', 'clients', 'create', 'acme'],
			[7, 'no daemon answers', 'agents', 'list', '--server', 'http://127.0.0.1:1'],
		];
		await Promise.all(wrong.map(async ([code, text, ...argv]) => expect(await bad(code, ...argv)).toContain(text)));
		const other = await Promise.all([
			start(home, ['agents', 'list'], { SPOTCTL_TOKEN: 'garbage' }).ended,
			start(home, ['clients', 'create', 'x'], { SPOTCTL_TOKEN: ids['token'] ?? '' }).ended,
		]);
		expect(other.map(({ code }) => code)).toEqual([4, 4]);
	}, 60_000);

	it('reads its configuration and its database by itself', async () => {
		const right: ReadonlyArray<readonly [RegExp, ...string[]]> = [
			[/^server\.port\t5000\t/m, 'config', 'show', '--origin'],
			[/^valid\ttrue$/m, 'config', 'check'],
			[/^state\tcurrent$/m, 'db', 'status'],
			[/^(.+\tok\t\n)+$/, 'db', 'check'],
			[/9/, 'help', 'exit-codes'],
			[/^\d+\.\d+\.\d+\n$/, '--version'],
		];
		await Promise.all(right.map(async ([text, ...argv]) => expect(await good(...argv)).toMatch(text)));
	}, 60_000);

	it('does the same without a daemon with --local, and what it did is seen by the daemon at once', async () => {
		const made = await good('--local', 'clients', 'create', 'beta');
		const { status, body } = await send(daemon.url, { path: '/api/client/validate', token: field(made, 'token') });
		expect([status, body['name']]).toEqual([200, 'beta']);
		expect(await good('--local', 'clients', 'list', '-o', 'jsonl')).toContain('"name":"beta"');
		expect(await bad(2, '--local', 'health')).toContain('only a running daemon');
		await good('--local', 'clients', 'delete', 'beta', '--yes');
		await expect
			.poll(async () => (await send(daemon.url, { path: '/api/client/validate', token: field(made, 'token') })).status, { timeout: 1000 })
			.toBe(401);
		const rows = await openRows(`sqlite:${join(stateOf(home), 'spotctl.db')}`);
		const actors = new Set((await rows.of('audit')).map((row) => row['actor']));
		await rows.close();
		expect([...actors].sort()).toEqual(['admin:bootstrap', `local:${userInfo().username}`, 'spotctl'].sort());
	}, 60_000);

	it('deletes and restores an agent, and deletes a client', async () => {
		const id = ids['agent'] ?? '';
		await good('agents', 'delete', id, '--yes');
		expect((await agent(id)).status).toBe(404);
		await good('agents', 'restore', id);
		expect((await agent(id)).status).toBe(200);
		await good('clients', 'delete', 'acme', '--yes');
		expect(await good('agents', 'list')).toBe('');
	}, 60_000);

	it('refuses a second daemon on the same file, which leaves the first alone', async () => {
		const { code, err } = await start(home, ['serve'], { SPOTCTL_PORT: '0' }).ended;
		expect(code).toBe(6);
		expect(err).toMatch(/another spotctl daemon is using ".*spotctl\.db"/);
		expect(JSON.parse(readFileSync(join(stateOf(home), 'daemon.json'), 'utf8'))).toMatchObject({ pid: daemon.child.pid });
		expect((await send(daemon.url, { path: '/readyz' })).status).toBe(200);
	});

	it('drains on SIGTERM, is found no more, and uses the same key and data when it is started again', async () => {
		const key = tokenOf(home);
		const slow = await halfSent(daemon.url, key);
		daemon.child.kill('SIGTERM');
		await expect
			.poll(
				() =>
					send(daemon.url, { path: '/livez' }).then(
						({ status }) => status,
						() => 0,
					),
				{ timeout: 5000 },
			)
			.toBe(0);
		slow.finish();
		expect(await slow.answered).toMatch(/^HTTP\/1\.1 201 /);
		const { code, err } = await daemon.ended;
		expect([code, err.includes('"msg":"stopped"')]).toEqual([0, true]);
		expect(existsSync(join(stateOf(home), 'daemon.json'))).toBe(false);
		expect((await run('clients', 'list')).code).toBe(7);

		const again = await serve(home);
		expect(tokenOf(home)).toBe(key);
		const listed = await run('clients', 'list');
		expect([listed.code, listed.out.split('\t')[1]]).toEqual([0, 'slow']);
		expect(
			(await run('admin-tokens', 'list')).out
				.trim()
				.split('\n')
				.filter((line) => line.includes('bootstrap')),
		).toHaveLength(1);
		again.child.kill('SIGINT');
		expect((await again.ended).code).toBe(0);
	}, 60_000);
});

/** A request whose body is not all there yet: the daemon waits for the rest. */
const halfSent = async (url: string, token: string): Promise<{ answered: Promise<string>; finish(): void; socket: Socket }> => {
	const { hostname, port } = new URL(url);
	const body = '{"name":"slow"}';
	const socket = connect(Number(port), hostname);
	let text = '';
	const answered = new Promise<string>((done) => {
		socket.setEncoding('utf8').on('data', (chunk: string) => {
			text += chunk;
		});
		socket.on('error', () => undefined);
		socket.on('close', () => done(text));
	});
	await new Promise<void>((done) => socket.once('connect', () => done()));
	socket.write(
		`POST /api/admin/clients/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
	);
	await delay(100);
	return { answered, finish: () => void socket.write(body.slice(5)), socket };
};

describe('a daemon', () => {
	afterEach(async () => {
		for (const { child } of programs) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
	});

	it('stops at once at a second signal', async () => {
		const home = emptyHome();
		const daemon = await serve(home);
		const slow = await halfSent(daemon.url, tokenOf(home));
		daemon.child.kill('SIGTERM');
		await expect.poll(daemon.err, { timeout: 3000 }).toContain('"msg":"stopping"');
		await delay(300);
		expect(daemon.child.exitCode).toBe(null);
		const since = performance.now();
		daemon.child.kill('SIGTERM');
		expect((await daemon.ended).code).toBe(143);
		expect(performance.now() - since).toBeLessThan(2000);
		slow.socket.destroy();
	}, 30_000);

	it('that was killed leaves nothing in the way of the next', async () => {
		const home = emptyHome();
		const daemon = await serve(home);
		const made = await send(daemon.url, {
			method: 'POST',
			path: '/api/admin/clients/create',
			token: tokenOf(home),
			body: { name: 'kept' },
		});
		daemon.child.kill('SIGKILL');
		await daemon.ended;
		expect(made.status).toBe(201);
		expect(existsSync(join(stateOf(home), 'daemon.json'))).toBe(true);
		const next = await serve(home);
		expect((await start(home, ['clients', 'list']).ended).out).toContain('\tkept\t');
		next.child.kill('SIGTERM');
		expect((await next.ended).code).toBe(0);
	}, 30_000);

	it('with --local and no database makes none: it names the file and what to type', async () => {
		const home = emptyHome();
		const file = join(stateOf(home), 'spotctl.db');
		const missing = await start(home, ['--local', 'clients', 'list']).ended;
		expect([missing.code, missing.out, missing.err]).toEqual([
			5,
			'',
			`spotctl: there is no database "${file}"\n  start the daemon, which makes it: spotctl serve   (or: spotctl db migrate)\n`,
		]);
		expect(existsSync(file)).toBe(false);
		mkdirSync(stateOf(home), { recursive: true });
		writeFileSync(file, '');
		const empty = await start(home, ['--local', 'clients', 'list']).ended;
		expect([empty.code, empty.err]).toEqual([
			10,
			'spotctl: the database is empty: it holds nothing of spotctl yet\n  run: spotctl db migrate   (or start with: spotctl serve --migrate)\n',
		]);
	}, 30_000);

	it('does not start on a database that is newer, and five migrations at once are one', async () => {
		const home = emptyHome();
		const five = await Promise.all([1, 2, 3, 4, 5].map(() => start(home, ['db', 'migrate']).ended));
		for (const { code, err } of five) expect([0, 6], err).toContain(code);
		expect(five.some(({ code }) => code === 0)).toBe(true);
		expect((await start(home, ['db', 'status']).ended).out).toContain('state\tcurrent\n');
		const rows = await openRows(`sqlite:${join(stateOf(home), 'spotctl.db')}`);
		await sql`insert into spotctl_migration (name, timestamp) values ('9999-001-future', '2999')`.execute(rows.store.ddl);
		await rows.close();
		const { code, err } = await start(home, ['serve'], { SPOTCTL_PORT: '0' }).ended;
		expect([code, err.includes('newer than this spotctl')], err).toEqual([10, true]);
		expect((await start(home, ['--local', 'clients', 'list']).ended).code).toBe(10);
	}, 30_000);
});
