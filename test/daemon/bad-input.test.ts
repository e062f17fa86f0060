import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operations } from '../../src/contract/index.ts';
import { type Operation, pathParameters } from '../../src/contract/operation.ts';
import { type Answer, classicPrices, type Sent, startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openRows, type Rows } from '../helpers/rows.ts';
import {
	type CoreOperation,
	callOf,
	coreOperations as everyOperation,
	INPUTS,
	makeScene,
	requestOf,
	type Scene,
} from '../helpers/scene.ts';

/** Without those that answer 501 whatever is sent (models.test.ts). */
const coreOperations = everyOperation.filter(({ operation }) => !operation.ignoresBody);

const takesBody = ({ operation }: CoreOperation): boolean => !['GET', 'DELETE'].includes(operation.method);
/** Every key may be missing, but not all of them; or 410. */
const NEEDS_MORE = new Set<string>([
	'revealToken',
	'forceSwitch',
	'switchReport',
	'createReplica',
	'createEmergencyReplica',
	'createPriceAlert',
	'issueSwitchCommand',
	'agentSwitch',
	'replicaStatus',
]);

/** What is asked of a client itself is 404 where there is none; its lists are empty. */
const OF_A_CLIENT = new Set<string>([
	...['showClient', 'downtimeAnalytics', 'createPriceAlert', 'setPriceAlert', 'deletePriceAlert', 'exportSwitches', 'exportSavings'],
	...['clientSavings', 'clientCharts', 'showSavings'],
]);

const withBody = coreOperations.filter(takesBody);
const withoutBody = coreOperations.filter((each) => !takesBody(each));

const bodyKeys = ({ operation }: CoreOperation): string[] => {
	const inPath = pathParameters(operation.path);
	return Object.keys(operation.input.shape).filter((key) => !inPath.includes(key));
};

const JSON_TYPE = { 'content-type': 'application/json' };
const NOT_JSON = [
	'{',
	'{"status":}',
	"{'status':'online'}",
	'{"price":NaN}',
	'{"price":Infinity}',
	'[1,2',
	'status=online',
	'\u0000',
	'{"a":1}{}',
];
const NOT_AN_OBJECT = ['[]', '[{}]', '"text"', '5', 'true'];
const TEN_MEGABYTES = JSON.stringify({ message: 'x'.repeat(10_000_000) });
const MANY = Array.from({ length: 100_000 }, () => 1);
/** Ids nobody has, some of them an existing one for a database that compares carelessly. */
const STRANGE_IDS = (existing: string): readonly string[] => [
	"o'brien",
	'"',
	'a/b',
	'../../admin',
	'..',
	'\\',
	"\\' or 1=1 -- ",
	"'; drop table agent; --",
	'?',
	'a\u0000b',
	'\u0000',
	'🙂',
	'x'.repeat(10_000),
	'🙂'.repeat(900),
	'%',
	'%s',
	' ',
	'None',
	'null',
	'undefined',
	`${existing} `,
	` ${existing}`,
	`${existing}\u0000`,
	existing.toUpperCase() === existing ? existing.toLowerCase() : existing.toUpperCase(),
];
const WRONG = [
	5,
	-1,
	1.5,
	1e308,
	'text',
	'',
	'\u0000',
	'🙂',
	"\\'; drop table agent; --",
	'x'.repeat(10_000),
	true,
	{},
	{ a: 1 },
	[],
	[[]],
	[null],
];

/** A few of many, others for each turn: every route and key meets some, all of them meet all. */
const someOf = <T>(all: readonly T[], few: number, turn: number): T[] =>
	Array.from({ length: Math.min(few, all.length) }, (_, index) => all[(turn * few + index) % all.length] as T);

/** Never a 5xx, always an envelope that says what is wrong. */
const sane = (answer: Answer, what: string): void => {
	expect(answer.status, `${what}: ${answer.text.slice(0, 300)}`).toBeLessThan(500);
	if (answer.status < 400) return;
	expect([answer.body['status'], typeof answer.body['error'], typeof answer.body['code'], answer.body['data']], what).toEqual([
		'error',
		'string',
		'string',
		null,
	]);
	expect(answer.text.length, what).toBeLessThan(20_000);
};

