import { describe, expect, it } from 'vitest';
import type { Name } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Actor, World } from '../helpers/world.ts';
import { joinAgent, makeAgent, newMachine, orderSwitch, rowsOf } from './agent-scene.ts';
import { imminent, pollingAgent } from './replica-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const asked = async <const N extends Name>(actor: Actor, name: N, input: Parameters<typeof actor.call<N>>[1]) => {
	const { status, body } = await actor.call(name, input);
	expect([name, status, body.error]).toEqual([name, 200, null]);
	return body;
};

/** An agent that has switched once by hand: its first machine is a zombie. */
const switchedOnce = async (world: World, known?: Parameters<typeof makeAgent>[1]) => {
	const agent = await makeAgent(world, known);
	await agent.client.prices(agent.id, { 'us-east-1a': 0.04, 'us-east-1b': 0.03 });
	await orderSwitch(agent.client, agent.instanceId, agent.id, 'b');
	const next = await joinAgent(agent);
	await agent.client.heartbeat(next.handle);
	return { ...agent, next };
};

describeEachDatabase('the overview of a fleet without anything', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	it('counts nothing, and says so in numbers', async () => {
		const stats = await asked(world.admin, 'adminStats', {});
		for (const key of ['totalAccounts', 'agentsOnline', 'agentsTotal', 'totalSavings', 'totalSwitches', 'manualSwitches', 'modelSwitches'])
			expect([key, stats[key as never]]).toEqual([key, 0]);
		expect(stats).toMatchObject({
			total_clients: 0,
			agents_offline: 0,
			total_savings: 0,
			automatic_switches: 0,
			savingsShares: { seconds: 0 },
		});
		expect(stats).toMatchObject({ backendHealth: 'Decision Engine Not Loaded', decisionEngineLoaded: false, ml_model_active: false });
		expect(await asked(world.admin, 'healthSummary', {})).toMatchObject({
			total_agents: 0,
			by_client: [],
			recent_offline: [],
			heartbeat_distribution: { healthy: 0, degraded: 0, critical: 0 },
		});
		expect(await asked(world.admin, 'operationalMetrics', {})).toMatchObject({
			agent_uptime: { uptime_percentage: 0, known: false },
			switch_downtime: { avg_downtime_seconds: 0, stddev_downtime_seconds: 0, p95_downtime_seconds: 0, switches_measured: 0 },
			savings: { total_savings: 0, baseline_cost: 0, savings_percentage: 0, shares: { seconds: 0 } },
			data_cleaner: { last_run_at: null, installed: false },
		});
		expect((await asked(world.admin, 'emergencyEvents', {})).data).toEqual([]);
		expect(await asked(world.admin, 'search', { q: 'acme' })).toMatchObject({ clients: [], instances: [], agents: [], total_results: 0 });
		expect((await asked(world.admin, 'listModelSessions', {})).data).toEqual([]);
		expect(await asked(world.admin, 'poolStatistics', {})).toMatchObject({ inactive_pools: 0, total_pools: 4 });
	});

	it('D-36: has one day of growth, today, and none that nobody knows anything of', async () => {
		expect((await asked(world.admin, 'clientsGrowth', { days: 365 })).data).toEqual([
			{ date: '2021-03-04', total: 0, new: 0, active: 0, count: 0, activeKnown: true, source: 'now' },
		]);
	});

	it('has agents of a client that are none', async () => {
		const client = await world.client();
		expect((await asked(client, 'agentDecisions', { client_id: client.id })).data).toEqual([]);
		expect(await asked(client, 'agentStats', {})).toMatchObject({ total: 0, online: 0, deleted: 0 });
		expect(await asked(client, 'uptimeStats', {})).toMatchObject({
			uptime_percentage: null,
			reason: 'nobody has looked at an agent of this client in this time',
			samples: 0,
		});
	});
});

