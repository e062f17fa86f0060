import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, doomed, poll, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { heartbeatsFor, joinAgent, joinAt, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf, TIMEOUT } from './agent-scene.ts';
import { fetchOrder, imminent, orderedReplica, otherZone, put, readyReplica, say, selfNamed, zoneOf } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('which machine is a replica', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('R5: the machine of a launch that was fetched', () => {
		it('is the replica, ready since its own agent runs, and passive', async () => {
			const { agent, order } = await orderedReplica(world);
			await world.advance(20_000, 4000);
			await agent.client.heartbeat(agent.id);
			const made = await joinAt(agent, order.az);
			expect(made.answer).toMatchObject({
				role: 'replica',
				generation: 1,
				public_agent_id: agent.id,
				config: { enabled: false },
				message: expect.stringMatching(/not the primary/),
			});
			expect(made.handle).not.toBe(agent.id);
			expect(await rows.replica(order.id)).toMatchObject({
				status: 'ready',
				handle: made.handle,
				instance_id: made.instanceId,
				guess: 1,
				awaits_machine: 0,
				launched_at: world.now(),
				ready_at: world.now(),
			});
			expect(await rows.host(made.handle)).toMatchObject({ role: 'replica', guess_replica_id: order.id, generation: null });
			expect((await poll(agent.client, agent.id)).body.replicas).toEqual([]);
			expect((await agent.client.config(agent.id)).body.enabled).toBe(true);
			expect(await rows.events(agent.id)).toEqual(expect.arrayContaining(['replica_attached', 'replica_ready']));
		});

		it('also when it does not say its mode (v3.2), which is then that of the order', async () => {
			const { agent, order } = await orderedReplica(world);
			const made = await joinAt(agent, order.az, { mode: undefined });
			expect(made.role).toBe('replica');
			expect(await rows.host(made.handle)).toMatchObject({ mode: 'spot', pool_id: order.pool_id });
		});

		it('also when it does not know its zone or type', async () => {
			const { agent } = await orderedReplica(world);
			expect((await joinAt(agent, 'unknown', { instance_type: 'unknown' })).role).toBe('replica');
		});

		it.each([
			['another type', { instance_type: 'c5.xlarge' }],
			['another region', { region: 'us-west-2' }],
			['the other mode', { mode: 'ondemand' }],
		])('not for %s', async (_, machine) => {
			const { agent, order } = await orderedReplica(world);
			expect((await joinAt(agent, order.az, machine)).role).toBe('candidate');
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
		});

		it('not in another zone', async () => {
			const { agent, order } = await orderedReplica(world);
			expect((await joinAt(agent, `us-east-1${otherZone(order.az)}`)).role).toBe('candidate');
			expect((await joinAt(agent, order.az)).role).toBe('replica');
		});

		it('in any zone when the order is on-demand (section 3, "Fits")', async () => {
			const place = { region: 'xx-test-1', az: 'xx-test-1a' };
			const { agent, order } = await orderedReplica(world, place);
			expect(order).toMatchObject({ mode: 'ondemand' });
			expect((await joinAt(agent, 'xx-test-1b', { region: place.region, mode: 'ondemand' })).role).toBe('replica');
		});

		it('not before the order was fetched: nobody can have launched for it', async () => {
			const agent = await makeAgent(world);
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			const [ordered] = await rows.liveReplicas(agent.id);
			expect((await joinAt(agent, ordered?.az ?? undefined)).role).toBe('candidate');
			expect(await rows.replica(String(ordered?.id))).toMatchObject({ status: 'launching', handle: null });
		});

		it('not after its lease of five minutes', async () => {
			const { agent, order } = await orderedReplica(world);
			await heartbeatsFor(world, 5 * MINUTE, agent.client, [agent.id]);
			expect((await joinAt(agent, order.az)).role).toBe('candidate');
			expect((await poll(agent.client, agent.id)).body.replicas).toHaveLength(1);
			expect((await joinAt(agent, order.az)).role).toBe('replica');
		});

		it('not once a machine is named', async () => {
			const { agent, order } = await orderedReplica(world);
			await put(agent, agent.id, order.id, newMachine());
			expect((await joinAt(agent, order.az)).role).toBe('candidate');
		});

		it('of two at once the first has it', async () => {
			const { agent, order } = await orderedReplica(world);
			const both = await Promise.all([joinAt(agent, order.az), joinAt(agent, order.az), joinAt(agent, order.az)]);
			expect(both.map(({ role }) => role).sort()).toEqual(['candidate', 'candidate', 'replica']);
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		it('the same machine twice at once has one handle', async () => {
			const { agent, order } = await orderedReplica(world);
			const instanceId = newMachine();
			const answers = await Promise.all(
				Array.from({ length: 4 }, () => agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az })),
			);
			expect(new Set(answers.map(({ body }) => body.agent_id)).size).toBe(1);
			expect(new Set(answers.map(({ body }) => body.role))).toEqual(new Set(['replica']));
		});

		it('not for the order of another client, nor of another agent under its own logical id', async () => {
			const { agent, order } = await orderedReplica(world);
			const stranger = await makeAgent(world);
			const sibling = await makeAgent(world, agent.client);
			expect((await joinAt(stranger, order.az)).role).toBe('candidate');
			expect((await joinAt(sibling, order.az)).role).toBe('candidate');
			expect((await joinAt(agent, order.az)).role).toBe('replica');
		});

		it('takes a self-named machine into the agent that ordered it, with its id as an alias', async () => {
			const { agent, order } = await selfNamed(world);
			const machine = newMachine();
			const { body } = await agent.client.register(machine, { az: order.az });
			expect(body).toMatchObject({ role: 'replica', public_agent_id: agent.id, config: { enabled: false } });
			expect((await agent.client.agent(agent.id)).body.logicalIds).toEqual([agent.instanceId, machine].sort());
			expect((await agent.client.call('listOwnAgents', {})).body.agents).toHaveLength(1);
			expect((await agent.client.register(machine, { az: order.az })).body).toMatchObject({ role: 'replica', agent_id: body.agent_id });
		});

		it('does not take a self-named machine into an agent with a logical id', async () => {
			const { agent, order } = await orderedReplica(world);
			const { body } = await agent.client.register(newMachine(), { az: order.az });
			expect(body.public_agent_id).toBe(body.agent_id);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
		});

		it('is never refused by max_agents', async () => {
			const { agent, order } = await orderedReplica(world);
			await world.admin.call('updateClient', { client_id: agent.client.id, max_agents: 1 });
			expect((await joinAt(agent, order.az)).role).toBe('replica');
			const alone = await selfNamed(world);
			await world.admin.call('updateClient', { client_id: alone.agent.client.id, max_agents: 1 });
			expect((await alone.agent.client.register(newMachine(), { az: alone.order.az })).body).toMatchObject({ role: 'replica' });
		});

		it('is promoted in its own registration when an emergency waits (T5)', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: false });
			const order = await fetchOrder(agent, agent.id);
			const made = await joinAt(agent, order.az);
			expect(made.answer).toMatchObject({ role: 'primary', generation: 2, config: { enabled: true } });
			expect(made.answer.message).toBeUndefined();
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'promoted' });
		});

		it.each(['', `'"`, '🙂', 'x'.repeat(256), 'a\u0000b'])('survives the logical id %j', async (logical) => {
			const { agent, order } = await orderedReplica(world);
			const { status } = await agent.client.register(newMachine(), { logical_agent_id: logical, az: order.az });
			expect(status).toBeLessThan(500);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
		});
	});

	describe('R6: several orders fit', () => {
		/** A launch that was fetched, and a switch into the same pool that was claimed later. */
		const both = async () => {
			const { agent, order } = await orderedReplica(world);
			await world.advance(1000);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id, zoneOf(order.az));
			return { agent, order, command };
		};

		it('is a candidate that stands for the oldest, the launch', async () => {
			const { agent, order } = await both();
			const made = await joinAt(agent, order.az);
			expect(made.role).toBe('candidate');
			expect(await rows.host(made.handle)).toMatchObject({ tentative_replica_id: order.id, tentative_command_id: null });
			expect(await rows.events(agent.id)).toContain('undecided_host');
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});

		it('the second one stands for the other order', async () => {
			const { agent, order, command } = await both();
			await joinAt(agent, order.az);
			const second = await joinAt(agent, order.az);
			expect(await rows.host(second.handle)).toMatchObject({
				role: 'candidate',
				tentative_replica_id: null,
				tentative_command_id: command,
			});
		});

		it('is settled by a PUT: the replica, ready since its agent runs', async () => {
			const { agent, order, command } = await both();
			const made = await joinAt(agent, order.az);
			expect((await put(agent, agent.id, order.id, made.instanceId)).status).toBe(200);
			expect(await rows.host(made.handle)).toMatchObject({ role: 'replica', tentative_replica_id: null });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'ready', guess: 0 });
			expect(await rows.command(command)).toMatchObject({ status: 'claimed' });
			expect((await joinAt(agent, order.az)).role).toBe('primary');
		});

		it('is settled by a switch report: the primary, and the launch of the earlier generation is void', async () => {
			const { agent, order } = await both();
			const made = await joinAt(agent, order.az);
			expect((await agent.client.report(agent.id, made.instanceId)).body).toMatchObject({ action: 'switched' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'failed', void: 1 });
		});

		it('is settled by silence: its launch is done, and the old host is not on hold', async () => {
			const { agent, order } = await both();
			const made = await joinAt(agent, order.az);
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [made.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'promoted', handle: made.handle, live_of: null });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 0 });
		});

		it.each(['failed', 'deleted', 'given up'])('holds for one launch that was %s: its machine may be the only one left', async (end) => {
			const { agent, order } = await orderedReplica(world);
			if (end === 'failed') await say(agent, agent.id, order.id, 'failed');
			if (end === 'deleted') await remove(agent.client, agent.id, order.id);
			if (end === 'given up') await configure(agent.client, agent.id, { manualReplicaEnabled: false });
			const made = await joinAt(agent, order.az);
			expect(made.role).toBe('candidate');
			expect(await rows.host(made.handle)).toMatchObject({ tentative_replica_id: null });
			expect(await rows.events(agent.id)).toContain('undecided_host');
		});

		it('of self-named agents: under the one whose order is the oldest, re-pointed by the PUT of the other (T8)', async () => {
			const first = await selfNamed(world);
			await world.advance(1000);
			const second = await selfNamed(world, first.agent.client);
			expect(second.order.az).toBe(first.order.az);
			const machine = newMachine();
			const { body } = await first.agent.client.register(machine, { az: first.order.az });
			expect(body).toMatchObject({ role: 'candidate', public_agent_id: first.agent.id });
			expect((await put(second.agent, second.agent.id, second.order.id, machine)).status).toBe(200);
			expect(await rolesOf(world, second.agent.id)).toEqual({ [second.agent.instanceId]: 'primary', [machine]: 'replica' });
			expect(await rolesOf(world, first.agent.id)).toEqual({ [first.agent.instanceId]: 'primary' });
			expect(await rows.replica(second.order.id)).toMatchObject({ status: 'ready', handle: body.agent_id });
			expect((await first.agent.client.probe(body.agent_id)).body).toMatchObject({ agent_id: second.agent.id, role: 'replica' });
		});
	});

	describe('R7: one void launch fits and the primary lives', () => {
		/** A launch that was fetched when a switch to another zone came first. */
		const overtaken = async () => {
			const { agent, order } = await orderedReplica(world);
			const zone = otherZone(order.az);
			await orderSwitch(agent.client, agent.instanceId, agent.id, zone);
			const next = await joinAgent(agent, zone);
			expect(next.role).toBe('primary');
			expect(await rows.replica(order.id)).toMatchObject({ status: 'failed', void: 1 });
			return { agent, order, next };
		};

		it('is a zombie from the start: an extra machine, ended after the wait', async () => {
			const { agent, order, next } = await overtaken();
			const extra = await joinAt(agent, order.az);
			expect(extra.answer).toMatchObject({ role: 'zombie', config: { enabled: false } });
			expect(await rows.events(agent.id)).toContain('extra_machine');
			await heartbeatsFor(world, 5 * MINUTE + 20_000, agent.client, [next.handle]);
			expect(await doomed(agent.client, next.handle)).toContain(extra.instanceId);
		});

		it('is so for one machine: a launch makes no second', async () => {
			const { agent, order } = await overtaken();
			await joinAt(agent, order.az);
			expect((await joinAt(agent, order.az)).role).toBe('candidate');
		});

		it('takes over instead when the primary is silent (T3)', async () => {
			const { agent, order, next } = await overtaken();
			await world.advance(TIMEOUT + 10_000, 4000);
			expect((await joinAt(agent, order.az)).role).toBe('primary');
			expect(await rows.host(next.handle)).toMatchObject({ role: 'zombie', hold: 1 });
		});

		it('is no replica of the next primary by a late PUT of the old one: it ends', async () => {
			const { agent, order, next } = await overtaken();
			const machine = newMachine();
			expect(await put(agent, agent.id, order.id, machine)).toMatchObject({ status: 409, body: { code: 'REPLICA_ENDED' } });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'ended', [next.instanceId]: 'primary' });
			expect(await bothLists(agent.client, next.handle)).toEqual([[machine], [machine]]);
		});
	});

	describe('R8: nothing was ordered that it could be', () => {
		it('is a candidate with a warning, although a ready replica stands by', async () => {
			const { agent, replica } = await readyReplica(world);
			const made = await joinAt(agent, replica.az);
			expect(made.answer).toMatchObject({ role: 'candidate', config: { enabled: false } });
			expect(await rows.events(agent.id)).toContain('unexpected_host');
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
		});
	});

	describe('R1: the machine of a replica registers again', () => {
		it('keeps its handle and role', async () => {
			const { agent, replica } = await readyReplica(world);
			const { body } = await agent.client.register(replica.instanceId, { logical_agent_id: agent.logicalId, az: replica.az });
			expect(body).toMatchObject({ agent_id: replica.handle, role: 'replica', config: { enabled: false } });
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'ready' });
		});

		it('stays ended when it must end: it is told so, never enabled, and is still listed', async () => {
			const { agent, replica } = await readyReplica(world);
			await remove(agent.client, agent.id, replica.id);
			const { body } = await agent.client.register(replica.instanceId, { logical_agent_id: agent.logicalId, az: replica.az });
			expect(body).toMatchObject({ agent_id: replica.handle, role: 'ended', config: { enabled: false } });
			expect(await bothLists(agent.client, agent.id)).toEqual([[replica.instanceId], [replica.instanceId]]);
		});

		it('is a zombie when its end had been confirmed: it lives, and is ended again after the wait', async () => {
			const { agent, replica } = await readyReplica(world);
			await remove(agent.client, agent.id, replica.id);
			await say(agent, agent.id, replica.id, 'terminated');
			const { body } = await agent.client.register(replica.instanceId, { logical_agent_id: agent.logicalId, az: replica.az });
			expect(body).toMatchObject({ role: 'zombie', config: { enabled: false } });
			await heartbeatsFor(world, 5 * MINUTE + 20_000, agent.client, [agent.id]);
			expect(await doomed(agent.client, agent.id)).toEqual([replica.instanceId]);
		});
	});
});
