import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, poll, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { openWorld } from '../helpers/world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { fetchOrder, imminent, orderedReplica, put, readyReplica, replicasOf, say, syncingReplica } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('what it saves', () => {
		const costs = (client: { call: typeof world.admin.call }, agent_id: string, price: number) =>
			client.call('pricingReport', {
				agent_id,
				instance: { instance_type: 'c5.large', region: 'us-east-1', mode: 'spot' },
				pricing: { on_demand_price: 0.085, current_spot_price: price },
			});

		it.each(['notice', 'operator'])('is known of a promotion by %s from what both machines said, as nobody reports it', async (by) => {
			const { agent, replica } = await readyReplica(world);
			await costs(agent.client, agent.id, 0.041);
			await costs(agent.client, replica.handle, 0.031);
			if (by === 'notice') await imminent(world, agent, agent.id);
			else await promote(agent.client, agent.id, replica.id);
			const [record] = await rows.switches(agent.id);
			expect(record).toMatchObject({
				evidence: by,
				old_spot_micros: 41_000,
				new_spot_micros: 31_000,
				ondemand_micros: 85_000,
				impact_micros: 10_000,
			});
		});

		it('is not known where a machine never said what it costs, or not within the hour', async () => {
			const { agent, replica } = await readyReplica(world);
			await costs(agent.client, agent.id, 0.041);
			await heartbeatsFor(world, 61 * MINUTE, agent.client, [agent.id, replica.handle]);
			await costs(agent.client, replica.handle, 0.031);
			await imminent(world, agent, agent.id);
			const [record] = await rows.switches(agent.id);
			expect(record).toMatchObject({ old_spot_micros: null, new_spot_micros: 31_000, impact_micros: null });
		});
	});

	describe('promote (#62)', () => {
		it('makes the ready replica the primary and the old primary a zombie (T6)', async () => {
			const { agent, replica } = await readyReplica(world);
			const { status, body } = await promote(agent.client, agent.id, replica.id);
			expect(status).toBe(200);
			expect(body).toMatchObject({
				success: true,
				new_instance_id: replica.instanceId,
				old_instance_id: agent.instanceId,
				demoted: false,
				switch_time: new Date(world.now()).toISOString(),
			});
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'promoted', live_of: null, promoted_at: world.now(), ended_at: null });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 0, hold_until: null, zombie_at: world.now() });
			expect(await rows.switches(agent.id)).toMatchObject([{ evidence: 'operator', trigger_type: 'manual', generation: 2 }]);
		});

		it.each(['launching', 'syncing'] as const)('of one that is %s is 400 and says what it must be (D-09)', async (state) => {
			const { agent, order } = await orderedReplica(world);
			if (state === 'syncing') await put(agent, agent.id, order.id, newMachine());
			expect((await promote(agent.client, agent.id, order.id, { wait_for_sync: false })).status).toBe(400);
			expect(await promote(agent.client, agent.id, order.id)).toMatchObject({
				status: 400,
				body: { code: 'REPLICA_NOT_READY', current_status: state, required_status: 'ready' },
			});
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});

		it.each(['terminated', 'failed'] as const)('of one that is %s is 404', async (end) => {
			const { agent, id } = await syncingReplica(world);
			if (end === 'failed') await say(agent, agent.id, id, 'failed');
			else await remove(agent.client, agent.id, id);
			expect((await promote(agent.client, agent.id, id)).status).toBe(404);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});

		it('of two at once one wins, and the other reads who won (D-06)', async () => {
			const { agent, replica } = await readyReplica(world);
			const answers = await Promise.all(Array.from({ length: 4 }, () => promote(agent.client, agent.id, replica.id)));
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
			for (const { body } of answers.filter(({ status }) => status === 409))
				expect(body).toMatchObject({ primary: replica.instanceId, new_instance_id: replica.instanceId });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
			expect(await rows.switches(agent.id)).toHaveLength(1);
		});

		it('and DELETE at once: one of them counts, and the agent has one primary', async () => {
			const { agent, replica } = await readyReplica(world);
			const [promoted, removed] = await Promise.all([
				promote(agent.client, agent.id, replica.id),
				remove(agent.client, agent.id, replica.id),
			]);
			expect([promoted.status, removed.status].filter((status) => status === 200)).toHaveLength(1);
			const won = promoted.status === 200;
			expect(await rows.replica(replica.id)).toMatchObject({ status: won ? 'promoted' : 'terminated' });
			expect(await rolesOf(world, agent.id)).toMatchObject(
				won
					? { [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' }
					: { [agent.instanceId]: 'primary', [replica.instanceId]: 'ended' },
			);
		});

		it('keeps the old primary as a ready replica with its handle when asked, and back again', async () => {
			const { agent, replica } = await readyReplica(world);
			const { body } = await promote(agent.client, agent.id, replica.id, { demote_old_primary: true });
			expect(body).toMatchObject({ demoted: true });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'replica', [replica.instanceId]: 'primary' });
			const [standby, ...more] = await rows.liveReplicas(agent.id);
			expect(more).toEqual([]);
			expect(standby).toMatchObject({ status: 'ready', type: 'manual', handle: agent.id, instance_id: agent.instanceId });
			expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
			expect((await agent.client.config(replica.handle)).body.enabled).toBe(true);
			expect(await bothLists(agent.client, replica.handle)).toEqual([[], []]);
			await heartbeatsFor(world, 6 * MINUTE, agent.client, [agent.id, replica.handle]);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ id: standby?.id, status: 'ready' }]);
			expect((await promote(agent.client, agent.id, String(standby?.id), { demote_old_primary: true })).status).toBe(200);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ status: 'ready', handle: replica.handle }]);
			expect((await agent.client.config(agent.id)).body.enabled).toBe(true);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 3 });
		}, 60_000);

		it('works by the public id also when that is the handle of a zombie', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			const order = await fetchOrder(agent, replica.handle);
			const third = newMachine();
			await put(agent, replica.handle, order.id, third);
			await say(agent, replica.handle, order.id, 'ready');
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie' });
			expect((await promote(agent.client, agent.id, order.id)).body).toMatchObject({ new_instance_id: third });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 3 });
		});

		it("is 409 by a standby's private handle, and says who the primary is", async () => {
			const { agent, replica } = await readyReplica(world);
			const refusal = { status: 409, body: { code: 'NOT_PRIMARY', primary: agent.instanceId, agent_id: agent.id } };
			expect(await promote(agent.client, replica.handle, replica.id)).toMatchObject(refusal);
			expect(await remove(agent.client, replica.handle, replica.id)).toMatchObject(refusal);
			const candidate = await joinAgent(agent, 'a');
			expect(await promote(agent.client, candidate.handle, replica.id)).toMatchObject(refusal);
			expect(await remove(agent.client, candidate.handle, replica.id)).toMatchObject(refusal);
			for (const standby of [
				{ ...replica, role: 'replica' },
				{ ...candidate, role: 'candidate' },
			]) {
				const error = `${standby.instanceId} is not the primary of its agent (${standby.role})`;
				for (const by of [agent.client, world.admin]) {
					expect(await promote(by, standby.handle, replica.id)).toMatchObject({ ...refusal, body: { ...refusal.body, error } });
					expect(await remove(by, standby.handle, replica.id)).toMatchObject({ ...refusal, body: { ...refusal.body, error } });
				}
			}
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'ready' });
		});

		it('never promotes a machine that is no EC2 machine (D-09)', async () => {
			const { agent, order } = await orderedReplica(world);
			const laptop = await agent.client.register(`laptop-${order.id.slice(-6)}`, { logical_agent_id: agent.logicalId, az: order.az });
			expect(laptop.status).toBe(200);
			const { status } = await promote(agent.client, agent.id, order.id);
			expect(status).toBeGreaterThanOrEqual(400);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'primary' });
		});

		it('orders nothing for a new primary that never fetches launch orders', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id, replica.handle]);
			await promote(agent.client, agent.id, replica.id);
			await heartbeatsFor(world, 20_000, agent.client, [replica.handle]);
			expect((await replicasOf(world, agent.id)).map(({ status }) => status)).toEqual(['promoted']);
			expect(await rows.notified(agent.id, 'replica_failed')).toEqual([]);
		});

		it('buys no other one when no mode asks for it (D-24)', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, instance_id: agent.instanceId });
			const order = await fetchOrder(agent, agent.id);
			const machine = newMachine();
			await put(agent, agent.id, order.id, machine);
			const joined = await agent.client.register(machine, { logical_agent_id: agent.logicalId, az: order.az });
			await poll(agent.client, joined.body.agent_id);
			expect((await promote(agent.client, agent.id, order.id)).status).toBe(200);
			await heartbeatsFor(world, 2 * MINUTE, agent.client, [joined.body.agent_id]);
			expect(await replicasOf(world, agent.id)).toMatchObject([{ id: order.id, status: 'promoted' }]);
		});
	});

	describe('DELETE (#61)', () => {
		it('ends the replica, and its machine is to be killed', async () => {
			const { agent, id, instanceId } = await syncingReplica(world);
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			const { status, body } = await remove(agent.client, agent.id, id);
			expect([status, body.success, body.replica_id, body.terminated_at]).toEqual([200, true, id, new Date(world.now()).toISOString()]);
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', ended_at: world.now(), confirmed_at: null });
			expect(await bothLists(agent.client, agent.id)).toEqual([[instanceId], [instanceId]]);
			expect(await rows.events(agent.id)).toContain('replica_terminated');
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', id).execute();
			expect(audits).toEqual([{ action: 'replicas.delete' }]);
		});

		it.each(['terminated', 'failed'] as const)('of one that is %s is 400 with the time of its end', async (end) => {
			const { agent, id } = await syncingReplica(world);
			const at = new Date(world.now()).toISOString();
			if (end === 'failed') await say(agent, agent.id, id, 'failed');
			else await remove(agent.client, agent.id, id);
			await world.advance(2000);
			expect(await remove(agent.client, agent.id, id)).toMatchObject({
				status: 400,
				body: { code: 'REPLICA_TERMINATED', terminated_at: at },
			});
		});

		it('of one that was promoted is 409: it is the primary', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			expect(await remove(agent.client, agent.id, replica.id)).toMatchObject({ status: 409, body: { code: 'REPLICA_PROMOTED' } });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [replica.instanceId]: 'primary' });
		});

		it('of one that nobody has is 404', async () => {
			const agent = await makeAgent(world);
			expect(await remove(agent.client, agent.id, '00000000-0000-4000-8000-00000000ffff')).toMatchObject({ status: 404 });
		});
	});
});

describeEachDatabase('a client with replicas in every state', ({ freshUrl }) => {
	it('can be deleted', async () => {
		const world = await openWorld(await freshUrl());
		try {
			const { agent, replica } = await readyReplica(world);
			await agent.client.call('promoteReplica', { agent_id: agent.id, replica_id: replica.id, demote_old_primary: true });
			const sibling = await makeAgent(world, agent.client);
			await agent.client.call('changeConfig', { agent_id: sibling.id, manualReplicaEnabled: true });
			await imminent(world, sibling, sibling.id);
			expect((await world.admin.call('deleteClient', { client_id: agent.client.id })).status).toBe(200);
			for (const { id } of [agent, sibling]) expect(await replicasOf(world, id)).toEqual([]);
			expect((await agent.client.call('showReplica', { replica_id: replica.id })).status).toBe(401);
		} finally {
			await world.close();
		}
	});
});
