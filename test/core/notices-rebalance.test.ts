import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, pool, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, orderedReplica, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('a rebalance recommendation', ({ freshUrl }) => {
	let world: World;
	let rows: ReturnType<typeof rowsOf>;
	beforeAll(async () => {
		world = await openWorld(await freshUrl());
		rows = rowsOf(world);
	});
	afterAll(() => world.close());

	/** An agent without a replica that fetches launch orders, as classic does. */
	const pollingAgent = async (): Promise<AgentScene> => {
		const agent = await makeAgent(world);
		await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'launching' });
		return agent;
	};
	/** As classic says it: once. */
	const single = ({ client, id, instanceId }: AgentScene) =>
		client.call('rebalanceRecommendation', { agent_id: id, instance_id: instanceId, detected_at: iso(world.now()) });
	/** As v4 says it: at every look, with the time of AWS. */
	const repeated = ({ client, id }: AgentScene, at: number) =>
		client.call('rebalanceRecommendation', { agent_id: id, notice_time: iso(at) });
	/** The order of the signal is launched, and its machine ready. */
	const launch = async (agent: AgentScene): Promise<string> => {
		const order = await fetchOrder(agent, agent.id);
		const instanceId = newMachine();
		await put(agent, agent.id, order.id, instanceId);
		await say(agent, agent.id, order.id, 'ready');
		return instanceId;
	};
	/** Time passes, and the given hosts call once a minute; too coarse for anybody to be judged silent. */
	const minutes = async (count: number, client: AgentScene['client'], handles: readonly string[]): Promise<void> => {
		for (let minute = 0; minute < count; minute++) {
			for (const handle of handles) await client.heartbeat(handle);
			await world.advance(MINUTE, MINUTE);
		}
	};
	const states = async (agent: AgentScene): Promise<string[]> => (await replicasOf(world, agent.id)).map(({ status }) => status);

	describe('sees that one usable replica exists', () => {
		it.each([
			['auto-switch on', {}, true],
			['auto-switch and manual mode off', { autoSwitchEnabled: false, manualReplicaEnabled: false }, true],
			['the agent disabled', { autoSwitchEnabled: false }, false],
		])('with %s', async (_, config, enabled) => {
			const agent = await pollingAgent();
			await agent.client.call('changeConfig', { agent_id: agent.id, ...config });
			if (!enabled) await agent.client.toggle(agent.id, false);
			const { status, body } = await single(agent);
			expect([status, body.success, body.action, body.replica_status]).toEqual([200, true, 'monitor', 'launching']);
			await launch(agent);
			await world.advance(6000);
			expect(await replicasOf(world, agent.id)).toMatchObject([{ type: 'automatic-rebalance', status: 'ready', live_of: agent.id }]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'rebalance', open_of: agent.id, step: 'standby' }]);
		});

		it('with the two calls of classic, however often they come, by one order (D-24, D-26)', async () => {
			const agent = await pollingAgent();
			for (let n = 0; n < 3; n++) {
				const made = await agent.client.call('createEmergencyReplica', {
					agent_id: agent.id,
					signal_type: 'rebalance-recommendation',
					instance_id: agent.instanceId,
				});
				expect(made).toMatchObject({ status: 201, body: { success: true, urgency: 'high', pool: { id: pool('b') } } });
				expect(made.body.instance_id).toMatch(/^replica-/);
				expect(made.body.replica_id).toBe((await single(agent)).body.replica_id);
			}
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ reports: 6, repeats: 0 }]);
		});

		it.each(['launching', 'syncing', 'ready'] as const)('by using the %s one', async (status) => {
			const { agent, order } = await orderedReplica(world);
			if (status !== 'launching') await put(agent, agent.id, order.id, newMachine());
			if (status === 'ready') await say(agent, agent.id, order.id, 'ready');
			expect((await single(agent)).body).toMatchObject({ replica_id: order.id, replica_status: status });
			expect(await states(agent)).toEqual([status]);
		});

		it('and never orders a switch beside it', async () => {
			const agent = await pollingAgent();
			for (let n = 0; n < 40; n++) {
				const other = await makeAgent(world, agent.client);
				expect((await single(other)).body.action).not.toBe('switch');
			}
			const { body } = await single(agent);
			expect(body).toMatchObject({ action: 'monitor', risk_score: 1 });
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
		});

		it('in another pool when the launch overruns or fails, after a pause (D-24)', async () => {
			const agent = await pollingAgent();
			await single(agent);
			const order = await fetchOrder(agent, agent.id);
			await heartbeatsFor(world, 50_000, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['failed']);
			await heartbeatsFor(world, 32_000, agent.client, [agent.id]);
			const second = await fetchOrder(agent, agent.id);
			expect(second.pool_id).not.toBe(order.pool_id);
			await say(agent, agent.id, second.id, 'failed', { error_message: 'no capacity' });
			await heartbeatsFor(world, 50_000, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['failed', 'failed']);
			await heartbeatsFor(world, 14_000, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['failed', 'failed', 'launching']);
			const failed = (await rows.notifications(agent.id)).filter(({ type }) => type === 'replica_failed');
			expect(failed).toHaveLength(1);
		});

		it('after the pause of a launch that failed before, and says so; a switch meanwhile is promoted after that was planned', async () => {
			const { agent, order } = await orderedReplica(world);
			await say(agent, agent.id, order.id, 'failed', { error_message: 'no capacity' });
			await single(agent);
			const plannedAt = world.now();
			await world.advance(2000);
			await orderSwitch(agent.client, agent.instanceId, agent.id, 'c');
			await world.advance(2000);
			expect((await joinAgent(agent, 'c')).role).toBe('primary');
			const [emergency] = await emergenciesOf(world, agent.id);
			expect(emergency).toMatchObject({ planned_at: plannedAt, promoted_at: world.now() });
			expect(JSON.parse(emergency?.plan ?? '[]')).toMatchObject([{ at: plannedAt, step: 'plan', choice: 'wait' }]);
		});

		it('unless the agent never fetches orders: then a person is told, once', async () => {
			const agent = await makeAgent(world);
			await minutes(3, agent.client, [agent.id]);
			for (let n = 0; n < 3; n++) {
				expect((await repeated(agent, world.now())).body).toMatchObject({ action: 'monitor', replica_id: null });
				await world.advance(10_000, 2000);
			}
			expect(await replicasOf(world, agent.id)).toEqual([]);
			const told = (await rows.notifications(agent.id)).filter(({ type }) => type === 'failover_needs_person');
			expect(told).toMatchObject([{ severity: 'critical', count: 1 }]);
			expect(told[0]?.message).toContain('cannot launch');
		});
	});

	describe('that has cleared', () => {
		it('retires the replica 30 minutes after the last repeat of a host that repeats it', async () => {
			const agent = await pollingAgent();
			const at = world.now();
			await repeated(agent, at);
			const replica = await launch(agent);
			await minutes(20, agent.client, [agent.id]);
			await repeated(agent, at);
			await minutes(29, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['ready']);
			await minutes(2, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['terminated']);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'stood-by', open_of: null }]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica]: 'ended' });
		});

		it('retires it two hours after the one report of a host that does not', async () => {
			const agent = await pollingAgent();
			await agent.client.call('createEmergencyReplica', { agent_id: agent.id, signal_type: 'rebalance-recommendation' });
			await single(agent);
			await launch(agent);
			await minutes(119, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['ready']);
			await minutes(2, agent.client, [agent.id]);
			expect(await states(agent)).toEqual(['terminated']);
		});

		it('names its machine on both lists until somebody confirms its end (D-20)', async () => {
			const agent = await pollingAgent();
			await repeated(agent, world.now());
			await repeated(agent, world.now());
			const replica = await launch(agent);
			await minutes(31, agent.client, [agent.id]);
			const ended = async () => (await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'terminated' })).body.replicas;
			const [listed] = await ended();
			expect(listed).toMatchObject({ instance_id: replica, status: 'terminated', is_active: false });
			expect((await agent.client.terminations(agent.id)).body.instances).toMatchObject([
				{ instance_id: replica, reason: 'replica_terminated' },
			]);
			await say(agent, agent.id, listed?.id ?? '', 'terminated', { is_active: false });
			expect(await ended()).toEqual([]);
			expect((await agent.client.terminations(agent.id)).body.instances).toEqual([]);
		});

		it('leaves the replica of manual mode alone', async () => {
			const { agent, replica } = await readyReplica(world);
			await repeated(agent, world.now());
			await repeated(agent, world.now());
			await minutes(32, agent.client, [agent.id, replica.handle]);
			expect(await states(agent)).toEqual(['ready']);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'stood-by' }]);
		});

		it('keeps the replica of a primary that is silent, and promotes it by the rule of silence', async () => {
			const agent = await pollingAgent();
			await repeated(agent, world.now());
			await repeated(agent, world.now());
			const order = await fetchOrder(agent, agent.id);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az });
			const both = [agent.id, joined.body.agent_id];
			await minutes(27, agent.client, both);
			for (const handle of both) await agent.client.heartbeat(handle);
			await heartbeatsFor(world, 175_000, agent.client, [joined.body.agent_id]);
			expect(await states(agent)).toEqual(['ready']);
			await heartbeatsFor(world, 20_000, agent.client, [joined.body.agent_id]);
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('primary');
			expect(await emergenciesOf(world, agent.id)).toMatchObject([
				{ kind: 'rebalance', outcome: 'escalated' },
				{ kind: 'silent-primary', outcome: 'failed-over' },
			]);
		});

		it('tells a person where the primary is gone and no replica is left', async () => {
			const failover = {
				launchMs: 45_000,
				readyMs: 60_000,
				silentAfterMs: 180_000,
				retireRepeatedMs: 4 * MINUTE,
				retireSingleMs: 4 * MINUTE,
				override: true,
			};
			const brief = await openWorld(await freshUrl(), { settings: { failover } });
			try {
				const agent = await makeAgent(brief);
				await repeated(agent, brief.now());
				await brief.advance(6 * MINUTE, 5000);
				expect((await rowsOf(brief).agent(agent.id)).status).toBe('offline');
				expect(await emergenciesOf(brief, agent.id)).toMatchObject([{ outcome: 'told', told: 1, open_of: null }]);
			} finally {
				await brief.close();
			}
		});
	});

	describe('and a termination notice', () => {
		it('are two emergencies, one after the other; the replica of the first is promoted by the second', async () => {
			const agent = await pollingAgent();
			await single(agent);
			const order = await fetchOrder(agent, agent.id);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: false, action: 'promote_when_ready' });
			expect(await emergenciesOf(world, agent.id)).toMatchObject([
				{ kind: 'rebalance', outcome: 'escalated', open_of: null },
				{ kind: 'termination', open_of: agent.id, replica_id: order.id },
			]);
			await say(agent, agent.id, order.id, 'ready');
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('primary');
			expect(await states(agent)).toEqual(['promoted']);
		});

		it('the stronger one stays when the weaker is repeated', async () => {
			const agent = await pollingAgent();
			await imminent(world, agent, agent.id);
			const { body } = await repeated(agent, world.now());
			expect(body.success).toBe(true);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'termination', open_of: agent.id, reports: 2 }]);
			expect(await states(agent)).toEqual(['launching']);
		});
	});

	it('whose replica an operator promotes buys no next one (D-24)', async () => {
		const agent = await pollingAgent();
		await single(agent);
		const instanceId = await launch(agent);
		const [replica] = await replicasOf(world, agent.id);
		await world.admin.call('promoteReplica', { agent_id: agent.id, replica_id: replica?.id ?? '' });
		const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId });
		await agent.client.call('listHostReplicas', { agent_id: joined.body.agent_id, status: 'launching' });
		await heartbeatsFor(world, MINUTE, agent.client, [joined.body.agent_id]);
		expect(await states(agent)).toEqual(['promoted']);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'failed-over', new_instance_id: instanceId }]);
	});
});
