import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, classicPrices, machine, send, startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { lockFile } from '../helpers/lock.ts';
import { type MariadbServer, mariadbBinary, sharedMariadb, startMariadb } from '../helpers/mariadb.ts';
import { openRows } from '../helpers/rows.ts';
import { callOf, coreOperations, ghostOf, makeScene, type Scene } from '../helpers/scene.ts';

afterEach(stopDaemons);

const isOutage = (what: string, { status, headers, body }: Answer): void => {
	expect([what, status, body['code'], body['status'], body['data']]).toEqual([what, 503, 'DATABASE_UNAVAILABLE', 'error', null]);
	expect(Number(headers['retry-after']), what).toBeGreaterThan(0);
	expect(String(body['error']) + String(body['hint']), what).not.toMatch(/ECONN|SQLITE|select |mysql|pool exhausted|getting connection/i);
};

const everyRoute = async (test: TestDaemon, scene: Scene): Promise<void> => {
	for (const each of coreOperations) {
		const forAgents = each.operation.access === 'agent' || each.operation.access === 'client';
		const token = forAgents ? scene.token : test.admin;
		isOutage(each.name, await test.send({ ...callOf(each, scene), token }));
		isOutage(`${each.name} of nobody`, await test.send({ ...callOf(each, ghostOf(scene)), token }));
		isOutage(`${each.name} with garbage`, await test.send({ ...callOf(each, scene), token: 'garbage' }));
	}
};

/** The deletion probe: whatever it is asked about, it must not be 404 (D-01). */
const everyProbe = async (test: TestDaemon, { token, handle, agentId }: Scene): Promise<void> => {
	for (const id of [handle, agentId, 'nobody', '00000000-0000-4000-8000-000000000003', '%zz', 'x'.repeat(5000)])
		isOutage(`probe ${id.slice(0, 40)}`, await test.send({ path: `/api/agents/${id}`, token }));
};

const ask = async (test: TestDaemon, path: string): Promise<number> => (await test.send({ path })).status;

