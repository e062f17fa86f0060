import { describe, expect, it } from 'vitest';
import { appWorld, everyOperation } from './world.ts';

const ERROR = { status: 'error', data: null, error: expect.any(String), request_id: expect.any(String) };

describe('a path', () => {
	it('that is known answers another method 405 with Allow, without a token', async () => {
		const { send } = await appWorld();
		const { status, headers, body } = await send({ method: 'PUT', url: '/api/agents/a-1/heartbeat' });
		expect([status, headers['allow']]).toEqual([405, 'POST, OPTIONS']);
		expect(body).toMatchObject({ ...ERROR, code: 'METHOD_NOT_ALLOWED' });
		expect((await send({ method: 'POST', url: '/api/client/agents/a-1' })).headers['allow']).toBe('GET, DELETE, HEAD, OPTIONS');
	});

	it('is never 404 for any method, whichever operation it belongs to', async () => {
		const { send } = await appWorld();
		for (const { url } of everyOperation()) {
			for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
				expect((await send({ method, url })).status, `${method} ${url}`).not.toBe(404);
			}
		}
	});

	it('that is static is not taken for an id: GET on the registration is 405', async () => {
		const { send } = await appWorld();
		expect((await send({ method: 'GET', url: '/api/agents/register', token: 'acme' })).status).toBe(405);
		expect((await send({ method: 'GET', url: '/api/agents/uninstall', token: 'acme' })).status).toBe(405);
	});

	it('may end in a slash, and is never redirected', async () => {
		const { send, calls } = await appWorld();
		expect((await send({ method: 'POST', url: '/api/agents/a-1/heartbeat/', token: 'acme' })).status).toBe(200);
		expect((await send({ method: 'GET', url: '/api/agents/?limit=3', token: 'acme' })).status).toBe(200);
		expect(calls.map((call) => call.name)).toEqual(['heartbeat', 'listOwnAgents']);
	});

	it('nobody knows is 404 in the shape of every error', async () => {
		const { send } = await appWorld();
		for (const url of ['/nothing', '/api/agents/a-1/nothing', '/api/agents/a/b/c', '/api//agents']) {
			expect(await send({ method: 'GET', url, token: 'acme' })).toMatchObject({ status: 404, body: { ...ERROR, code: 'NOT_FOUND' } });
		}
	});

	it('with a method nobody uses is 405', async () => {
		const { send } = await appWorld();
		expect((await send({ method: 'TRACE' as 'GET', url: '/api/agents/a-1/heartbeat' })).status).toBe(405);
	});

	it('answers OPTIONS 204 without a token', async () => {
		const { send } = await appWorld();
		const { status, headers } = await send({ method: 'OPTIONS', url: '/api/agents/a-1/heartbeat' });
		expect([status, headers['allow']]).toEqual([204, 'POST, OPTIONS']);
		expect(headers['access-control-allow-origin']).toBeUndefined();
	});

	it('answers HEAD where it answers GET, except on the routes of agents, where a poll takes a command', async () => {
		const { send, calls } = await appWorld();
		const health = await send({ method: 'HEAD', url: '/livez' });
		expect([health.status, health.text]).toEqual([200, '']);
		calls.length = 0;
		expect((await send({ method: 'HEAD', url: '/api/agents/a-1/pending-commands', token: 'acme' })).status).toBe(405);
		expect(calls).toEqual([]);
	});
});

describe('a broken percent-encoding', () => {
	it('is 400 in the shape of every error', async () => {
		const { send } = await appWorld();
		for (const url of ['/api/agents/%E0%A4%A/heartbeat', '/%', '/api/agents/%zz/config']) {
			expect(await send({ method: 'GET', url, token: 'acme' })).toMatchObject({ status: 400, body: { ...ERROR, code: 'BAD_REQUEST' } });
		}
	});

	it('in the deletion probe is an id that is nobody’s, for the core to refuse: never 400, never 404', async () => {
		const { send, calls } = await appWorld();
		for (const url of ['/api/agents/%E0%A4%A', '/api/agents/%', '/api/agents/%zz/', '/api/agents/%zz?x=1']) {
			expect((await send({ method: 'GET', url, token: 'acme' })).status).toBe(200);
			expect((await send({ method: 'GET', url })).status).toBe(401);
		}
		expect(calls.map((call) => [call.name, call.input['agent_id']])).toEqual([
			['probeAgent', '%E0%A4%A'],
			['probeAgent', '%'],
			['probeAgent', '%zz'],
			['probeAgent', '%zz'],
		]);
	});
});

describe('CORS', () => {
	const preflight = (origin: string) => ({
		method: 'OPTIONS' as const,
		url: '/api/agents/a-1/heartbeat',
		headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
	});

	it('allows no origin by default', async () => {
		const { send } = await appWorld();
		const { status, headers } = await send(preflight('https://fleet.example.com'));
		expect([status, headers['access-control-allow-origin']]).toEqual([204, undefined]);
		const plain = await send({ method: 'GET', url: '/livez', headers: { origin: 'https://fleet.example.com' } });
		expect(plain.headers['access-control-allow-origin']).toBeUndefined();
	});

	it('allows the configured origins, with the headers that clients send, before any token is asked for', async () => {
		const { send } = await appWorld({ corsOrigins: ['https://fleet.example.com'] });
		const { status, headers } = await send(preflight('https://fleet.example.com'));
		expect([status, headers['access-control-allow-origin']]).toEqual([204, 'https://fleet.example.com']);
		expect(headers['access-control-allow-headers']).toBe(
			'Content-Type, Authorization, X-Request-ID, X-Response-Format, X-Client-ID, Last-Event-ID',
		);
		expect(headers['access-control-allow-methods']).toContain('DELETE');
		const other = await send(preflight('https://evil.example.com'));
		expect(other.headers['access-control-allow-origin']).not.toBe('https://evil.example.com');
		const plain = await send({ method: 'GET', url: '/livez', headers: { origin: 'https://fleet.example.com' } });
		expect(plain.headers['access-control-allow-origin']).toBe('https://fleet.example.com');
		const refused = await send({ method: 'POST', url: '/api/agents/a-1/heartbeat', headers: { origin: 'https://fleet.example.com' } });
		expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, 'https://fleet.example.com']);
	});

	it('allows every origin when told to', async () => {
		const { send } = await appWorld({ corsOrigins: ['*'] });
		expect((await send(preflight('https://any.example.com'))).headers['access-control-allow-origin']).toBe('*');
	});
});
