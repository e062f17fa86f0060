import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';

const PATHS = [
	'/api/admin/decision-engine/upload',
	'/api/admin/ml-models/upload',
	'/api/admin/ml-models/activate',
	'/api/admin/ml-models/fallback',
];

describe('what comes with the decision engine', () => {
	let test: TestDaemon;
	beforeAll(async () => {
		test = await startDaemon(null);
	});
	afterAll(stopDaemons);

	const form = (bytes: number): string =>
		`--x\r\nContent-Disposition: form-data; name="files"; filename="model.onnx"\r\nContent-Type: application/octet-stream\r\n\r\n${'\u0000'.repeat(bytes)}\r\n--x--\r\n`;

	const bodies: readonly (readonly [string, string | undefined, string])[] = [
		['a form', 'multipart/form-data; boundary=x', form(100)],
		['a form that is larger than any other body may be', 'multipart/form-data; boundary=x', form(5_000_000)],
		['a form that calls itself JSON, as the v6 client sends it', 'application/json', form(100)],
		['an empty body that calls itself JSON', 'application/json', ''],
		['a session', 'application/json', '{"sessionId":"x"}'],
		['text that is no JSON', 'application/json', '{'],
		['a list', 'application/json', '[]'],
		['bytes of no type', 'application/octet-stream', 'abc'],
	];

	it.each(bodies)('is 501 for %s', async (_, type, body) => {
		for (const path of PATHS) {
			const answer = await test.send({ method: 'POST', path, token: test.admin, body, headers: { 'content-type': String(type) } });
			expect([path, answer.status, answer.body['code'], answer.body['status'], answer.body['data']]).toEqual([
				path,
				501,
				'DECISION_ENGINE_MISSING',
				'error',
				null,
			]);
			expect(String(answer.body['hint'])).toContain('decision engine');
		}
		// Nothing failed: no operator is to look for a reason.
		expect(test.log()).not.toContain('request failed');
	});

	it('is for admins only, and says nothing to others', async () => {
		const { client } = await test.api.createClient({ name: 'acme' });
		const reader = await test.api.createAdminToken({ name: 'reader', scope: 'operate' });
		for (const path of PATHS) {
			const send = async (token: string | null) => (await test.send({ method: 'POST', path, token, body: form(10) })).status;
			expect([path, await send(null), await send(client.token), await send(reader.token)]).toEqual([path, 401, 403, 403]);
			expect((await test.send({ method: 'GET', path, token: test.admin })).status).toBe(405);
			expect((await test.send({ method: 'OPTIONS', path })).status).toBe(204);
		}
	});

	it('has an empty list of models, bare where that is asked for', async () => {
		const path = '/api/admin/ml-models/sessions';
		expect((await test.send({ path, token: test.admin })).body).toMatchObject({ status: 'success', data: [], count: 0 });
		expect((await test.send({ path, token: test.admin, headers: { 'x-response-format': 'bare' } })).text).toBe('[]');
	});

	it('leaves the words of the static paths beside ids to themselves', async () => {
		const { client } = await test.api.createClient({ name: 'beside' });
		const get = async (path: string) => (await test.send({ path, token: client.token })).status;
		expect([await get('/api/agents/stats'), await get('/api/stats/uptime'), await get('/api/agents/none')]).toEqual([200, 200, 403]);
	});
});