describe.skipIf(mariadbBinary() === undefined)('a MariaDB that goes away and comes back', () => {
	let server: MariadbServer | undefined;
	afterEach(async () => {
		await stopDaemons();
		await server?.stop();
	});

	const startServer = async (): Promise<MariadbServer> => {
		const shared = sharedMariadb();
		server = await startMariadb('missing' in shared ? {} : { template: shared.template });
		return server;
	};

	it('is 503 on every route meanwhile, loses no heartbeat that was answered, and makes nobody silent', async () => {
		const { kill, restart, createDatabase } = await startServer();
		const { url } = await createDatabase();
		const test = await startDaemon(url, { flags: { 'agents.heartbeatTimeout': '5s', 'security.failedAuthPerMinute': 100_000 } });
		const scene = await makeScene(test);
		const agent = test.apiAs(scene.token);
		const quiet = await agent.registerHost(machine('i-quiet'));
		expect([await ask(test, '/readyz'), await ask(test, '/health')]).toEqual([200, 200]);
		const heardAt = Date.now();
		expect((await agent.heartbeat({ agent_id: quiet.agent_id })).acknowledged).toBe(true);
		await kill();
		const lostAt = Date.now();

		// A change of state cannot be answered from memory, not even at once.
		isOutage('register', await test.send({ method: 'POST', path: '/api/agents/register', token: scene.token, body: machine('i-new') }));
		isOutage(
			'offline',
			await test.send({ method: 'POST', path: `/api/agents/${scene.handle}/heartbeat`, token: scene.token, body: { status: 'offline' } }),
		);
		await delay(1000 - (Date.now() - lostAt));
		await everyRoute(test, scene);
		await everyProbe(test, scene);
		expect([await ask(test, '/livez'), await ask(test, '/readyz'), await ask(test, '/health')]).toEqual([200, 503, 503]);
		const health = await test.send({ path: '/health' });
		expect(health.body).toMatchObject({ status: 'unhealthy', database: 'disconnected', error: 'database does not answer' });
		const ready = await test.send({ path: '/readyz' });
		expect(ready.body).toMatchObject({ status: 'not ready', checks: { serving: 'ok', database: 'does not answer' } });
		// What needs no database is answered as ever.
		expect([await ask(test, '/openapi.json'), await ask(test, '/nowhere'), await ask(test, '/api/agents/x/config')]).toEqual([
			200, 404, 401,
		]);
		expect((await test.send({ method: 'PUT', path: '/api/agents/x/config', token: scene.token })).status).toBe(405);

		// Longer than the timeout, and than the gap in which a daemon restarts.
		await delay(7000 - (Date.now() - lostAt));
		await restart();
		await expect.poll(() => ask(test, '/readyz'), { timeout: 5000, interval: 20 }).toBe(200);
		const backAt = Date.now();
		expect((await agent.heartbeat({ agent_id: scene.handle })).acknowledged).toBe(true);
		const late = await agent.registerHost(machine('i-new'));
		expect(late.role).toBe('primary');
		await agent.pricingReport({ agent_id: scene.handle, ...classicPrices({ 'us-east-1a': 0.05 }) });
		const kept = setInterval(() => {
			for (const agent_id of [scene.handle, late.agent_id]) void agent.heartbeat({ agent_id }).catch(() => undefined);
		}, 1000);
		try {
			const rows = await openRows(url);
			const seenAt = async () => Number((await rows.of('host_liveness')).find((row) => row['handle'] === quiet.agent_id)?.['seen_at']);
			await expect.poll(seenAt, { timeout: 3000 }).toBeGreaterThanOrEqual(heardAt);
			expect(await seenAt()).toBeLessThanOrEqual(lostAt);
			const judged = async () =>
				(await rows.of('event')).filter((row) => row['type'] === 'agent_marked_offline').map((row) => row['agent_id']);
			while (Date.now() - backAt < 4500) {
				expect(await judged(), `${Date.now() - backAt} ms after the database came back`).toEqual([]);
				await delay(50);
			}
			// Who says nothing in one full timeout after it is silent.
			await expect.poll(judged, { timeout: 5000 }).toEqual([quiet.agent_id]);
			await delay(1100);
			expect(await judged()).toEqual([quiet.agent_id]);
			expect((await agent.showAgent({ agent_id: scene.agentId })).status).toBe('online');
			await rows.close();
		} finally {
			clearInterval(kept);
		}
	}, 60_000);

	it('is noticed by /health within three seconds when it only hangs', async () => {
		const { pause, resume, createDatabase } = await startServer();
		const test = await startDaemon((await createDatabase()).url);
		pause();
		const since = performance.now();
		expect(await ask(test, '/health')).toBe(503);
		expect(performance.now() - since).toBeLessThan(4000);
		resume();
		await expect.poll(() => ask(test, '/health'), { timeout: 5000 }).toBe(200);
		await expect.poll(() => ask(test, '/readyz'), { timeout: 5000 }).toBe(200);
	});

	it('does not keep a daemon from stopping', async () => {
		const { kill, createDatabase } = await startServer();
		const test = await startDaemon((await createDatabase()).url);
		const scene = await makeScene(test);
		await test.apiAs(scene.token).heartbeat({ agent_id: scene.handle });
		await kill();
		const since = performance.now();
		await test.stop();
		expect(performance.now() - since).toBeLessThan(5000);
	});
});

