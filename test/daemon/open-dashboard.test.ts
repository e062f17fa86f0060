import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isOpen } from '../../daemon/open-dashboard.ts';
import { SpotError } from '../../src/errors.ts';
import { emptyFolder, start } from './daemon-world.ts';
import { appWorld, everyOperation } from './world.ts';

const DASH = 'https://dash.example.com';
const read = { openDashboard: 'read', corsOrigins: [DASH], failedAuthPerMinute: 1000 } as const;
const full = { ...read, openDashboard: 'full' } as const;

describe('open-dashboard mode', () => {
	it('answers by a rule on the declared operation: routes of admins, clients, notifications and #58 to #62', () => {
		for (const { operation } of everyOperation()) {
			const replicas = /^\/api\/agents\/\{agent_id\}\/replicas/.test(operation.path) && !/status$/.test(operation.path);
			const theirs = /^\/api\/(admin|client|notifications)/.test(operation.path) || replicas;
			if (!theirs) expect([operation.id, isOpen(operation, 'full')]).toEqual([operation.id, false]);
			expect([operation.id, isOpen(operation, 'off')]).toEqual([operation.id, false]);
			if (operation.method !== 'GET') expect([operation.id, isOpen(operation, 'read')]).toEqual([operation.id, false]);
		}
	});

	it('shows a token in no answer but those of #8 and #10 (D-14)', () => {
		const shows = everyOperation().filter(
			({ operation }) =>
				isOpen(operation, 'full') &&
				/"(?:[a-z_]*token|secret)":\{"type":"string"/.test(
					JSON.stringify(z.toJSONSchema(operation.output, { io: 'input', unrepresentable: 'any' })),
				),
		);
		expect(shows.map(({ operation }) => operation.id).sort()).toEqual(['clients.create', 'tokens.regenerate']);
	});

	it('of a bare list says in a header where the next page begins', async () => {
		const { send, answer } = await appWorld(read);
		answer('listClients', { items: [{ id: 'c' }], nextCursor: 'bmV4dA' });
		const { text, headers } = await send({ method: 'GET', url: '/api/admin/clients' });
		expect([text, headers['x-next-cursor']]).toEqual(['[{"id":"c"}]', 'bmV4dA']);
		answer('listClients', { items: [], nextCursor: null });
		expect((await send({ method: 'GET', url: '/api/admin/clients' })).headers['x-next-cursor']).toBeUndefined();
	});

	it('changes nothing when it is read, and what the dashboard changes when it is full', async () => {
		const [looking, changing] = [await appWorld(read), await appWorld(full)];
		for (const [method, url] of [
			['POST', '/api/admin/clients/create'],
			['POST', '/api/admin/clients/acme/regenerate-token'],
			['DELETE', '/api/admin/clients/acme'],
			['POST', '/api/client/agents/a/toggle-enabled'],
			['POST', '/api/agents/a/replicas'],
			['DELETE', '/api/agents/a/replicas/r'],
		] as const) {
			expect((await looking.send({ method, url })).status, url).toBe(401);
			expect([401, 403], url).not.toContain((await changing.send({ method, url })).status);
		}
		for (const url of ['/api/agents/a/heartbeat', '/api/agents/register', '/api/admin/tokens', '/api/agents/a/replicas/r/status'])
			expect((await changing.send({ method: 'POST', url, payload: {} })).status, url).toBe(401);
		expect((await changing.send({ method: 'GET', url: '/api/events/stream' })).status).toBe(401);
		expect((await looking.send({ method: 'GET', url: '/api/admin/export/global-stats' })).headers['content-type']).toMatch(/^text\/csv/);
	});

	it('lets no page in that is not listed, which a browser would only keep from the answer', async () => {
		const { send, calls } = await appWorld(full);
		const post = (origin: string) =>
			send({
				method: 'POST',
				url: '/api/client/agents/a/toggle-enabled',
				headers: { origin, 'content-type': 'text/plain' },
				payload: '{"enabled":false}',
			});
		expect(await post('https://evil.example.com')).toMatchObject({ status: 403, body: { code: 'ORIGIN_NOT_ALLOWED' } });
		expect(calls).toEqual([]);
		expect((await post(DASH)).status).toBe(200);
	});

	it('leaves webhooks out: they answer a secret and send requests wherever they are told to', async () => {
		const { send, calls } = await appWorld(full);
		for (const { operation, url } of everyOperation().filter(({ url: path }) => path.startsWith('/api/admin/webhook')))
			expect([operation.id, (await send({ method: operation.method, url })).status]).toEqual([operation.id, 401]);
		expect(calls).toEqual([]);
	});

	it('answers to no name but its own and those of the listed pages, unless there is a token', async () => {
		const { send } = await appWorld({ ...full, host: '10.1.2.3' });
		const status = async (host: string, token?: string) => {
			const { status: answered, body } = await send({
				method: 'GET',
				url: '/api/admin/agents',
				headers: { host, 'x-response-format': 'envelope' },
				...(token === undefined ? {} : { token }),
			});
			return answered === 200 ? 200 : [answered, body['code']];
		};
		for (const host of ['localhost', 'LOCALHOST:5000', '10.1.2.3:5000', '10.1.2.3', 'dash.example.com', 'dash.example.com.:443'])
			expect([host, await status(host)]).toEqual([host, 200]);
		for (const host of [
			'evil.example',
			'evil.example:5000',
			'dash.example.com.evil.example',
			'a@localhost',
			'localhost.evil.example',
			'[::2]',
		]) {
			expect([host, await status(host)]).toEqual([host, [403, 'HOST_NOT_ALLOWED']]);
			expect([host, await status(host, 'read')]).toEqual([host, 200]);
		}
	});

	it('does not start without a list of pages, and says how to name one', async () => {
		for (const origins of [[], ['*']]) {
			const started = start(emptyFolder(), { flags: { 'server.openDashboard': 'read', 'server.corsOrigins': origins } });
			await expect(started).rejects.toThrow(
				expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('SPOTCTL_SERVER_CORS_ORIGINS') }),
			);
		}
	});

	it('is loud in the log', async () => {
		const { log } = await start(emptyFolder(), { flags: { 'server.openDashboard': 'full', 'server.corsOrigins': [DASH] } });
		expect(log()).toMatch(/"level":"warn".*OPEN DASHBOARD \(server\.openDashboard: full\)/);
	});
});

