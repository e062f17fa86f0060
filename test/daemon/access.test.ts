import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, type PartialSettings } from '../../src/config/load.ts';
import type { Name } from '../../src/contract/index.ts';
import type { DaemonName } from '../../src/core/caller.ts';
import { localApi } from '../../src/core/local.ts';
import { systemClock, systemIds } from '../../src/deps.ts';
import { type Answer, classicPrices, machine, startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openRows, type Rows } from '../helpers/rows.ts';
import { callOf, coreOperations, ghostOf, INPUTS, makeScene, namesIn, requestOf, type Scene } from '../helpers/scene.ts';

const UNLIMITED = { 'security.failedAuthPerMinute': 100_000 };

/** What tells two answers apart for somebody who compares them: everything but the ids he sent himself. */
const shape = ({ status, body }: Answer, scene: Scene): string => {
	const { request_id: _, ...rest } = body;
	let text = JSON.stringify({ status, ...rest });
	// The number of an alert is short, and is in no answer that refuses.
	for (const value of Object.values(scene)) if (value !== scene.alertId) text = text.replaceAll(value, '…');
	return text;
};

describeEachDatabase('every operation', ({ freshUrl }) => {
	let test: TestDaemon;
	let rows: Rows;
	let [acme, other, ghost]: Scene[] = [];
	const bad: Record<string, string | null> = { missing: null, garbage: 'garbage' };
	const scopes: Record<string, string> = {};
	const scene = (which: Scene | undefined): Scene => which as Scene;

	beforeAll(async () => {
		const url = await freshUrl();
		test = await startDaemon(url, { flags: UNLIMITED });
		rows = await openRows(url);
		acme = await makeScene(test);
		other = await makeScene(test);
		ghost = ghostOf(acme);
		const { api } = test;
		const extra = (seconds?: number) => api.createToken({ client_id: scene(acme).clientId, expires_in_seconds: seconds ?? null });
		const revoked = await extra();
		await api.revokeToken({ client_id: scene(acme).clientId, token_id: revoked.token_id });
		const revokedAdmin = await api.createAdminToken({ name: 'gone', scope: 'admin' });
		await api.revokeAdminToken({ token_id: revokedAdmin.token_id });
		const expired = await extra(1);
		const expiredAdmin = await api.createAdminToken({ name: 'short', scope: 'admin', expires_in_seconds: 1 });
		const asleep = await api.createClient({ name: 'asleep' });
		await api.updateClient({ client_id: asleep.client.id, status: 'inactive' });
		Object.assign(bad, {
			revoked: revoked.token,
			'revoked admin': revokedAdmin.token,
			expired: expired.token,
			'expired admin': expiredAdmin.token,
			inactive: asleep.client.token,
		});
		for (const scope of ['read', 'operate', 'admin'] as const) scopes[scope] = (await api.createAdminToken({ name: scope, scope })).token;
		await delay(1100);
	});
	afterAll(async () => {
		await rows.close();
		await stopDaemons();
	});

	it.each([
		['missing', 401, 'UNAUTHORIZED'],
		['garbage', 401, 'INVALID_TOKEN'],
		['revoked', 401, 'INVALID_TOKEN'],
		['revoked admin', 401, 'INVALID_TOKEN'],
		['expired', 401, 'INVALID_TOKEN'],
		['expired admin', 401, 'INVALID_TOKEN'],
		['inactive', 403, 'INACTIVE_CLIENT'],
	])('refuses a token that is %s alike for what exists and what does not, and changes nothing', async (kind, status, code) => {
		const before = await rows.snapshot();
		for (const each of coreOperations) {
			const token = bad[kind] ?? null;
			const answer = await test.send({ ...callOf(each, scene(acme)), token });
			expect([each.name, answer.status, answer.body['code'], answer.body['data']]).toEqual([each.name, status, code, null]);
			const missing = await test.send({ ...callOf(each, scene(ghost)), token });
			expect(shape(missing, scene(ghost)), each.name).toBe(shape(answer, scene(acme)));
			if (each.name === 'validateToken') expect(answer.body['valid']).toBe(false);
		}
		expect(await rows.snapshot()).toBe(before);
	});

	it('takes a token in the body where an agent would put it, and refuses a bad one there too', async () => {
		const body = (token: string | null) => ({ client_token: token, status: 'online' });
		const path = `/api/agents/${scene(acme).handle}/heartbeat`;
		expect((await test.send({ method: 'POST', path, body: body(scene(acme).token) })).status).toBe(200);
		for (const kind of ['garbage', 'revoked', 'expired'])
			expect((await test.send({ method: 'POST', path, body: body(bad[kind] ?? null) })).status, kind).toBe(401);
		expect((await test.send({ method: 'POST', path, body: body(scene(other).token) })).status).toBe(404);
	});

	/** What another client's token gets; null: the operation takes the client from the token and is about that client's own things. */
	const foreign = ({ name, operation }: (typeof coreOperations)[number]): readonly [number, string] | null => {
		if (operation.access !== 'agent' && operation.access !== 'client') return [403, 'FORBIDDEN'];
		if (namesIn(operation, 'client_id')) return [403, 'FORBIDDEN'];
		if (name === 'probeAgent') return [403, 'UNKNOWN_AGENT'];
		return namesIn(operation, 'agent_id', 'instance_id', 'command_id') ? [404, 'NOT_FOUND'] : null;
	};

	it("answers another client's token the same for what exists and what does not, and changes nothing", async () => {
		const before = await rows.snapshot();
		for (const each of coreOperations) {
			const expected = foreign(each);
			if (expected === null) continue;
			const { token } = scene(other);
			const answer = await test.send({ ...callOf(each, scene(acme)), token });
			expect([each.name, answer.status, answer.body['code']]).toEqual([each.name, ...expected]);
			const missing = await test.send({ ...callOf(each, scene(ghost)), token });
			expect(shape(missing, scene(ghost)), each.name).toBe(shape(answer, scene(acme)));
		}
		expect(await rows.snapshot()).toBe(before);
	});

	it("reaches another client's things by no input either", async () => {
		const { token, handle } = scene(other);
		const before = await rows.snapshot();
		for (const each of coreOperations) {
			const { operation } = each;
			if ((operation.access !== 'agent' && operation.access !== 'client') || namesIn(operation, 'client_id')) continue;
			if (!('client_id' in operation.input.shape)) continue;
			const answers: string[] = [];
			for (const named of [scene(acme), scene(ghost)]) {
				const answer = await test.send({
					...requestOf(operation, { ...INPUTS[each.name](scene(other)), client_id: named.clientId }),
					token,
				});
				expect([each.name, answer.status, answer.body['code']]).toEqual([each.name, 403, 'FORBIDDEN']);
				answers.push(shape(answer, named));
			}
			expect(answers[1], each.name).toBe(answers[0]);
		}
		for (const named of [scene(acme), scene(ghost)]) {
			const statuses = [
				await test.send({ path: `/api/client/commands?agent_id=${named.agentId}`, token }),
				await test.send({
					method: 'POST',
					path: `/api/agents/${handle}/termination-report`,
					token,
					body: { instance_id: named.zombieId, success: true },
				}),
				await test.send({ method: 'POST', path: `/api/agents/${handle}/commands/${named.commandId}/executed`, token, body: {} }),
				await test.send({
					method: 'POST',
					path: `/api/agents/${handle}/mark-command-executed`,
					token,
					body: { command_id: named.commandId },
				}),
			].map(({ status, body }) => [status, body['code']]);
			expect(statuses).toEqual([404, 404, 404, 404].map((status) => [status, 'NOT_FOUND']));
		}
		expect(await rows.snapshot()).toBe(before);
		for (const named of [scene(acme), scene(ghost)]) {
			const answer = await test.send({ method: 'POST', path: '/api/agents/uninstall', token, body: { instance_id: named.instanceId } });
			expect([answer.status, answer.body['message']]).toEqual([200, `no machine "${named.instanceId}" is known; nothing changed`]);
		}
		expect(await rows.snapshot()).toBe(before);
		const mine = async () =>
			JSON.stringify(
				[...(await rows.of('host')), ...(await rows.of('agent')), ...(await rows.of('logical_id'))].filter(
					(row) => row['client_id'] === scene(acme).clientId,
				),
			);
		const untouched = await mine();
		const third = await test.api.createClient({ name: 'third' });
		const registered = await test
			.apiAs(third.client.token)
			.registerHost(machine(scene(acme).instanceId, { logical_agent_id: scene(acme).logicalId }));
		expect([registered.client_id, registered.role]).toEqual([third.client.id, 'primary']);
		expect([scene(acme).handle, scene(acme).agentId]).not.toContain(registered.agent_id);
		expect(await mine()).toBe(untouched);
		await test.api.deleteClient({ client_id: third.client.id });
	});

	it("shows a client's token only that client's things", async () => {
		const { token } = scene(other);
		const strangers = [acme?.clientId, acme?.agentId, acme?.handle, acme?.zombieId, acme?.commandId];
		for (const path of [
			'/api/agents',
			'/api/client/commands',
			'/api/client/validate',
			...['', '/agents', '/agents/history', '/instances', '/switch-history'].map((end) => `/api/client/${scene(other).clientId}${end}`),
		]) {
			const { status, text } = await test.send({ path, token });
			expect(status, path).toBe(200);
			for (const id of strangers) expect(text, path).not.toContain(id);
		}
	});

	it('wants an admin token of the right scope, before it says whether anything exists', async () => {
		const level = { read: 1, operate: 2, admin: 3 };
		const before = await rows.snapshot();
		for (const { name, operation } of coreOperations) {
			const forAgents = operation.access === 'agent' || operation.access === 'client';
			const needed = (forAgents ? (operation.method === 'GET' ? 'read' : 'operate') : operation.access) as keyof typeof level;
			for (const scope of ['read', 'operate'] as const) {
				if (level[scope] >= level[needed]) continue;
				for (const about of [scene(acme), scene(ghost)]) {
					const { status, body } = await test.send({ ...callOf({ name, operation }, about), token: scopes[scope] ?? '' });
					expect([name, scope, status, body['code']]).toEqual([name, scope, 403, 'INSUFFICIENT_SCOPE']);
				}
			}
		}
		expect(await rows.snapshot()).toBe(before);
	});

	it('answers an admin token for every client, and asks it for one where the token would say it', async () => {
		const read = scopes['read'] ?? '';
		for (const { name, operation } of coreOperations) {
			if (operation.method !== 'GET' || operation.access === 'admin') continue;
			const { status, body } = await test.send({ ...callOf({ name, operation }, scene(acme)), token: read });
			if (['validateToken', 'listOwnAgents', 'agentStats', 'uptimeStats', 'savingsTotals'].includes(name))
				expect([name, status, body['code']]).toEqual([name, 400, 'CLIENT_REQUIRED']);
			else expect([name, status]).toEqual([name, 200]);
		}
		expect((await test.send({ path: `/api/agents?client_id=${scene(acme).clientId}`, token: read })).status).toBe(200);
		expect(
			(await test.send({ ...callOf({ name: 'uninstallHost', operation: byName('uninstallHost') }, scene(acme)), token: test.admin })).body,
		).toMatchObject({
			code: 'CLIENT_REQUIRED',
		});
		const register = await test.send({
			...callOf({ name: 'registerHost', operation: byName('registerHost') }, scene(acme)),
			token: test.admin,
		});
		expect([register.status, register.body['code']]).toEqual([403, 'CLIENT_TOKEN_REQUIRED']);
	});
});

