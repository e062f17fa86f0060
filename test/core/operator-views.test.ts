import { describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { joinAgent, makeAgent, newMachine } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, pollingAgent, readyReplica } from './replica-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describeEachDatabase('what an operator sees', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const machine = async (instance_id: string) => (await world.admin.call('showInstance', { instance_id })).body;
	const hostOf = async (agentId: string, instanceId: string) =>
		(await world.admin.agent(agentId)).body.hosts.find((host) => host.instanceId === instanceId);

	describe('of an agent', () => {
		it('names the emergency that is open and the replica that is live', async () => {
			const agent = await pollingAgent(world);
			expect((await world.admin.agent(agent.id)).body).toMatchObject({ openEmergency: null, liveReplica: null });
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			const [emergency] = await emergenciesOf(world, agent.id);
			expect((await world.admin.agent(agent.id)).body).toMatchObject({
				openEmergency: {
					id: emergency?.id,
					kind: 'termination',
					step: 'launch',
					instanceId: agent.instanceId,
					receivedAt: iso(world.now()),
					deadlineAt: iso(world.now() + 2 * MINUTE),
				},
				liveReplica: { id: order.id, status: 'launching', instanceId: null, poolId: order.pool_id, createdAt: iso(world.now()) },
			});
		});
	});

	describe('of a machine that is left to AWS', () => {
		it('is until when and why, for as long as it lasts', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.advance(HOUR, MINUTE);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			const left = {
				hold: true,
				holdUntil: iso(world.now() + 12 * MINUTE),
				holdReason: 'AWS takes it back and ends it itself',
			};
			expect(await machine(agent.instanceId)).toMatchObject(left);
			expect(await hostOf(agent.id, agent.instanceId)).toMatchObject(left);
			const free = { hold: false, holdUntil: null, holdReason: null };
			expect(await machine(replica.instanceId)).toMatchObject(free);
			await world.advance(12 * MINUTE, MINUTE);
			expect(await machine(agent.instanceId)).toMatchObject(free);
			expect(await hostOf(agent.id, agent.instanceId)).toMatchObject(free);
		});

		it('is nothing any more once an operator released it', async () => {
			const { agent, replica } = await readyReplica(world);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			expect(await machine(agent.instanceId)).toMatchObject({
				hold: true,
				holdUntil: iso(Date.parse(String((await machine(agent.instanceId)).createdAt)) + HOUR),
				holdReason: 'AWS signalled it in its first hour, which is not billed when AWS ends the machine',
			});
			expect((await agent.client.hold(agent.instanceId, false)).status).toBe(200);
			expect(await machine(agent.instanceId)).toMatchObject({ hold: false, holdUntil: null, holdReason: null });
		});

		it('is what releases it, where a hold has no end', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.advance(HOUR, MINUTE);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			expect((await agent.client.hold(agent.instanceId, true)).status).toBe(200);
			const held = { hold: true, holdUntil: null, holdReason: `it is kept until: spotctl instances release ${agent.instanceId}` };
			expect(await machine(agent.instanceId)).toMatchObject(held);
			await world.advance(HOUR, MINUTE);
			expect(await hostOf(agent.id, agent.instanceId)).toMatchObject(held);
		});
	});

	describe('of the machines of one agent', () => {
		it('is those and no others, by any handle of the agent', async () => {
			const agent = await makeAgent(world);
			await makeAgent(world, agent.client);
			const standby = await joinAgent(agent, 'b');
			for (const agent_id of [agent.id, standby.handle]) {
				const { status, body } = await world.admin.call('listInstances', { agent_id });
				expect([status, body.instances.map(({ id }) => id), body.filters]).toEqual([
					200,
					[standby.instanceId, agent.instanceId],
					{ status: null, mode: null, region: null, client_id: null, agent_id: agent.id, search: null },
				]);
			}
			const narrowed = await world.admin.call('listInstances', { agent_id: agent.id, search: agent.instanceId, limit: 1 });
			expect(narrowed.body.instances.map(({ id }) => id)).toEqual([agent.instanceId]);
		});

		it('is those of a mode, of a text, and none where no machine has it', async () => {
			const spot = await makeAgent(world);
			const { id: client_id } = spot.client;
			await makeAgent(world, spot.client, { mode: null });
			const ofMode = async (mode: string) => (await world.admin.call('listInstances', { client_id, mode })).body.count;
			const counts: Array<[string, number]> = [];
			for (const mode of ['all', 'spot', 'ondemand', 'unknown', 'SPOT', 'bogus']) counts.push([mode, await ofMode(mode)]);
			expect(counts).toEqual([
				['all', 2],
				['spot', 1],
				['ondemand', 0],
				['unknown', 1],
				['SPOT', 0],
				['bogus', 0],
			]);
			for (const search of ['\0', '\0zzz', `${spot.instanceId}\0`])
				expect([search, (await world.admin.call('listInstances', { client_id, search })).body.count]).toEqual([search, 0]);
		});

		it('has the prices its books go by until it reports its own', async () => {
			const agent = await makeAgent(world);
			await agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: 'c5.large', region: 'us-east-1', mode: 'spot' },
				pricing: { on_demand_price: 0.085, spot_pools: [{ pool_id: 'c5.large.us-east-1b', az: 'us-east-1b', price: 0.025 }] },
			});
			const next = newMachine();
			await agent.client.report(agent.id, next);
			const joined = await agent.client.register(next, { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
			await world.advance(20_000, 10_000);
			await agent.client.heartbeat(joined.body.agent_id);
			await world.advance(20_000, 10_000);
			const { body } = await world.admin.call('listClientInstances', { client_id: agent.client.id });
			expect((body.data as unknown as ReadonlyArray<{ id: string }>).find(({ id }) => id === next)).toMatchObject({
				spotPrice: 0.025,
				onDemandPrice: 0.085,
				pricesKnown: { spot: true, onDemand: true },
			});
			expect((await world.admin.call('instanceMetrics', { instance_id: next })).body).toMatchObject({
				spotPrice: 0.025,
				onDemandPrice: 0.085,
				pricesKnown: { spot: true, onDemand: true },
			});
		});

		it('is 404 for an agent nobody has', async () => {
			expect((await world.admin.call('listInstances', { agent_id: newMachine() })).status).toBe(404);
		});
	});
});
