import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, create, doomed, leftovers, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, rowsOf } from './agent-scene.ts';
import { deletedReplica, fetchOrder, imminent, put, readyReplica, say, syncingReplica } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('lists of replicas', () => {
		it('a host reads the live ones, all of them when it asks for that, and those of one state; newest first', async () => {
			const { agent, id } = await deletedReplica(world);
			const second = await fetchOrder(agent, agent.id);
			const listed = async (query: object) =>
				(await agent.client.call('listHostReplicas', { agent_id: agent.id, ...query })).body.replicas.map((replica) => replica.id);
			expect(await listed({})).toEqual([second.id]);
			expect(await listed({ include_terminated: true })).toEqual([second.id, id]);
			expect(await listed({ include_terminated: 'false' })).toEqual([second.id]);
			expect(await listed({ status: 'ready' })).toEqual([]);
			expect(await listed({ status: 'live' })).toEqual([]);
			expect(await listed({ status: 'nonsense' })).toEqual([]);
			await say(agent, agent.id, second.id, 'failed');
			expect(await listed({ status: 'failed' })).toEqual([second.id]);
		});

		it('a client reads its live ones with their primaries, in pages (#34)', async () => {
			const { agent, replica } = await readyReplica(world);
			const other = await makeAgent(world, agent.client);
			await configure(agent.client, other.id, { manualReplicaEnabled: true });
			const gone = await makeAgent(world, agent.client);
			await configure(agent.client, gone.id, { manualReplicaEnabled: true });
			await configure(agent.client, gone.id, { manualReplicaEnabled: false });
			const { body } = await agent.client.call('listClientReplicas', { client_id: agent.client.id });
			expect(body).toMatchObject({
				count: 2,
				next_cursor: null,
				data: [
					{ agentId: other.id, replica: { status: 'launching', instanceId: expect.stringMatching(/^replica-/), is_active: true } },
					{
						agentId: agent.id,
						primary: { instanceId: agent.instanceId, instanceType: 'c5.large', region: 'us-east-1', az: 'us-east-1a', mode: 'spot' },
						replica: {
							id: replica.id,
							instanceId: replica.instanceId,
							type: 'manual',
							status: 'ready',
							sync_status: 'synced',
							sync_latency_ms: null,
							state_transfer_progress: 100,
							pool: { id: `c5.large.${replica.az}`, az: replica.az },
							ready_at: new Date(world.now()).toISOString(),
							terminated_at: null,
							is_active: true,
						},
					},
				],
			});
			const first = await agent.client.call('listClientReplicas', { client_id: agent.client.id, limit: 1 });
			const page: { next_cursor?: string | null } = first.body as never;
			const second = await agent.client.call('listClientReplicas', {
				client_id: agent.client.id,
				limit: 1,
				cursor: page.next_cursor ?? '',
			});
			expect(second.body).toMatchObject({ count: 1, next_cursor: null, data: [{ agentId: agent.id }] });
			const bare = await agent.client.call('listClientReplicas', { client_id: agent.client.id }, { 'x-response-format': 'bare' });
			expect(bare.body).toHaveLength(2);
		});

		it('a promoted one is a replica no longer, and #34 shows the primary it became with the one that stands by now', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id, { demote_old_primary: true });
			const { body } = await agent.client.call('listClientReplicas', { client_id: agent.client.id });
			expect(body).toMatchObject({
				count: 1,
				data: [{ primary: { instanceId: replica.instanceId }, replica: { instanceId: agent.instanceId, status: 'ready' } }],
			});
		});

		it('operators list them by state, by any handle of an agent and in pages', async () => {
			const { agent, replica } = await readyReplica(world);
			await remove(agent.client, agent.id, replica.id);
			const listed = async (query: object) => {
				const { body } = await agent.client.call('listReplicas', query);
				return (body.data as unknown as { id: string; status: string }[]).map(({ id, status }) => [id, status]);
			};
			const [live] = await rows.liveReplicas(agent.id);
			expect(await listed({})).toEqual([
				[live?.id, 'launching'],
				[replica.id, 'terminated'],
			]);
			expect(await listed({ status: 'live', agent_id: replica.handle })).toEqual([[live?.id, 'launching']]);
			expect(await listed({ status: 'terminated', agent_id: agent.id })).toEqual([[replica.id, 'terminated']]);
			expect(await listed({ limit: 1 })).toEqual([[live?.id, 'launching']]);
			const cursor: { next_cursor: string } = (await agent.client.call('listReplicas', { limit: 1 })).body as never;
			expect(await listed({ limit: 1, cursor: cursor.next_cursor })).toEqual([[replica.id, 'terminated']]);
			expect((await agent.client.call('listReplicas', { cursor: 'nonsense' })).status).toBe(400);
			expect((await agent.client.call('listReplicas', { status: 'nonsense' as never })).status).toBe(400);
		});

		it('an operator reads one with its times and where it stands', async () => {
			const { agent, replica } = await readyReplica(world);
			const at = new Date(world.now()).toISOString();
			const { body } = await agent.client.call('showReplica', { replica_id: replica.id });
			expect(body.data).toMatchObject({
				id: replica.id,
				client_id: agent.client.id,
				agent_id: agent.id,
				logical_agent_id: agent.logicalId,
				instance_id: replica.instanceId,
				status: 'ready',
				type: 'manual',
				created_at: at,
				served_at: at,
				launched_at: at,
				ready_at: at,
				ended_at: null,
				confirmed_at: null,
			});
		});

		it('nobody reads those of another client (D-17, D-19)', async () => {
			const { agent, id } = await syncingReplica(world);
			const stranger = await world.client();
			expect((await stranger.call('showReplica', { replica_id: id })).status).toBe(404);
			expect((await stranger.call('listReplicas', {})).body).toMatchObject({ count: 0 });
			expect((await stranger.call('listReplicas', { agent_id: agent.id })).status).toBe(404);
			expect((await stranger.call('listReplicas', { client_id: agent.client.id })).status).toBe(403);
			expect((await stranger.call('listClientReplicas', { client_id: agent.client.id })).status).toBe(403);
			expect((await world.admin.call('listClientReplicas', { client_id: agent.client.id })).body).toMatchObject({ count: 1 });
			expect((await world.admin.call('showReplica', { replica_id: id })).status).toBe(200);
			const other = await makeAgent(world, stranger);
			for (const handle of [agent.id, other.id]) {
				expect((await put({ client: stranger }, handle, id, newMachine())).status).toBe(404);
				expect((await say({ client: stranger }, handle, id, 'failed')).status).toBe(404);
				expect((await stranger.call('replicaSync', { agent_id: handle, replica_id: id, sync_progress: 100 })).status).toBe(404);
				expect((await remove(stranger, handle, id)).status).toBe(404);
				expect((await promote(stranger, handle, id)).status).toBe(404);
			}
			expect((await create(stranger, agent.id)).status).toBe(404);
			expect(await rows.replica(id)).toMatchObject({ status: 'syncing' });
		});

		it('a replica of another agent of the same client is not found by this one', async () => {
			const { agent, id } = await syncingReplica(world);
			const sibling = await makeAgent(world, agent.client);
			expect((await put({ client: agent.client }, sibling.id, id, newMachine())).status).toBe(404);
			expect((await say({ client: agent.client }, sibling.id, id, 'failed')).status).toBe(404);
			expect((await remove(agent.client, sibling.id, id)).status).toBe(404);
			expect((await promote(agent.client, sibling.id, id)).status).toBe(404);
			expect(await rows.replica(id)).toMatchObject({ status: 'syncing' });
		});

		it('replica-config and the settings derive the count from the mode (D-27)', async () => {
			const agent = await makeAgent(world);
			const asked = async () => {
				const { body } = await agent.client.call('replicaConfig', { agent_id: agent.id });
				const config = (await agent.client.config(agent.id)).body;
				return [body.enabled, body.count, config.replica_enabled, config.replica_count];
			};
			expect(await asked()).toEqual([false, 0, false, 0]);
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			expect(await asked()).toEqual([true, 1, true, 1]);
			await agent.client.remove(agent.id);
			expect((await agent.client.call('replicaConfig', { agent_id: agent.id })).status).toBe(404);
		});
	});

	describe('what must still be killed: GET replicas?status=terminated (D-20)', () => {
		it('names the machine of a deleted replica until its end is confirmed by its status', async () => {
			const { agent, id, instanceId } = await deletedReplica(world);
			const { body } = await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'terminated' });
			expect(body).toMatchObject({ total: 1, replicas: [{ id, instance_id: instanceId, status: 'terminated', is_active: false }] });
			expect(await doomed(agent.client, agent.id)).toEqual([instanceId]);
			const said = await say(agent, agent.id, id, 'terminated', { is_active: false, terminated_at: new Date(world.now()).toISOString() });
			expect(said.status).toBe(200);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
			expect(await rows.hostOfMachine(agent.client, instanceId)).toMatchObject({ role: 'terminated' });
		});

		it('names it until its end is confirmed by a termination report', async () => {
			const { agent, id, instanceId } = await deletedReplica(world);
			expect((await agent.client.terminated(agent.id, instanceId)).status).toBe(200);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
		});

		it('names the machine of a replica that failed, as terminated, and the replica stays failed', async () => {
			const { agent, id, instanceId } = await syncingReplica(world);
			await say(agent, agent.id, id, 'failed', { error_message: 'no capacity' });
			const { body } = await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'terminated' });
			expect(body.replicas).toMatchObject([{ id, instance_id: instanceId, status: 'terminated' }]);
			expect(await doomed(agent.client, agent.id)).toEqual([instanceId]);
			await say(agent, agent.id, id, 'terminated');
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await rows.replica(id)).toMatchObject({ status: 'failed', error_message: 'no capacity', confirmed_at: world.now() });
		});

		it('hides a machine for five minutes after an attempt that failed', async () => {
			const { agent, instanceId } = await deletedReplica(world);
			await agent.client.terminated(agent.id, instanceId, false);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			await heartbeatsFor(world, 5 * MINUTE - 2000, agent.client, [agent.id]);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			await world.advance(2000);
			expect(await bothLists(agent.client, agent.id)).toEqual([[instanceId], [instanceId]]);
		});

		it('names it with auto-terminate off too, where the terminate list only counts it', async () => {
			const { agent, instanceId } = await deletedReplica(world);
			await configure(agent.client, agent.id, { autoTerminateEnabled: false });
			expect(await leftovers(agent.client, agent.id)).toEqual([instanceId]);
			expect((await agent.client.terminations(agent.id)).body).toMatchObject({ instances: [], auto_terminate_enabled: false, held: 1 });
		});

		it('never names a placeholder, a zombie, the primary or what lives', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			const order = await fetchOrder(agent, replica.handle);
			await remove(agent.client, agent.id, order.id);
			await heartbeatsFor(world, 6 * MINUTE, agent.client, [replica.handle]);
			expect(await leftovers(agent.client, replica.handle)).toEqual([]);
			expect(await doomed(agent.client, replica.handle)).toEqual([agent.instanceId]);
		});

		it('leaves what AWS takes back to AWS until ten minutes past its deadline, at the least', async () => {
			const { agent, replica } = await readyReplica(world);
			const deadline = world.now() + 2 * MINUTE;
			const { body } = await imminent(world, agent, replica.handle);
			expect(body).toMatchObject({ success: false, action: 'standby_lost' });
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'failed' });
			expect((await rows.host(replica.handle)).hold_until).toBeGreaterThanOrEqual(deadline + 10 * MINUTE);
			await heartbeatsFor(world, MINUTE, agent.client, [agent.id]);
			expect(await leftovers(agent.client, agent.id)).toEqual([]);
			expect((await agent.client.terminations(agent.id)).body).toMatchObject({ instances: [], held: 1 });
		});

		it('names a machine to nobody but the primary of its own agent (D-12)', async () => {
			const { agent, instanceId } = await deletedReplica(world);
			const sibling = await makeAgent(world, agent.client);
			const candidate = await joinAgent(agent, 'd');
			for (const handle of [sibling.id, candidate.handle]) expect(await bothLists(agent.client, handle)).toEqual([[], []]);
			expect(await leftovers(world.admin, agent.id)).toEqual([instanceId]);
		});

		it.each([true, false])('goes on for a deleted agent to the host that was its primary (auto-terminate was on: %s)', async (auto) => {
			const { agent, replica } = await readyReplica(world);
			await configure(agent.client, agent.id, { autoTerminateEnabled: auto });
			await promote(agent.client, agent.id, replica.id);
			const order = await fetchOrder(agent, replica.handle);
			const standby = newMachine();
			expect((await put(agent, replica.handle, order.id, standby)).status).toBe(200);
			expect((await agent.client.remove(agent.id)).status).toBe(200);
			await world.advance(6 * MINUTE, 4000);
			expect(await bothLists(agent.client, replica.handle)).toEqual([[standby], [standby]]);
			expect((await agent.client.terminations(replica.handle)).body).toMatchObject({ auto_terminate_enabled: true });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect((await say(agent, replica.handle, order.id, 'terminated')).status).toBe(200);
			expect(await bothLists(agent.client, replica.handle)).toEqual([[], []]);
		});
	});
});
