import { expect, test } from 'vitest';
import { routeOf } from '../../src/fleet/counters.ts';
import type { Received } from './scratch-server.ts';
import { createWorld, MINUTE, prices, START, TYPE } from './world.ts';

const byRoute = (log: readonly Received[]): Record<string, number[]> => {
	const table: Record<string, number[]> = {};
	for (const { method, path, at } of log) {
		const route = `${method} ${routeOf(path).replace('/api/agents/', '')}`;
		table[route] = [...(table[route] ?? []), (at - START) / 1_000];
	}
	return table;
};

const every = (step: number, from = 0): number[] =>
	Array.from({ length: Math.ceil((300 - from) / step) }, (_, index) => from + index * step);

test('the classic agent calls at the rates of clients.md section 1', async () => {
	const { clock, fleet, server } = await createWorld({ agents: { classic: 1 } });
	fleet.start();
	await clock.runFor(5 * MINUTE - 1);
	expect(byRoute(server.log)).toEqual({
		'POST register': [0],
		'POST :id/heartbeat': every(30),
		'GET :id/pending-commands': every(15),
		'GET :id/replicas?status=launching': every(30),
		'GET :id/replicas?status=terminated': every(30),
		'GET :id/config': every(60),
		'POST :id/pricing-report': [0],
		'POST :id/cleanup-report': [60],
		'GET :id/instances-to-terminate': every(60, 60),
	});
	expect(server.log.slice(0, 7).map(({ path }) => path.split('/').at(-1))).toEqual([
		'register',
		'heartbeat',
		'pending-commands',
		'replicas?status=launching',
		'replicas?status=terminated',
		'config',
		'pricing-report',
	]);
	await clock.runFor(60 * MINUTE);
	expect(byRoute(server.log)['POST :id/cleanup-report']).toEqual([60, 3_660]);
	expect(byRoute(server.log)['POST :id/pricing-report']).toHaveLength(13);
});

test('the classic agent sends the bodies of clients.md section 1', async () => {
	const { clock, fleet, server, first, ec2 } = await createWorld({ agents: { classic: 1 } });
	fleet.start();
	await clock.runFor(2 * MINUTE);
	const { instanceId } = first();
	const { hostname, privateIp, az, image } = ec2.describe(instanceId);
	const body = (suffix: string) => server.log.find(({ path }) => path.endsWith(suffix))?.body;
	expect(server.log[0]?.headers).toMatchObject({ authorization: 'Bearer token-1', accept: '*/*', 'content-type': 'application/json' });
	expect(body('/register')).toEqual({
		client_token: 'token-1',
		hostname,
		instance_id: instanceId,
		instance_type: TYPE,
		region: 'us-east-1',
		az,
		ami_id: image.id,
		agent_version: '4.0.0',
		logical_agent_id: 'classic-0001',
		mode: 'spot',
		private_ip: privateIp,
		public_ip: null,
	});
	expect(body('/heartbeat')).toEqual({
		status: 'online',
		monitored_instances: [instanceId],
		instance_id: instanceId,
		instance_type: TYPE,
		mode: 'spot',
		az,
	});
	const pools = prices.pools(TYPE, START).map(({ poolId, az: zone, price }) => ({ pool_id: poolId, instance_type: TYPE, az: zone, price }));
	const [cheapest] = [...pools].sort((one, other) => one.price - other.price);
	expect(body('/pricing-report')).toEqual({
		instance: { instance_id: instanceId, instance_type: TYPE, region: 'us-east-1', az, mode: 'spot', pool_id: `${TYPE}.${az}` },
		pricing: {
			on_demand_price: 0.085,
			current_spot_price: prices.priceAt(TYPE, az, START),
			cheapest_pool: { pool_id: cheapest?.pool_id, price: cheapest?.price },
			spot_pools: pools,
			collected_at: '2026-01-05T00:00:00+00:00',
		},
	});
	expect(body('/cleanup-report')).toEqual({
		timestamp: '2026-01-05T00:01:00+00:00',
		snapshots: { type: 'snapshots', deleted: [], failed: [], cutoff_date: '2025-12-29T00:01:00+00:00' },
		amis: { type: 'amis', deleted_amis: [], deleted_snapshots: [], failed: [], cutoff_date: '2025-12-06T00:01:00+00:00' },
	});
	await fleet.stop();
	expect(server.log.at(-1)).toMatchObject({ path: `/api/agents/agent-of-${instanceId}/heartbeat` });
	expect(server.log.at(-1)?.body).toEqual({ status: 'offline', monitored_instances: [] });
});

test('an on-demand classic host reports no current price, no cheapest pool and no pool of its own', async () => {
	const { clock, fleet, got } = await createWorld({ mode: () => 'ondemand' });
	fleet.start();
	await clock.runFor(1_000);
	expect(got('POST', /pricing-report/)[0]?.body).toMatchObject({
		instance: { mode: 'ondemand', pool_id: null },
		pricing: { current_spot_price: null, cheapest_pool: null, spot_pools: [{}, {}, {}] },
	});
});

