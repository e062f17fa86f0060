import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, doomed, leftovers, poll, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { ClientActor } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAt, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { fetchOrder, imminent, put, readyReplica, say } from './replica-scene.ts';

const MINUTE = 60_000;

type Host = { readonly handle: string; readonly instanceId: string };

describeEachDatabase('which machine is a replica', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('what a call means by the role of its host (section 5)', () => {
		const HOSTS = ['primary', 'replica', 'candidate', 'zombie', 'ended'] as const;
		type Role = (typeof HOSTS)[number];
		type Cast = AgentScene & Readonly<Record<Role, Host>> & { readonly replicaId: string; readonly endedId: string };

		/**
		 * An agent with a host in every role. Its public id is the handle of a host that has ended; the zombie is another one, so that nothing
		 * here works by the public id alone.
		 */
		const cast = async (): Promise<Cast> => {
			const first = await readyReplica(world);
			const { agent } = first;
			const { client } = agent;
			await promote(client, agent.id, first.replica.id, { demote_old_primary: true });
			const [demoted] = await rows.liveReplicas(agent.id);
			await remove(client, agent.id, String(demoted?.id));
			const second = await fetchOrder(agent, first.replica.handle);
			const primary = await joinAt(agent, second.az);
			await promote(client, agent.id, second.id);
			const third = await fetchOrder(agent, primary.handle);
			const replica = await joinAt(agent, third.az);
			expect(replica.role).toBe('replica');
			const candidate = await joinAt(agent, 'us-east-1a', { instance_type: 'c5.xlarge' });
			const made = {
				...agent,
				primary,
				replica,
				candidate,
				zombie: first.replica,
				ended: { handle: agent.id, instanceId: agent.instanceId },
				replicaId: third.id,
				endedId: String(demoted?.id),
			};
			expect(await rolesOf(world, agent.id)).toEqual(Object.fromEntries(HOSTS.map((role) => [made[role].instanceId, role])));
			return made;
		};

		/** The same with a launch that was fetched instead of a replica. */
		const launching = async () => {
			const made = await cast();
			await remove(made.client, made.id, made.replicaId);
			const order = await fetchOrder(made, made.primary.handle);
			return { ...made, order };
		};

		const deleted = async (): Promise<Cast> => {
			const made = await cast();
			expect((await made.client.remove(made.id)).status).toBe(200);
			return made;
		};

		it.each([
			['primary', 200],
			['candidate', 200],
			['zombie', 409],
			['ended', 409],
		] as const)('PUT of a launch by the %s: %d', async (role, status) => {
			const made = await launching();
			const machine = newMachine();
			expect((await put(made, made[role].handle, made.order.id, machine)).status).toBe(status);
			const attached = status === 200;
			expect((await rolesOf(world, made.id))[machine]).toBe(attached ? 'replica' : 'ended');
			expect(await rows.replica(made.order.id)).toMatchObject(attached ? { status: 'syncing' } : { status: 'launching', handle: null });
			expect((await leftovers(made.client, made.primary.handle)).includes(machine)).toBe(!attached);
			expect((await doomed(made.client, made.primary.handle)).includes(machine)).toBe(!attached);
		});

		it('PUT by the replica itself names it again; another machine loses', async () => {
			const made = await cast();
			expect((await put(made, made.replica.handle, made.replicaId, made.replica.instanceId)).status).toBe(200);
			const machine = newMachine();
			expect((await put(made, made.replica.handle, made.replicaId, machine)).status).toBe(409);
			expect(await rolesOf(world, made.id)).toMatchObject({ [made.replica.instanceId]: 'replica', [machine]: 'ended' });
		});

		it.each(HOSTS)('PUT by the former %s of a deleted agent: 409, and the machine ends', async (role) => {
			const made = await deleted();
			const machine = newMachine();
			expect((await put(made, made[role].handle, made.replicaId, machine)).status).toBe(409);
			expect((await rolesOf(world, made.id))[machine]).toBe('ended');
			for (const list of await bothLists(made.client, made.primary.handle)) expect(list).toContain(machine);
		});

		it.each([
			['primary', 200],
			['replica', 200],
			['candidate', 200],
			['zombie', 409],
			['ended', 409],
		] as const)('replica status by the %s: %d', async (role, status) => {
			const made = await cast();
			expect((await say(made, made[role].handle, made.replicaId, 'syncing')).status).toBe(status);
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: status === 200 ? 'syncing' : 'ready' });
			expect((await say(made, made[role].handle, made.replicaId, 'ready')).status).toBe(status);
			expect((await say(made, made[role].handle, made.replicaId, 'failed')).status).toBe(status);
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: status === 200 ? 'failed' : 'ready' });
		});

		it.each(HOSTS)('replica status "terminated" by the %s confirms an end', async (role) => {
			const made = await cast();
			expect((await say(made, made[role].handle, made.endedId, 'terminated')).status).toBe(200);
			expect(await rows.replica(made.endedId)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
			expect(await rows.host(made.ended.handle)).toMatchObject({ role: 'terminated' });
			expect(await leftovers(made.client, made.primary.handle)).toEqual([]);
		});

		it.each(HOSTS)('replica status by the former %s of a deleted agent: only the confirmation counts', async (role) => {
			const made = await deleted();
			for (const status of ['ready', 'syncing', 'promoted', 'launching'])
				expect((await say(made, made[role].handle, made.replicaId, status)).status).toBe(409);
			expect((await say(made, made[role].handle, made.replicaId, 'terminated')).status).toBe(200);
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
		});

		it.each([
			['primary', 200],
			['replica', 200],
			['candidate', 409],
			['zombie', 409],
			['ended', 409],
		] as const)('sync-status by the %s: %d', async (role, status) => {
			const made = await cast();
			const said = await made.client.call('replicaSync', {
				agent_id: made[role].handle,
				replica_id: made.replicaId,
				sync_status: 'out-of-sync',
				sync_latency_ms: 7,
			});
			expect(said.status).toBe(status);
			expect(await rows.replica(made.replicaId)).toMatchObject({ sync_latency_ms: status === 200 ? 7 : null });
		});

		it('sync-status by the replica is for its own only', async () => {
			const made = await launching();
			const sync = { agent_id: made.replica.handle, replica_id: made.order.id, sync_status: 'syncing' };
			expect((await made.client.call('replicaSync', sync)).status).toBe(409);
			expect(await rows.replica(made.order.id)).toMatchObject({ sync_status: 'initializing', last_sync_at: null });
		});

		it.each(HOSTS)('sync-status by the former %s of a deleted agent: 409', async (role) => {
			const made = await deleted();
			const sync = { agent_id: made[role].handle, replica_id: made.replicaId, sync_progress: 100 };
			expect((await made.client.call('replicaSync', sync)).status).toBe(409);
		});

		it.each(HOSTS)('POST replicas with a machine by the %s: attached for the primary, ended for all others', async (role) => {
			const made = await launching();
			const machine = newMachine();
			const posted = await made.client.call('createReplica', { agent_id: made[role].handle, instance_id: machine });
			expect(posted).toMatchObject({ status: 201, body: { success: true, instance_id: machine } });
			expect((await rolesOf(world, made.id))[machine]).toBe(role === 'primary' ? 'replica' : 'ended');
			expect((await leftovers(made.client, made.primary.handle)).includes(machine)).toBe(role !== 'primary');
			expect((await doomed(made.client, made.primary.handle)).includes(machine)).toBe(role !== 'primary');
		});

		it.each(HOSTS)('POST replicas with a machine by the former %s of a deleted agent: ended', async (role) => {
			const made = await deleted();
			const machine = newMachine();
			expect((await made.client.call('createReplica', { agent_id: made[role].handle, instance_id: machine })).status).toBe(201);
			expect((await rolesOf(world, made.id))[machine]).toBe('ended');
			for (const list of await bothLists(made.client, made.primary.handle)) expect(list).toContain(machine);
		});

		it.each(['replica', 'candidate', 'zombie'] as const)(
			'promote and DELETE by the private handle of the %s: 409 NOT_PRIMARY',
			async (role) => {
				const made = await cast();
				const refusal = { status: 409, body: { code: 'NOT_PRIMARY', primary: made.primary.instanceId, agent_id: made.id } };
				expect(await promote(made.client, made[role].handle, made.replicaId)).toMatchObject(refusal);
				expect(await remove(made.client, made[role].handle, made.replicaId)).toMatchObject(refusal);
				expect(await remove(world.admin, made[role].handle, made.replicaId)).toMatchObject(refusal);
				expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'ready' });
			},
		);

		it('promote and DELETE by the primary, and by the public id although its host has ended', async () => {
			const first = await cast();
			expect((await promote(first.client, first.primary.handle, first.replicaId)).status).toBe(200);
			const second = await cast();
			expect((await promote(second.client, second.id, second.replicaId)).body).toMatchObject({
				new_instance_id: second.replica.instanceId,
				old_instance_id: second.primary.instanceId,
			});
			const third = await cast();
			expect((await remove(third.client, third.id, third.replicaId)).status).toBe(200);
			const fourth = await cast();
			expect((await remove(world.admin, fourth.id, fourth.replicaId)).status).toBe(200);
		});

		it.each(HOSTS)('promote, DELETE and an order by the former %s of a deleted agent: 404', async (role) => {
			const made = await deleted();
			const gone = { status: 404, body: { code: 'AGENT_DELETED' } };
			expect(await promote(made.client, made[role].handle, made.replicaId)).toMatchObject(gone);
			expect(await remove(made.client, made[role].handle, made.replicaId)).toMatchObject(gone);
			expect(await made.client.call('createReplica', { agent_id: made[role].handle })).toMatchObject(gone);
			expect(await rows.liveReplicas(made.id)).toEqual([]);
		});

		it('termination of the primary: its ready replica takes over', async () => {
			const made = await cast();
			expect((await made.client.call('hostEnded', { agent_id: made.primary.handle, reason: 'spot interruption' })).status).toBe(200);
			expect(await rolesOf(world, made.id)).toMatchObject({
				[made.replica.instanceId]: 'primary',
				[made.candidate.instanceId]: 'candidate',
			});
			expect((await rolesOf(world, made.id))[made.primary.instanceId]).not.toBe('primary');
			expect((await made.client.config(made.replica.handle)).body.enabled).toBe(true);
		});

		it('termination of the primary without a replica: the agent is offline, and its role stays', async () => {
			const agent = await makeAgent(world);
			await agent.client.call('hostEnded', { agent_id: agent.id, reason: 'spot interruption' });
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'offline', terminated_at: world.now() });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
		});

		it('termination of the replica: it is terminated, its slot is free and another is ordered', async () => {
			const made = await cast();
			await made.client.call('hostEnded', { agent_id: made.replica.handle });
			expect(await rows.host(made.replica.handle)).toMatchObject({ role: 'terminated', terminated_at: world.now() });
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'terminated', live_of: null, confirmed_at: world.now() });
			expect(await rows.liveReplicas(made.id)).toMatchObject([{ status: 'launching' }]);
			expect(await leftovers(made.client, made.primary.handle)).toEqual([made.ended.instanceId]);
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
		});

		it.each(['candidate', 'zombie', 'ended'] as const)('termination of the %s: of that host only', async (role) => {
			const made = await cast();
			await made.client.call('hostEnded', { agent_id: made[role].handle });
			expect(await rows.host(made[role].handle)).toMatchObject({ role: 'terminated' });
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'ready' });
			if (role === 'ended') {
				expect(await rows.replica(made.endedId)).toMatchObject({ confirmed_at: world.now() });
				expect(await bothLists(made.client, made.primary.handle)).toEqual([[], []]);
			}
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
		});

		it.each(HOSTS)('termination of the former %s of a deleted agent: 200, nothing changes', async (role) => {
			const made = await deleted();
			const before = await rolesOf(world, made.id);
			expect((await made.client.call('hostEnded', { agent_id: made[role].handle })).status).toBe(200);
			expect(await rolesOf(world, made.id)).toEqual(before);
		});

		it('uninstall on the primary: the agent is offline, and its role stays', async () => {
			const made = await cast();
			await made.client.call('uninstallHost', { instance_id: made.primary.instanceId, reason: 'manual_uninstall' });
			expect(await rows.agent(made.id)).toMatchObject({ status: 'offline' });
			expect((await rolesOf(world, made.id))[made.primary.instanceId]).toBe('primary');
		});

		it.each(['replica', 'candidate', 'zombie', 'ended'] as const)('uninstall on the %s: it said so, its role stays', async (role) => {
			const made = await cast();
			await made.client.call('uninstallHost', { instance_id: made[role].instanceId, reason: 'manual_uninstall' });
			expect(await rows.host(made[role].handle)).toMatchObject({ role, said_offline_at: world.now() });
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'ready', live_of: made.id });
		});

		it('the terminate list of each', async () => {
			const made = await cast();
			await heartbeatsFor(world, 5 * MINUTE + 20_000, made.client, [made.primary.handle, made.replica.handle, made.candidate.handle]);
			const lists = await Promise.all(HOSTS.map((role) => doomed(made.client, made[role].handle)));
			expect(lists.map((list) => list.sort())).toEqual([
				[made.zombie.instanceId, made.ended.instanceId].sort(),
				[],
				[],
				[made.zombie.instanceId],
				[made.ended.instanceId],
			]);
			const leftover = await Promise.all(HOSTS.map((role) => leftovers(made.client, made[role].handle)));
			expect(leftover).toEqual([[made.ended.instanceId], [], [], [], []]);
		});

		it('the terminate list names an ended replica at once and a zombie after its wait', async () => {
			const made = await cast();
			const { body } = await made.client.terminations(made.primary.handle);
			expect(body.instances).toMatchObject([{ instance_id: made.ended.instanceId, reason: 'replica_terminated' }]);
		});

		it('the terminate list with auto-terminate off', async () => {
			const made = await cast();
			await configure(made.client, made.id, { autoTerminateEnabled: false });
			await heartbeatsFor(world, 5 * MINUTE + 20_000, made.client, [made.primary.handle, made.replica.handle]);
			expect((await made.client.terminations(made.primary.handle)).body).toMatchObject({ instances: [], held: 2 });
			for (const role of ['zombie', 'ended'] as const)
				expect((await made.client.terminations(made[role].handle)).body).toMatchObject({ instances: [], auto_terminate_enabled: false });
			expect(await leftovers(made.client, made.primary.handle)).toEqual([made.ended.instanceId]);
		});

		it.each([true, false])('the terminate list of each of a deleted agent (auto-terminate was on: %s)', async (auto) => {
			const made = await cast();
			await configure(made.client, made.id, { autoTerminateEnabled: auto });
			await made.client.remove(made.id);
			await world.advance(6 * MINUTE, 4000);
			const lists = await Promise.all(HOSTS.map((role) => doomed(made.client, made[role].handle)));
			expect(lists.map((list) => list.sort())).toEqual([
				[made.replica.instanceId, made.ended.instanceId].sort(),
				[made.replica.instanceId],
				[],
				[],
				[made.ended.instanceId],
			]);
			const leftover = await Promise.all(HOSTS.map((role) => leftovers(made.client, made[role].handle)));
			expect(leftover.map((list) => list.sort())).toEqual([[made.replica.instanceId, made.ended.instanceId].sort(), [], [], [], []]);
			expect((await made.client.terminations(made.primary.handle)).body.auto_terminate_enabled).toBe(true);
		});

		it.each(HOSTS)('a termination report by the %s counts for the replica, never for the primary', async (role) => {
			const made = await cast();
			expect((await made.client.terminated(made[role].handle, made.primary.instanceId)).status).toBe(409);
			expect((await made.client.terminated(made[role].handle, made.replica.instanceId)).status).toBe(200);
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'terminated', confirmed_at: world.now(), live_of: null });
			expect(await rows.host(made.replica.handle)).toMatchObject({ role: 'terminated' });
			expect(await rows.liveReplicas(made.id)).toMatchObject([{ status: 'launching' }]);
		});

		it('AWS takes the replica: it failed, its machine is left to AWS, and another is ordered', async () => {
			const made = await cast();
			const { body } = await imminent(world, made, made.replica.handle);
			expect(body).toMatchObject({ success: false, action: 'standby_lost' });
			expect(await rows.replica(made.replicaId)).toMatchObject({ status: 'failed', live_of: null });
			expect(await rows.host(made.replica.handle)).toMatchObject({ role: 'ended' });
			expect((await rows.host(made.replica.handle)).hold_until).toBeGreaterThanOrEqual(world.now() + 12 * MINUTE);
			expect(await leftovers(made.client, made.primary.handle)).toEqual([made.ended.instanceId]);
			await heartbeatsFor(world, 40_000, made.client, [made.primary.handle]);
			expect(await rows.liveReplicas(made.id)).toMatchObject([{ status: 'launching' }]);
			expect(await rows.agent(made.id)).toMatchObject({ generation: 3 });
		});

		it('a restored agent goes on naming what its deletion left', async () => {
			const made = await deleted();
			expect((await world.admin.restore(made.id)).status).toBe(200);
			await made.client.heartbeat(made.primary.handle);
			expect((await leftovers(made.client, made.primary.handle)).sort()).toEqual([made.replica.instanceId, made.ended.instanceId].sort());
			expect((await made.client.config(made.primary.handle)).body.enabled).toBe(true);
		});

		it.each(HOSTS)("replicas without a filter: the agent's, also for the %s", async (role) => {
			const made = await cast();
			const { body } = await made.client.call('listHostReplicas', { agent_id: made[role].handle });
			expect(body).toMatchObject({ total: 1, replicas: [{ id: made.replicaId, status: 'ready' }] });
			const all = await made.client.call('listHostReplicas', { agent_id: made[role].handle, include_terminated: true });
			expect(all.body.total).toBe(4);
		});

		it.each(HOSTS)('replicas of the former %s of a deleted agent: the two polls go on, the rest is 404', async (role) => {
			const made = await deleted();
			for (const status of ['launching', 'terminated'])
				expect((await made.client.call('listHostReplicas', { agent_id: made[role].handle, status })).status).toBe(200);
			for (const query of [{}, { status: 'ready' }, { include_terminated: true }])
				expect((await made.client.call('listHostReplicas', { agent_id: made[role].handle, ...query })).status).toBe(404);
		});

		it('a replica is passive: not enabled, without commands, without orders; a call of it is its own sign of life', async () => {
			const made = await cast();
			await made.client.force(made.primary.instanceId, 'd');
			expect((await made.client.config(made.replica.handle)).body).toMatchObject({ enabled: false, manual_replica_enabled: true });
			expect((await made.client.poll(made.replica.handle)).body.commands).toEqual([]);
			expect((await poll(made.client, made.replica.handle)).body.replicas).toEqual([]);
			await world.advance(2000);
			const others = HOSTS.filter((role) => role !== 'replica');
			const before = await Promise.all(others.map((role) => rows.liveness(made[role].handle)));
			await world.advance(2000);
			const now = world.now();
			await made.client.heartbeat(made.replica.handle, { status: 'online' });
			await world.advance(1000, 500);
			expect((await rows.liveness(made.replica.handle)).seen_at).toBe(now);
			expect(await Promise.all(others.map((role) => rows.liveness(made[role].handle)))).toEqual(before);
			const decided = await made.client.call('decide', { agent_id: made.replica.handle, spot_pools: [], current_az: 'us-east-1b' });
			expect(decided.body).toMatchObject({ action: 'NO_ACTION', confidence: 0, allowed: false, reason: 'standby host' });
		});

		it('every call about a replica is a sign of life of its caller, whatever comes of it', async () => {
			const made = await cast();
			const calls = [
				() => put(made, made.zombie.handle, made.replicaId, newMachine()),
				() => say(made, made.zombie.handle, made.replicaId, 'ready'),
				() => made.client.call('replicaSync', { agent_id: made.zombie.handle, replica_id: made.replicaId, sync_progress: 1 }),
				() => made.client.call('createReplica', { agent_id: made.zombie.handle, instance_id: newMachine() }),
				() => made.client.call('replicaConfig', { agent_id: made.zombie.handle }),
				() => made.client.call('listHostReplicas', { agent_id: made.zombie.handle }),
			];
			for (const [index, call] of calls.entries()) {
				await world.advance(2000);
				const now = world.now();
				await call();
				await world.advance(1000, 500);
				expect((await rows.liveness(made.zombie.handle)).seen_at, `call ${index}`).toBe(now);
			}
		});

		it('an admin token means the agent: its writes count as those of the primary, and are no sign of life', async () => {
			const made = await launching();
			await world.advance(2000);
			const before = await Promise.all(HOSTS.map((role) => rows.liveness(made[role].handle)));
			await world.advance(5000);
			const admin = { client: world.admin as ClientActor };
			const machine = newMachine();
			// By the handle of a zombie, whose own word would not count.
			expect((await put(admin, made.zombie.handle, made.order.id, machine)).status).toBe(200);
			expect((await say(admin, made.zombie.handle, made.order.id, 'ready')).status).toBe(200);
			const sync = { agent_id: made.zombie.handle, replica_id: made.order.id, sync_status: 'synced' };
			expect((await world.admin.call('replicaSync', sync)).status).toBe(200);
			expect(await leftovers(world.admin, made.candidate.handle)).not.toEqual([]);
			await world.advance(2000);
			expect(await Promise.all(HOSTS.map((role) => rows.liveness(made[role].handle)))).toEqual(before);
			expect(await rows.replica(made.order.id)).toMatchObject({ status: 'ready', instance_id: machine });
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', made.order.id).execute();
			expect(audits.map(({ action }) => action)).toEqual(expect.arrayContaining(['replicas.attach', 'replicas.status']));
		});
	});
});
