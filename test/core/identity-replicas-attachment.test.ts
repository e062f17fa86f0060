import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, poll } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, joinAt, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';
import { fetchOrder, orderedReplica, otherZone, put, replicasOf, selfNamed } from './replica-scene.ts';

describeEachDatabase('which machine is a replica', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('T4: before, between or after the registration of the machine: the same result', () => {
		type Step = 'put' | 'register';
		const orders: readonly (readonly Step[])[] = [
			['put', 'register'],
			['register', 'put'],
			['register', 'put', 'register'],
			['put', 'register', 'put'],
			['register', 'register', 'put'],
			['put', 'put', 'register', 'register'],
		];
		/** What a machine says of itself: what was ordered, or something that fits no order. */
		const machines = [
			['that fits', {}],
			['whose zone is another', { az: 'us-east-1a' }],
			['whose type is another', { instance_type: 'c5.xlarge' }],
		] as const;
		const cases = orders.flatMap((steps) => machines.map(([what, said]) => [steps.join(', '), what, steps, said] as const));

		const walk = async (agent: AgentScene, order: { id: string; az?: string | undefined }, steps: readonly Step[], machine: object) => {
			const instanceId = newMachine();
			const handles = new Set<string>();
			for (const step of steps) {
				await world.advance(1000);
				if (step === 'put') expect((await put(agent, agent.id, order.id, instanceId)).status).toBe(200);
				else handles.add((await agent.client.register(instanceId, { az: order.az, ...machine })).body.agent_id);
			}
			return { instanceId, handles: [...handles] };
		};

		it.each(cases)('%s of a machine %s', async (_, __, steps, said) => {
			const { agent, order } = await orderedReplica(world);
			const { instanceId, handles } = await walk(agent, order, steps, { logical_agent_id: agent.logicalId, ...said });
			expect(handles).toHaveLength(1);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [instanceId]: 'replica' });
			expect(await replicasOf(world, agent.id)).toMatchObject([
				{ id: order.id, status: 'ready', handle: handles[0], instance_id: instanceId, guess: 0, awaits_machine: 0 },
			]);
			expect((await agent.client.config(String(handles[0]))).body.enabled).toBe(false);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it.each(cases)('%s of a self-named machine %s', async (_, __, steps, said) => {
			const { agent, order } = await selfNamed(world);
			const { instanceId, handles } = await walk(agent, order, steps, said);
			expect(handles).toHaveLength(1);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [instanceId]: 'replica' });
			expect(await replicasOf(world, agent.id)).toMatchObject([
				{ id: order.id, status: 'ready', handle: handles[0], instance_id: instanceId, guess: 0, awaits_machine: 0 },
			]);
			expect((await agent.client.probe(String(handles[0]))).body).toMatchObject({ agent_id: agent.id, role: 'replica', enabled: false });
			expect((await agent.client.call('listOwnAgents', {})).body.agents).toHaveLength(1);
		});

		it.each(['with a logical id', 'self-named'])('at the same moment: the same (%s)', async (named) => {
			for (let n = 0; n < 4; n++) {
				const isSelfNamed = named === 'self-named';
				const { agent, order } = isSelfNamed ? await selfNamed(world) : await orderedReplica(world);
				const instanceId = newMachine();
				const logical = isSelfNamed ? {} : { logical_agent_id: agent.logicalId };
				const calls = [
					() => put(agent, agent.id, order.id, instanceId),
					() => agent.client.register(instanceId, { ...logical, az: order.az }),
				];
				if (n % 2 === 1) calls.reverse();
				const answers = await Promise.all(calls.map((call) => call()));
				expect(answers.map(({ status }) => status)).toEqual([200, 200]);
				expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [instanceId]: 'replica' });
				expect(await replicasOf(world, agent.id)).toMatchObject([{ id: order.id, status: 'ready', instance_id: instanceId, guess: 0 }]);
			}
		});

		it('a fresh self-named agent that had ordered a replica of its own is folded with it (T8)', async () => {
			const { agent, order } = await selfNamed(world);
			const machine = newMachine();
			const fresh = await agent.client.register(machine, { az: 'us-east-1a' });
			expect(fresh.body.public_agent_id).toBe(fresh.body.agent_id);
			await poll(agent.client, fresh.body.agent_id);
			await configure(agent.client, fresh.body.agent_id, { manualReplicaEnabled: true });
			const own = await fetchOrder(agent, fresh.body.agent_id);
			expect((await put(agent, agent.id, order.id, machine)).status).toBe(200);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [machine]: 'replica' });
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ id: order.id, status: 'ready' }]);
			expect(await rows.replica(own.id)).toMatchObject({ agent_id: agent.id, status: 'failed', live_of: null });
			expect((await poll(agent.client, fresh.body.agent_id)).body.replicas).toEqual([]);
			const late = newMachine();
			expect(await put(agent, fresh.body.agent_id, own.id, late)).toMatchObject({ status: 409 });
			expect(await bothLists(agent.client, agent.id)).toEqual([[late], [late]]);
		});

		it('POST replicas with the machine gives the same, before and after', async () => {
			for (const steps of [
				['post', 'register'],
				['register', 'post'],
			]) {
				const { agent, order } = await orderedReplica(world);
				const instanceId = newMachine();
				for (const step of steps) {
					if (step === 'post')
						expect((await agent.client.call('createReplica', { agent_id: agent.id, instance_id: instanceId })).status).toBe(201);
					else await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: 'us-east-1a' });
				}
				expect(await replicasOf(world, agent.id)).toMatchObject([{ id: order.id, status: 'ready', instance_id: instanceId }]);
			}
		});

		it('a machine that was only named by a report becomes the replica', async () => {
			const { agent, order } = await orderedReplica(world);
			const candidate = await joinAt(agent, 'us-east-1a');
			const machine = newMachine();
			await agent.client.report(candidate.handle, machine);
			expect(await rows.hostOfMachine(agent.client, machine)).toMatchObject({ role: 'named' });
			expect((await put(agent, agent.id, order.id, machine)).status).toBe(200);
			expect(await rows.hostOfMachine(agent.client, machine)).toMatchObject({ role: 'replica' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'syncing' });
		});

		it('an agent with a history is not folded into another by a PUT: nothing moves', async () => {
			const { agent, order } = await selfNamed(world);
			const other = await selfNamed(world, agent.client);
			await world.advance(1000);
			const zone = otherZone(order.az);
			await orderSwitch(agent.client, other.agent.instanceId, other.agent.id, zone);
			const next = await agent.client.register(newMachine(), { az: `us-east-1${zone}` });
			expect(next.body).toMatchObject({ role: 'primary', public_agent_id: other.agent.id });
			for (const machine of [other.agent.instanceId, (await rows.host(next.body.agent_id)).instance_id])
				expect(await put(agent, agent.id, order.id, machine)).toMatchObject({ status: 409, body: { code: 'MACHINE_CONFLICT' } });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
		});
	});
});
