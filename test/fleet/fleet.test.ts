import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { routeOf } from '../../src/fleet/counters.ts';
import type { RequestEvent } from '../../src/fleet/fleet.ts';
import { AgentError, comparable, get, isoOffset, isoZulu, isTruthy, items, text } from '../../src/fleet/python.ts';
import { balancedFetcher } from '../../src/fleet/transport.ts';
import { usual } from './scratch-server.ts';
import { createWorld, MINUTE, once, START, TYPE } from './world.ts';

const command = { id: 'c1', target_mode: 'spot', target_pool_id: `${TYPE}.us-east-1b`, priority: 25, terminate_wait_seconds: 0 };
const polls = /pending-commands$/;

test('an agent without an answer to its registration exits with a last heartbeat and is started again after 10 s', async () => {
	for (const answer of ['', '{}', '{"client_id":"c"}', '[]', '["x"]', '{"agent_id":"a","config":null}', 'no json']) {
		const { clock, fleet, got, seconds, first } = await createWorld({ script: once(/register$/, answer) });
		fleet.start();
		await clock.runFor(MINUTE);
		expect(seconds(got('POST', /register$/))).toEqual([0, 10]);
		expect(first().starts).toBe(2);
		const [farewell] = got('POST', /heartbeat$/);
		expect(farewell).toMatchObject({ at: START, body: { status: 'offline', monitored_instances: [] } });
		expect(farewell?.path).toBe(`/api/agents/${answer.includes('agent_id') ? 'a' : 'None'}/heartbeat`);
	}
});

test('a refused registration is tried again every 10 s, for ever', async () => {
	const { clock, fleet, got, seconds } = await createWorld({ agents: { v4: 1 }, script: () => ({ status: 503, body: '{}' }) });
	fleet.start();
	await clock.runFor(35_000);
	expect(seconds(got('POST', /register$/))).toEqual([0, 10, 20, 30]);
});

test('a lost request never arrives, a lost answer does; neither is repeated, and 30 s may pass on it', async () => {
	const events: RequestEvent[] = [];
	const { clock, fleet, got, seconds, first } = await createWorld({ onRequest: (event) => events.push(event) });
	fleet.start();
	await clock.runFor(1_000);
	first().faults.lose = ({ route }) => (route.endsWith('/heartbeat') ? 'request' : route.endsWith('/config') ? 'response' : null);
	first().faults.lossMs = 30_000;
	await clock.runFor(3 * MINUTE);
	expect(got('POST', /heartbeat$/)).toHaveLength(1);
	expect(seconds(got('GET', /config$/))).toEqual([0, 60, 150]);
	const route = '/api/agents/:id';
	expect(fleet.requests.count(`POST ${route}/heartbeat`, 'lost_request')).toBe(3);
	expect(fleet.requests.count(`GET ${route}/config`, 'lost_response')).toBe(2);
	expect(events.find(({ outcome }) => outcome === 'lost_response')).toMatchObject({
		status: 200,
		method: 'GET',
		route: `${route}/config`,
		sent: null,
	});
	expect(events.find(({ outcome }) => outcome === 'lost_request')).toMatchObject({ status: null, answer: '', sent: { status: 'online' } });
	expect(fleet.requests.count()).toBe(events.length);
	expect(fleet.requests.table().reduce((sum, { count }) => sum + count, 0)).toBe(events.length);
});

test('a replica whose PUT was lost is launched again when the server still lists it', async () => {
	const replica = { id: 'r1', pool: { id: 'p', az: 'us-east-1b' } };
	const { clock, fleet, got, ec2, first } = await createWorld({
		script: ({ path }) => (/status=launching$/.test(path) ? { body: { replicas: [replica] } } : undefined),
		agentBootMs: [600_000, 600_000],
	});
	fleet.start();
	first().faults.lose = ({ method }) => (method === 'PUT' ? 'request' : null);
	await clock.runFor(90_000);
	expect(got('PUT', /./)).toEqual([]);
	expect(ec2.instances).toHaveLength(3);
});

test('with a server that is down every call fails, and the agents go on', async () => {
	const { clock, fleet, server } = await createWorld({ agents: { classic: 1, v4: 1 } });
	fleet.start();
	await clock.runFor(1_000);
	await server.close();
	await clock.runFor(2 * MINUTE);
	expect(fleet.requests.count('POST /api/agents/:id/heartbeat', 'failed')).toBe(8);
	expect(fleet.hosts().every(({ agent }) => agent?.isRunning)).toBe(true);
});