describe('CORS', () => {
	const SETTINGS = { corsOrigins: [DASH], failedAuthPerMinute: 1000 };

	it('is on every answer: errors, unknown paths, wrong methods, bad bodies, /health, CSV and event streams (D-14)', async () => {
		const { send, answer } = await appWorld(SETTINGS);
		answer('listCommands', new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer'));
		for (const [method, url, token] of [
			['GET', '/health', undefined],
			['GET', '/nothing', undefined],
			['PUT', '/api/agents/a/heartbeat', undefined],
			['POST', '/api/agents/a/heartbeat', undefined],
			['GET', '/api/client/commands', 'acme'],
			['GET', '/api/client/acme/export/switch-history', 'acme'],
			['GET', '/api/events/stream', 'acme'],
		] as const) {
			const { headers } = await send({ method, url, headers: { origin: DASH }, ...(token === undefined ? {} : { token }) });
			expect([url, headers['access-control-allow-origin']]).toEqual([url, DASH]);
			for (const name of ['X-Request-Id', 'Retry-After', 'X-Next-Cursor', 'Content-Disposition'])
				expect(headers['access-control-expose-headers'], url).toContain(name);
		}
		const broken = await send({
			method: 'POST',
			url: '/api/admin/clients/create',
			token: 'admin',
			headers: { origin: DASH },
			payload: '{"x',
		});
		expect([broken.status, broken.headers['access-control-allow-origin']]).toEqual([400, DASH]);
	});

	it('answers preflights of every path without a token', async () => {
		const { send, calls } = await appWorld(SETTINGS);
		for (const { url, operation } of everyOperation()) {
			const headers = { origin: DASH, 'access-control-request-method': operation.method };
			const { status, headers: answered } = await send({ method: 'OPTIONS', url, headers });
			expect([url, status, answered['access-control-allow-origin']]).toEqual([url, 204, DASH]);
		}
		expect(calls).toEqual([]);
	});

	it('takes an empty JSON body for none (D-41: nothing of it is an error with status 200)', async () => {
		const { send } = await appWorld(SETTINGS);
		const json = { 'content-type': 'application/json' };
		expect((await send({ method: 'DELETE', url: '/api/admin/clients/acme', token: 'admin', headers: json })).status).toBe(200);
		expect((await send({ method: 'POST', url: '/api/agents/a/heartbeat', token: 'acme', headers: json })).status).toBeLessThan(500);
		expect((await send({ method: 'GET', url: '/api/admin/clients', token: 'garbage', headers: json })).status).toBe(401);
	});
});
