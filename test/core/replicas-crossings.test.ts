import { beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, orderIds, poll, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, heartbeatsFor, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';
import { onMarket } from './market-scene.ts';
import { fetchOrder, imminent, orderedReplica, put, readyReplica, replicasOf } from './replica-scene.ts';

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('calls that cross each other', () => {
		/** Whatever came first: at most one live replica, and every machine is the primary, the replica, or on its way out. */
		const settled = async (agent: AgentScene) => {
			expect((await rows.liveReplicas(agent.id)).length).toBeLessThanOrEqual(1);
			expect(Object.values(await rolesOf(world, agent.id)).filter((role) => role === 'primary')).toHaveLength(1);
		};

		it('PUT and DELETE: the machine ends, whichever was first', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, order } = await orderedReplica(world);
				const machine = newMachine();
				const calls = [() => put(agent, agent.id, order.id, machine), () => remove(agent.client, agent.id, order.id)];
				if (n % 2 === 1) calls.reverse();
				await Promise.all(calls.map((call) => call()));
				expect(await rows.replica(order.id)).toMatchObject({ status: 'terminated', instance_id: machine });
				expect(await bothLists(agent.client, agent.id)).toEqual([[machine], [machine]]);
				await settled(agent);
			}
		});

		it('PUT and the deletion of the agent: the machine ends, and its former primary is told', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, order } = await orderedReplica(world);
				const machine = newMachine();
				const calls = [() => put(agent, agent.id, order.id, machine), () => agent.client.remove(agent.id)];
				if (n % 2 === 1) calls.reverse();
				await Promise.all(calls.map((call) => call() as Promise<unknown>));
				expect(await bothLists(agent.client, agent.id)).toEqual([[machine], [machine]]);
			}
		});

		it('PUTs of two agents that name one machine: it belongs to one of them', async () => {
			const one = await orderedReplica(world);
			const sibling = await makeAgent(world, one.agent.client);
			await configure(one.agent.client, sibling.id, { manualReplicaEnabled: true });
			const two = { agent: sibling, order: await fetchOrder(sibling, sibling.id) };
			const machine = newMachine();
			const answers = await Promise.all([one, two].map(({ agent, order }) => put(agent, agent.id, order.id, machine)));
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
			const owner = answers[0]?.status === 200 ? one : two;
			expect(await rows.hostOfMachine(one.agent.client, machine)).toMatchObject({ role: 'replica', agent_id: owner.agent.id });
			await settled(one.agent);
			await settled(two.agent);
		});

		it('a promotion and the registration of a switch: one primary, one enabled handle', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, replica } = await readyReplica(world);
				const zone = (['b', 'c', 'd'] as const).find((each) => !replica.az?.endsWith(each)) ?? 'b';
				await orderSwitch(agent.client, agent.instanceId, agent.id, zone);
				const instanceId = newMachine();
				const calls = [
					() => promote(agent.client, agent.id, replica.id),
					() => agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: `us-east-1${zone}` }),
				];
				if (n % 2 === 1) calls.reverse();
				const answers = await Promise.all(calls.map((call) => call()));
				for (const { status } of answers) expect(status).toBe(200);
				await settled(agent);
				const { handle } = await rows.hostOfMachine(agent.client, instanceId);
				const enabled = await Promise.all(
					[agent.id, replica.handle, handle].map(async (each) => (await agent.client.config(each)).body.enabled),
				);
				expect(enabled.filter(Boolean)).toHaveLength(1);
			}
		});

		it('a promotion and a notice: the replica is promoted once', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, replica } = await readyReplica(world);
				const calls = [() => promote(agent.client, agent.id, replica.id), () => imminent(world, agent, agent.id)];
				if (n % 2 === 1) calls.reverse();
				await Promise.all(calls.map((call) => call() as Promise<unknown>));
				expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
				expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
				expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			}
		});

		it('turning manual mode on from several sides: one replica (D-24)', async () => {
			const agent = await onMarket(world, { a: 0.04, b: 0.03, c: 0.05 });
			const answers = await Promise.all(Array.from({ length: 4 }, () => configure(agent.client, agent.id, { manualReplicaEnabled: true })));
			for (const { status } of answers) expect([200, 409]).toContain(status);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});
	});

	describe('with two daemons', () => {
		beforeAll(() => world.addDaemon());

		it('an order is handed out once, whichever of them is asked', async () => {
			const agent = await makeAgent(world);
			for (const index of [1, 0]) {
				world.use(index);
				await poll(agent.client, agent.id);
			}
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			await world.advance(1000, 200);
			const asked = [0, 1, 0, 1].map((index) => {
				world.use(index);
				return orderIds(agent.client, agent.id);
			});
			world.use(0);
			expect((await Promise.all(asked)).flat()).toHaveLength(1);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ served_count: 1 }]);
		});

		it('a promotion by one shows at once in the other: no order, no list and no claim for the old primary', async () => {
			const { agent, replica } = await readyReplica(world);
			const asked = async (handle: string) => [
				await orderIds(agent.client, handle),
				...(await bothLists(agent.client, handle)),
				(await agent.client.poll(handle)).body.commands,
			];
			world.use(1);
			for (const handle of [agent.id, replica.handle]) await asked(handle);
			world.use(0);
			await agent.client.force(agent.instanceId, 'd');
			expect((await promote(agent.client, agent.id, replica.id)).status).toBe(200);
			world.use(1);
			expect(await asked(agent.id)).toEqual([[], [], [], []]);
			await heartbeatsFor(world, 5000, agent.client, [replica.handle]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			expect(await orderIds(agent.client, replica.handle)).toHaveLength(1);
			world.use(0);
		});

		it('promotions of both at once: one wins, and the other reads who won (D-06)', async () => {
			const { agent, replica } = await readyReplica(world);
			const answers = await Promise.all(
				[0, 1].map((index) => {
					world.use(index);
					return promote(agent.client, agent.id, replica.id);
				}),
			);
			world.use(0);
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
			expect(answers.find(({ status }) => status === 409)?.body).toMatchObject({ primary: replica.instanceId });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
		});
	});
});
