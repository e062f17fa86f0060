import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { ClientActor } from '../helpers/world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { deletedReplica, fetchOrder, orderedReplica, put, readyReplica, replicasOf, say, syncingReplica } from './replica-scene.ts';

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('PUT: the machine of a replica (T4)', () => {
		it('attaches it, once: the same PUT again changes nothing', async () => {
			const { agent, order } = await orderedReplica(world);
			const machine = newMachine();
			expect((await put(agent, agent.id, order.id, machine)).body).toMatchObject({
				success: true,
				replica_id: order.id,
				instance_id: machine,
				data: { status: 'syncing' },
			});
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [machine]: 'replica' });
			const [before, events] = [await rows.replica(order.id), await rows.events(agent.id)];
			await world.advance(2000);
			expect((await put(agent, agent.id, order.id, machine)).status).toBe(200);
			expect(await rows.replica(order.id)).toEqual(before);
			expect(await rows.events(agent.id)).toEqual(events);
			await say(agent, agent.id, order.id, 'ready');
			expect((await put(agent, agent.id, order.id, machine)).body).toMatchObject({ data: { status: 'ready' } });
		});

		it('again after the promotion moves nothing', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			for (const handle of [agent.id, replica.handle])
				expect(await put(agent, handle, replica.id, replica.instanceId)).toMatchObject({ status: 200 });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
		});

		it('the first beats a later one: the losing machine ends with a row of its own, in both lists', async () => {
			const { agent, id, instanceId } = await syncingReplica(world);
			const late = newMachine();
			for (let n = 0; n < 2; n++) {
				const refused = await put(agent, agent.id, id, late);
				expect(refused).toMatchObject({ status: 409, body: { code: 'REPLICA_TAKEN', instance_id: instanceId } });
			}
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [instanceId]: 'replica', [late]: 'ended' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[late], [late]]);
			const booked = await replicasOf(world, agent.id);
			expect(booked).toMatchObject([
				{ id, status: 'syncing', instance_id: instanceId },
				{ status: 'terminated', instance_id: late, live_of: null, confirmed_at: null },
			]);
			// What it costs until it ends is known from the price of its pool.
			await agent.client.prices(agent.id, { 'us-east-1d': 0.031 });
			const dear = await joinAgent(agent, 'd');
			await put(agent, agent.id, id, dear.instanceId);
			expect((await replicasOf(world, agent.id)).at(-1)).toMatchObject({ instance_id: dear.instanceId, hourly_micros: 31_000 });
			await agent.client.terminated(agent.id, dear.instanceId);
			expect(await rows.events(agent.id)).toContain('surplus_machine');
			expect((await say(agent, agent.id, String(booked[1]?.id), 'terminated')).status).toBe(200);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it('of two at once one wins, and the other machine ends', async () => {
			const { agent, order } = await orderedReplica(world);
			const machines = [newMachine(), newMachine(), newMachine()];
			const answers = await Promise.all(machines.map((machine) => put(agent, agent.id, order.id, machine)));
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
			const winner = String(machines[answers.findIndex(({ status }) => status === 200)]);
			const losers = machines.filter((machine) => machine !== winner).sort();
			expect(await rows.replica(order.id)).toMatchObject({ instance_id: winner, status: 'syncing' });
			for (const list of await bothLists(agent.client, agent.id)) expect(list.sort()).toEqual(losers);
		});

		it('beats a guess: the machine that had registered for it ends, with a row of its own', async () => {
			const { agent, order } = await orderedReplica(world);
			const guessed = await agent.client.register(newMachine(), { logical_agent_id: agent.logicalId, az: order.az });
			expect(guessed.body.role).toBe('replica');
			expect(await rows.replica(order.id)).toMatchObject({ guess: 1, status: 'ready', handle: guessed.body.agent_id });
			const right = newMachine();
			expect((await put(agent, agent.id, order.id, right)).status).toBe(200);
			expect(await rows.replica(order.id)).toMatchObject({ guess: 0, status: 'syncing', instance_id: right, ready_at: null });
			const wrong = (await rows.host(guessed.body.agent_id)).instance_id;
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [right]: 'replica', [wrong]: 'ended' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[wrong], [wrong]]);
			expect((await put(agent, agent.id, order.id, wrong)).status).toBe(409);
		});

		it('settles a guess that was right: what comes later loses', async () => {
			const { agent, order } = await orderedReplica(world);
			const machine = newMachine();
			await agent.client.register(machine, { logical_agent_id: agent.logicalId, az: order.az });
			expect((await put(agent, agent.id, order.id, machine)).body).toMatchObject({ data: { status: 'ready' } });
			expect(await rows.replica(order.id)).toMatchObject({ guess: 0, status: 'ready' });
			const late = newMachine();
			expect(await put(agent, agent.id, order.id, late)).toMatchObject({ status: 409, body: { code: 'REPLICA_TAKEN' } });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'replica', [late]: 'ended' });
		});

		it.each([
			['deleted before it had a machine', false, 'terminated'],
			['deleted with another machine', true, 'terminated'],
			['failed before it had a machine', false, 'failed'],
			['failed with another machine', true, 'failed'],
		] as const)('for a replica that was %s is 409, the state stays, and its machine is in both lists (D-28)', async (_, attached, end) => {
			const { agent, order } = await orderedReplica(world);
			const first = newMachine();
			if (attached) await put(agent, agent.id, order.id, first);
			if (end === 'failed') await say(agent, agent.id, order.id, 'failed');
			else await remove(agent.client, agent.id, order.id);
			const late = newMachine();
			for (let n = 0; n < 2; n++)
				expect(await put(agent, agent.id, order.id, late)).toMatchObject({
					status: 409,
					body: { code: 'REPLICA_ENDED', replica_status: end },
				});
			expect(await rows.replica(order.id)).toMatchObject({ status: end, live_of: null });
			const wanted = (attached ? [first, late] : [late]).sort();
			for (const list of await bothLists(agent.client, agent.id)) expect(list.sort()).toEqual(wanted);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [late]: 'ended' });
		});

		it('for a dead replica is listed also when somebody had said before that it is terminated (D-20, T4)', async () => {
			const { agent, order } = await orderedReplica(world);
			await remove(agent.client, agent.id, order.id);
			expect((await say(agent, agent.id, order.id, 'terminated')).status).toBe(200);
			const late = newMachine();
			expect(await put(agent, agent.id, order.id, late)).toMatchObject({ status: 409, body: { code: 'REPLICA_ENDED' } });
			expect(await bothLists(agent.client, agent.id)).toEqual([[late], [late]]);
		});

		it('for a replica that failed in silence books its machine once: one report of its end is enough (D-20)', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 320_000, agent.client, [agent.id]);
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'failed', handle: replica.handle });
			expect(await put(agent, agent.id, replica.id, replica.instanceId)).toMatchObject({ status: 409, body: { code: 'REPLICA_ENDED' } });
			expect(await bothLists(agent.client, agent.id)).toEqual([[replica.instanceId], [replica.instanceId]]);
			expect((await say(agent, agent.id, replica.id, 'terminated')).status).toBe(200);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it("names a machine for good: another agent's report does not take it when it fell silent and lost its name", async () => {
			const { agent, replica } = await readyReplica(world);
			const other = await makeAgent(world, agent.client);
			await heartbeatsFor(world, 320_000, agent.client, [agent.id, other.id]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [replica.instanceId]: 'candidate' });
			await agent.client.register(replica.instanceId, { logical_agent_id: undefined });
			expect((await agent.client.report(other.id, replica.instanceId)).body).toMatchObject({ action: 'conflict' });
			expect(await rolesOf(world, other.id)).toEqual({ [other.instanceId]: 'primary' });
		});

		it('of the machine whose end was confirmed lists it no more', async () => {
			const { agent, id, instanceId } = await deletedReplica(world);
			await say(agent, agent.id, id, 'terminated');
			expect((await put(agent, agent.id, id, instanceId)).status).toBe(409);
			expect(await rows.hostOfMachine(agent.client, instanceId)).toMatchObject({ role: 'terminated' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it('that names the primary moves nothing', async () => {
			const { agent, order } = await orderedReplica(world);
			expect(await put(agent, agent.id, order.id, agent.instanceId)).toMatchObject({ status: 409, body: { code: 'MACHINE_IS_PRIMARY' } });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
			await remove(agent.client, agent.id, order.id);
			expect(await put(agent, agent.id, order.id, agent.instanceId)).toMatchObject({ status: 409, body: { code: 'MACHINE_IS_PRIMARY' } });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
		});

		it("that names another agent's machine moves nothing, whatever it is there (D-12)", async () => {
			const { agent, order } = await orderedReplica(world);
			const other = await orderedReplica(world);
			const sibling = await makeAgent(world, agent.client);
			const candidate = await joinAgent(sibling, 'd');
			await configure(agent.client, sibling.id, { manualReplicaEnabled: true });
			const theirs = await fetchOrder(agent, sibling.id);
			const standby = newMachine();
			await put(agent, sibling.id, theirs.id, standby);
			const before = await rolesOf(world, sibling.id);
			for (const machine of [sibling.instanceId, candidate.instanceId, standby])
				expect(await put(agent, agent.id, order.id, machine)).toMatchObject({ status: 409, body: { code: 'MACHINE_CONFLICT' } });
			expect(await rolesOf(world, sibling.id)).toEqual(before);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
			expect(await rows.events(agent.id)).toContain('machine_conflict');
			// The same id at another client is another machine.
			expect((await put(agent, agent.id, order.id, other.agent.instanceId)).status).toBe(200);
			expect(await rows.host(other.agent.id)).toMatchObject({ role: 'primary', client_id: other.agent.client.id });
		});

		it('that names a machine of this agent that has ended or serves no more moves nothing', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			const order = await fetchOrder(agent, replica.handle);
			expect(await put(agent, replica.handle, order.id, agent.instanceId)).toMatchObject({ status: 409 });
			await agent.client.terminated(replica.handle, agent.instanceId);
			expect(await put(agent, replica.handle, order.id, agent.instanceId)).toMatchObject({ status: 409 });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'terminated', [replica.instanceId]: 'primary' });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
		});

		it('is refused where it names no machine', async () => {
			const { agent, order } = await orderedReplica(world);
			const placeholders = [
				'',
				' ',
				'unknown',
				'replica-1a2b3c4d',
				'manual-1',
				'I-0abc',
				'mi-0abc',
				'i 0abc',
				'i-🙂',
				`i-${'x'.repeat(63)}`,
			];
			for (const instance of placeholders)
				expect(await put(agent, agent.id, order.id, instance)).toMatchObject({ status: 400, body: { code: 'VALIDATION_ERROR' } });
			for (const instance of [null, undefined, 7, {}, ['i-1']])
				expect((await put(agent, agent.id, order.id, instance as never)).status).toBe(400);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
		});

		it('takes any printable id that begins with i-, up to 64 characters', async () => {
			const odd = [`i-'";drop/table%20replica\\`, `i-${'x'.repeat(62)}`];
			for (const [index, machine] of odd.entries()) {
				const { agent, order } = await orderedReplica(world);
				expect((await put(agent, agent.id, order.id, machine)).body).toMatchObject({ instance_id: machine });
				await remove(agent.client, agent.id, order.id);
				expect(await bothLists(agent.client, agent.id), `machine ${index}`).toEqual([[machine], [machine]]);
			}
		});

		it('by an operator counts as reported by the primary and is audited', async () => {
			const { agent, order } = await orderedReplica(world);
			await world.advance(5000);
			const before = await rows.liveness(agent.id);
			const machine = newMachine();
			expect((await put({ client: world.admin as ClientActor }, agent.id, order.id, machine)).status).toBe(200);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'replica' });
			await world.advance(2000);
			expect(await rows.liveness(agent.id)).toEqual(before);
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', order.id).execute();
			expect(audits.map(({ action }) => action)).toContain('replicas.attach');
		});
	});
});
