import { describe, expect, it } from 'vitest';
import { RawAnswer } from '../../daemon/route.ts';
import { SpotError } from '../../src/errors.ts';
import { appWorld } from './world.ts';

const HEARTBEAT = { method: 'POST', url: '/api/agents/a-1/heartbeat', token: 'acme' } as const;
const CREATE = { method: 'POST', url: '/api/admin/clients/create', token: 'admin', payload: { name: 'acme' } } as const;

describe('an answer', () => {
	it('is JSON that nobody may sniff or keep', async () => {
		const { send } = await appWorld();
		for (const token of ['acme', 'garbage']) {
			const { headers } = await send({ ...HEARTBEAT, token });
			expect(headers).toMatchObject({
				'content-type': 'application/json; charset=utf-8',
				'x-content-type-options': 'nosniff',
				'cache-control': 'no-store',
			});
		}
	});

	it('has the status its operation declares', async () => {
		const { send } = await appWorld();
		expect((await send(CREATE)).status).toBe(201);
	});

	it('of a list carries count and cursor', async () => {
		const { send, answer } = await appWorld();
		answer('listCommands', { items: [{ id: 'c' }], nextCursor: 'next' });
		const { body } = await send({ method: 'GET', url: '/api/client/commands', token: 'acme' });
		expect(body).toEqual({ status: 'success', data: [{ id: 'c' }], error: null, count: 1, next_cursor: 'next' });
	});

	it('of a raw operation is sent as it is, with a status and a type of its own', async () => {
		const { send, answer } = await appWorld();
		answer('health', new RawAnswer(503, 'application/json', '{"status":"unhealthy"}'));
		expect(await send({ method: 'GET', url: '/health' })).toMatchObject({ status: 503, text: '{"status":"unhealthy"}' });
		answer('metrics', new RawAnswer(200, 'text/plain; version=0.0.4', 'up 1\n'));
		const { headers, text } = await send({ method: 'GET', url: '/metrics' });
		expect(text).toBe('up 1\n');
		expect(String(headers['content-type'])).toMatch(/^text\/plain; version=0\.0\.4/);
	});

	it('may be a while in coming', async () => {
		const { send, answer } = await appWorld();
		answer('heartbeat', Promise.resolve({ acknowledged: true }));
		expect((await send(HEARTBEAT)).body).toMatchObject({ status: 'success', acknowledged: true });
	});
});