const byName = (name: Exclude<Name, DaemonName>) => {
	const found = coreOperations.find((each) => each.name === name);
	if (found === undefined) throw new Error(name);
	return found.operation;
};

/** How long, in milliseconds, a daemon goes on accepting a token. */
const untilRefused = async (test: TestDaemon, path: string, token: string): Promise<number> => {
	const since = performance.now();
	for (;;) {
		const { status } = await test.send({ path, token });
		if (status !== 200) {
			expect([401, 403]).toContain(status);
			return performance.now() - since;
		}
		if (performance.now() - since > 5000) return Number.POSITIVE_INFINITY;
		await delay(20);
	}
};

describeEachDatabase('a token that ends', ({ kind, freshUrl }) => {
	afterEach(stopDaemons);

	it('is refused within a second by another daemon, or after a local command, on the same database', async () => {
		const url = await freshUrl();
		const one = await startDaemon(url);
		const { client } = await one.api.createClient({ name: 'acme' });
		const beside = kind === 'mariadb' ? await startDaemon(url) : one;
		const { config } = await loadConfig({
			flags: { stateDir: one.stateDir, 'database.url': url },
			env: {},
			cwd: one.stateDir,
			home: one.stateDir,
			systemFile: '/nowhere',
		});
		const local = await localApi({ config, clock: systemClock, ids: systemIds, user: 'tester' });
		const elsewhere = kind === 'mariadb' ? one.api : local.api;
		const fresh = async () => (await elsewhere.createToken({ client_id: client.id })).token;
		const path = '/api/client/validate';
		const known = async (token: string): Promise<string> => {
			expect((await beside.send({ path, token })).status).toBe(200);
			return token;
		};
		try {
			const revoked = await known(await fresh());
			const { items } = await elsewhere.listTokens({ client_id: client.id });
			await elsewhere.revokeToken({ client_id: client.id, token_id: items[0]?.id ?? '' });
			expect(await untilRefused(beside, path, revoked)).toBeLessThan(1000);

			const regenerated = await known(await fresh());
			await elsewhere.regenerateToken({ client_id: client.id });
			expect(await untilRefused(beside, path, regenerated)).toBeLessThan(1000);

			const asleep = await known(await fresh());
			await elsewhere.updateClient({ client_id: client.id, status: 'inactive' });
			expect(await untilRefused(beside, path, asleep)).toBeLessThan(1000);
			await elsewhere.updateClient({ client_id: client.id, status: 'active' });

			const admin = await elsewhere.createAdminToken({ name: 'second', scope: 'read' });
			expect((await beside.send({ path: '/api/admin/clients', token: admin.token })).status).toBe(200);
			await elsewhere.revokeAdminToken({ token_id: 'second' });
			expect(await untilRefused(beside, '/api/admin/clients', admin.token)).toBeLessThan(1000);

			const gone = await known(await fresh());
			const { agent_id } = await beside.apiAs(gone).registerHost(machine('i-before'));
			await elsewhere.deleteClient({ client_id: client.id });
			// Its token may be remembered for a moment: what it asks for meanwhile is refused as well, and is no bug of ours.
			for (const sent of [
				{ method: 'POST', path: '/api/agents/register', body: machine('i-after') },
				{ method: 'POST', path: `/api/agents/${agent_id}/pricing-report`, body: classicPrices({ 'us-east-1a': 0.04 }) },
				{ method: 'POST', path: `/api/agents/${agent_id}/heartbeat`, body: { status: 'offline' } },
				{ method: 'POST', path: `/api/agents/${agent_id}/cleanup-report`, body: {} },
			]) {
				const { status, text } = await beside.send({ ...sent, token: gone });
				expect([401, 404, 409], text).toContain(status);
			}
			expect(await untilRefused(beside, path, gone)).toBeLessThan(1000);
		} finally {
			await local.close();
		}
		const rows = await openRows(url);
		const actors = (await rows.of('audit')).map((row) => row['actor']);
		await rows.close();
		if (kind === 'sqlite') expect(actors).toContain('local:tester');
	});
});

