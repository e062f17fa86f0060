import { describe, expect, it } from 'vitest';
import { isLocal } from '../../daemon/auth.ts';
import { SpotError } from '../../src/errors.ts';
import { appWorld } from './world.ts';

const HEARTBEAT = { method: 'POST', url: '/api/agents/a-1/heartbeat' } as const;
const VALIDATE = { method: 'GET', url: '/api/client/validate' } as const;

describe('the token of a request', () => {
	it.each(['Bearer acme', 'bearer acme', 'BEARER   acme ', 'acme', ' acme '])('is found in "%s"', async (authorization) => {
		const { send, calls } = await appWorld();
		expect((await send({ ...HEARTBEAT, headers: { authorization } })).status).toBe(200);
		expect(calls[0]?.caller.principal).toMatchObject({ kind: 'client', clientId: 'acme' });
	});

	it.each(['Bearer', 'Bearer ', 'Token acme', 'Basic YTpi', 'Bearer acme acme'])(
		'is not found in "%s": 401 INVALID_AUTH_FORMAT',
		async (authorization) => {
			const { send } = await appWorld();
			const { status, body, headers } = await send({ ...HEARTBEAT, headers: { authorization }, payload: { client_token: 'acme' } });
			expect([status, body['code'], headers['www-authenticate']]).toEqual([401, 'INVALID_AUTH_FORMAT', 'Bearer']);
		},
	);

	it('may stand in the body as client_token or token when the header is missing or empty', async () => {
		const { send } = await appWorld();
		expect((await send({ ...HEARTBEAT, payload: { client_token: 'acme' } })).status).toBe(200);
		expect((await send({ ...HEARTBEAT, payload: { token: 'acme' } })).status).toBe(200);
		expect((await send({ ...HEARTBEAT, headers: { authorization: '' }, payload: { client_token: 'acme' } })).status).toBe(200);
	});

	it('in the body counts on agent and client operations only', async () => {
		const { send } = await appWorld();
		const { status } = await send({ method: 'POST', url: '/api/admin/clients/create', payload: { name: 'x', token: 'admin' } });
		expect(status).toBe(401);
	});

	it('of the header wins over the one in the body', async () => {
		const { send, calls } = await appWorld();
		expect((await send({ ...HEARTBEAT, token: 'acme', payload: { client_token: 'other' } })).status).toBe(200);
		expect(calls[0]?.caller.principal).toMatchObject({ clientId: 'acme' });
		expect((await send({ ...HEARTBEAT, token: 'garbage', payload: { client_token: 'acme' } })).status).toBe(401);
	});

	it('in the body that is no text is none', async () => {
		const { send } = await appWorld();
		for (const client_token of [1, null, {}, [], '']) expect((await send({ ...HEARTBEAT, payload: { client_token } })).status).toBe(401);
	});

	it('may take a look-up that waits', async () => {
		const { send } = await appWorld();
		expect((await send({ ...HEARTBEAT, token: 'slow' })).status).toBe(200);
	});

	it('that nobody can look up is 503 with Retry-After, never 401', async () => {
		const { send, state } = await appWorld();
		state.databaseDown = true;
		const { status, headers, body } = await send({ ...HEARTBEAT, token: 'acme' });
		expect([status, headers['retry-after'], body['code']]).toEqual([503, '2', 'DATABASE_UNAVAILABLE']);
	});
});