describe('a failure', () => {
	const problem = new SpotError('conflict', 'NOT_PRIMARY', 'host i-1 is not the primary', {
		hint: 'see: spotctl agents show a-1',
		extras: { primary: 'i-2' },
	});

	it('of the core keeps its status, code, hint and extras, thrown or rejected', async () => {
		const { send, answer } = await appWorld();
		for (const payload of [problem, Promise.reject(problem)]) {
			answer('heartbeat', payload);
			const { status, body } = await send(HEARTBEAT);
			expect(status).toBe(409);
			expect(body).toEqual({
				status: 'error',
				error: 'host i-1 is not the primary',
				code: 'NOT_PRIMARY',
				error_code: 'NOT_PRIMARY',
				data: null,
				hint: 'see: spotctl agents show a-1',
				request_id: expect.any(String),
				primary: 'i-2',
			});
		}
	});

	it('that is a bug says nothing of its cause, which is in the log under the same request id', async () => {
		const { send, answer, log } = await appWorld({}, 'info');
		for (const payload of [
			new TypeError('ER_NO_SUCH_TABLE: pool exhausted'),
			Promise.reject(new Error('ER_NO_SUCH_TABLE: pool exhausted')),
		]) {
			answer('heartbeat', payload);
			const { status, body, text } = await send(HEARTBEAT);
			expect([status, body['code'], body['error']]).toEqual([500, 'SERVER_ERROR', 'unexpected error']);
			expect(text).not.toMatch(/ER_NO|pool exhausted/);
			expect(log().at(-1)).toMatchObject({
				level: 'error',
				operation: 'agents.heartbeat',
				request_id: body['request_id'],
				err: { message: 'ER_NO_SUCH_TABLE: pool exhausted', stack: expect.stringContaining('answers.test.ts') },
			});
		}
	});

	it('to write the answer is a bug too', async () => {
		const { send, answer } = await appWorld();
		answer('heartbeat', { count: 1n });
		expect((await send(HEARTBEAT)).status).toBe(500);
		answer('heartbeat', undefined);
		expect((await send(HEARTBEAT)).status).toBe(500);
	});

	it('that will pass carries Retry-After', async () => {
		const { send, answer } = await appWorld();
		answer(
			'heartbeat',
			new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer', { extras: { retry_after_seconds: 7 } }),
		);
		expect((await send(HEARTBEAT)).headers['retry-after']).toBe('7');
		answer('heartbeat', new SpotError('unavailable', 'BUSY', 'busy'));
		expect((await send(HEARTBEAT)).headers['retry-after']).toBe('2');
		answer('heartbeat', new SpotError('limited', 'TOO_MANY', 'too many'));
		expect(await send(HEARTBEAT)).toMatchObject({ status: 429, headers: { 'retry-after': '2' } });
	});

	it('of the database is logged once a second with how many were left out, not once a request', async () => {
		const { send, answer, log, advance } = await appWorld({}, 'info');
		answer(
			'heartbeat',
			new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer', { cause: new Error('ECONNREFUSED') }),
		);
		for (let at = 0; at < 50; at++) await send(HEARTBEAT);
		expect(log()).toHaveLength(1);
		expect(log()[0]).toMatchObject({ level: 'error', code: 'DATABASE_UNAVAILABLE', err: { message: 'ECONNREFUSED' } });
		advance(1000);
		await send(HEARTBEAT);
		expect(log()[1]).toMatchObject({ left_out: 49 });
	});
});

describe('the log of requests', () => {
	it('has a line at info for what changes state, and none for routine and reading', async () => {
		const { send, log } = await appWorld({}, 'info');
		await send(HEARTBEAT);
		await send({ method: 'GET', url: '/api/client/commands', token: 'acme' });
		await send({ ...HEARTBEAT, token: 'garbage' });
		await send({ ...CREATE, token: 'garbage' });
		expect(log()).toEqual([]);
		await send(CREATE);
		expect(log()).toEqual([
			expect.objectContaining({
				level: 'info',
				operation: 'clients.create',
				status: 201,
				actor: 'admin:admin',
				method: 'POST',
				request_id: expect.any(String),
				ms: expect.any(Number),
			}),
		]);
	});

	it('has everything at debug, and never a token', async () => {
		const { send, log } = await appWorld();
		await send({ ...HEARTBEAT, url: `${HEARTBEAT.url}?token=acme-secret&x=1`, headers: { 'x-request-id': 'k' } });
		await send({ method: 'GET', url: '/api/client/commands?client_token=acme-secret', token: 'acme' });
		expect(log().map((line) => line['operation'])).toEqual(['agents.heartbeat', 'commands.list']);
		expect(JSON.stringify(log())).not.toContain('acme-secret');
		expect(log()[0]?.['path']).toBe('/api/agents/a-1/heartbeat?token=***&x=1');
	});
});

describe('the metrics of requests', () => {
	it('count by operation and status, with no id in any label', async () => {
		const { send, metrics } = await appWorld();
		await send(HEARTBEAT);
		await send({ ...HEARTBEAT, url: '/api/agents/a-2/heartbeat' });
		await send({ ...HEARTBEAT, token: 'garbage' });
		const text = await metrics.render();
		expect(text).toContain('spotctl_http_request_duration_seconds_count{operation="agents.heartbeat",status="200"} 2');
		expect(text).toContain('spotctl_http_request_duration_seconds_bucket{operation="agents.heartbeat",status="200",le="+Inf"} 2');
		expect(text).toContain('spotctl_http_request_duration_seconds_count{operation="agents.heartbeat",status="401"} 1');
		expect(text).not.toMatch(/a-1|a-2|acme/);
	});
});