describe('failed authentication', () => {
	let test: TestDaemon;
	let token = '';
	const heartbeat = { method: 'POST', path: '/api/agents/nobody/heartbeat', body: {} };
	const start = async (flags: PartialSettings) => {
		test = await startDaemon(null, { flags });
		token = (await test.api.createClient({ name: 'acme' })).client.token;
	};
	afterEach(stopDaemons);

	it('gets 20 answers a minute and address, then 429 with Retry-After; valid tokens and the validation route go on', async () => {
		await start({});
		for (let at = 0; at < 20; at++) expect((await test.send({ ...heartbeat, token: `garbage${at}` })).status).toBe(401);
		for (const bad of ['garbage', null]) {
			const { status, headers, body } = await test.send({ ...heartbeat, token: bad, headers: { 'x-forwarded-for': '203.0.113.8' } });
			expect([status, body['code']]).toEqual([429, 'TOO_MANY_FAILED_LOGINS']);
			expect(Number(headers['retry-after'])).toBeGreaterThan(0);
			expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
		}
		const validate = await test.send({ path: '/api/client/validate', token: 'garbage' });
		expect([validate.status, validate.body['valid']]).toEqual([401, false]);
		expect((await test.send({ ...heartbeat, token })).status).toBe(404);
		expect((await test.send({ path: '/api/client/validate', token })).status).toBe(200);
		expect((await test.send({ path: '/health' })).status).toBe(200);
	});

	it('is counted by X-Forwarded-For only where the proxy is trusted', async () => {
		await start({ 'server.trustProxy': '127.0.0.1' });
		const from = (address: string) => test.send({ ...heartbeat, token: 'garbage', headers: { 'x-forwarded-for': address } });
		for (let at = 0; at < 20; at++) expect((await from('203.0.113.8')).status).toBe(401);
		expect((await from('203.0.113.8')).status).toBe(429);
		expect((await from('203.0.113.9')).status).toBe(401);
		// What the client itself wrote stands before what the proxy added.
		expect((await from('203.0.113.9, 203.0.113.8')).status).toBe(429);
	});
});
