import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createNetServer, type Server as NetServer } from 'node:net';
import { afterEach, describe, test } from 'vitest';
import { httpApi } from '../../src/contract/http-client.ts';
import { SpotError } from '../../src/errors.ts';
import { client, healthy } from './fixtures.ts';

type Seen = { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers']; readonly body: string };

const open: NetServer[] = [];

afterEach(() => {
	for (const server of open.splice(0)) server.close();
});

const listen = async (server: NetServer): Promise<string> => {
	open.push(server);
	await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

/** A daemon that answers as told and remembers what it was asked. */
const serve = async (answer: (response: ServerResponse, seen: Seen) => void): Promise<{ url: string; seen: Seen[] }> => {
	const seen: Seen[] = [];
	const server = createServer(async (request, response) => {
		let body = '';
		for await (const chunk of request) body += String(chunk);
		const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
		seen.push(one);
		answer(response, one);
	});
	return { url: await listen(server), seen };
};

const json =
	(status: number, body: unknown, headers: Record<string, string> = {}) =>
	(response: ServerResponse) => {
		response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
	};
const data = (payload: unknown, more: object = {}) => json(200, { status: 'success', data: payload, error: null, ...more });

const failing = async (work: Promise<unknown>): Promise<SpotError> => {
	const error = await work.then(
		() => new Error('it did not fail'),
		(reason: unknown) => reason,
	);
	if (error instanceof SpotError) return error;
	throw error;
};

const TOKEN = 'sct_0123456789abcdefghijklmnopqrstuvwxyz';

describe('requests', () => {
	test('put path parameters in the path and the rest of a GET in the query', async ({ expect }) => {
		const { url, seen } = await serve(data([], { next_cursor: null }));
		await httpApi(url, TOKEN).listTokens({ client_id: 'c/1' });
		await httpApi(`${url}/`, TOKEN).listClients({ limit: 5, cursor: 'a b&c', name: undefined });
		expect(seen.map(({ method, url: path, body }) => [method, path, body])).toEqual([
			['GET', '/api/admin/clients/c%2F1/tokens', ''],
			['GET', '/api/admin/clients?limit=5&cursor=a%20b%26c', ''],
		]);
		expect(seen[0]?.headers).toMatchObject({
			authorization: `Bearer ${TOKEN}`,
			accept: 'application/json',
			'x-response-format': 'envelope',
		});
	});

	test('send the rest of a POST as JSON, nulls included, without the path parameters', async ({ expect }) => {
		const { url, seen } = await serve(data({ success: true, client: client() }));
		await httpApi(`${url}/behind/a/proxy`, TOKEN).updateClient({ client_id: 'c-1', max_agents: null, status: undefined });
		expect(seen.map(({ method, url: path, body, headers }) => [method, path, body, headers['content-type']])).toEqual([
			['PATCH', '/behind/a/proxy/api/admin/clients/c-1', '{"max_agents":null}', 'application/json'],
		]);
	});

	test('without a token send no credential', async ({ expect }) => {
		const { url, seen } = await serve(json(200, healthy()));
		await httpApi(url, null).health({});
		expect(seen[0]?.headers.authorization).toBeUndefined();
	});

	const HOSTILE = ['a/b', '../../admin', '"; drop table', '\0', '🙂', '%2e%2e', '?x=1#y', 'a\r\nX-Evil: 1', '...', 'x'.repeat(4000)];

	test.for(HOSTILE)('carry the id %j unharmed', async (id, { expect }) => {
		const { url, seen } = await serve(data({}));
		await httpApi(url, TOKEN).showAgent({ agent_id: id });
		const [, path = ''] = /^\/api\/client\/agents\/([^/?]+)$/.exec(seen[0]?.url ?? '') ?? [];
		expect(decodeURIComponent(path)).toBe(id);
	});

	test.for(['', '.', '..'])('are not made for the id %j, which would name another path', async (id, { expect }) => {
		const { url, seen } = await serve(data({}));
		const error = await failing(httpApi(url, TOKEN).deleteClient({ client_id: id }));
		expect([error.exitCode, error.message, seen]).toEqual([5, `nothing is named "${id}"`, []]);
	});

	test('are not made with broken Unicode or a broken token', async ({ expect }) => {
		const { url, seen } = await serve(data({}));
		expect((await failing(httpApi(url, TOKEN).showAgent({ agent_id: '\ud800' }))).exitCode).toBe(2);
		const error = await failing(httpApi(url, 'secret\r\nX-Evil: 1').showAgent({ agent_id: 'a' }));
		expect([error.exitCode, error.message.includes('secret'), seen]).toEqual([4, false, []]);
	});

	test('larger than a daemon reads in its head end in an error that says so', async ({ expect }) => {
		const { url } = await serve(data({}));
		const error = await failing(httpApi(url, TOKEN).showAgent({ agent_id: '🙂'.repeat(10_000) }));
		expect([error.exitCode, error.message]).toEqual([2, 'the request is larger than the daemon accepts']);
	});
});

describe('answers', () => {
	test('come out of their envelope', async ({ expect }) => {
		const { url } = await serve(data([client()], { count: 1, next_cursor: 'more' }));
		expect(await httpApi(url, TOKEN).listClients({})).toEqual({ items: [client()], nextCursor: 'more' });
		const one = await serve(data({ success: true, enabled: true, config_version: 2 }, { success: true, enabled: true }));
		expect(await httpApi(one.url, TOKEN).toggleAgent({ agent_id: 'a' })).toEqual({ success: true, enabled: true, config_version: 2 });
	});

	test('that are raw are given as they are, also when the daemon is not well', async ({ expect }) => {
		const { url } = await serve(json(200, healthy()));
		expect(await httpApi(url, null).health({})).toEqual(healthy());
		const sick = healthy({ status: 'unhealthy', database: 'disconnected', error: 'database does not answer' });
		const unwell = await serve(json(503, sick));
		expect(await httpApi(unwell.url, null).health({})).toEqual(sick);
		const metrics = await serve((response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('up 1\n'));
		expect(await httpApi(metrics.url, null).metrics({})).toBe('up 1\n');
	});

	test.for([
		[400, 'invalid', 2],
		[401, 'unauthenticated', 4],
		[403, 'forbidden', 4],
		[404, 'missing', 5],
		[405, 'method', 2],
		[409, 'conflict', 6],
		[410, 'gone', 5],
		[413, 'too_large', 2],
		[418, 'invalid', 2],
		[429, 'limited', 7],
		[500, 'bug', 1],
		[501, 'unimplemented', 1],
		[503, 'unavailable', 7],
	] as const)('of status %i are errors of kind %s, exit %i', async ([status, kind, exit], { expect }) => {
		const body = {
			status: 'error',
			error: `what is wrong with ${TOKEN}`,
			code: 'SOME_CODE',
			data: null,
			hint: 'do this',
			details: [1],
			valid: false,
		};
		const { url } = await serve(json(status, body, { 'x-request-id': 'r-1', 'retry-after': '3' }));
		const error = await failing(httpApi(url, TOKEN).showAgent({ agent_id: 'a' }));
		expect([error.kind, error.exitCode, error.code, error.message, error.hint]).toEqual([
			kind,
			exit,
			'SOME_CODE',
			'what is wrong with ***',
			'do this',
		]);
		expect(error.extras).toEqual({ details: [1], valid: false, request_id: 'r-1', retry_after_seconds: 3 });
	});

	test.for([
		['HTML', (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')],
		['nothing', (response: ServerResponse) => response.writeHead(200).end()],
		['other JSON', json(200, { hello: 'world' })],
		['a list where an object belongs', json(200, [1])],
		['half an answer', (response: ServerResponse) => response.writeHead(200).end('{"status":"success","data":{')],
		['a redirect', (response: ServerResponse) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
		['an HTML 404', (response: ServerResponse) => response.writeHead(404).end('<h1>Not found</h1>')],
	] as const)('of something else (%s) are not taken for those of a daemon', async ([, answer], { expect }) => {
		const { url } = await serve(answer);
		const error = await failing(httpApi(url, TOKEN).showAgent({ agent_id: 'a' }));
		expect([error.code, error.exitCode]).toEqual(['NOT_A_DAEMON', 7]);
		expect(error.message).toContain(url);
	});

	test.for([502, 503, 504])('of a proxy with nothing behind it (%i) say so', async (status, { expect }) => {
		const { url } = await serve((response) => response.writeHead(status).end('<h1>Bad gateway</h1>'));
		const error = await failing(httpApi(url, TOKEN).listClients({}));
		expect([error.kind, error.code]).toEqual(['unavailable', `HTTP_${status}`]);
	});
});

describe('connections', () => {
	test('refused', async ({ expect }) => {
		const { url } = await serve(data({}));
		await new Promise((done) => open.pop()?.close(done));
		const error = await failing(httpApi(url, TOKEN).listClients({}));
		expect([error.code, error.exitCode, error.message]).toEqual(['DAEMON_UNREACHABLE', 7, `no daemon answers at ${url}`]);
		expect(error.hint).toBe('start one: spotctl serve  (or run with --local)');
	});

	test('to a name that does not exist', async ({ expect }) => {
		expect((await failing(httpApi('http://no-such-host.invalid:5000', TOKEN).listClients({}))).code).toBe('DAEMON_UNREACHABLE');
	});

	test('that stay silent end in time', async ({ expect }) => {
		const { url } = await serve(() => undefined);
		const error = await failing(httpApi(url, TOKEN, { timeoutMs: 60 }).listClients({}));
		expect([error.code, error.exitCode, error.message]).toEqual(['DAEMON_TIMEOUT', 7, `no answer from ${url} within 0.06 s`]);
	});

	test('that stop in the middle of an answer end in time', async ({ expect }) => {
		const { url } = await serve((response) => response.writeHead(200).write('{"status":'));
		expect((await failing(httpApi(url, TOKEN, { timeoutMs: 60 }).listClients({}))).code).toBe('DAEMON_TIMEOUT');
	});

	test('that break warn that it may have happened', async ({ expect }) => {
		const { url } = await serve((response) => response.destroy());
		const error = await failing(httpApi(url, TOKEN).createClient({ name: 'acme' }));
		expect([error.code, error.exitCode]).toEqual(['CONNECTION_LOST', 7]);
		expect(error.hint).toContain('may have happened');
	});

	test('to what is not HTTP say so', async ({ expect }) => {
		const url = await listen(createNetServer((socket) => void socket.end('SSH-2.0-OpenSSH\r\n')));
		expect((await failing(httpApi(url, TOKEN).listClients({}))).code).toBe('NOT_A_DAEMON');
	});

	test('are given up when told so, with the reason', async ({ expect }) => {
		const { url } = await serve(() => undefined);
		const reason = new SpotError('interrupted', 'INTERRUPTED', 'interrupted');
		for (const whose of ['all', 'own'] as const) {
			const controller = new AbortController();
			const api = httpApi(url, TOKEN, whose === 'all' ? { signal: controller.signal } : {});
			const call = failing(api.listClients({}, whose === 'own' ? controller.signal : undefined));
			setTimeout(() => controller.abort(reason), 20);
			expect(await call).toBe(reason);
			expect(await failing(api.listClients({}, controller.signal))).toBe(reason);
		}
	});
});

test('a trace shows requests and answers, and no token', async ({ expect }) => {
	const lines: string[] = [];
	const created = { success: true, client: { id: 'c', name: 'acme', email: null, token: 'sct_new', token_id: 't-1', status: 'active' } };
	const { url } = await serve(json(201, { status: 'success', data: created, error: null, ...created }, { 'x-request-id': 'r-7' }));
	await httpApi(url, TOKEN, { trace: (line) => lines.push(line) }).createClient({ name: `acme ${TOKEN}` });
	expect(lines[0]).toBe(`> POST ${url}/api/admin/clients/create {"name":"acme ***"}`);
	expect(lines[1]).toMatch(/^< 201 in \d+ ms, request r-7 \{/);
	expect(lines.join()).toContain('"token_id":"t-1"');
	expect(lines.join()).not.toMatch(/sct_/);
});
