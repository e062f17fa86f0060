import { describe, expect, it } from 'vitest';
import { appWorld } from './world.ts';

const HEARTBEAT = { method: 'POST', url: '/api/agents/a-1/heartbeat', token: 'acme' } as const;
const REGISTER = { method: 'POST', url: '/api/agents/register', token: 'acme' } as const;
const JSON_TYPE = { 'content-type': 'application/json' };

describe('a body', () => {
	it('may be empty under a JSON content type, on every method', async () => {
		const { send } = await appWorld();
		const empty = { headers: JSON_TYPE, token: 'admin' } as const;
		expect((await send({ ...HEARTBEAT, ...empty })).status).toBe(200);
		expect((await send({ ...HEARTBEAT, ...empty, payload: '' })).status).toBe(200);
		expect((await send({ ...HEARTBEAT, ...empty, payload: '  \r\n' })).status).toBe(200);
		expect((await send({ ...HEARTBEAT, ...empty, payload: 'null' })).status).toBe(200);
		expect((await send({ method: 'GET', url: '/api/agents/a-1/config', ...empty })).status).toBe(200);
		expect((await send({ method: 'DELETE', url: '/api/client/agents/a-1', ...empty })).status).toBe(200);
	});

	it.each([undefined, 'text/plain', 'application/x-www-form-urlencoded', 'json', '', 'a/b; c', 'application/json; charset=latin1', '*/*'])(
		'that is JSON is read under content type %s',
		async (type) => {
			const { send, calls } = await appWorld();
			const headers = type === undefined ? {} : { 'content-type': type };
			expect((await send({ ...HEARTBEAT, headers, payload: '{"status":"online"}' })).status).toBe(200);
			expect(calls[0]?.input).toEqual({ agent_id: 'a-1', status: 'online' });
		},
	);

	it('of a GET is not looked at', async () => {
		const { send } = await appWorld();
		expect(
			(await send({ method: 'GET', url: '/api/agents/a-1/config', token: 'acme', headers: JSON_TYPE, payload: '{"broken' })).status,
		).toBe(200);
	});

	it.each(['{"status":', '{status:"online"}', 'status=online', '{"a":1}{"b":2}', '{"price":NaN}', '{"price":Infinity}'])(
		'that is not JSON is 400: %s',
		async (payload) => {
			const { send } = await appWorld();
			const { status, body } = await send({ ...HEARTBEAT, headers: JSON_TYPE, payload });
			expect([status, body['code'], body['error']]).toEqual([400, 'INVALID_JSON', 'the body is not valid JSON']);
		},
	);

	it.each(['[]', '[{"status":"online"}]', '"online"', '1', 'true'])('that is JSON but no object is 400: %s', async (payload) => {
		const { send } = await appWorld();
		const { status, body } = await send({ ...HEARTBEAT, headers: JSON_TYPE, payload });
		expect([status, body['code']]).toEqual([400, 'VALIDATION_ERROR']);
		expect(body['details']).toEqual({ body: ['must be a JSON object'] });
	});

	it('above the limit is 413', async () => {
		const { send, calls } = await appWorld();
		const { status, body } = await send({ ...HEARTBEAT, payload: { message: 'x'.repeat(10_000_000) } });
		expect([status, body['code'], body['data']]).toEqual([413, 'PAYLOAD_TOO_LARGE', null]);
		const small = await appWorld({ bodyLimit: 10 });
		expect((await small.send({ ...HEARTBEAT, payload: '{"a":12345}' })).status).toBe(413);
		expect((await small.send({ ...HEARTBEAT, payload: '{"a":1234}' })).status).toBe(200);
		expect(calls).toEqual([]);
	});

	it('with a list of 100,000 elements is 400 at once, however deep it is', async () => {
		const { send } = await appWorld();
		const list = Array.from({ length: 100_000 }, () => 1);
		for (const payload of [{ pools: list }, { pricing: { spot_pools: list } }, { a: [[[{ b: list }]]] }]) {
			const { status, body } = await send({ method: 'POST', url: '/api/agents/a-1/pricing-report', token: 'acme', payload });
			expect([status, body['code'], body['error']]).toEqual([400, 'VALIDATION_ERROR', 'the body holds a list of more than 10000 elements']);
		}
	});

	it('nested a hundred thousand times is read or refused, never the end of the daemon', async () => {
		const { send } = await appWorld();
		const payload = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
		expect((await send({ ...HEARTBEAT, headers: JSON_TYPE, payload })).status).toBe(200);
	});

	it('cannot touch prototypes', async () => {
		const { send, calls } = await appWorld();
		const payload = '{"__proto__":{"status":"offline","polluted":1},"constructor":{"prototype":{"polluted":1}}}';
		expect((await send({ ...HEARTBEAT, headers: JSON_TYPE, url: `${HEARTBEAT.url}?__proto__=x&constructor=y`, payload })).status).toBe(200);
		expect(calls[0]?.input).toEqual({ agent_id: 'a-1' });
		expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
	});
});

