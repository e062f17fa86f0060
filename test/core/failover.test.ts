import { expect, test } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent, rolesOf, TIMEOUT } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, put, readyReplica, replicasOf, say } from './replica-scene.ts';

describeEachDatabase('a termination notice', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	test(
		'promotes a ready replica in the same round trip; the new primary is confirmed by its first heartbeat (D-07, D-25)',
		async () => {
			const { agent, replica } = await readyReplica(world);
			const noticed = await imminent(world, agent, agent.id);
			expect(noticed.body).toMatchObject({
				success: true,
				action: 'replica_promoted',
				new_instance_id: replica.instanceId,
				replica_id: replica.id,
			});
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
			const [open] = await emergenciesOf(world, agent.id);
			expect(open).toMatchObject({ kind: 'termination', step: 'confirm', outcome: null, new_instance_id: replica.instanceId });
			await world.advance(3000, 1000);
			await agent.client.heartbeat(replica.handle);
			const [ended] = await emergenciesOf(world, agent.id);
			expect(ended).toMatchObject({ outcome: 'failed-over', open_of: null, confirmed_at: world.now() });
			expect((await agent.client.config(replica.handle)).body.enabled).toBe(true);
			expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
		},
		TIMEOUT,
	);

	test(
		'without a replica answers 200 with success false, and the launch order is in the next poll (D-02, D-25)',
		async () => {
			const agent = await makeAgent(world);
			await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'launching' });
			const noticed = await imminent(world, agent, agent.id);
			expect(noticed.status).toBe(200);
			expect(noticed.body).toMatchObject({ success: false, action: 'emergency_snapshot_required' });
			const order = await fetchOrder(agent, agent.id);
			expect(order).toMatchObject({ status: 'launching', type: 'automatic-termination' });
			expect((await put(agent, agent.id, order.id, 'i-00000000000c01d01')).status).toBe(200);
			expect((await say(agent, agent.id, order.id, 'ready')).status).toBe(200);
			expect((await rolesOf(world, agent.id))['i-00000000000c01d01']).toBe('primary');
			const again = await imminent(world, agent, agent.id);
			expect(again.body).toMatchObject({ success: true, new_instance_id: 'i-00000000000c01d01' });
			expect(await emergenciesOf(world, agent.id)).toHaveLength(1);
		},
		TIMEOUT,
	);

	test(
		'that is repeated and brought by both calls is one emergency (D-26)',
		async () => {
			const { agent } = await readyReplica(world);
			const at = new Date(world.now() + 120_000).toISOString();
			const first = await agent.client.call('createEmergencyReplica', {
				agent_id: agent.id,
				signal_type: 'termination-notice',
				termination_time: at,
			});
			expect(first.status).toBe(201);
			const second = await agent.client.call('terminationImminent', { agent_id: agent.id, termination_time: at });
			const third = await agent.client.call('terminationImminent', { agent_id: agent.id, termination_time: at });
			expect(second.body).toMatchObject({ success: true });
			expect(third.body).toMatchObject({ success: true, new_instance_id: second.body.new_instance_id });
			expect(await emergenciesOf(world, agent.id)).toHaveLength(1);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		},
		TIMEOUT,
	);

	test(
		'a rebalance signal makes one replica, which retires when it has cleared (D-24)',
		async () => {
			const agent = await makeAgent(world);
			await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'launching' });
			for (let repeat = 0; repeat < 3; repeat++) {
				const { body } = await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, instance_id: agent.instanceId });
				expect(body).toMatchObject({ success: true, action: 'monitor', replica_status: 'launching' });
			}
			expect(await emergenciesOf(world, agent.id)).toHaveLength(1);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		},
		TIMEOUT,
	);
});