test('an agent that crashes at random starts again 10 s later as if for the first time', async () => {
	const { clock, fleet, got, first } = await createWorld({ faults: { crashEveryMs: 2 * MINUTE } });
	fleet.start();
	await clock.runFor(30 * MINUTE);
	expect(first().starts).toBeGreaterThan(5);
	expect(got('POST', /register$/)).toHaveLength(first().starts);
	expect(got('POST', /heartbeat$/).every(({ body }) => body?.status === 'online')).toBe(true);
});

test('a crash in the middle of a switch leaves the new machine and no report', async () => {
	const { clock, fleet, got, ec2, first } = await createWorld({ script: once(polls, { commands: [command] }) });
	fleet.start();
	await clock.runFor(10_000);
	first().crash();
	await clock.runFor(2 * MINUTE);
	expect(ec2.instances.map(({ state }) => state)).toEqual(['running', 'running']);
	expect(got('POST', /switch-report$|executed$/)).toEqual([]);
	expect(got('POST', /register$/)).toHaveLength(3);
});

test('an orderly restart says offline and allows a launch under way 5 s', async () => {
	const { clock, fleet, got, seconds, first } = await createWorld({ script: once(polls, { commands: [command] }) });
	fleet.start();
	await clock.runFor(18_500);
	first().restart();
	await clock.runFor(MINUTE);
	const offline = got('POST', /heartbeat$/).filter(({ body }) => body?.status === 'offline');
	expect(seconds(offline)).toEqual([24.5]);
	expect(seconds(got('POST', /register$/))[1]).toBe(34.5);
	expect(seconds(got('POST', /switch-report$/))).toEqual([23]);
});

test('uninstalling tells the server, ends the agent with a last heartbeat and leaves the machine', async () => {
	const { clock, fleet, got, ec2, first, server } = await createWorld({ basePath: '/prefix' });
	fleet.start();
	await clock.runFor(10_000);
	first().uninstall();
	first().uninstall();
	await clock.runFor(MINUTE);
	const { instanceId } = first();
	expect(server.log.slice(-2).map(({ path, body }) => [path, body])).toEqual([
		['/prefix/api/agents/uninstall', { instance_id: instanceId, reason: 'manual_uninstall' }],
		[`/api/agents/agent-of-${instanceId}/heartbeat`, { status: 'offline', monitored_instances: [] }],
	]);
	expect([got('POST', /register$/).length, first().agent, ec2.describe(instanceId).state]).toEqual([1, undefined, 'running']);
});

test('only a patched classic agent asks whether it was deleted, after five failed heartbeats, and only a 404 ends it', async () => {
	for (const [detectsDeletion, status, probes, uninstalls] of [
		[false, 404, 0, 0],
		[true, 403, 2, 0],
		[true, 503, 2, 0],
		[true, 404, 1, 1],
	] as const) {
		const { clock, fleet, got } = await createWorld({
			settings: { classic: { detectsDeletion } },
			script: ({ method, path }) =>
				/heartbeat$/.test(path) || (method === 'GET' && /agents\/[^/]*$/.test(path)) ? { status, body: '{}' } : undefined,
		});
		fleet.start();
		await clock.runFor(150_000);
		const asked = got('GET', /agents\/[^/]*$/);
		expect([asked.length, got('POST', /uninstall$/).length]).toEqual([probes, uninstalls]);
		expect(asked.every(({ headers, body }) => headers['content-type'] === undefined && body === null)).toBe(true);
	}
});

test('a machine launched from an image without an agent is never heard of', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({ script: once(polls, { commands: [command] }), faults: { imageHasAgent: false } });
	fleet.start();
	await clock.runFor(5 * MINUTE);
	expect(ec2.instances).toHaveLength(2);
	expect(fleet.hosts()).toHaveLength(1);
	expect(got('POST', /register$/)).toHaveLength(1);
});

test('a new host has the same logical id, or its own without LOGICAL_AGENT_ID', async () => {
	for (const named of [true, false]) {
		const { clock, fleet, got, ec2 } = await createWorld({
			script: once(polls, { commands: [command] }),
			logicalAgentId: () => (named ? 'web-1' : null),
		});
		fleet.start();
		await clock.runFor(2 * MINUTE);
		const names = got('POST', /register$/).map(({ body }) => body?.logical_agent_id);
		expect(names).toEqual(named ? ['web-1', 'web-1'] : ec2.instances.map(({ id }) => id));
	}
});