describe('the input of an operation', () => {
	it('takes path over body, and body over query', async () => {
		const { send, calls } = await appWorld();
		await send({
			...HEARTBEAT,
			url: `${HEARTBEAT.url}?agent_id=query&status=error&instance_id=i-query`,
			payload: { agent_id: 'body', status: 'online' },
		});
		expect(calls[0]?.input).toEqual({ agent_id: 'a-1', status: 'online', instance_id: 'i-query' });
	});

	it('is the query on GET and DELETE', async () => {
		const { send, calls } = await appWorld();
		await send({ method: 'GET', url: '/api/client/commands?limit=7&status=open', token: 'acme' });
		expect(calls[0]?.input).toEqual({ limit: 7, status: 'open' });
		await send({ method: 'DELETE', url: '/api/client/agents/a-1?agent_id=b', token: 'acme', payload: { agent_id: 'c' } });
		expect(calls[1]?.input).toEqual({ agent_id: 'a-1' });
	});

	it('drops keys it does not know', async () => {
		const { send, calls } = await appWorld();
		await send({ ...HEARTBEAT, url: `${HEARTBEAT.url}?more=1`, payload: { monitored_instances: ['i-1'], mode: null, status: 'online' } });
		expect(calls[0]?.input).toEqual({ agent_id: 'a-1', status: 'online' });
	});

	it('that is wrong is 400 with the messages by field, naming the first', async () => {
		const { send } = await appWorld();
		const { status, body } = await send({ ...REGISTER, payload: { instance_id: 5, region: 7, az: null, instance_type: null } });
		expect([status, body['code']]).toEqual([400, 'VALIDATION_ERROR']);
		expect(body['error']).toMatch(/^instance_id: .* \(and 1 more\)$/);
		expect(Object.keys(body['details'] as object)).toEqual(['instance_id', 'region']);
		const missing = await send({ ...REGISTER, payload: {} });
		const required = ['is required'];
		expect(missing.body['details']).toEqual({ instance_id: required, instance_type: required, region: required, az: required });
		expect(missing.body['error']).toBe('instance_id: is required (and 3 more)');
	});

	it('names at most 20 wrong fields, shortly, and repeats nothing that was sent', async () => {
		const { send } = await appWorld();
		const pools = Array.from({ length: 400 }, () => ({ price: 'secret-value' }));
		const { body, text } = await send({ method: 'POST', url: '/api/agents/a-1/pricing-report', token: 'acme', payload: { pools } });
		expect(Object.keys(body['details'] as object)).toHaveLength(20);
		expect(text.length).toBeLessThan(4000);
		expect(text).not.toContain('secret-value');
	});

	it('given twice in the query is 400, not a surprise', async () => {
		const { send } = await appWorld();
		expect((await send({ method: 'GET', url: '/api/client/commands?limit=1&limit=2', token: 'acme' })).status).toBe(400);
	});

	it.each(["o'brien", 'a/b', 'a\u0000b', '🙂', 'None', 'a b?c#d', '"', '%', 'x'.repeat(10_000)])(
		'passes the id %j on as it is',
		async (id) => {
			const { send, calls } = await appWorld();
			expect((await send({ ...HEARTBEAT, url: `/api/agents/${encodeURIComponent(id)}/heartbeat` })).status).toBe(200);
			expect(calls[0]?.input['agent_id']).toBe(id);
		},
	);
});

describe('a token of one client', () => {
	it('cannot name another client, in the path, the query or the body', async () => {
		const { send, calls } = await appWorld();
		const other = [
			{ method: 'GET', url: '/api/client/other/agents' },
			{ method: 'GET', url: '/api/client/commands?client_id=other' },
			{ method: 'POST', url: '/api/client/instances/i-1/force-switch', payload: { client_id: 'other' } },
		] as const;
		for (const request of other)
			expect(await send({ ...request, token: 'acme' })).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
		expect(calls).toEqual([]);
	});
});

describe('X-Request-ID', () => {
	it('is an idempotency key where the operation honours it, and nothing elsewhere', async () => {
		const { send, calls } = await appWorld();
		const headers = { 'x-request-id': 'stale-id' };
		await send({ ...HEARTBEAT, headers });
		await send({ method: 'POST', url: '/api/agents/a-1/termination-report', token: 'acme', headers, payload: { instance_id: 'i-1' } });
		expect(calls.map((call) => call.caller.idempotencyKey)).toEqual([null, 'stale-id']);
	});

	it('is never mandatory, and 400 when it is too long to be one', async () => {
		const { send, calls } = await appWorld();
		const report = { method: 'POST', url: '/api/agents/a-1/termination-report', token: 'acme', payload: { instance_id: 'i-1' } } as const;
		expect((await send(report)).status).toBe(200);
		expect((await send({ ...report, headers: { 'x-request-id': '' } })).status).toBe(200);
		expect(calls.map((call) => call.caller.idempotencyKey)).toEqual([null, null]);
		expect((await send({ ...report, headers: { 'x-request-id': 'x'.repeat(129) } })).body['code']).toBe('VALIDATION_ERROR');
	});

	it('of the answer is the id the daemon gave the request, the same as in the body of an error and in the log', async () => {
		const { send, log, calls } = await appWorld();
		const { headers } = await send({ ...HEARTBEAT, headers: { 'x-request-id': 'mine' } });
		expect(headers['x-request-id']).toMatch(/^[0-9a-f]{6}-\w+$/);
		expect(calls[0]?.caller.requestId).toBe(headers['x-request-id']);
		const refused = await send({ ...HEARTBEAT, token: 'garbage' });
		expect(refused.body['request_id']).toBe(refused.headers['x-request-id']);
		expect(refused.headers['x-request-id']).not.toBe(headers['x-request-id']);
		expect(log().map((line) => line['request_id'])).toEqual([headers['x-request-id'], refused.headers['x-request-id']]);
	});
});