describeEachDatabase('the overview of a fleet', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	/** As the sweep books it, without the minutes that it takes. */
	const fallSilent = (id: string) => world.store.ddl.updateTable('agent').set({ status: 'offline' }).where('id', '=', id).execute();

	describe('in numbers', () => {
		it('D-35: counts the savings of a client with many agents once, and each agent and switch once', async () => {
			const before = await asked(world.admin, 'adminStats', {});
			const one = await switchedOnce(world);
			for (let more = 0; more < 3; more++) await makeAgent(world, one.client);
			await world.advance(MINUTE, 4000);
			const [stats, details] = [
				await asked(world.admin, 'adminStats', {}),
				await asked(one.client, 'showClient', { client_id: one.client.id }),
			];
			expect(stats.agentsTotal - before.agentsTotal).toBe(4);
			expect(stats.totalSwitches - before.totalSwitches).toBe(1);
			expect(stats.manualSwitches - before.manualSwitches).toBe(1);
			expect(stats.automaticSwitches - before.automaticSwitches).toBe(0);
			const listed = (await asked(world.admin, 'listClients', {})).data as unknown as { totalSavings: number }[];
			expect(stats.totalSavings).toBeCloseTo(
				listed.reduce((sum, { totalSavings }) => sum + totalSavings, 0),
				6,
			);
			expect(details.totalSavings).not.toBe(0);
			expect(details.savingsShares.seconds).toBeGreaterThan(0);
			expect(stats.total_savings).toBe(stats.totalSavings);
		});

		it('counts what the records say: rewritten and corrected ones too', async () => {
			const one = await switchedOnce(world);
			await one.client.report(one.id, one.next.instanceId, {
				timing: { switch_initiated_at: '2021-03-04T00:00:00Z', traffic_switched_at: '2021-03-04T00:00:09Z' },
				trigger: 'manual',
			});
			const two = await switchedOnce(world);
			const other = await joinAgent(two, 'c');
			await two.client.report(two.id, other.instanceId);
			const records = await world.store.read.selectFrom('switch_record').selectAll().execute();
			const counted = await world.store.read.selectFrom('switch_tally').selectAll().execute();
			expect(records.some(({ success }) => success === 0)).toBe(true);
			for (const { agent_id, trigger_type, switches, failed, measured, downtime_ms } of counted) {
				const own = records.filter((record) => record.agent_id === agent_id && record.trigger_type === trigger_type);
				expect([switches, failed, measured, downtime_ms].map(Number)).toEqual([
					own.length,
					own.filter(({ success }) => success === 0).length,
					own.filter((record) => record.downtime_ms !== null).length,
					own.reduce((sum, record) => sum + (record.downtime_ms ?? 0), 0),
				]);
			}
			expect(counted.reduce((sum, { switches }) => sum + Number(switches), 0)).toBe(records.length);
		});

		it('of an agent are its own, by any of its handles', async () => {
			const one = await switchedOnce(world);
			for (const agent_id of [one.id, one.next.handle])
				for (const name of ['agentStatistics', 'agentStatisticsOld'] as const)
					expect(await asked(one.client, name, { agent_id })).toMatchObject({
						agent_id: one.id,
						statistics: {
							total_decisions: 0,
							switches_executed: 1,
							success_rate: 1,
							success_rate_known: true,
							average_confidence_known: false,
							last_decision_at: null,
							switches_by_trigger: { manual: 1 },
							avg_downtime_known: false,
						},
					});
			const other = await world.client();
			expect((await other.call('agentStatistics', { agent_id: one.id })).status).toBe(404);
			const idle = await makeAgent(world);
			expect(await asked(idle.client, 'agentStatistics', { agent_id: idle.id })).toMatchObject({
				statistics: { switches_executed: 0, success_rate: 0, success_rate_known: false, avg_downtime_seconds: 0 },
			});
		});

		it('of ended machines are right before and after somebody counted them', async () => {
			const one = await switchedOnce(world);
			await one.client.terminated(one.next.handle, one.instanceId);
			const ended = async () => (await asked(one.client, 'showClient', { client_id: one.client.id })).instanceCounts;
			expect(await ended()).toEqual({ active: 1, zombie: 0, terminated: 1 });
			await world.advance(HOUR + 2 * MINUTE, 10 * MINUTE);
			expect(await world.store.read.selectFrom('client_ended').selectAll().where('client_id', '=', one.client.id).execute()).toHaveLength(
				1,
			);
			expect((await ended()).terminated).toBe(1);
		});
	});

	describe('by day', () => {
		it('remembers what a look found, tells what it derives, and clamps the days', async () => {
			await world.client();
			const gone = await world.client();
			await world.advance(10 * MINUTE, 10_000);
			const today = Number((await asked(world.admin, 'adminStats', {})).totalAccounts);
			expect((await world.admin.call('deleteClient', { client_id: gone.id })).status).toBe(200);
			await world.advance(DAY, 6 * HOUR);
			const days = (await asked(world.admin, 'clientsGrowth', { days: 2 })).data as unknown as Record<string, unknown>[];
			expect(days.map(({ source }) => source)).toEqual(['snapshot', 'now']);
			expect(days[1]).toMatchObject({ total: today - 1, count: today - 1, new: 0, activeKnown: true });
			await world.store.ddl.deleteFrom('fleet_day').execute();
			const derived = (await asked(world.admin, 'clientsGrowth', { days: '1000' })).data as unknown as Record<string, unknown>[];
			expect(derived[0]).toMatchObject({
				date: '2021-03-04',
				total: today - 1,
				new: today - 1,
				active: 0,
				activeKnown: false,
				source: 'derived',
			});
			for (const [given, least] of [
				['abc', 2],
				['', 2],
				[-5, 1],
				[0, 1],
				['1e9', 2],
			] as const)
				expect([given, ((await asked(world.admin, 'clientsGrowth', { days: given })).data as unknown as unknown[]).length]).toEqual([
					given,
					least,
				]);
		});

		it('says how often agents were found online, and leaves out those that are disabled', async () => {
			const one = await makeAgent(world);
			const two = await makeAgent(world, one.client);
			await two.client.toggle(two.id, false);
			await world.advance(5 * MINUTE, MINUTE);
			expect(await asked(one.client, 'uptimeStats', {})).toMatchObject({ uptime_percentage: 100, reason: null, sample_seconds: 300 });
			await fallSilent(one.id);
			await world.advance(5 * MINUTE, MINUTE);
			const { uptime_percentage: share } = await asked(world.admin, 'uptimeStats', { client_id: one.client.id });
			expect(share).toBeGreaterThan(0);
			expect(share).toBeLessThan(100);
			expect((await world.admin.call('uptimeStats', {})).body.code).toBe('CLIENT_REQUIRED');
		});
	});

	describe('of health', () => {
		it('shows agents by the last heartbeat, and pages through the clients', async () => {
			const one = await makeAgent(world);
			await one.client.heartbeat(one.id);
			const all = await asked(world.admin, 'healthSummary', {});
			const { heartbeat_distribution: heard } = all;
			expect(heard.healthy + heard.degraded + heard.critical).toBe(all.total_agents);
			expect(heard.healthy).toBeGreaterThan(0);
			expect(all.recent_offline.length).toBeLessThanOrEqual(5);
			expect(all.by_client.find(({ client_id }) => client_id === one.client.id)).toMatchObject({ online: 1, offline: 0, total: 1 });
			const found: string[] = [];
			for (let cursor: string | undefined; ; ) {
				const page = await asked(world.admin, 'healthSummaryOld', { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
				found.push(...page.by_client.map(({ client_id }) => client_id));
				if (page.next_cursor === null) break;
				cursor = page.next_cursor;
			}
			expect(found).toEqual(all.by_client.map(({ client_id }) => client_id));
		});

		it('names the state of the daemon in the words of the page, and its jobs', async () => {
			const status = await asked(world.admin, 'systemHealth', {});
			expect(status).toMatchObject({
				apiStatus: 'Healthy',
				database: 'Connected',
				decisionEngine: 'Not Loaded',
				modelStatus: { loaded: false, name: 'None', version: 'N/A', filesUploaded: 0, activeModels: [], files: [] },
				decisionEngineStatus: { loaded: false, type: 'None', version: 'N/A', filesUploaded: 0, files: [] },
			});
			expect(status.connectionPool).toMatch(/^\d+\/\d+$/);
			expect(status.backgroundJobs?.map(({ name }) => name)).toContain('overview');
			expect(status.uptime).toBeGreaterThan(0);
		});

		it('lists the last run of each job that ran within the days', async () => {
			await world.advance(MINUTE, 4000);
			const runs = (await asked(world.admin, 'consolidationJobs', { days: 1 })).data as unknown as Record<string, unknown>[];
			expect(runs.find(({ job_type }) => job_type === 'changes')).toMatchObject({ status: 'completed', error: null });
			expect(
				[...runs].sort((a, b) => (String(a['started_at']) < String(b['started_at']) ? 1 : -1)).map((run) => run['started_at']),
			).toEqual(runs.map((run) => run['started_at']));
		});
	});

	describe('of the agents of a client', () => {
		it('D-39: shows what each reported and what happened to it, online ones first, page by page', async () => {
			const one = await switchedOnce(world);
			const silent = await makeAgent(world, one.client);
			const third = await makeAgent(world, one.client);
			await fallSilent(silent.id);
			for (const handle of [one.next.handle, third.id]) await one.client.heartbeat(handle);
			await world.advance(4000, 4000);
			await one.client.prices(one.next.handle, { 'us-east-1a': 0.04 });
			const rows = (await asked(one.client, 'agentDecisions', { client_id: one.client.id })).data as unknown as {
				agentId: string;
				isHealthy: boolean;
				pricingHealth: { recentReportsCount: number };
			}[];
			expect(rows.map(({ agentId }) => agentId)).toEqual([third.id, one.id, silent.id]);
			expect(rows[1]).toMatchObject({
				agentName: one.logicalId,
				status: 'online',
				currentMode: 'spot',
				isHealthy: true,
				lastHeartbeat: '< 1 min ago',
				lastDecision: { type: null, time: null, elapsed: null },
				decisionHistory: [],
				pricingHealth: {
					status: 'healthy',
					recentReportsCount: 1,
					recentReports: [{ onDemandPrice: 0.085, spotPrice: 0, pricesKnown: { onDemand: true, spot: false } }],
				},
				recentActivity: { healthStatus: { overall: 'healthy', heartbeat: 'active', activity: 'active', decisionCount: 0 } },
			});
			expect(rows[1]).toHaveProperty('recentActivity.systemEvents.0.type', 'switch_completed');
			expect(rows[2]).toMatchObject({ status: 'offline', isHealthy: false, pricingHealth: { status: 'unhealthy', recentReports: [] } });
			const found: string[] = [];
			for (let cursor: string | undefined; ; ) {
				const page = await asked(one.client, 'agentDecisions', {
					client_id: one.client.id,
					limit: 1,
					...(cursor === undefined ? {} : { cursor }),
				});
				found.push(...(page.data as unknown as { agentId: string }[]).map(({ agentId }) => agentId));
				const next = (page as unknown as { next_cursor: string | null }).next_cursor;
				if (next === null) break;
				cursor = next;
			}
			expect(found.sort()).toEqual(rows.map(({ agentId }) => agentId).sort());
		});

		it('takes as many statements for one as for nine', async () => {
			const few = await makeAgent(world);
			const many = await makeAgent(world);
			for (let more = 0; more < 8; more++) await makeAgent(world, many.client);
			const cost = async ({ client }: typeof few, name: 'agentDecisions' | 'showClient') =>
				(await world.statements(() => asked(client, name, { client_id: client.id }))).length;
			for (const name of ['agentDecisions', 'showClient'] as const)
				expect([name, await cost(many, name)]).toEqual([name, await cost(few, name)]);
			expect((await world.statements(() => asked(world.admin, 'adminStats', {}))).length).toBe(5);
		});

		it('counts them by status for the agent-host dashboard', async () => {
			const one = await makeAgent(world);
			const two = await makeAgent(world, one.client);
			await one.client.remove(two.id);
			expect(await asked(one.client, 'agentStats', {})).toMatchObject({ total: 1, online: 1, offline: 0, deleted: 1, total_agents: 1 });
		});
	});

	describe('of a machine', () => {
		it('is what happened to it, newest first, page by page, and nobody else’s', async () => {
			const one = await switchedOnce(world);
			const logs = (await asked(one.client, 'instanceLogs', { instance_id: one.next.instanceId })).data as unknown as Record<
				string,
				unknown
			>[];
			expect(logs[0]).toMatchObject({ event_type: 'switch_completed', severity: 'info', metadata: { old_instance_id: one.instanceId } });
			const first = await asked(one.client, 'instanceLogs', { instance_id: one.next.instanceId, limit: 1 });
			expect((first.data as unknown as unknown[])[0]).toEqual(logs[0]);
			const other = await world.client();
			expect((await other.call('instanceLogs', { instance_id: one.next.instanceId })).status).toBe(404);
			expect((await one.client.call('instanceLogs', { instance_id: one.next.instanceId, cursor: 'bm9uZQ' })).body.code).toBe(
				'INVALID_CURSOR',
			);
		});
	});

	describe('of emergencies', () => {
		it('lists those of the days, of all clients, with the names of both neighbours', async () => {
			const agent = await pollingAgent(world);
			await imminent(world, agent, agent.id);
			await world.advance(4000, 4000);
			const again = await pollingAgent(world);
			await imminent(world, again, again.id);
			const list = (await asked(world.admin, 'emergencyEvents', { days: 1 })).data as unknown as Record<string, unknown>[];
			expect(list.slice(0, 2).map(({ agent_id }) => agent_id)).toEqual([again.id, agent.id]);
			expect(list[0]).toMatchObject({ kind: 'termination', event_type: 'termination', state: 'open', client_name: again.client.name });
			const page = await asked(world.admin, 'emergencyEvents', { days: 1, limit: 1 });
			const { next_cursor: cursor } = page as unknown as { next_cursor: string };
			expect(
				((await asked(world.admin, 'emergencyEvents', { days: 1, limit: 1, cursor })).data as unknown as Record<string, unknown>[])[0],
			).toEqual(list[1]);
			expect((await asked(world.admin, 'operationalMetrics', {})).emergency_stats.termination_count).toBeGreaterThanOrEqual(2);
			await world.advance(2 * DAY, 12 * HOUR);
			expect((await asked(world.admin, 'emergencyEvents', { days: 1 })).data).toEqual([]);
		});
	});

	describe('of pools', () => {
		it('D-37: averages the prices that are known, and shows none where none is', async () => {
			const agent = await makeAgent(world, undefined, { instance_type: 'm9.huge', region: 'eu-north-1', az: 'eu-north-1a' });
			const reported = await agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: 'm9.huge', region: 'eu-north-1' },
				pricing: {
					on_demand_price: 1,
					spot_pools: [
						{ pool_id: 'm9.huge.eu-north-1a', az: 'eu-north-1a', price: 0.2 },
						{ pool_id: 'm9.huge.eu-north-1b', az: 'eu-north-1b', price: 0.4 },
					],
				},
			});
			expect(reported.status).toBe(200);
			const region = async (name: 'poolStatistics' | 'poolStatisticsOld') => {
				const { regions, instance_types: types } = await asked(world.admin, name, {});
				return [regions.find((each) => each.region === 'eu-north-1'), types.find((each) => each.instance_type === 'm9.huge')];
			};
			expect(await region('poolStatistics')).toEqual([
				{ region: 'eu-north-1', pools: 2, pools_priced: 2, average_price: 0.3, cheapest_price: 0.2 },
				{ instance_type: 'm9.huge', pools_available: 2, pools_priced: 2, avg_spot_price: 0.3, ondemand_price: 1 },
			]);
			await world.advance(2 * HOUR, 10 * MINUTE);
			expect(await region('poolStatisticsOld')).toEqual([
				{ region: 'eu-north-1', pools: 2, pools_priced: 0, average_price: null, cheapest_price: null },
				{ instance_type: 'm9.huge', pools_available: 2, pools_priced: 0, avg_spot_price: null, ondemand_price: 1 },
			]);
		});
	});

	describe('by search', () => {
		it('finds what begins with a text and what holds it, at most ten of a kind, at the top level too', async () => {
			const client = await world.client('Needle & Co');
			const machine = `i-fee${newMachine().slice(6)}`;
			expect((await client.register(machine, { logical_agent_id: 'web-needle-7', hostname: 'ip-10-0-0-77' })).status).toBe(200);
			const found = await asked(world.admin, 'search', { q: 'needle' });
			expect(found.clients).toEqual([
				{ id: client.id, name: 'Needle & Co', email: null, status: 'active', client: 'Needle & Co', matchField: 'name' },
			]);
			expect(found.agents).toMatchObject([{ name: 'web-needle-7', status: 'online', client: 'Needle & Co', instanceId: machine }]);
			expect(found.results).toEqual({ clients: found.clients, instances: found.instances, agents: found.agents });
			expect((await asked(world.admin, 'searchOld', { q: 'i-fee' })).instances).toMatchObject([
				{ id: machine, name: machine, status: 'running_primary', client: 'Needle & Co' },
			]);
			expect((await asked(world.admin, 'search', { q: 'web-nee', types: 'agents' })).total_results).toBe(1);
			expect((await asked(world.admin, 'search', { q: 'web-nee', types: 'clients, instances' })).total_results).toBe(0);
			const refused = await world.admin.call('search', { q: 'web-nee', types: 'agents,bogus' });
			expect([refused.status, refused.body.code, refused.body.error]).toEqual([
				400,
				'VALIDATION_ERROR',
				expect.stringMatching(/bogus.*clients, instances, agents/),
			]);
			expect((await asked(world.admin, 'search', { q: 'n' })).total_results).toBe(0);
			expect((await asked(world.admin, 'search', { q: 'i-0' })).instances.length).toBe(10);
			for (const q of ['%', '__', '%%', "'; drop table host; --", '\\\\', '!!', '\u{10FFFF}\u{10FFFF}'])
				expect((await world.admin.call('search', { q })).status).toBe(200);
			expect((await asked(world.admin, 'search', { q: '%%' })).total_results).toBe(0);
			expect((await client.call('search', { q: 'needle' })).status).toBe(403);
		});
	});

	it('forgets the counters of a client that is deleted', async () => {
		const one = await switchedOnce(world);
		await world.admin.call('deleteClient', { client_id: one.client.id });
		expect(await world.store.read.selectFrom('switch_tally').selectAll().where('client_id', '=', one.client.id).execute()).toEqual([]);
		expect(await rowsOf(world).switches(one.id)).toEqual([]);
	});
});