describe('failed authentication', () => {
	it('is answered 429 with Retry-After after 20 a minute, until the minute is over', async () => {
		const { send, advance } = await appWorld();
		for (let at = 0; at < 10; at++) {
			expect((await send({ ...HEARTBEAT, token: `garbage-${at}` })).status).toBe(401);
			expect((await send(HEARTBEAT)).status).toBe(401);
		}
		advance(20_000);
		const { status, headers, body } = await send({ ...HEARTBEAT, token: 'garbage' });
		expect([status, headers['retry-after'], body['code']]).toEqual([429, '40', 'TOO_MANY_FAILED_LOGINS']);
		advance(40_000);
		expect((await send({ ...HEARTBEAT, token: 'garbage' })).status).toBe(401);
	});

	it('never keeps a valid token out, not even from the same address', async () => {
		const { send } = await appWorld({ failedAuthPerMinute: 1 });
		for (let at = 0; at < 5; at++) await send({ ...HEARTBEAT, token: 'garbage' });
		expect((await send({ ...HEARTBEAT, token: 'acme' })).status).toBe(200);
		expect((await send({ ...HEARTBEAT, token: 'slow' })).status).toBe(200);
	});

	it('stays 401 with valid:false on the validation route, and 403 for an inactive client', async () => {
		const { send } = await appWorld({ failedAuthPerMinute: 1 });
		for (let at = 0; at < 5; at++) {
			const { status, body } = await send({ ...VALIDATE, token: 'garbage' });
			expect([status, body['valid'], body['error']]).toEqual([401, false, 'Invalid client token']);
		}
		expect(await send({ ...VALIDATE })).toMatchObject({ status: 401, body: { valid: false, error: 'Missing client token' } });
		expect(await send({ ...VALIDATE, token: 'inactive' })).toMatchObject({ status: 403, body: { valid: false, code: 'INACTIVE_CLIENT' } });
		expect((await send({ ...HEARTBEAT, token: 'acme' })).body['valid']).toBeUndefined();
	});

	it('is counted by the address of the peer, or by what a trusted proxy says', async () => {
		const from = (address: string) => ({ ...HEARTBEAT, token: 'garbage', headers: { 'x-forwarded-for': address } });
		const direct = await appWorld({ failedAuthPerMinute: 1 });
		expect((await direct.send(from('203.0.113.1'))).status).toBe(401);
		expect((await direct.send(from('203.0.113.2'))).status).toBe(429);
		const proxied = await appWorld({ failedAuthPerMinute: 1, trustProxy: ['127.0.0.0/8'] });
		expect((await proxied.send(from('203.0.113.1'))).status).toBe(401);
		expect((await proxied.send(from('203.0.113.2'))).status).toBe(401);
		expect((await proxied.send(from('203.0.113.2'))).status).toBe(429);
	});

	it('is forgotten for the address that failed longest ago when 10,000 others failed since', async () => {
		const { send } = await appWorld({ failedAuthPerMinute: 1, trustProxy: true });
		const from = (address: string) => send({ ...HEARTBEAT, headers: { 'x-forwarded-for': address } });
		await from('203.0.113.1');
		expect((await from('203.0.113.1')).status).toBe(429);
		for (let at = 0; at < 10_000; at++) await from(`10.0.${at >> 8}.${at & 255}`);
		expect((await from('203.0.113.1')).status).toBe(401);
	}, 60_000);

	it('counts in the metrics', async () => {
		const { send, metrics } = await appWorld();
		await send(HEARTBEAT);
		await send({ ...HEARTBEAT, token: 'garbage' });
		expect(await metrics.render()).toContain('spotctl_failed_logins_total 2');
	});
});

describe('the metrics', () => {
	it('are for this machine without a token, and for admin tokens from anywhere', async () => {
		const { send, answer } = await appWorld();
		answer('metrics', 'text');
		const METRICS = { method: 'GET', url: '/metrics' } as const;
		expect((await send(METRICS)).status).toBe(200);
		expect((await send({ ...METRICS, remoteAddress: '203.0.113.7' })).status).toBe(401);
		expect((await send({ ...METRICS, headers: { 'x-forwarded-for': '203.0.113.7' } })).status).toBe(401);
		expect((await send({ ...METRICS, remoteAddress: '203.0.113.7', token: 'read' })).status).toBe(200);
		expect((await send({ ...METRICS, token: 'acme' })).status).toBe(403);
		expect((await send({ ...METRICS, token: 'garbage' })).status).toBe(401);
	});

	it('take for this machine its loopback addresses only', () => {
		const from = (remoteAddress: string) => isLocal({ socket: { remoteAddress }, headers: {} } as unknown as Parameters<typeof isLocal>[0]);
		expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'].map(from)).toEqual([true, true, true, true]);
		expect(['10.0.0.1', '::ffff:10.0.0.1', '1270.0.0.1', '::', ''].map(from)).toEqual([false, false, false, false, false]);
	});
});

