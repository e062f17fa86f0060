import { CompiledQuery } from 'kysely';
import { describe, expect, it } from 'vitest';
import { TICK_MS } from '../../src/core/scheduler.ts';
import { databaseUnavailable } from '../../src/store/open.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rowsOf } from './agent-scene.ts';
import { emergenciesOf, imminent, pollingAgent, readyReplica, syncingReplica } from './replica-scene.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Names of spec section 18 that this part measures, and what the core counts beside them. */
const COUNTERS = [
	'agent_heartbeat_received_total',
	'agent_heartbeat_missed_total',
	'agent_heartbeat_expected_total',
	'agent_registrations_total',
	'instance_promotions_total',
	'instance_promotion_failures_total',
	'switch_attempts_total',
	'switch_success_total',
	'switch_failures_total',
	'emergency_events_total',
	'emergency_promotion_attempts_total',
	'emergency_promotion_success_total',
	'optimistic_lock_conflicts_total',
	'agents_marked_offline_total',
	'commands_expired_total',
	'commands_unconfirmed_total',
	'instances_terminated_total',
	'agent_cleanup_reports_total',
	'price_points_total',
	'job_runs_total',
	'job_failures_total',
];

/** The numbers of a scrape by series. */
const measured = async (world: World, daemon = 0): Promise<ReadonlyMap<string, number>> => {
	const lines = ((await world.daemons[daemon]?.scrape()) ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
	return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
};

describeEachDatabase('the measurements of the core', ({ freshUrl }) => {
	const inWorld = async (work: (world: World) => Promise<void>) => {
		const world = await openWorld(await freshUrl());
		try {
			await work(world);
		} finally {
			await world.close();
		}
	};

	it('are all shown from the start: counters at 0, distributions empty', () =>
		inWorld(async (world) => {
			const before = await measured(world);
			expect(COUNTERS.filter((name) => before.get(name) !== 0)).toEqual([]);
			for (const type of ['manual', 'emergency', 'switch'])
				expect(before.get(`instance_promotion_duration_seconds_count{type="${type}"}`)).toBe(0);
			expect(before.get('switch_downtime_seconds_count')).toBe(0);
			expect(before.get('switch_downtime_seconds_bucket{le="10"}')).toBe(0);
		}));

	it('name no agent, machine or client', () =>
		inWorld(async (world) => {
			const { agent } = await readyReplica(world);
			await imminent(world, agent, agent.id);
			const text = (await world.daemons[0]?.scrape()) ?? '';
			for (const id of [agent.id, agent.instanceId, agent.client.id, agent.client.name, agent.logicalId]) expect(text).not.toContain(id);
		}));

	describe('of heartbeats', () => {
		const owed = async (world: World) => {
			const now = await measured(world);
			return { expected: now.get('agent_heartbeat_expected_total'), missed: now.get('agent_heartbeat_missed_total') };
		};

		it('expect one in 30 s of each agent and miss none while all of them call', () =>
			inWorld(async (world) => {
				const client = await world.client();
				const agents = [await makeAgent(world, client), await makeAgent(world, client)];
				await heartbeatsFor(
					world,
					5 * MINUTE,
					client,
					agents.map(({ id }) => id),
				);
				const { expected, missed } = await owed(world);
				expect(missed).toBe(0);
				// What was before one interval had been listened to is owed by nobody.
				expect([16, 18, 20]).toContain(expected);
			}));

		it('miss those of an agent that is silent, also once it is offline, and expect them on', () =>
			inWorld(async (world) => {
				const client = await world.client();
				const [calls, silent] = [await makeAgent(world, client), await makeAgent(world, client)];
				await heartbeatsFor(world, 2 * MINUTE, client, [calls.id, silent.id]);
				const before = await owed(world);
				await heartbeatsFor(world, 10 * MINUTE, client, [calls.id]);
				const after = await owed(world);
				expect((await rowsOf(world).agent(silent.id)).status).toBe('offline');
				const [expected, missed] = [(after.expected ?? 0) - (before.expected ?? 0), (after.missed ?? 0) - (before.missed ?? 0)];
				// The clock of the test moves in steps that 30 s are no multiple of.
				expect(expected).toBeGreaterThanOrEqual(36);
				expect(expected).toBeLessThanOrEqual(40);
				expect([expected / 2 - 1, expected / 2]).toContain(missed);
			}));

		it('are not owed by a machine that is only named and has its time to come yet', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await heartbeatsFor(world, 2 * MINUTE, agent.client, [agent.id]);
				await orderSwitch(agent.client, agent.instanceId, agent.id);
				await agent.client.report(agent.id, newMachine());
				const before = await owed(world);
				await world.advance(5 * MINUTE, 4000);
				expect(await owed(world)).toEqual(before);
			}));

		it('are counted once in an interval, however often a person runs the job', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id]);
				const before = await owed(world);
				for (let n = 0; n < 5; n++) {
					expect((await world.admin.call('runJob', { name: 'heartbeats' })).status).toBe(200);
					await world.advance(2000, 1000);
				}
				expect((await owed(world)).expected).toBeLessThanOrEqual((before.expected ?? 0) + 1);
			}));

		it('of an agent that was deleted are owed no more', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await agent.client.remove(agent.id);
				await world.advance(3 * MINUTE, 4000);
				expect(await owed(world)).toEqual({ expected: 0, missed: 0 });
			}));

		it('are counted by one daemon, whatever their number, and not missed while nobody served', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await world.addDaemon();
				await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id]);
				const [one, two] = [await measured(world, 0), await measured(world, 1)];
				const expected = (each: ReadonlyMap<string, number>) => each.get('agent_heartbeat_expected_total') ?? -1;
				expect(Math.min(expected(one), expected(two))).toBe(0);
				expect(Math.max(expected(one), expected(two))).toBeGreaterThanOrEqual(4);
				await world.stop(0);
				await world.stop(1);
				await world.advance(MINUTE);
				await world.restart(0);
				await world.advance(30 * SECOND, TICK_MS);
				expect(await owed(world)).toEqual({ expected: 0, missed: 0 });
			}));
	});

	describe('of promotions', () => {
		const promotions = async (world: World) => {
			const now = await measured(world);
			const of = (type: string, what: string) => now.get(`instance_promotion_duration_seconds_${what}{type="${type}"}`);
			return {
				failures: now.get('instance_promotion_failures_total'),
				promotions: now.get('instance_promotions_total'),
				manual: of('manual', 'count'),
				emergency: [of('emergency', 'count'), of('emergency', 'sum')],
				switch: [of('switch', 'count'), of('switch', 'sum')],
			};
		};
		const none = { failures: 0, promotions: 0, manual: 0, emergency: [0, 0], switch: [0, 0] };

		it('say how long a switch took from its claim to the new primary', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await orderSwitch(agent.client, agent.instanceId, agent.id);
				await world.advance(40 * SECOND, 4000);
				await agent.client.report(agent.id, newMachine());
				expect(await promotions(world)).toEqual({ ...none, promotions: 1, switch: [1, 40] });
			}));

		it('say how long an emergency took from its notice to the new primary', () =>
			inWorld(async (world) => {
				const { agent, id } = await syncingReplica(world);
				await imminent(world, agent, agent.id);
				await world.advance(20 * SECOND, 4000);
				const waited = (await emergenciesOf(world, agent.id))[0];
				const [machine] = await world.store.read.selectFrom('replica').select('instance_id').where('id', '=', id).execute();
				const joined = await agent.client.register(machine?.instance_id ?? '', { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
				expect(joined.status).toBe(200);
				const [emergency] = await emergenciesOf(world, agent.id);
				const took = ((emergency?.promoted_at ?? 0) - (waited?.received_at ?? 0)) / 1000;
				expect(took).toBeGreaterThanOrEqual(20);
				expect(await promotions(world)).toEqual({ ...none, promotions: 1, emergency: [1, took] });
			}));

		it('count an operator’s, and those that were refused because of how the agent was', () =>
			inWorld(async (world) => {
				const { agent, replica } = await readyReplica(world);
				const promote = (replicaId: string) =>
					agent.client.call('promoteReplica', { agent_id: agent.id, replica_id: replicaId, demote_old_primary: true });
				expect((await promote(replica.id)).status).toBe(200);
				expect(await promotions(world)).toEqual({ ...none, promotions: 1, manual: 1 });
				const other = await syncingReplica(world);
				const refused = await other.agent.client.call('promoteReplica', { agent_id: other.agent.id, replica_id: other.id });
				expect(refused.body.code).toBe('REPLICA_NOT_READY');
				expect((await world.admin.call('promoteInstance', { instance_id: other.agent.instanceId })).body.code).toBe('NOT_PROMOTABLE');
				expect((await promotions(world)).failures).toBe(2);
			}));

		it('count no failure for what nobody knows, nor for a promotion that was done before', () =>
			inWorld(async (world) => {
				const { agent, replica } = await readyReplica(world);
				const promote = () => agent.client.call('promoteReplica', { agent_id: agent.id, replica_id: replica.id });
				await promote();
				expect((await promote()).status).toBe(409);
				expect((await world.admin.call('promoteInstance', { instance_id: 'i-nobody' })).status).toBe(404);
				expect(await promotions(world)).toEqual({ ...none, promotions: 1, manual: 1 });
			}));

		it('count one whose transaction was lost as a failure, and nothing else of it', () =>
			inWorld(async (world) => {
				const { agent, replica } = await readyReplica(world);
				const { store } = world;
				const transact = store.transact;
				Object.assign(store, {
					transact: (work: Parameters<typeof transact>[0]) =>
						transact(async (tx) => {
							await work(tx);
							throw databaseUnavailable();
						}),
				});
				const lost = await agent.client.call('promoteReplica', { agent_id: agent.id, replica_id: replica.id });
				Object.assign(store, { transact });
				expect(lost.status).toBe(503);
				expect(await promotions(world)).toEqual({ ...none, failures: 1 });
			}));

		it('count an emergency that ends with nobody to promote', () =>
			inWorld(async (world) => {
				const agent = await pollingAgent(world);
				await imminent(world, agent, agent.id);
				await world.advance(40 * MINUTE, 20_000);
				expect((await emergenciesOf(world, agent.id)).map(({ outcome }) => outcome)).toEqual(['told']);
				expect((await promotions(world)).failures).toBe(1);
			}));
	});

	describe('of downtime', () => {
		const downtimes = async (world: World) => {
			const now = await measured(world);
			return [now.get('switch_downtime_seconds_count'), now.get('switch_downtime_seconds_sum')];
		};

		it('are what the agent reported, once however often it reports', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await orderSwitch(agent.client, agent.instanceId, agent.id);
				const machine = newMachine();
				await agent.client.report(agent.id, machine, { downtime_seconds: 7.5 });
				await agent.client.report(agent.id, machine, { downtime_seconds: 7.5 });
				expect(await downtimes(world)).toEqual([1, 7.5]);
			}));

		it('come with the report where the registration was first', () =>
			inWorld(async (world) => {
				const agent: AgentScene = await makeAgent(world);
				await orderSwitch(agent.client, agent.instanceId, agent.id);
				const joined = await joinAgent(agent, 'b');
				expect(joined.role).toBe('primary');
				expect(await downtimes(world)).toEqual([0, 0]);
				await agent.client.report(agent.id, joined.instanceId, { downtime_seconds: 12 });
				expect(await downtimes(world)).toEqual([1, 12]);
			}));

		it('are not measured where nobody reported one', () =>
			inWorld(async (world) => {
				const agent = await makeAgent(world);
				await orderSwitch(agent.client, agent.instanceId, agent.id);
				await agent.client.report(agent.id, newMachine());
				expect(await downtimes(world)).toEqual([0, 0]);
			}));
	});

	describe('of machines', () => {
		const statuses = async (world: World) =>
			Object.fromEntries(
				[...(await measured(world))]
					.filter(([name]) => name.startsWith('instance_status'))
					.map(([name, value]) => [name.replace(/^instance_status\{status="(.*)"\}$/, '$1'), value]),
			);

		it('are by role, read with the sums of the books at most every 15 s however often they are scraped, and say how old they are', () =>
			inWorld(async (world) => {
				await readyReplica(world);
				await makeAgent(world);
				const first = await statuses(world);
				expect(first).toEqual({
					primary: 2,
					replica: 1,
					candidate: 0,
					zombie: 0,
					ended: 0,
					named: 0,
					instance_status_age_seconds: 0,
				});
				await makeAgent(world);
				await world.advance(14 * SECOND);
				const asked = await world.statements(async () => {
					expect(await statuses(world)).toEqual({ ...first, instance_status_age_seconds: 14 });
				});
				expect(asked).toEqual([]);
				await world.advance(SECOND);
				const again = await world.statements(async () => {
					expect((await statuses(world))['primary']).toBe(3);
				});
				expect(again).toHaveLength(2);
			}));

		it('are read from an index', () =>
			inWorld(async (world) => {
				await makeAgent(world);
				const [text = ''] = await world.statements(() => measured(world));
				const db = world.store.dialect.name === 'sqlite' ? 'explain query plan ' : 'explain ';
				const { rows } = await world.store.read.executeQuery<Record<string, unknown>>({
					...CompiledQuery.raw(db + text, ['primary', 'replica', 'candidate', 'zombie', 'ended', 'named']),
				});
				expect(JSON.stringify(rows)).toContain('host_ending_told');
			}));

		it('stay as they were read last, and age, while the database does not answer; before the first reading there are none', () =>
			inWorld(async (world) => {
				await makeAgent(world);
				const { read } = world.store;
				const down = new Proxy(read, {
					get: () => {
						throw databaseUnavailable();
					},
				});
				Object.assign(world.store, { read: down });
				expect(await statuses(world)).toEqual({});
				Object.assign(world.store, { read });
				expect((await statuses(world))['primary']).toBe(1);
				Object.assign(world.store, { read: down });
				await world.advance(20 * SECOND, TICK_MS);
				expect(await statuses(world)).toMatchObject({ primary: 1, instance_status_age_seconds: 20 });
				Object.assign(world.store, { read });
			}));
	});
});