describeEachDatabase('bad input', ({ kind, freshUrl }) => {
	/** What the face refuses before any database is asked is the same on each: once is enough. */
	const once = it.skipIf(kind !== 'sqlite');
	let test: TestDaemon;
	let rows: Rows;
	let scene: Scene;

	beforeAll(async () => {
		const url = await freshUrl();
		test = await startDaemon(url, { flags: { 'security.failedAuthPerMinute': 100_000 } });
		rows = await openRows(url);
		scene = await makeScene(test);
	});
	afterAll(async () => {
		await rows.close();
		await stopDaemons();
	});

	const tokenFor = ({ operation }: CoreOperation, about: Scene): string =>
		operation.access === 'agent' || operation.access === 'client' ? about.token : test.admin;

	const send = (each: CoreOperation, sent: Sent, about = scene): Promise<Answer> => test.send({ token: tokenFor(each, about), ...sent });

	const ready = async ({ name }: CoreOperation, { agentId, clientId, commandId, handle, replicaId, token }: Scene): Promise<void> => {
		if (name === 'promoteInstance') await test.apiAs(token).heartbeat({ agent_id: handle, status: 'offline' });
		if (name === 'restoreAgent') await test.api.deleteAgent({ agent_id: agentId });
		if (['forceSwitch', 'issueSwitchCommand', 'agentSwitch'].includes(name)) await test.api.cancelCommand({ command_id: commandId });
		if (name === 'promoteReplica') await test.api.replicaStatus({ agent_id: handle, replica_id: replicaId, status: 'ready' });
		if (name === 'simulateNotice') await test.api.updateClient({ client_id: clientId, test_client: true });
	};

	/** Runs requests that must all be refused, and sees to it that nothing of them stays. */
	const allRefused = async (work: () => Promise<void>): Promise<void> => {
		const before = await rows.snapshot();
		await work();
		expect(await rows.snapshot()).toBe(before);
	};

	/** Refused before any database is asked: once is enough. */
	if (kind === 'sqlite') {
		once('that is no JSON, or no object, is 400 on every route that reads a body', () =>
			allRefused(async () => {
				let turn = 0;
				for (const each of withBody) {
					const { method, path } = callOf(each, scene) as Required<Sent>;
					for (const body of someOf(NOT_JSON, 3, turn++)) {
						const { status, body: told } = await send(each, { method, path, body });
						expect([each.name, body, status, told['code']]).toEqual([each.name, body, 400, 'INVALID_JSON']);
					}
					for (const body of someOf(NOT_AN_OBJECT, 2, turn)) {
						const { status, body: told } = await send(each, { method, path, body });
						expect([each.name, body, status, told['code']]).toEqual([each.name, body, 400, 'VALIDATION_ERROR']);
					}
				}
			}),
		);

		once('of ten megabytes is 413 on every route that reads a body', () =>
			allRefused(async () => {
				for (const each of [...withBody, ...someOf(withoutBody, 8, 1)]) {
					if (each.name === 'pendingCommands') continue;
					const { method, path } = callOf(each, scene) as Required<Sent>;
					const { status, body } = await send(each, { method, path, body: TEN_MEGABYTES });
					// The body of a GET is never read.
					if (method === 'GET') expect([each.name, status >= 500]).toEqual([each.name, false]);
					else expect([each.name, status, body['code']]).toEqual([each.name, 413, 'PAYLOAD_TOO_LARGE']);
				}
			}),
		);

		once('with a list of 100,000 elements is 400, under every key', () =>
			allRefused(async () => {
				for (const each of withBody) {
					const input = INPUTS[each.name](scene) as Record<string, unknown>;
					for (const key of [...bodyKeys(each), 'nobody_knows_this']) {
						const answer = await send(each, requestOf(each.operation, { ...input, [key]: MANY }));
						expect([each.name, key, answer.status, answer.body['code']]).toEqual([each.name, key, 400, 'VALIDATION_ERROR']);
						sane(answer, each.name);
					}
				}
			}),
		);

		once('with the wrong method is 405 with Allow, on every path', () =>
			allRefused(async () => {
				const paths = new Map<string, { methods: Set<string>; each: CoreOperation }>();
				for (const each of coreOperations) {
					const known = paths.get(each.operation.path) ?? { methods: new Set(), each };
					known.methods.add(each.operation.method);
					paths.set(each.operation.path, known);
				}
				for (const { methods, each } of paths.values()) {
					const { path } = callOf({ ...each, operation: { ...each.operation, method: 'POST' } }, scene);
					for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
						if (methods.has(method)) continue;
						const { status, headers, body } = await test.send({ method, path, token: test.admin, headers: JSON_TYPE });
						expect([path, method, status, body['code']]).toEqual([path, method, 405, 'METHOD_NOT_ALLOWED']);
						for (const allowed of methods) expect(headers['allow']).toContain(allowed);
					}
				}
			}),
		);

		it.each(withBody)('that is null is the same as none: $name', ({ operation }) => {
			const { shape } = operation.input;
			const refused = Object.entries(shape).filter(([, field]) => field.safeParse(undefined).success && !field.safeParse(null).success);
			expect(refused.map(([key]) => key)).toEqual([]);
			for (const field of Object.values(shape)) {
				const [left, none] = [field.safeParse(undefined), field.safeParse(null)];
				if (left.success) expect(none.data ?? null).toEqual(left.data ?? null);
			}
		});
	}

	it('as an id in a path is nobody, whatever it is made of', () =>
		allRefused(async () => {
			let turn = 0;
			for (const each of coreOperations) {
				// Nobody's notification is answered as one that is read already (endpoints.md #66).
				if (each.name === 'readNotification') continue;
				const input = INPUTS[each.name](scene) as Record<string, unknown>;
				for (const parameter of pathParameters(each.operation.path)) {
					const strangeIds = STRANGE_IDS(String(input[parameter])).filter((strange) => strange !== input[parameter]);
					for (const id of someOf(strangeIds, 6, turn++)) {
						const answer = await send(each, requestOf(each.operation, { ...input, [parameter]: id }));
						const what = `${each.name} ${parameter}=${JSON.stringify(id.slice(0, 40))}`;
						sane(answer, what);
						const expected = each.name === 'probeAgent' ? 403 : parameter === 'client_id' && each.operation.access === 'client' ? 403 : 404;
						expect([what, answer.status]).toEqual([what, expected]);
						if (parameter !== 'client_id' || each.operation.access !== 'client') continue;
						const asAdmin = await test.send({ ...requestOf(each.operation, { ...input, [parameter]: id }), token: test.admin });
						sane(asAdmin, what);
						expect([what, asAdmin.status, asAdmin.status === 200 ? asAdmin.body['data'] : []]).toEqual([
							what,
							OF_A_CLIENT.has(each.name) ? 404 : 200,
							[],
						]);
					}
				}
			}
		}));

	it('as a broken percent-encoding is 400, and 403 for the deletion probe', async () => {
		for (const id of ['%', '%zz', '%ff', '%ED%A0%80', '%c0%af']) {
			const probe = await test.send({ path: `/api/agents/${id}`, token: scene.token });
			expect([id, probe.status, probe.body['code']]).toEqual([id, 403, 'UNKNOWN_AGENT']);
			const config = await test.send({ path: `/api/agents/${id}/config`, token: scene.token });
			expect([id, config.status]).toEqual([id, 400]);
		}
		const long = await test.send({ path: `/api/agents/${'x'.repeat(20_000)}`, token: scene.token });
		expect([long.status, long.body['code']]).toEqual([431, 'HEADERS_TOO_LARGE']);
	});

	once('of the wrong kind under any key never breaks anything', async () => {
		let turn = 0;
		for (const each of withBody.filter((found) => bodyKeys(found).length > 0)) {
			const about = await makeScene(test);
			const input = INPUTS[each.name](about) as Record<string, unknown>;
			for (const key of bodyKeys(each)) {
				for (const value of someOf(WRONG, 4, turn++)) {
					const answer = await send(each, requestOf(each.operation, { ...input, [key]: value }), about);
					sane(answer, `${each.name} ${key}=${JSON.stringify(value).slice(0, 60)}`);
				}
			}
		}
		expect((await rows.of('host')).filter((host) => host['primary_of'] !== null)).toHaveLength((await rows.of('agent')).length);
	});

	it('in a query never breaks anything', async () => {
		const values = ['abc', '-1', '0', '1e9', 'NaN', '', "'", '\\', '%', '_', '!', 'a\u0000', '🙂', 'x'.repeat(10_000), '[]', '{}'];
		let turn = 0;
		for (const each of withoutBody.filter(({ operation }) => operation.method === 'GET')) {
			for (const key of bodyKeys(each)) {
				for (const value of key === 'limit' || key === 'cursor' ? values : someOf(values, 4, turn++)) {
					const input = { ...(INPUTS[each.name](scene) as object), [key]: value };
					const answer = await send(each, requestOf(each.operation, input));
					sane(answer, `${each.name} ${key}=${value.slice(0, 20)}`);
					if (key === 'limit') expect([each.name, value, answer.status]).toEqual([each.name, value, 400]);
					if (key === 'cursor' && value !== '')
						expect([each.name, value.slice(0, 20), answer.status]).toEqual([each.name, value.slice(0, 20), 400]);
				}
				const { path } = callOf(each, scene);
				sane(await send(each, { path: `${path}${path.includes('?') ? '&' : '?'}${key}=1&${key}=2` }), `${each.name} ${key} twice`);
			}
		}
	});

	it('as a cursor that was made up is read or refused', async () => {
		const cursors = [[1e308, 'x'], [-1, '\u0000'], [Number.MAX_SAFE_INTEGER, '🙂'], [1.5, ''], ['1', 'x'], [1], {}, null].map((value) =>
			Buffer.from(JSON.stringify(value)).toString('base64url'),
		);
		for (const each of coreOperations.filter(({ operation }) => 'cursor' in operation.input.shape)) {
			for (const cursor of cursors)
				sane(await send(each, requestOf(each.operation, { ...(INPUTS[each.name](scene) as object), cursor })), each.name);
		}
	});

	it('as the cursor of another list is refused by every list', async () => {
		await test.api.createClient({ name: `another-${scene.tag}` });
		const clients = await test.api.listClients({ limit: 1 });
		const activity = await test.api.listActivity({ limit: 1 });
		const lists = coreOperations.filter(({ operation }) => 'cursor' in operation.input.shape);
		expect(lists.map(({ name }) => name)).toEqual(
			expect.arrayContaining(['listAgents', 'listTokens', 'listAdminTokens', 'listHostReplicas']),
		);
		for (const each of lists) {
			const cursor = each.name === 'listClients' ? activity.nextCursor : clients.nextCursor;
			const { status, body } = await send(each, requestOf(each.operation, { ...(INPUTS[each.name](scene) as object), cursor }));
			expect([each.name, status, body['code']]).toEqual([each.name, 400, 'INVALID_CURSOR']);
		}
	});

	it('as a cursor that no list can have answered', async () => {
		for (const query of [`cursor=${'A'.repeat(600)}`, 'cursor=x&cursor=y', 'cursor=%00']) {
			const { status, body } = await test.send({ method: 'GET', path: `/api/admin/clients?${query}`, token: test.admin });
			expect([query, status, body['code'], body['hint']]).toEqual([
				query,
				400,
				'INVALID_CURSOR',
				'leave it out to begin at the first page',
			]);
		}
	});

	once.each(coreOperations)('is not what keys nobody knows, nulls, a trailing slash or a stale X-Request-ID are: $name', async (each) => {
		const about = await makeScene(test);
		await ready(each, about);
		const given = INPUTS[each.name](about) as Record<string, unknown>;
		const nulls = Object.fromEntries(bodyKeys(each).map((key) => [key, null]));
		const unknown = { monitored_instances: [], __proto__: { a: 1 }, more: { deep: [1, { x: null }] }, nothing: null };
		const { path, ...sent } = requestOf(each.operation, takesBody(each) ? { ...unknown, ...nulls, ...given } : { more: 'x', ...given });
		const [bare = '', query] = path.split('?');
		const slashed = query === undefined ? `${bare}/` : `${bare}/?${query}`;
		const answer = await send(each, { ...sent, path: slashed, headers: { 'x-request-id': 'stale' } }, about);
		const expected = each.name === 'revealToken' ? 410 : each.operation.status;
		expect(answer.status, answer.text).toBe(expected);
	});

	once.each(coreOperations)('is not an empty body under a JSON content type: $name', async (each) => {
		const needs =
			takesBody(each) &&
			!each.operation.input.safeParse({ ...Object.fromEntries(pathParameters(each.operation.path).map((key) => [key, 'x'])) }).success;
		const about = each.operation.method === 'GET' || needs ? scene : await makeScene(test);
		await ready(each, about);
		const { method, path } = callOf(each, about) as Required<Sent>;
		const answer = await send(each, { method, path, body: '' }, about);
		sane(answer, each.name);
		expect([400, each.operation.status, 410], answer.text).toContain(answer.status);
		expect(answer.body['code']).not.toBe('INVALID_JSON');
		if (needs) expect(answer.body['code']).toBe('VALIDATION_ERROR');
		else if (!NEEDS_MORE.has(each.name)) expect(answer.status, answer.text).toBe(each.operation.status);
	});
});

