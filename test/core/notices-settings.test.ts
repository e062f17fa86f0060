import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const OVERRIDE_OFF = {
	launchMs: 45_000,
	readyMs: 60_000,
	silentAfterMs: 180_000,
	retireRepeatedMs: 1_800_000,
	retireSingleMs: 7_200_000,
	override: false,
};
const OFF = { auto_switch_enabled: false, manual_replica_enabled: false };

describeEachDatabase('a notice, by the settings of the agent', ({ freshUrl }) => {
	/** An agent without a replica, and without a mode, that fetches launch orders. */
	const bareAgent = async (world: World): Promise<AgentScene> => {
		const agent = await makeAgent(world);
		await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'launching' });
		await agent.client.call('changeSettings', { agent_id: agent.id, ...OFF });
		return agent;
	};

	describe('with the override on', () => {
		let world: World;
		beforeAll(async () => {
			world = await openWorld(await freshUrl());
		});
		afterAll(() => world.close());
		const states = async (agent: AgentScene) => (await replicasOf(world, agent.id)).map(({ status }) => status);

		it('is acted on although auto-switch, manual mode and the agent are off, and makes no next replica (decided 10, D-24)', async () => {
			const agent = await bareAgent(world);
			await agent.client.toggle(agent.id, false);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			await say(agent, agent.id, order.id, 'ready');
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('primary');
			await world.advance(30_000, 2000);
			expect(await states(agent)).toEqual(['promoted']);
		});

		it('in manual mode is followed by one next replica, which the new primary launches (D-24, D-27)', async () => {
			const { agent, replica } = await readyReplica(world);
			await agent.client.call('listHostReplicas', { agent_id: replica.handle, status: 'launching' });
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			await world.advance(10_000, 2000);
			const poll = (handle: string) => agent.client.call('listHostReplicas', { agent_id: handle, status: 'launching' });
			expect((await poll(agent.id)).body.replicas).toEqual([]);
			expect((await poll(replica.handle)).body.replicas).toMatchObject([{ type: 'manual' }]);
			expect(await states(agent)).toEqual(['promoted', 'launching']);
		});
	});

	describe('with the override off, auto-switch and manual mode too', () => {
		let world: World;
		beforeAll(async () => {
			world = await openWorld(await freshUrl(), { settings: { failover: OVERRIDE_OFF } });
		});
		afterAll(() => world.close());

		it('orders and promotes nothing, and tells a person once, however often it is repeated', async () => {
			const agent = await bareAgent(world);
			for (let n = 0; n < 6; n++) {
				const { status, body } = await imminent(world, agent, agent.id);
				expect([status, body.success]).toEqual([200, false]);
			}
			expect(await replicasOf(world, agent.id)).toEqual([]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'told', reports: 6 }]);
			const events = (await rowsOf(world).events(agent.id)).filter((type) => type === 'failover_needs_person');
			expect(events).toHaveLength(1);
		});

		it('orders nothing for a rebalance either', async () => {
			const agent = await bareAgent(world);
			const { status } = await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, instance_id: agent.instanceId });
			expect(status).toBe(200);
			expect(await replicasOf(world, agent.id)).toEqual([]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'rebalance', outcome: 'told' }]);
		});

		it('is acted on where either mode of the agent is on', async () => {
			const { agent, replica } = await readyReplica(world);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			const automatic = await bareAgent(world);
			await automatic.client.call('changeSettings', { agent_id: automatic.id, auto_switch_enabled: true });
			await imminent(world, automatic, automatic.id);
			expect(await fetchOrder(automatic, automatic.id)).toMatchObject({ status: 'launching' });
		});
	});
});