test('a launch fails by chance when told to', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({ script: once(polls, { commands: [command] }), faults: { launchFailure: 1 } });
	fleet.start();
	await clock.runFor(MINUTE);
	expect(ec2.instances).toHaveLength(1);
	expect(got('POST', /executed$/)[0]?.body).toEqual({ success: false, message: 'Switch failed' });
});

test('a machine that shuts down in order lets its agent say offline', async () => {
	const { clock, fleet, got, ec2, first } = await createWorld({ faults: { saysOfflineOnTermination: 1 } });
	fleet.start();
	await clock.runFor(10_000);
	ec2.terminate(first().instanceId, { kind: 'operator', instanceId: null, agentId: null }, 'test');
	await clock.runFor(MINUTE);
	expect(got('POST', /heartbeat$/).map(({ at, body }) => [(at - START) / 1_000, body?.status])).toEqual([
		[0, 'online'],
		[11, 'offline'],
	]);
	expect(first().starts).toBe(1);
});

test('metadata that fails leaves nulls in the classic heartbeat', async () => {
	const { clock, fleet, got } = await createWorld({ faults: { metadataFails: true } });
	fleet.start();
	await clock.runFor(1_000);
	expect(got('POST', /heartbeat$/)[0]?.body).toMatchObject({ instance_type: null, az: null, mode: 'spot' });
});

test('a machine added by hand runs the fleet’s agent; one of another fleet does not', async () => {
	const { clock, fleet, ec2, got } = await createWorld({ agents: {} });
	fleet.start();
	const added = fleet.add({ kind: 'v32', logicalAgentId: 'by-hand', mode: 'ondemand' });
	const foreign = { id: 'ami-0', agent: 'classic', logicalAgentId: 'other' };
	ec2.place({ instanceType: TYPE, az: null, mode: 'spot', image: foreign, by: added.launchedBy, reason: 'other' }, { running: true });
	await clock.runFor(1_000);
	expect(got('POST', /register$/).map(({ body }) => [body?.instance_id, body?.logical_agent_id])).toEqual([[added.id, 'by-hand']]);
	expect(fleet.host(added.id)).toMatchObject({ kind: 'v32', agentId: `agent-of-${added.id}`, logicalAgentId: 'by-hand' });
});

test('the same seed gives the same requests, faults included', async () => {
	const run = async (): Promise<string[]> => {
		const { clock, fleet, server } = await createWorld({
			agents: { classic: 4, v32: 2, v4: 2 },
			staggerMs: 30_000,
			faults: { lostRequest: 0.05, lostResponse: 0.05, crashEveryMs: 4 * MINUTE, launchFailure: 0.3 },
			script: ({ path, at }) => (polls.test(path) && at % 7 === 0 ? { body: { commands: [command] } } : undefined),
			ec2Options: { bootMs: [15_000, 45_000] },
		});
		fleet.start();
		await clock.runFor(10 * MINUTE);
		return server.log.map(({ at, method, path, body }) => JSON.stringify([at, method, path, body]));
	};
	const [one, other] = [await run(), await run()];
	expect(one.length).toBeGreaterThan(500);
	expect(one).toEqual(other);
});

/** What lives in this process, without what only waits to be collected or was left by the files before. */
const heldMegabytes = (): number => {
	setFlagsFromString('--expose-gc');
	(runInNewContext('gc') as () => void)();
	return process.memoryUsage().heapUsed / 1024 ** 2;
};

test('a thousand agents keep their rates with many calls at once', { timeout: 60_000 }, async () => {
	const before = heldMegabytes();
	const { clock, fleet } = await createWorld({
		agents: { classic: 1_000 },
		staggerMs: 30_000,
		clockOptions: { concurrency: 64 },
		fetcher: {
			send: async ({ method, path, body, headers }) => {
				const { status = 200, body: payload } = usual({ at: 0, method, path, headers, body });
				return { status, text: JSON.stringify(payload) };
			},
			close: async () => undefined,
		},
	});
	fleet.start();
	await clock.runFor(31_000);
	fleet.requests.clear();
	await clock.runFor(5 * MINUTE);
	expect(fleet.requests.count() / 5_000).toBeGreaterThan(12.1);
	expect(fleet.requests.count() / 5_000).toBeLessThan(12.5);
	expect(fleet.requests.count(undefined, 200)).toBe(fleet.requests.count());
	expect(heldMegabytes() - before).toBeLessThan(60);
});

