import { describe, expect, it } from 'vitest';
import { type AppWorld, appWorld, bearer, everyOperation } from './world.ts';

let shared: AppWorld | null = null;
/** One face for all routes: a minute after whatever the test before sent to it, so that nobody is refused for guessing. */
const quietWorld = async (): Promise<AppWorld> => {
	shared ??= await appWorld();
	shared.advance(61_000);
	shared.calls.length = 0;
	return shared;
};

const guarded = everyOperation().filter(({ operation }) => operation.access !== 'public');

/** Never 2xx, never 404 or 5xx: nothing tells whether a thing exists. */
const REFUSED = [401, 403, 429];

describe.each(guarded)('$operation.method $operation.path', ({ name, operation, url }) => {
	const { method } = operation;
	// A proxy in front, so that /metrics is not answered because the test calls from this machine.
	const remote = { 'x-forwarded-for': '203.0.113.9' };

	it('refuses a request without a token, with garbage and with a scheme that is not ours', async () => {
		const { send, calls } = await quietWorld();
		const missing = await send({ method, url, headers: remote });
		expect([missing.status, missing.body['code']]).toEqual([401, 'UNAUTHORIZED']);
		const garbage = await send({ method, url, token: 'garbage' });
		expect([garbage.status, garbage.body['code']]).toEqual([401, 'INVALID_TOKEN']);
		const basic = await send({ method, url, headers: { authorization: 'Basic YWRtaW46YWRtaW4=' } });
		expect([basic.status, basic.body['code']]).toEqual([401, 'INVALID_AUTH_FORMAT']);
		const inactive = await send({ method, url, token: 'inactive' });
		expect([inactive.status, inactive.body['code']]).toEqual([403, 'INACTIVE_CLIENT']);
		expect(calls).toEqual([]);
	});

	it('refuses a stranger before looking at the body', async () => {
		const { send } = await quietWorld();
		const { status } = await send({ method, url, headers: { ...remote, 'content-type': 'application/json' }, payload: '{"broken' });
		expect(status).toBe(401);
	});

	it('answers a token only where its kind and scope allow it', async () => {
		const { send, calls } = await quietWorld();
		const level = { read: 1, operate: 2, admin: 3 };
		const forAgents = operation.access === 'agent' || operation.access === 'client';
		const needed = forAgents ? (method === 'GET' ? 'read' : 'operate') : operation.access === 'metrics' ? 'read' : operation.access;
		for (const token of ['read', 'operate', 'admin'] as const) {
			const { status } = await send({ method, url, token });
			const allowed = level[token] >= level[needed as keyof typeof level];
			expect(REFUSED.includes(status), `${token} got ${status}`).toBe(!allowed);
		}
		calls.length = 0;
		const { status } = await send({ method, url: url.replace('some-client_id', 'acme'), token: 'acme' });
		if (forAgents) expect(REFUSED).not.toContain(status);
		else {
			expect(status).toBe(403);
			expect(calls).toEqual([]);
		}
	});

	it('refuses the token of another client', async () => {
		const { send, calls } = await quietWorld();
		const named = operation.path.includes('{client_id}') ? url : `${url}?client_id=some-client`;
		const { status } = await send({ method, url: named, headers: { ...remote, ...bearer('other') } });
		const takesClient = 'client_id' in operation.input.shape;
		if (!takesClient && (operation.access === 'agent' || operation.access === 'client')) return;
		expect([403, 400]).toContain(status);
		expect(calls.map((call) => call.name)).not.toContain(name);
	});
});

describe('public operations', () => {
	it.each(everyOperation().filter(({ operation }) => operation.access === 'public'))(
		'$operation.path answers anybody',
		async ({ operation, url }) => {
			const { send } = await quietWorld();
			expect((await send({ method: operation.method, url })).status).toBe(200);
			expect((await send({ method: operation.method, url, token: 'garbage' })).status).toBe(200);
		},
	);
});