describe('a SQLite file that cannot be written', () => {
	const WRITES = ['createClient', 'registerHost', 'pricingReport', 'cleanupReport', 'hostEnded', 'createToken'];
	const writes = coreOperations.filter(({ name }) => WRITES.includes(name));

	const write = (test: TestDaemon, scene: Scene, each: (typeof writes)[number], at = 0): Promise<Answer> => {
		const token = each.operation.access === 'agent' ? scene.token : test.admin;
		return test.send({ ...callOf(each, { ...scene, tag: `${scene.tag}-${at}` }), token });
	};

	/** What changes state must be refused, what is read goes on. */
	const refusesWrites = async (test: TestDaemon, scene: Scene): Promise<void> => {
		for (const each of writes) isOutage(each.name, await write(test, scene, each, 1000));
		const crowd = Array.from({ length: 20 }, (_, at) => writes.map((each) => write(test, scene, each, 2000 + at))).flat();
		for (const answer of await Promise.all(crowd)) isOutage('a crowd', answer);
		for (const path of [`/api/agents/${scene.handle}`, `/api/agents/${scene.handle}/config`])
			expect((await test.send({ path, token: scene.token })).status).toBe(200);
		const heartbeat = { method: 'POST', path: `/api/agents/${scene.handle}/heartbeat`, token: scene.token, body: {} };
		expect((await test.send(heartbeat)).status).toBe(200);
		expect((await test.send({ path: '/api/admin/clients', token: test.admin })).status).toBe(200);
	};

	type Spoil = (test: TestDaemon, scene: Scene) => Promise<unknown>;

	const around = async (spoil: Spoil, mend: Spoil): Promise<void> => {
		const test = await startDaemon(null);
		const scene = await makeScene(test);
		const rows = await openRows(`sqlite:${join(test.stateDir, 'spotctl.db')}`);
		await spoil(test, scene);
		const before = await rows.snapshot();
		await refusesWrites(test, scene);
		expect(await rows.snapshot()).toBe(before);
		await mend(test, scene);
		for (const each of writes) expect((await write(test, scene, each, 3000)).status, each.name).toBe(each.operation.status);
		await rows.close();
	};

	const pragma = ({ daemon }: TestDaemon, text: string) => sql.raw(`pragma ${text}`).execute(daemon.store.ddl);

	it('because it may not grow answers 503, keeps nothing of what it refused, and works again', () =>
		around(
			async (test, scene) => {
				await pragma(test, 'max_page_count = 1');
				// What is free inside its pages is used up first.
				for (const each of [...writes, ...writes]) {
					for (let at = 0; at < 500; at++) {
						const answer = await write(test, scene, each, at);
						if (answer.status === 503) break;
						expect([201, 200, 409], answer.text).toContain(answer.status);
					}
				}
			},
			(test) => pragma(test, 'max_page_count = 1000000'),
		));

	it('because another process has locked it answers 503, in bounded time and without holding up who only reads, and works again', async () => {
		const test = await startDaemon(null);
		const scene = await makeScene(test);
		const quiet = (await test.apiAs(scene.token).registerHost(machine('i-quiet'))).agent_id;
		const names = async () => (await test.api.listClients({ limit: 500 })).items.map(({ name }) => name);
		const before = await names();
		const unlock = await lockFile(join(test.stateDir, 'spotctl.db'));
		const quick = async (path: string, method = 'GET'): Promise<Answer> => {
			const since = performance.now();
			const body = method === 'GET' ? {} : { body: {} };
			const answer = await test.send({ path, method, token: path.includes('admin') ? test.admin : scene.token, ...body });
			expect(performance.now() - since, path).toBeLessThan(1000);
			return answer;
		};
		/** What goes on as ever. */
		const reads = async (): Promise<void> => {
			const own = `/api/agents/${quiet}`;
			const polls = ['config', 'pending-commands', 'replicas', 'instances-to-terminate'].map((list) => `${own}/${list}`);
			for (const path of ['/livez', '/health', own, ...polls, '/api/admin/clients'])
				expect([path, (await quick(path)).status]).toEqual([path, 200]);
			expect((await quick(`${own}/heartbeat`, 'POST')).status).toBe(200);
		};
		try {
			const since = performance.now();
			const first = Promise.all(writes.map((each) => write(test, scene, each, 4000)));
			while (performance.now() - since < 3000) await reads();
			for (const answer of await first) isOutage('one of the first', answer);
			expect(performance.now() - since).toBeLessThan(6500);
			const next = performance.now();
			for (let at = 0; at < 5; at++) for (const each of writes) isOutage(each.name, await write(test, scene, each, 5000 + at));
			expect(performance.now() - next).toBeLessThan(3000);
			await reads();
			const ready = await quick('/readyz');
			const locked = 'refused: another process has locked the database';
			expect([ready.status, ready.body['checks']]).toEqual([503, expect.objectContaining({ database: 'ok', writes: locked })]);
			await refusesWrites(test, scene);
		} finally {
			await unlock();
		}
		await expect.poll(() => ask(test, '/readyz'), { timeout: 5000 }).toBe(200);
		expect(await names()).toEqual(before);
		for (const each of writes) expect((await write(test, scene, each, 3000)).status, each.name).toBe(each.operation.status);
		expect(test.log()).toContain('another process has locked the database');
		expect(test.log()).not.toContain('cannot be decided');
	}, 60_000);

	it('because another process has locked it lets a daemon start that gets it in time, and tells the other what stands in its way', async () => {
		const stateDir = temporaryFolder('state');
		const file = join(stateDir, 'spotctl.db');
		const earlier = await startDaemon(null, { stateDir });
		await earlier.stop();
		const unlock = await lockFile(file);
		try {
			await expect(startDaemon(null, { stateDir })).rejects.toMatchObject({
				code: 'DATABASE_UNAVAILABLE',
				message: `another process has locked the database file "${file}"`,
				hint: `see who has it open, end that, then try again: fuser -v "${file}"`,
			});
			const late = startDaemon(null, { stateDir });
			await delay(500);
			await unlock();
			expect(await ask(await late, '/readyz')).toBe(200);
		} finally {
			await unlock();
		}
	}, 30_000);

	it('because it is read only answers 503, and works again', () =>
		around(
			(test) => pragma(test, 'query_only = on'),
			(test) => pragma(test, 'query_only = off'),
		));
});