describeEachDatabase('prices and times', ({ freshUrl }) => {
	let test: TestDaemon;
	let rows: Rows;
	let scene: Scene;

	beforeAll(async () => {
		const url = await freshUrl();
		test = await startDaemon(url);
		rows = await openRows(url);
		scene = await makeScene(test);
	});
	afterAll(async () => {
		await rows.close();
		await stopDaemons();
	});

	const post = (end: string, body: object | string) =>
		test.send({ method: 'POST', path: `/api/agents/${scene.handle}/${end}`, token: scene.token, body });

	const pool = (price: unknown) => ({ pool_id: 'c5.large.us-east-1b', instance_type: 'c5.large', az: 'us-east-1b', price });
	const good = pool(0.03);
	const shapes: Readonly<Record<string, (price: unknown) => [string, object]>> = {
		'classic pool': (price) => ['pricing-report', { pricing: { spot_pools: [good, pool(price)] } }],
		'classic on-demand': (price) => ['pricing-report', { pricing: { on_demand_price: price, spot_pools: [good] } }],
		'classic current': (price) => ['pricing-report', { pricing: { current_spot_price: price, spot_pools: [good] } }],
		'v3.2 pool': (price) => ['pricing-report', { on_demand_price: { price: 0.08 }, spot_pools: [good, pool(price)] }],
		'v3.2 on-demand': (price) => ['pricing-report', { on_demand_price: { price }, spot_pools: [good] }],
		'flat pool': (price) => ['pricing-report', { spot_prices: [good, pool(price)] }],
		'flat on-demand': (price) => ['pricing-report', { ondemand_price: price, pools: [good] }],
		'flat current': (price) => ['pricing-report', { current_spot_price: price, pools: [good] }],
		'v4 pool': (price) => ['decide', { spot_pools: [good, pool(price)], ondemand_price: 0.08 }],
		'v4 on-demand': (price) => ['decide', { spot_pools: [good], ondemand_price: price }],
	};

	it.each(Object.entries(shapes))('a price that cannot be is refused and nothing of its report is kept: %s', async (_, shape) => {
		const before = await rows.snapshot();
		for (const price of [0, -0.05, 1e308, 1000.01, 'NaN', '0.05', 'text', true, {}, [0.05]]) {
			const { status, body } = await post(...shape(price));
			expect([price, status, body['code']]).toEqual([price, 400, 'VALIDATION_ERROR']);
		}
		const raw = JSON.stringify(shape('@')[1]);
		for (const text of ['1e400', '-1e400']) expect([text, (await post(shape(0)[0], raw.replace('"@"', text))).status]).toEqual([text, 400]);
		for (const text of ['NaN', '-Infinity', '0x1'])
			expect([text, (await post(shape(0)[0], raw.replace('"@"', text))).body['code']]).toEqual([text, 'INVALID_JSON']);
		expect(await rows.snapshot()).toBe(before);
	});

	it('a price that is null is unknown, and overwrites nothing', async () => {
		const own = async () => (await rows.of('host_price')).find((row) => row['handle'] === scene.handle);
		await post('pricing-report', classicPrices({ 'us-east-1b': 0.031 }, { current_spot_price: 0.031, on_demand_price: 0.09 }));
		expect(await own()).toMatchObject({ spot_micros: 31_000, ondemand_micros: 90_000 });
		for (const [, shape] of Object.entries(shapes)) expect((await post(...shape(null))).status).toBe(200);
		await post('pricing-report', {
			pricing: { on_demand_price: null, current_spot_price: null, cheapest_pool: null, spot_pools: [], collected_at: null },
		});
		expect(await own()).toMatchObject({ spot_micros: expect.any(Number), ondemand_micros: expect.any(Number) });
	});

	it('501 pools are refused, 500 are not', async () => {
		const pools = (count: number) =>
			Array.from({ length: count }, (_, at) => ({
				pool_id: `c5.large.us-east-${at}a`,
				instance_type: 'c5.large',
				az: `us-east-${at}a`,
				price: 0.05,
			}));
		const before = await rows.snapshot();
		expect((await post('pricing-report', { spot_pools: pools(501) })).status).toBe(400);
		expect(await rows.snapshot()).toBe(before);
		expect((await post('pricing-report', { spot_pools: pools(500) })).body['records_inserted']).toBe(500);
	});

	const text = (at: number): string => new Date(at).toISOString();
	const believed: Readonly<Record<string, (at: number) => string | number>> = {
		Z: text,
		'no zone': (at) => text(at).replace('Z', ''),
		'no zone and a space': (at) => text(at).replace('T', ' ').replace('Z', ''),
		'an offset of nothing': (at) => text(at).replace('Z', '+00:00'),
		'an offset': (at) => text(at + 5.5 * 3_600_000).replace('Z', '+05:30'),
		microseconds: (at) => text(at).replace('Z', '456'),
		'microseconds and an offset': (at) => text(at).replace('Z', '123+00:00'),
		'epoch milliseconds': (at) => at,
	};

	it.each(Object.entries(believed))('a time with %s is read', async (_, write) => {
		const at = Date.now() - 60_000;
		const { status } = await post('pricing-report', classicPrices({ 'us-east-1b': 0.033 }, { collected_at: write(at) }));
		expect([status, (await rows.of('price_report')).at(-1)?.['observed_at']]).toEqual([200, at]);
	});

	it.each(['1970-01-01T00:00:00Z', '2999-12-31T23:59:59', '0001-01-01T00:00:00+14:00', '9999-12-31T23:59:59.999999-14:00', 0, -1, 8.64e15])(
		'a time that cannot be is not believed, nor is its report lost: %s',
		async (collected_at) => {
			const before = Date.now();
			const { status } = await post('pricing-report', classicPrices({ 'us-east-1b': 0.033 }, { collected_at }));
			const stored = Number((await rows.of('price_report')).at(-1)?.['observed_at']);
			expect([status, stored >= before, stored <= Date.now()]).toEqual([200, true, true]);
		},
	);

	it('a time that is none is refused', async () => {
		const before = await rows.snapshot();
		for (const collected_at of ['yesterday', '2021-13-01T00:00:00Z', '2021-02-30', '12:00', {}, true, [], '2021-03-04T25:00:00Z', 1e300]) {
			const { status, body } = await post('pricing-report', classicPrices({ 'us-east-1b': 0.033 }, { collected_at }));
			expect([collected_at, status, body['code']]).toEqual([collected_at, 400, 'VALIDATION_ERROR']);
		}
		expect(await rows.snapshot()).toBe(before);
	});

	it('a switch report with times of another century keeps the switch and drops the times', async () => {
		const about = await makeScene(test);
		const { status, body } = await test.send({
			method: 'POST',
			path: `/api/agents/${about.handle}/switch-report`,
			token: about.token,
			body: {
				...(INPUTS.switchReport(about) as object),
				timing: {
					switch_initiated_at: '1970-01-01T00:00:00Z',
					new_instance_launched_at: '2999-01-01T00:00:00',
					new_instance_ready_at: '2999-01-01T00:00:00.123456+00:00',
					traffic_switched_at: null,
				},
			},
		});
		expect([status, body['action']]).toEqual([200, 'switched']);
		const record = (await rows.of('switch_record')).find((row) => row['id'] === body['switch_id']);
		expect([record?.['launched_at'], record?.['ready_at'], record?.['duration_ms'], record?.['downtime_ms']]).toEqual([
			null,
			null,
			null,
			null,
		]);
		const history = await test.api.switchHistory({ client_id: about.clientId });
		for (const { timestamp } of history.items) expect(Math.abs(Date.parse(timestamp) - Date.now())).toBeLessThan(60_000);
	});
});

describe('the declared operations', () => {
	it('are all walked here but those that speak about the daemon', () => {
		const walked = new Set<string>([...everyOperation.map(({ name }) => name), 'streamEvents']);
		const left = Object.entries(operations as Record<string, Operation>).filter(([name]) => !walked.has(name));
		expect(left.filter(([, operation]) => !operation.daemonOnly)).toEqual([]);
	});
});