describe('open-dashboard mode', () => {
	const LIST = { method: 'GET', url: '/api/admin/clients' } as const;
	const SHOW = { method: 'GET', url: '/api/client/acme' } as const;

	it('is off unless it is switched on', async () => {
		const { send } = await appWorld();
		expect((await send(LIST)).status).toBe(401);
		expect((await send(SHOW)).status).toBe(401);
	});

	it('answers the old dashboard bare, as an admin who may only read', async () => {
		const { send, answer, calls } = await appWorld({ openDashboard: 'read', corsOrigins: ['https://dash.example.com'] });
		answer('listClients', { items: [{ id: 'acme' }], nextCursor: null });
		answer('showClient', { status: 'active', id: 'acme' });
		expect((await send(LIST)).text).toBe('[{"id":"acme"}]');
		expect((await send(SHOW)).text).toBe('{"status":"active","id":"acme"}');
		expect(calls[0]?.caller.principal).toEqual({ kind: 'admin', scope: 'read', tokenId: null, name: 'open-dashboard' });
	});

	it('answers what has no bare form in the envelope', async () => {
		const { send } = await appWorld({ openDashboard: 'read', corsOrigins: ['https://dash.example.com'] });
		expect((await send({ method: 'GET', url: '/api/admin/agents' })).body).toMatchObject({ status: 'success', success: true });
	});

	it('opens nothing that the dashboard does not show, and nothing that changes anything', async () => {
		const { send, calls } = await appWorld({ openDashboard: 'read', corsOrigins: ['https://dash.example.com'], failedAuthPerMinute: 1000 });
		for (const url of [
			'/api/admin/tokens',
			'/api/admin/clients/acme/tokens',
			'/api/admin/clients/acme/token',
			'/api/client/validate',
			'/api/agents/a/config',
		]) {
			expect((await send({ method: 'GET', url })).status, url).toBe(401);
		}
		expect((await send({ method: 'POST', url: '/api/admin/clients/create', payload: { name: 'x' } })).status).toBe(401);
		expect((await send({ method: 'DELETE', url: '/api/admin/clients/acme' })).status).toBe(401);
		expect(calls).toEqual([]);
	});

	it('refuses a wrong token instead of overlooking it', async () => {
		const { send } = await appWorld({ openDashboard: 'read', corsOrigins: ['https://dash.example.com'] });
		expect((await send({ ...LIST, token: 'garbage' })).status).toBe(401);
	});

	it('leaves requests with a token in the envelope, unless X-Response-Format says otherwise, on the 14 only', async () => {
		const { send, answer } = await appWorld({ openDashboard: 'read', corsOrigins: ['https://dash.example.com'] });
		answer('listClients', { items: [], nextCursor: null });
		expect((await send({ ...LIST, token: 'read' })).body['status']).toBe('success');
		expect((await send({ ...LIST, token: 'read', headers: { 'x-response-format': 'bare' } })).text).toBe('[]');
		expect((await send({ ...LIST, headers: { 'x-response-format': 'envelope' } })).body['status']).toBe('success');
		const other = await send({ method: 'GET', url: '/api/admin/agents', token: 'read', headers: { 'x-response-format': 'bare' } });
		expect(other.body['status']).toBe('success');
	});
});

describe('an error that is no fault of the caller', () => {
	it('on the validation route is what it is, without valid:false', async () => {
		const { send, answer } = await appWorld();
		answer('validateToken', new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer'));
		const { status, body } = await send({ ...VALIDATE, token: 'acme' });
		expect([status, body['valid']]).toEqual([503, undefined]);
	});
});
