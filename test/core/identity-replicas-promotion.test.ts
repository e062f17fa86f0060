import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, doomed, leftovers, poll, promote } from '../helpers/replica-calls.ts';
import { CORE_SETTINGS } from '../helpers/settings.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type ClientActor, openWorld } from '../helpers/world.ts';
import { heartbeatsFor, joinAgent, joinAt, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf, TIMEOUT } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, orderedReplica, otherZone, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('which machine is a replica', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('T3 and the silence rule', () => {
		it('a ready replica is not promoted by the heartbeat timeout, but after failover.silentAfter, and the old host is on hold', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 176_000, agent.client, [replica.handle]);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'offline', generation: 1 });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
			await heartbeatsFor(world, 20_000, agent.client, [replica.handle]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 1 });
			expect(await rows.switches(agent.id)).toMatchObject([{ evidence: 'silence' }]);
			await heartbeatsFor(world, 10 * MINUTE, agent.client, [replica.handle]);
			expect((await agent.client.terminations(replica.handle)).body).toMatchObject({ instances: [], held: 1 });
			expect(await doomed(agent.client, agent.id)).toEqual([]);
		});

		it('nobody is promoted when the primary calls again in time, whatever it calls', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 170_000, agent.client, [replica.handle]);
			await agent.client.config(agent.id);
			await heartbeatsFor(world, 60_000, agent.client, [replica.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});

		it('nobody is promoted while the replica is silent too, and neither machine ends because of it', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.advance(8 * MINUTE, 4000);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
			expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
			expect(['replica', 'candidate']).toContain((await rolesOf(world, agent.id))[replica.instanceId]);
			expect(await doomed(world.admin, agent.id)).toEqual([]);
			expect(await leftovers(world.admin, agent.id)).toEqual([]);
		});

		it('a replica that falls silent alone stands by no more: its machine is a candidate and does not end, and another is ordered', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 5 * MINUTE, agent.client, [agent.id]);
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'failed' });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'primary', [replica.instanceId]: 'candidate' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ status: 'launching' }]);
		});

		it('one that is syncing is not promoted over a silent primary', async () => {
			const { agent, order } = await orderedReplica(world);
			const machine = newMachine();
			await put(agent, agent.id, order.id, machine);
			await world.advance(6 * MINUTE, 4000);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'primary' });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});

		it('a live candidate takes over at the heartbeat timeout, and the ready replica stands by for it', async () => {
			const { agent, replica } = await readyReplica(world);
			const candidate = await joinAt(agent, 'us-east-1a');
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [replica.handle, candidate.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({
				[agent.instanceId]: 'zombie',
				[replica.instanceId]: 'replica',
				[candidate.instanceId]: 'primary',
			});
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'ready', live_of: agent.id });
			expect((await promote(agent.client, agent.id, replica.id)).status).toBe(200);
		});

		it('a switch leaves the standby that exists', async () => {
			const { agent, replica } = await readyReplica(world);
			const zone = otherZone(replica.az);
			await orderSwitch(agent.client, agent.instanceId, agent.id, zone);
			const next = await joinAgent(agent, zone);
			expect(await rolesOf(world, agent.id)).toEqual({
				[agent.instanceId]: 'zombie',
				[replica.instanceId]: 'replica',
				[next.instanceId]: 'primary',
			});
			await heartbeatsFor(world, 20_000, agent.client, [next.handle, replica.handle]);
			expect(await replicasOf(world, agent.id)).toMatchObject([{ id: replica.id, status: 'ready' }]);
		});
	});

	describe('T5: ready', () => {
		/** An emergency that waits for its replica, whose machine was named but has not called. */
		const waiting = async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			const instanceId = newMachine();
			expect((await put(agent, agent.id, order.id, instanceId)).status).toBe(200);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
			return { agent, order, instanceId };
		};

		it.each([
			['the launcher says so', ({ agent, order }: Waiting) => say(agent, agent.id, order.id, 'ready')],
			[
				'its sync reaches 100 %',
				({ agent, order }: Waiting) =>
					agent.client.call('replicaSync', { agent_id: agent.id, replica_id: order.id, state_transfer_progress: 100 }),
			],
			[
				'its own agent registers',
				({ agent, instanceId, order }: Waiting) => agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az }),
			],
			[
				'a candidate says so',
				async ({ agent, order }: Waiting) => say(agent, (await joinAt(agent, 'us-east-1a')).handle, order.id, 'ready'),
			],
			['an operator says so', ({ agent, order }: Waiting) => say({ client: world.admin as ClientActor }, agent.id, order.id, 'ready')],
		])('promotes the replica an emergency waits for when %s', async (_, act) => {
			const made = await waiting();
			expect((await act(made)).status).toBe(200);
			expect(await rolesOf(world, made.agent.id)).toMatchObject({ [made.agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await rows.replica(made.order.id)).toMatchObject({ status: 'promoted', promoted_at: world.now() });
			expect(await emergenciesOf(world, made.agent.id)).toMatchObject([{ step: 'confirm', new_instance_id: made.instanceId }]);
			expect(await rows.agent(made.agent.id)).toMatchObject({ generation: 2 });
		});

		type Waiting = Awaited<ReturnType<typeof waiting>>;

		it('promotes nobody when an emergency waits but a zombie says so', async () => {
			const { agent, order } = await waiting();
			const [claimed] = [agent.instanceId];
			const machine = newMachine();
			await agent.client.report(agent.id, machine);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [claimed]: 'zombie', [machine]: 'primary' });
			expect((await say(agent, agent.id, order.id, 'ready')).status).toBe(409);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'primary' });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
		});

		it('promotes nobody without an emergency, however it becomes ready', async () => {
			const { agent, replica } = await readyReplica(world);
			await say(agent, agent.id, replica.id, 'ready');
			await agent.client.register(replica.instanceId, { logical_agent_id: agent.logicalId, az: replica.az });
			await heartbeatsFor(world, 2 * MINUTE, agent.client, [agent.id, replica.handle]);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
			expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
		});

		it('never promotes a placeholder, whatever is said of it (D-09)', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			expect((await say(agent, agent.id, order.id, 'ready')).status).toBe(409);
			await agent.client.call('replicaSync', { agent_id: agent.id, replica_id: order.id, sync_progress: 100 });
			expect((await put(agent, agent.id, order.id, order.instance_id)).status).toBe(400);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
		});
	});

	describe('T6: a replica is promoted', () => {
		it('the new handle is enabled and the old one disabled; both stay valid; the generation is raised', async () => {
			const { agent, replica } = await readyReplica(world);
			const before = await rows.agent(agent.id);
			await promote(agent.client, agent.id, replica.id);
			expect((await agent.client.config(replica.handle)).body.enabled).toBe(true);
			expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
			expect((await agent.client.probe(replica.handle)).body).toMatchObject({
				agent_id: agent.id,
				handle: replica.handle,
				role: 'primary',
				generation: 2,
				agentStatus: 'online',
			});
			expect((await agent.client.probe(agent.id)).body).toMatchObject({ agent_id: agent.id, role: 'zombie', generation: 2 });
			const after = await rows.agent(agent.id);
			expect([after.generation, after.id, after.logical_agent_id]).toEqual([2, before.id, before.logical_agent_id]);
			expect(after.version).toBeGreaterThan(before.version);
			expect(await rows.host(replica.handle)).toMatchObject({ role: 'primary', generation: 2, primary_of: agent.id, hold: 0 });
			expect((await agent.client.register(replica.instanceId, { logical_agent_id: agent.logicalId })).body).toMatchObject({
				agent_id: replica.handle,
				role: 'primary',
			});
			expect((await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId })).body).toMatchObject({
				agent_id: agent.id,
				role: 'zombie',
			});
		});

		it('a pending command is superseded: neither host gets it', async () => {
			const { agent, replica } = await readyReplica(world);
			const forced = await agent.client.force(agent.instanceId, 'd');
			await promote(agent.client, agent.id, replica.id);
			expect(await rows.command(String(forced.body.command_id))).toMatchObject({ status: 'cancelled', outcome: 'superseded' });
			for (const handle of [agent.id, replica.handle]) expect((await agent.client.poll(handle)).body.commands).toEqual([]);
			expect((await agent.client.force(replica.instanceId, 'd')).status).toBe(200);
		});

		it('a claimed command is void: its acknowledgement moves nothing and its machine is an extra one', async () => {
			const { agent, replica } = await readyReplica(world);
			const zone = otherZone(replica.az);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id, zone);
			await promote(agent.client, agent.id, replica.id);
			expect(await rows.command(command)).toMatchObject({ outcome: 'superseded' });
			await agent.client.ack(agent.id, command);
			expect((await joinAgent(agent, zone)).role).toBe('zombie');
			const named = newMachine();
			await agent.client.report(agent.id, named);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [replica.instanceId]: 'primary', [named]: 'zombie' });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
		});

		it('by an operator: the old primary is listed after the wait, and never the new one', async () => {
			const { agent, replica } = await readyReplica(world);
			await configure(agent.client, agent.id, { terminate_wait_seconds: 120 });
			await promote(agent.client, agent.id, replica.id);
			await heartbeatsFor(world, 100_000, agent.client, [agent.id, replica.handle]);
			expect(await doomed(agent.client, replica.handle)).toEqual([]);
			await heartbeatsFor(world, 30_000, agent.client, [agent.id, replica.handle]);
			expect(await doomed(agent.client, replica.handle)).toEqual([agent.instanceId]);
			expect(await doomed(agent.client, agent.id)).toEqual([agent.instanceId]);
		});

		it('by a notice: what AWS takes is left to it until ten minutes past the deadline, a primary and a standby alike', async () => {
			const { agent, replica } = await readyReplica(world);
			const other = await readyReplica(world);
			// Older than the first hour, which AWS does not bill.
			for (let minute = 0; minute < 61; minute++) {
				await heartbeatsFor(world, MINUTE, agent.client, [agent.id, replica.handle]);
				for (const handle of [other.agent.id, other.replica.handle]) await other.agent.client.heartbeat(handle);
			}
			const deadline = world.now() + 2 * MINUTE;
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 0, hold_until: deadline + 10 * MINUTE });
			expect((await imminent(world, other.agent, other.replica.handle)).body).toMatchObject({ action: 'standby_lost' });
			expect(await rows.host(other.replica.handle)).toMatchObject({ role: 'ended', hold: 0, hold_until: deadline + 10 * MINUTE });
			await heartbeatsFor(world, 12 * MINUTE - 2000, agent.client, [replica.handle]);
			expect((await agent.client.terminations(replica.handle)).body).toMatchObject({ instances: [], held: 1 });
			expect(await bothLists(other.agent.client, other.agent.id)).toEqual([[], []]);
			await world.advance(2000);
			expect(await doomed(agent.client, replica.handle)).toEqual([agent.instanceId]);
			const taken = other.replica.instanceId;
			expect(await bothLists(other.agent.client, other.agent.id)).toEqual([[taken], [taken]]);
		}, 90_000);

		it('with its old primary kept: that one is a passive replica with its handle, on no list', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id, { demote_old_primary: true });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'replica', primary_of: null });
			expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
			expect((await poll(agent.client, agent.id)).body.replicas).toEqual([]);
			await heartbeatsFor(world, 6 * MINUTE, agent.client, [agent.id, replica.handle]);
			expect(await bothLists(agent.client, replica.handle)).toEqual([[], []]);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ handle: agent.id, status: 'ready' }]);
		});

		it('lists, events and notifications name the agent and the machines, never a handle', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id, { demote_old_primary: true });
			const { read } = world.store;
			const answers = [
				await agent.client.call('listReplicas', {}),
				await agent.client.call('listClientReplicas', { client_id: agent.client.id }),
				await agent.client.call('listHostReplicas', { agent_id: agent.id, include_terminated: true }),
				await agent.client.call('showReplica', { replica_id: replica.id }),
				await read.selectFrom('event').selectAll().where('client_id', '=', agent.client.id).execute(),
				await read.selectFrom('notification').selectAll().where('client_id', '=', agent.client.id).execute(),
				await read.selectFrom('audit').selectAll().where('client_id', '=', agent.client.id).execute(),
			];
			for (const answer of answers) expect(JSON.stringify(answer)).not.toContain(replica.handle);
		});
	});
});

describeEachDatabase('a silent primary where failover.silentAfter is 0', ({ freshUrl }) => {
	it('is never followed by its ready replica', async () => {
		const failover = { ...CORE_SETTINGS.failover, silentAfterMs: 0 };
		const world = await openWorld(await freshUrl(), { settings: { failover } });
		try {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 10 * MINUTE, agent.client, [replica.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
			expect(await rowsOf(world).agent(agent.id)).toMatchObject({ status: 'offline', generation: 1 });
		} finally {
			await world.close();
		}
	});
});