test('agent 3.2 calls at the rates and with the bodies of clients.md section 2', async () => {
	const { clock, fleet, server, first, ec2, got } = await createWorld({ agents: { v32: 1 }, logicalAgentId: () => null });
	fleet.start();
	await clock.runFor(5 * MINUTE - 1);
	expect(byRoute(server.log)).toEqual({
		'POST register': [0],
		'POST :id/heartbeat': every(30),
		'GET :id/pending-commands': every(15),
		'GET :id/config': every(60),
		'POST :id/pricing-report': [0],
	});
	const { instanceId } = first();
	const { hostname, az, image } = ec2.describe(instanceId);
	expect(got('POST', /register/)[0]?.body).toEqual({
		client_token: 'token-1',
		hostname,
		instance_id: instanceId,
		instance_type: TYPE,
		region: 'us-east-1',
		az,
		ami_id: image.id,
		agent_version: '3.2.0',
		logical_agent_id: instanceId,
	});
	expect(got('POST', /heartbeat/)[0]?.body).toEqual({ status: 'online', monitored_instances: [instanceId] });
	expect(got('POST', /pricing-report/)[0]?.body).toMatchObject({
		instance: {
			instance_id: instanceId,
			instance_type: TYPE,
			region: 'us-east-1',
			az,
			current_mode: 'spot',
			current_pool_id: `${TYPE}.${az}`,
		},
		on_demand_price: { price: 0.085 },
		spot_pools: [{ az: 'us-east-1a' }, { az: 'us-east-1b' }, { az: 'us-east-1c' }],
	});
	expect(got('POST', /pricing-report/)[0]?.body).not.toHaveProperty('pricing');
	await fleet.stop();
	expect(server.log.at(-1)?.body).toEqual({ status: 'offline', monitored_instances: [] });
});

test('agent v4 calls at the rates and with the bodies of clients.md section 3', async () => {
	const { clock, fleet, server, first, ec2, got } = await createWorld({ agents: { v4: 1 } });
	fleet.start();
	await clock.runFor(5 * MINUTE - 1);
	expect(byRoute(server.log)).toEqual({
		'POST register': [0],
		'POST :id/heartbeat': every(30),
		'GET :id/config': every(30),
		'POST :id/decide': [60],
	});
	await clock.runFor(5 * MINUTE);
	expect(byRoute(server.log)['POST :id/decide']).toEqual([60, 360]);
	const { az, image, hostname, privateIp } = ec2.describe(first().instanceId);
	expect(got('POST', /register/)[0]?.body).toEqual({
		logical_agent_id: 'v4-0001',
		instance_id: first().instanceId,
		instance_type: TYPE,
		region: 'us-east-1',
		az,
		mode: 'spot',
		hostname,
		ami_id: image.id,
		agent_version: '4.0.0',
		private_ip: privateIp,
		public_ip: null,
	});
	expect(got('POST', /heartbeat/)[0]?.body).toEqual({ status: 'online' });
	const decide = got('POST', /decide/)[0]?.body;
	expect(decide).toMatchObject({ ondemand_price: 0.085, current_az: az });
	expect(decide?.spot_pools).toContainEqual(expect.objectContaining({ az, pool_id: `${TYPE}.${az}`, is_current: true }));
	expect(server.log.every(({ headers }) => headers['x-request-id'] === undefined)).toBe(true);
	await fleet.stop();
	expect(server.log.at(-1)?.body).toEqual({ status: 'offline' });
});

test('a path in the base URL is dropped by classic and 3.2 and kept by v4', async () => {
	const { clock, fleet, server } = await createWorld({ agents: { classic: 1, v32: 1, v4: 1 }, basePath: '/prefix/' });
	fleet.start();
	await clock.runFor(1_000);
	const paths = server.log.filter(({ path }) => path.endsWith('register')).map(({ path }) => path);
	expect(paths).toEqual(['/api/agents/register', '/api/agents/register', '/prefix/api/agents/register']);
	expect(fleet.requests.count('POST /api/agents/register')).toBe(3);
});

test('without a price list classic makes an on-demand price up, and v4 says 0.1', async () => {
	const unknown = { ...prices, onDemand: () => null };
	const { clock, fleet, got } = await createWorld({ agents: { classic: 1, v4: 1 }, prices: unknown });
	fleet.start();
	await clock.runFor(MINUTE);
	const pools = prices.pools(TYPE, START);
	const mean = pools.reduce((sum, { price }) => sum + price, 0) / pools.length;
	expect(got('POST', /pricing-report/)[0]?.body).toMatchObject({ pricing: { on_demand_price: mean * 3 } });
	expect(got('POST', /decide/)[0]?.body).toMatchObject({ ondemand_price: 0.1 });
});

test('a disabled agent polls no commands and decides nothing, and goes on with the rest', async () => {
	const { clock, fleet, server, got } = await createWorld({
		agents: { classic: 1, v32: 1, v4: 1 },
		script: ({ path }) => (/config$/.test(path) ? { body: { enabled: false } } : undefined),
	});
	fleet.start();
	await clock.runFor(5 * MINUTE - 1);
	expect(got('GET', /pending-commands/)).toHaveLength(2);
	expect(got('POST', /decide/)).toHaveLength(0);
	expect(got('GET', /replicas\?status=launching/)).toHaveLength(10);
	expect(server.log.filter(({ at, body }) => at > START && body?.status === 'disabled')).toHaveLength(27);
});

test('a falsy or failed config answer keeps the last value, a missing key means enabled', async () => {
	const answers: unknown[] = ['', { enabled: false }, '{}', 'null', 'no json', {}];
	const { clock, fleet, got } = await createWorld({
		script: ({ path }) => (/config$/.test(path) && answers.length > 0 ? { body: answers.shift() } : undefined),
	});
	fleet.start();
	await clock.runFor(6 * MINUTE);
	const said = (status: string, times: number): string[] => Array.from({ length: times }, () => status);
	const statuses = got('POST', /heartbeat/).map(({ body }) => body?.status);
	expect(statuses).toEqual([...said('online', 2), ...said('disabled', 8), ...said('online', 3)]);
});