test('in real time a fleet keeps its rates at the chosen speed', async () => {
	const { clock, fleet, got } = await createWorld({ agents: { classic: 3 } });
	fleet.start();
	const controller = new AbortController();
	const run = clock.runRealTime(200, controller.signal);
	while (clock.now() < START + 2 * MINUTE) await new Promise((resolve) => setTimeout(resolve, 10));
	controller.abort();
	await run;
	expect(got('POST', /register$/)).toHaveLength(3);
	expect(got('POST', /heartbeat$/).length).toBeGreaterThanOrEqual(9);
	expect(got('POST', /heartbeat$/).length).toBeLessThanOrEqual(30);
	await fleet.stop();
	expect(got('POST', /heartbeat$/).filter(({ body }) => body?.status === 'offline')).toHaveLength(3);
});

test('a fleet of two daemons sends to both in turn, past one that is down, and repeats nothing that broke', async () => {
	const seen: string[] = [];
	const server = (name: string, fail?: string) => ({
		send: async () => {
			seen.push(name);
			if (fail !== undefined) throw Object.assign(new Error(fail), { code: fail });
			return { status: 200, text: '{}' };
		},
		close: async () => undefined,
	});
	const call = { method: 'GET', path: '/', headers: {}, body: null } as const;
	const both = balancedFetcher([server('a'), server('b')]);
	for (let turn = 0; turn < 4; turn++) await both.send(call);
	expect(seen.splice(0)).toEqual(['a', 'b', 'a', 'b']);
	const half = balancedFetcher([server('a', 'ECONNREFUSED'), server('b')]);
	for (let turn = 0; turn < 2; turn++) expect((await half.send(call)).status).toBe(200);
	expect(seen.splice(0)).toEqual(['a', 'b', 'b']);
	const broken = balancedFetcher([server('a', 'UND_ERR_SOCKET'), server('b')]);
	await expect(broken.send(call)).rejects.toThrow('UND_ERR_SOCKET');
	expect(seen.splice(0)).toEqual(['a']);
	const none = balancedFetcher([server('a', 'ECONNREFUSED'), server('b', 'ECONNREFUSED')]);
	await expect(none.send(call)).rejects.toThrow('ECONNREFUSED');
	expect(seen).toEqual(['a', 'b']);
});

test('routes replace ids and keep the query', () => {
	expect(
		[
			'/api/agents/register',
			'/api/agents/uninstall',
			'/api/agents/a1',
			'/api/agents/a1/replicas?status=launching',
			'/api/agents/None/heartbeat',
		].map(routeOf),
	).toEqual([
		'/api/agents/register',
		'/api/agents/uninstall',
		'/api/agents/:id',
		'/api/agents/:id/replicas?status=launching',
		'/api/agents/:id/heartbeat',
	]);
	expect(['/p/api/agents/a/commands/c/executed', '/api/agents/a/replicas/r', '/api/agents/a/replicas/r/status'].map(routeOf)).toEqual([
		'/p/api/agents/:id/commands/:id/executed',
		'/api/agents/:id/replicas/:id',
		'/api/agents/:id/replicas/:id/status',
	]);
});

test('answers are read with Python’s rules', () => {
	expect(['', 0, [], {}, null, false, undefined, 'x', 1, [0], { a: 0 }, true].map(isTruthy)).toEqual([
		...Array.from({ length: 7 }, () => false),
		...Array.from({ length: 5 }, () => true),
	]);
	expect([get({ a: null }, 'a', 1), get({}, 'a', 1), get({}, 'constructor')]).toEqual([null, 1, null]);
	expect([comparable(2), comparable(true)]).toEqual([2, 1]);
	for (const wrong of [() => get(null, 'a'), () => comparable(null), () => comparable('1'), () => items(null)])
		expect(wrong).toThrow(AgentError);
	expect([items({ a: 1 }), items([1])]).toEqual([[], [1]]);
	expect([null, undefined, true, false, 3, 'x'].map(text)).toEqual(['None', 'None', 'True', 'False', '3', 'x']);
	expect([isoOffset(1_250), isoZulu(2_000)]).toEqual(['1970-01-01T00:00:01.250000+00:00', '1970-01-01T00:00:02Z']);
});