describe('a disk that is full', () => {
	it('is 503 to whoever writes, and nothing that was answered is lost', async () => {
		const home = mkdtempSync(join(tmpdir(), 'spotctl-full-'));
		const root = join(import.meta.dirname, '../..');
		// No file of the process may grow beyond this size: write(2) fails with EFBIG, as on a full disk with ENOSPC.
		const script = 'trap "" XFSZ; ulimit -f 8000; exec "$0" --import tsx bin/spotctl.ts serve --port 0';
		const child = spawn('bash', ['-c', script, process.execPath], {
			cwd: root,
			env: { PATH: process.env['PATH'], HOME: home, NO_COLOR: '1' },
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		let said = '';
		for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
		const ended = new Promise<number | null>((done) => child.once('exit', done));
		try {
			await expect.poll(() => said, { timeout: 20_000 }).toContain('serves at');
			const url = /serves at (\S+)/.exec(said)?.[1] ?? '';
			const state = join(home, '.local/state/spotctl');
			const token = readFileSync(join(state, 'admin-token'), 'utf8').trim();
			const create = (name: string) => send(url, { method: 'POST', path: '/api/admin/clients/create', token, body: { name } });
			const made: string[] = [];
			let refused = 0;
			for (let at = 0; at < 2000 && refused < 5; at++) {
				const answer = await create(`client-${at}`);
				if (answer.status === 201) made.push(`client-${at}`);
				else {
					isOutage('create', answer);
					refused++;
				}
			}
			expect(refused).toBe(5);
			expect(made.length).toBeGreaterThan(5);
			const { status, body } = await send(url, { path: '/api/admin/clients?limit=500', token });
			expect([status, (body['data'] as { name: string }[]).map(({ name }) => name).sort()]).toEqual([200, [...made].sort()]);
			child.kill('SIGTERM');
			expect(await ended).toBe(0);
			const again = await startDaemon(`sqlite:${join(state, 'spotctl.db')}`);
			const { items } = await again.apiAs(token).listClients({ limit: 500 });
			expect(items.map(({ name }) => name).sort()).toEqual([...made].sort());
			expect(said).not.toContain(token.slice(10));
		} finally {
			child.kill('SIGKILL');
			await ended;
			await stopDaemons();
			rmSync(home, { recursive: true, force: true });
		}
	}, 60_000);
});
