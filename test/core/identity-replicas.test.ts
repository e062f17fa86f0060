import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { type Actor, type ClientActor, openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf, TIMEOUT } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, orderedReplica, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const MINUTE = 60_000;

type Host = { readonly handle: string; readonly instanceId: string };
type Zone = 'a' | 'b' | 'c' | 'd';

describeEachDatabase('which machine is a replica', ({ freshUrl }) => {
	let world: World;
	let rows: ReturnType<typeof rowsOf>;

	beforeAll(async () => {
		world = await openWorld(await freshUrl());
		rows = rowsOf(world);
	});
	afterAll(async () => {
		const [daemon] = world.daemons;
		if (daemon !== undefined) {
			expect(await brokenInvariants(world, daemon)).toEqual([]);
			expect(await brokenStandbys(world, daemon)).toEqual([]);
		}
		await world.close();
	});

	const row = (id: string) => world.store.read.selectFrom('replica').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
	const liveOf = async (agentId: string) => (await replicasOf(world, agentId)).filter((replica) => replica.live_of !== null);
	const poll = (client: Actor, handle: string) => client.call('listHostReplicas', { agent_id: handle, status: 'launching' });
	const configure = (client: Actor, handle: string, change: object) => client.call('changeConfig', { agent_id: handle, ...change });
	const promote = (client: Actor, handle: string, replicaId: string, more: object = {}) =>
		client.call('promoteReplica', { agent_id: handle, replica_id: replicaId, ...more });
	const remove = (client: Actor, handle: string, replicaId: string) =>
		client.call('deleteReplica', { agent_id: handle, replica_id: replicaId });
	const leftovers = async (client: Actor, handle: string) =>
		(await client.call('listHostReplicas', { agent_id: handle, status: 'terminated' })).body.replicas.map((replica) => replica.instance_id);
	const doomed = async (client: Actor, handle: string) =>
		(await client.terminations(handle)).body.instances.map((instance) => instance.instance_id);
	const bothLists = async (client: Actor, handle: string) => [await leftovers(client, handle), await doomed(client, handle)];

	const zoneOf = (az: string | undefined): Zone => (az?.at(-1) ?? 'b') as Zone;
	/** A zone that is neither the primary's nor the given one. */
	const otherZone = (az: string | undefined): Zone => (['b', 'c', 'd'] as const).find((zone) => zone !== zoneOf(az)) ?? 'b';

	/** Another machine of the image in a zone. */
	const join = async (agent: Pick<AgentScene, 'client' | 'logicalId'>, az: string | undefined, machine: object = {}) => {
		const instanceId = newMachine();
		const { status, body } = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az, ...machine });
		expect(status).toBe(200);
		return { instanceId, handle: body.agent_id, role: body.role, answer: body };
	};

	/** An agent without a logical id of its own, in manual mode, whose launch order was fetched. */
	const selfNamed = async (known?: ClientActor) => {
		const client = known ?? (await world.client());
		const instanceId = newMachine();
		const { body } = await client.register(instanceId);
		await poll(client, body.agent_id);
		await configure(client, body.agent_id, { manualReplicaEnabled: true });
		const agent: AgentScene = { client, id: body.agent_id, logicalId: instanceId, instanceId };
		return { agent, order: await fetchOrder(agent, agent.id) };
	};

	describe('R5: the machine of a launch that was fetched', () => {
		it('is the replica, ready since its own agent runs, and passive', async () => {
			const { agent, order } = await orderedReplica(world);
			await world.advance(20_000, 4000);
			await agent.client.heartbeat(agent.id);
			const made = await join(agent, order.az);
			expect(made.answer).toMatchObject({
				role: 'replica',
				generation: 1,
				public_agent_id: agent.id,
				config: { enabled: false },
				message: expect.stringMatching(/not the primary/),
			});
			expect(made.handle).not.toBe(agent.id);
			expect(await row(order.id)).toMatchObject({
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
			const made = await join(agent, order.az, { mode: undefined });
			expect(made.role).toBe('replica');
			expect(await rows.host(made.handle)).toMatchObject({ mode: 'spot', pool_id: order.pool_id });
		});

		it('also when it does not know its zone or type', async () => {
			const { agent } = await orderedReplica(world);
			expect((await join(agent, 'unknown', { instance_type: 'unknown' })).role).toBe('replica');
		});

		it.each([
			['another type', { instance_type: 'c5.xlarge' }],
			['another region', { region: 'us-west-2' }],
			['the other mode', { mode: 'ondemand' }],
		])('not for %s', async (_, machine) => {
			const { agent, order } = await orderedReplica(world);
			expect((await join(agent, order.az, machine)).role).toBe('candidate');
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
		});

		it('not in another zone', async () => {
			const { agent, order } = await orderedReplica(world);
			expect((await join(agent, `us-east-1${otherZone(order.az)}`)).role).toBe('candidate');
			expect((await join(agent, order.az)).role).toBe('replica');
		});

		it('in any zone when the order is on-demand (section 3, "Fits")', async () => {
			const place = { region: 'xx-test-1', az: 'xx-test-1a' };
			const { agent, order } = await orderedReplica(world, place);
			expect(order).toMatchObject({ mode: 'ondemand' });
			expect((await join(agent, 'xx-test-1b', { region: place.region, mode: 'ondemand' })).role).toBe('replica');
		});

		it('not before the order was fetched: nobody can have launched for it', async () => {
			const agent = await makeAgent(world);
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			const [ordered] = await liveOf(agent.id);
			expect((await join(agent, ordered?.az ?? undefined)).role).toBe('candidate');
			expect(await row(String(ordered?.id))).toMatchObject({ status: 'launching', handle: null });
		});

		it('not after its lease of five minutes', async () => {
			const { agent, order } = await orderedReplica(world);
			await heartbeatsFor(world, 5 * MINUTE, agent.client, [agent.id]);
			expect((await join(agent, order.az)).role).toBe('candidate');
			expect((await poll(agent.client, agent.id)).body.replicas).toHaveLength(1);
			expect((await join(agent, order.az)).role).toBe('replica');
		});

		it('not once a machine is named', async () => {
			const { agent, order } = await orderedReplica(world);
			await put(agent, agent.id, order.id, newMachine());
			expect((await join(agent, order.az)).role).toBe('candidate');
		});

		it('of two at once the first has it', async () => {
			const { agent, order } = await orderedReplica(world);
			const both = await Promise.all([join(agent, order.az), join(agent, order.az), join(agent, order.az)]);
			expect(both.map(({ role }) => role).sort()).toEqual(['candidate', 'candidate', 'replica']);
			expect(await liveOf(agent.id)).toHaveLength(1);
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
			expect((await join(stranger, order.az)).role).toBe('candidate');
			expect((await join(sibling, order.az)).role).toBe('candidate');
			expect((await join(agent, order.az)).role).toBe('replica');
		});

		it('takes a self-named machine into the agent that ordered it, with its id as an alias', async () => {
			const { agent, order } = await selfNamed();
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
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
		});

		it('is never refused by max_agents', async () => {
			const { agent, order } = await orderedReplica(world);
			await world.admin.call('updateClient', { client_id: agent.client.id, max_agents: 1 });
			expect((await join(agent, order.az)).role).toBe('replica');
			const alone = await selfNamed();
			await world.admin.call('updateClient', { client_id: alone.agent.client.id, max_agents: 1 });
			expect((await alone.agent.client.register(newMachine(), { az: alone.order.az })).body).toMatchObject({ role: 'replica' });
		});

		it('is promoted in its own registration when an emergency waits (T5)', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: false });
			const order = await fetchOrder(agent, agent.id);
			const made = await join(agent, order.az);
			expect(made.answer).toMatchObject({ role: 'primary', generation: 2, config: { enabled: true } });
			expect(made.answer.message).toBeUndefined();
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await row(order.id)).toMatchObject({ status: 'promoted' });
		});

		it.each(['', `'"`, '🙂', 'x'.repeat(256), 'a\u0000b'])('survives the logical id %j', async (logical) => {
			const { agent, order } = await orderedReplica(world);
			const { status } = await agent.client.register(newMachine(), { logical_agent_id: logical, az: order.az });
			expect(status).toBeLessThan(500);
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
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
			const made = await join(agent, order.az);
			expect(made.role).toBe('candidate');
			expect(await rows.host(made.handle)).toMatchObject({ tentative_replica_id: order.id, tentative_command_id: null });
			expect(await rows.events(agent.id)).toContain('undecided_host');
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});

		it('the second one stands for the other order', async () => {
			const { agent, order, command } = await both();
			await join(agent, order.az);
			const second = await join(agent, order.az);
			expect(await rows.host(second.handle)).toMatchObject({
				role: 'candidate',
				tentative_replica_id: null,
				tentative_command_id: command,
			});
		});

		it('is settled by a PUT: the replica, ready since its agent runs', async () => {
			const { agent, order, command } = await both();
			const made = await join(agent, order.az);
			expect((await put(agent, agent.id, order.id, made.instanceId)).status).toBe(200);
			expect(await rows.host(made.handle)).toMatchObject({ role: 'replica', tentative_replica_id: null });
			expect(await row(order.id)).toMatchObject({ status: 'ready', guess: 0 });
			expect(await rows.command(command)).toMatchObject({ status: 'claimed' });
			expect((await join(agent, order.az)).role).toBe('primary');
		});

		it('is settled by a switch report: the primary, and the launch of the earlier generation is void', async () => {
			const { agent, order } = await both();
			const made = await join(agent, order.az);
			expect((await agent.client.report(agent.id, made.instanceId)).body).toMatchObject({ action: 'switched' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await row(order.id)).toMatchObject({ status: 'failed', void: 1 });
		});

		it('is settled by silence: its launch is done, and the old host is not on hold', async () => {
			const { agent, order } = await both();
			const made = await join(agent, order.az);
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [made.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await row(order.id)).toMatchObject({ status: 'promoted', handle: made.handle, live_of: null });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 0 });
		});

		it.each(['failed', 'deleted', 'given up'])('holds for one launch that was %s: its machine may be the only one left', async (end) => {
			const { agent, order } = await orderedReplica(world);
			if (end === 'failed') await say(agent, agent.id, order.id, 'failed');
			if (end === 'deleted') await remove(agent.client, agent.id, order.id);
			if (end === 'given up') await configure(agent.client, agent.id, { manualReplicaEnabled: false });
			const made = await join(agent, order.az);
			expect(made.role).toBe('candidate');
			expect(await rows.host(made.handle)).toMatchObject({ tentative_replica_id: null });
			expect(await rows.events(agent.id)).toContain('undecided_host');
		});

		it('of self-named agents: under the one whose order is the oldest, re-pointed by the PUT of the other (T8)', async () => {
			const first = await selfNamed();
			await world.advance(1000);
			const second = await selfNamed(first.agent.client);
			expect(second.order.az).toBe(first.order.az);
			const machine = newMachine();
			const { body } = await first.agent.client.register(machine, { az: first.order.az });
			expect(body).toMatchObject({ role: 'candidate', public_agent_id: first.agent.id });
			expect((await put(second.agent, second.agent.id, second.order.id, machine)).status).toBe(200);
			expect(await rolesOf(world, second.agent.id)).toEqual({ [second.agent.instanceId]: 'primary', [machine]: 'replica' });
			expect(await rolesOf(world, first.agent.id)).toEqual({ [first.agent.instanceId]: 'primary' });
			expect(await row(second.order.id)).toMatchObject({ status: 'ready', handle: body.agent_id });
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
			expect(await row(order.id)).toMatchObject({ status: 'failed', void: 1 });
			return { agent, order, next };
		};

		it('is a zombie from the start: an extra machine, ended after the wait', async () => {
			const { agent, order, next } = await overtaken();
			const extra = await join(agent, order.az);
			expect(extra.answer).toMatchObject({ role: 'zombie', config: { enabled: false } });
			expect(await rows.events(agent.id)).toContain('extra_machine');
			await heartbeatsFor(world, 5 * MINUTE + 20_000, agent.client, [next.handle]);
			expect(await doomed(agent.client, next.handle)).toContain(extra.instanceId);
		});

		it('is so for one machine: a launch makes no second', async () => {
			const { agent, order } = await overtaken();
			await join(agent, order.az);
			expect((await join(agent, order.az)).role).toBe('candidate');
		});

		it('takes over instead when the primary is silent (T3)', async () => {
			const { agent, order, next } = await overtaken();
			await world.advance(TIMEOUT + 10_000, 4000);
			expect((await join(agent, order.az)).role).toBe('primary');
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
			const made = await join(agent, replica.az);
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
			expect(await row(replica.id)).toMatchObject({ status: 'ready' });
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
			expect(await row(replica.id)).toMatchObject({ status: 'failed' });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'primary', [replica.instanceId]: 'candidate' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await liveOf(agent.id)).toMatchObject([{ status: 'launching' }]);
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
			const candidate = await join(agent, 'us-east-1a');
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [replica.handle, candidate.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({
				[agent.instanceId]: 'zombie',
				[replica.instanceId]: 'replica',
				[candidate.instanceId]: 'primary',
			});
			expect(await row(replica.id)).toMatchObject({ status: 'ready', live_of: agent.id });
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
			const { agent, order } = await selfNamed();
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
				const { agent, order } = isSelfNamed ? await selfNamed() : await orderedReplica(world);
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
			const { agent, order } = await selfNamed();
			const machine = newMachine();
			const fresh = await agent.client.register(machine, { az: 'us-east-1a' });
			expect(fresh.body.public_agent_id).toBe(fresh.body.agent_id);
			await poll(agent.client, fresh.body.agent_id);
			await configure(agent.client, fresh.body.agent_id, { manualReplicaEnabled: true });
			const own = await fetchOrder(agent, fresh.body.agent_id);
			expect((await put(agent, agent.id, order.id, machine)).status).toBe(200);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [machine]: 'replica' });
			expect(await liveOf(agent.id)).toMatchObject([{ id: order.id, status: 'ready' }]);
			expect(await row(own.id)).toMatchObject({ agent_id: agent.id, status: 'failed', live_of: null });
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
			const candidate = await join(agent, 'us-east-1a');
			const machine = newMachine();
			await agent.client.report(candidate.handle, machine);
			expect(await rows.hostOfMachine(agent.client, machine)).toMatchObject({ role: 'named' });
			expect((await put(agent, agent.id, order.id, machine)).status).toBe(200);
			expect(await rows.hostOfMachine(agent.client, machine)).toMatchObject({ role: 'replica' });
			expect(await row(order.id)).toMatchObject({ status: 'syncing' });
		});

		it('an agent with a history is not folded into another by a PUT: nothing moves', async () => {
			const { agent, order } = await selfNamed();
			const other = await selfNamed(agent.client);
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
			['a candidate says so', async ({ agent, order }: Waiting) => say(agent, (await join(agent, 'us-east-1a')).handle, order.id, 'ready')],
			['an operator says so', ({ agent, order }: Waiting) => say({ client: world.admin as ClientActor }, agent.id, order.id, 'ready')],
		])('promotes the replica an emergency waits for when %s', async (_, act) => {
			const made = await waiting();
			expect((await act(made)).status).toBe(200);
			expect(await rolesOf(world, made.agent.id)).toMatchObject({ [made.agent.instanceId]: 'zombie', [made.instanceId]: 'primary' });
			expect(await row(made.order.id)).toMatchObject({ status: 'promoted', promoted_at: world.now() });
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
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
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
			expect(await liveOf(agent.id)).toMatchObject([{ handle: agent.id, status: 'ready' }]);
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
			const [demoted] = await liveOf(agent.id);
			await remove(client, agent.id, String(demoted?.id));
			const second = await fetchOrder(agent, first.replica.handle);
			const primary = await join(agent, second.az);
			await promote(client, agent.id, second.id);
			const third = await fetchOrder(agent, primary.handle);
			const replica = await join(agent, third.az);
			expect(replica.role).toBe('replica');
			const candidate = await join(agent, 'us-east-1a', { instance_type: 'c5.xlarge' });
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
			expect(await row(made.order.id)).toMatchObject(attached ? { status: 'syncing' } : { status: 'launching', handle: null });
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
			expect(await row(made.replicaId)).toMatchObject({ status: status === 200 ? 'syncing' : 'ready' });
			expect((await say(made, made[role].handle, made.replicaId, 'ready')).status).toBe(status);
			expect((await say(made, made[role].handle, made.replicaId, 'failed')).status).toBe(status);
			expect(await row(made.replicaId)).toMatchObject({ status: status === 200 ? 'failed' : 'ready' });
		});

		it.each(HOSTS)('replica status "terminated" by the %s confirms an end', async (role) => {
			const made = await cast();
			expect((await say(made, made[role].handle, made.endedId, 'terminated')).status).toBe(200);
			expect(await row(made.endedId)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
			expect(await rows.host(made.ended.handle)).toMatchObject({ role: 'terminated' });
			expect(await leftovers(made.client, made.primary.handle)).toEqual([]);
		});

		it.each(HOSTS)('replica status by the former %s of a deleted agent: only the confirmation counts', async (role) => {
			const made = await deleted();
			for (const status of ['ready', 'syncing', 'promoted', 'launching'])
				expect((await say(made, made[role].handle, made.replicaId, status)).status).toBe(409);
			expect((await say(made, made[role].handle, made.replicaId, 'terminated')).status).toBe(200);
			expect(await row(made.replicaId)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
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
			expect(await row(made.replicaId)).toMatchObject({ sync_latency_ms: status === 200 ? 7 : null });
		});

		it('sync-status by the replica is for its own only', async () => {
			const made = await launching();
			const sync = { agent_id: made.replica.handle, replica_id: made.order.id, sync_status: 'syncing' };
			expect((await made.client.call('replicaSync', sync)).status).toBe(409);
			expect(await row(made.order.id)).toMatchObject({ sync_status: 'initializing', last_sync_at: null });
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
				expect(await row(made.replicaId)).toMatchObject({ status: 'ready' });
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
			expect(await liveOf(made.id)).toEqual([]);
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
			expect(await row(made.replicaId)).toMatchObject({ status: 'terminated', live_of: null, confirmed_at: world.now() });
			expect(await liveOf(made.id)).toMatchObject([{ status: 'launching' }]);
			expect(await leftovers(made.client, made.primary.handle)).toEqual([made.ended.instanceId]);
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
		});

		it.each(['candidate', 'zombie', 'ended'] as const)('termination of the %s: of that host only', async (role) => {
			const made = await cast();
			await made.client.call('hostEnded', { agent_id: made[role].handle });
			expect(await rows.host(made[role].handle)).toMatchObject({ role: 'terminated' });
			expect(await row(made.replicaId)).toMatchObject({ status: 'ready' });
			if (role === 'ended') {
				expect(await row(made.endedId)).toMatchObject({ confirmed_at: world.now() });
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
			expect(await row(made.replicaId)).toMatchObject({ status: 'ready', live_of: made.id });
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
			expect(await row(made.replicaId)).toMatchObject({ status: 'terminated', confirmed_at: world.now(), live_of: null });
			expect(await rows.host(made.replica.handle)).toMatchObject({ role: 'terminated' });
			expect(await liveOf(made.id)).toMatchObject([{ status: 'launching' }]);
		});

		it('AWS takes the replica: it failed, its machine is left to AWS, and another is ordered', async () => {
			const made = await cast();
			const { body } = await imminent(world, made, made.replica.handle);
			expect(body).toMatchObject({ success: false, action: 'standby_lost' });
			expect(await row(made.replicaId)).toMatchObject({ status: 'failed', live_of: null });
			expect(await rows.host(made.replica.handle)).toMatchObject({ role: 'ended' });
			expect((await rows.host(made.replica.handle)).hold_until).toBeGreaterThanOrEqual(world.now() + 12 * MINUTE);
			expect(await leftovers(made.client, made.primary.handle)).toEqual([made.ended.instanceId]);
			await heartbeatsFor(world, 40_000, made.client, [made.primary.handle]);
			expect(await liveOf(made.id)).toMatchObject([{ status: 'launching' }]);
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
			expect(await row(made.order.id)).toMatchObject({ status: 'ready', instance_id: machine });
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', made.order.id).execute();
			expect(audits.map(({ action }) => action)).toEqual(expect.arrayContaining(['replicas.attach', 'replicas.status']));
		});
	});
});

describeEachDatabase('a silent primary where failover.silentAfter is 0', ({ freshUrl }) => {
	it('is never followed by its ready replica', async () => {
		const failover = {
			launchMs: 45_000,
			readyMs: 60_000,
			silentAfterMs: 0,
			retireRepeatedMs: 1_800_000,
			retireSingleMs: 7_200_000,
			override: true,
		};
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
