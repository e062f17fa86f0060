import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, create, leftovers, orderIds, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { emptySlot, onMarket } from './market-scene.ts';
import { fetchOrder, orderedReplica, readyReplica, replicasOf, say, syncingReplica } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('POST: an order (#59)', () => {
		it('orders a replica in the cheapest pool but the own one', async () => {
			const agent = await emptySlot(world, { a: 0.01, b: 0.03, c: 0.02, d: 0.05 });
			const { status, body } = await create(agent.client, agent.id, { tags: { team: 'ops' }, created_by: 'dashboard' });
			expect(status).toBe(201);
			expect(body).toMatchObject({
				success: true,
				instance_id: expect.stringMatching(/^replica-[0-9a-f]{8}$/),
				pool: { id: agent.pool('c'), az: 'us-east-1c' },
				hourly_cost: 0.02,
				data: { status: 'launching' },
			});
			expect(await rows.replica(body.replica_id)).toMatchObject({ type: 'manual', created_by: 'dashboard', hourly_micros: 20_000 });
			expect(await fetchOrder(agent, agent.id)).toMatchObject({ id: body.replica_id, tags: { team: 'ops' }, created_by: 'dashboard' });
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', body.replica_id).execute();
			expect(audits).toEqual([{ action: 'replicas.create' }]);
		});

		it.each(['pool_id', 'target_pool_id', 'target_pool'])('takes the pool from %s', async (name) => {
			const agent = await emptySlot(world);
			expect((await create(agent.client, agent.id, { [name]: agent.pool('c') })).body).toMatchObject({ pool: { id: agent.pool('c') } });
		});

		it('means the agent, whichever handle is given', async () => {
			const agent = await emptySlot(world);
			const candidate = await joinAgent(agent, 'd', { instance_type: agent.type });
			expect(await create(agent.client, candidate.handle)).toMatchObject({ status: 201 });
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		it('leaves out zones, and what costs too much or an unknown price', async () => {
			const agent = await emptySlot(world, { a: 0.01, b: 0.02, c: 0.03 });
			const one = await create(agent.client, agent.id, { exclude_zones: ['us-east-1b'] });
			expect(one.body).toMatchObject({ pool: { id: agent.pool('c') } });
			await remove(agent.client, agent.id, one.body.replica_id);
			const two = await create(agent.client, agent.id, { max_hourly_cost: 0.02 });
			expect(two.body).toMatchObject({ pool: { id: agent.pool('b') }, hourly_cost: 0.02 });
			await remove(agent.client, agent.id, two.body.replica_id);
			expect(await create(agent.client, agent.id, { max_hourly_cost: 0.019 })).toMatchObject({
				status: 400,
				body: { code: 'NO_SUITABLE_POOL', hint: expect.any(String), rejected: expect.any(Array) },
			});
			expect(await create(agent.client, agent.id, { exclude_zones: ['us-east-1b'], pool_id: agent.pool('b') })).toMatchObject({
				status: 400,
				body: { code: 'NO_SUITABLE_POOL' },
			});
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
		});

		it('finds no pool when every zone is left out, its own included', async () => {
			const agent = await emptySlot(world);
			const all = ['us-east-1a', 'us-east-1b', 'us-east-1c', 'us-east-1d'];
			expect(await create(agent.client, agent.id, { exclude_zones: all })).toMatchObject({
				status: 400,
				body: { code: 'NO_SUITABLE_POOL' },
			});
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
		});

		it("never in the primary's own pool", async () => {
			const agent = await emptySlot(world, { a: 0.01, b: 0.02 });
			expect(await create(agent.client, agent.id, { pool_id: agent.pool('a') })).toMatchObject({
				status: 400,
				body: { code: 'NO_SUITABLE_POOL' },
			});
			expect((await create(agent.client, agent.id)).body).toMatchObject({ pool: { id: agent.pool('b') } });
		});

		it('is 400 for a pool of another type and 404 for one nobody knows', async () => {
			const agent = await emptySlot(world);
			expect(await create(agent.client, agent.id, { pool_id: 'c5.large.us-east-1b' })).toMatchObject({
				status: 400,
				body: { code: 'POOL_TYPE_MISMATCH', agent_type: agent.type, pool_type: 'c5.large' },
			});
			expect(await create(agent.client, agent.id, { pool_id: `${agent.type}.us-east-1z` })).toMatchObject({
				status: 404,
				body: { code: 'POOL_NOT_FOUND' },
			});
			for (const pool of ['.', 'nonsense', `..${agent.type}`, '🙂.us-east-1b', `';--.us-east-1b`, 'x'.repeat(128)])
				expect([400, 404]).toContain((await create(agent.client, agent.id, { pool_id: pool })).status);
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
		});

		it('is 400 with a hint while manual mode is off', async () => {
			const agent = await onMarket(world, { b: 0.02 });
			expect(await create(agent.client, agent.id)).toMatchObject({
				status: 400,
				body: { code: 'MANUAL_REPLICA_OFF', hint: expect.any(String) },
			});
		});

		it('is 400 with the count while there is one', async () => {
			const { agent, id } = await syncingReplica(world);
			expect(await create(agent.client, agent.id)).toMatchObject({
				status: 400,
				body: { code: 'REPLICA_EXISTS', current_count: 1, max_allowed: 1, note: expect.any(String), replica_id: id },
			});
		});

		it('of several at once orders one (D-24)', async () => {
			const agent = await emptySlot(world);
			const answers = await Promise.all(Array.from({ length: 4 }, () => create(agent.client, agent.id)));
			expect(answers.map(({ status }) => status).sort()).toEqual([201, 400, 400, 400]);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});

		it('is 404 for an agent that is offline or deleted', async () => {
			const agent = await emptySlot(world);
			await agent.client.heartbeat(agent.id, { status: 'offline' });
			expect(await create(agent.client, agent.id)).toMatchObject({ status: 404, body: { code: 'AGENT_OFFLINE' } });
			await agent.client.heartbeat(agent.id);
			await agent.client.remove(agent.id);
			expect(await create(agent.client, agent.id)).toMatchObject({ status: 404, body: { code: 'AGENT_DELETED' } });
		});

		it('is 404 for an agent whose primary has been silent for the heartbeat timeout', async () => {
			const agent = await emptySlot(world);
			await world.advance(130_000, 4000);
			expect(await create(world.admin, agent.id)).toMatchObject({ status: 404, body: { code: 'AGENT_OFFLINE' } });
		});

		it('is 409 for a primary that never fetches launch orders, and works once it does', async () => {
			const agent = await makeAgent(world);
			await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id]);
			const { body } = await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			expect(body.notes.join()).toMatch(/never asked for launch orders/);
			expect(await create(agent.client, agent.id)).toMatchObject({ status: 409, body: { code: 'AGENT_NEVER_POLLS' } });
			expect(await replicasOf(world, agent.id)).toEqual([]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			expect(await orderIds(agent.client, agent.id)).toHaveLength(1);
		});

		it('refuses what it cannot read', async () => {
			const agent = await emptySlot(world);
			for (const body of [
				{ exclude_zones: 'us-east-1b' },
				{ exclude_zones: Array.from({ length: 101 }, () => 'us-east-1b') },
				{ exclude_zones: [7] },
				{ max_hourly_cost: 0 },
				{ max_hourly_cost: -1 },
				{ max_hourly_cost: '0.02' },
				{ max_hourly_cost: 1e9 },
				{ tags: 'team' },
				{ tags: [1, 2] },
				{ tags: { ['k'.repeat(129)]: 1 } },
				{ tags: { note: 'x'.repeat(10_001) } },
				{ created_by: 'x'.repeat(256) },
				{ created_by: 7 },
				{ pool_id: 'x'.repeat(129) },
				{ pool_id: ['c5.large.us-east-1b'] },
			])
				expect(await create(agent.client, agent.id, body), JSON.stringify(body).slice(0, 80)).toMatchObject({ status: 400 });
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
			const odd = { nested: { deep: [[[[{}]]]] }, '🙂': `'";--`, __proto__: null };
			expect((await create(agent.client, agent.id, { tags: odd, created_by: '🙂'.repeat(60) })).status).toBe(201);
		});
	});

	describe('POST: a machine that runs already (#59)', () => {
		it('is attached where the slot is free, whatever the mode', async () => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			const { status, body } = await create(agent.client, agent.id, {
				instance_id: machine,
				replica_type: 'manual',
				parent_instance_id: agent.instanceId,
				pool_id: 'c5.large.us-east-1c',
				status: 'launching',
			});
			expect(status).toBe(201);
			expect(body).toMatchObject({ success: true, instance_id: machine, data: { status: 'syncing' } });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [machine]: 'replica' });
			expect(await rows.replica(body.replica_id)).toMatchObject({ status: 'syncing', pool_id: 'c5.large.us-east-1c', az: 'us-east-1c' });
			expect((await say(agent, agent.id, body.replica_id, 'syncing')).status).toBe(200);
			expect((await say(agent, agent.id, body.replica_id, 'ready')).status).toBe(200);
		});

		it('is attached to the order that waits for one, and the same POST again is the same replica', async () => {
			const { agent, order } = await orderedReplica(world);
			const machine = newMachine();
			for (let n = 0; n < 2; n++)
				expect(await create(agent.client, agent.id, { instance_id: machine })).toMatchObject({
					status: 201,
					body: { replica_id: order.id, instance_id: machine },
				});
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});

		it('is ended where the slot is taken, and both lists name it', async () => {
			const { agent, id, instanceId } = await syncingReplica(world);
			const machine = newMachine();
			const { status, body } = await create(agent.client, agent.id, { instance_id: machine });
			expect([status, body.success]).toEqual([201, true]);
			expect(body.replica_id).not.toBe(id);
			expect(await rows.replica(body.replica_id)).toMatchObject({ status: 'terminated', instance_id: machine });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [instanceId]: 'replica', [machine]: 'ended' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[machine], [machine]]);
		});

		it('from a zombie is ended, and both lists of the primary name it', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			const machine = newMachine();
			expect(await create(agent.client, agent.id, { instance_id: machine })).toMatchObject({ status: 201 });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'ended' });
			expect(await bothLists(agent.client, replica.handle)).toEqual([[machine], [machine]]);
			expect((await rows.liveReplicas(agent.id)).every((live) => live.instance_id !== machine)).toBe(true);
		});

		it("is refused with nothing moved where it is the primary, or another agent's", async () => {
			const agent = await makeAgent(world);
			const sibling = await makeAgent(world, agent.client);
			expect(await create(agent.client, agent.id, { instance_id: agent.instanceId })).toMatchObject({ status: 409 });
			expect(await create(agent.client, agent.id, { instance_id: sibling.instanceId })).toMatchObject({
				status: 409,
				body: { code: 'MACHINE_CONFLICT' },
			});
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await rolesOf(world, sibling.id)).toEqual({ [sibling.instanceId]: 'primary' });
		});

		it('says in its answer what became of it, also where nothing needs it any more', async () => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			const { body } = await create(agent.client, agent.id, { instance_id: machine, replica_type: 'automatic-rebalance' });
			expect((body.data as unknown as { status: string }).status).toBe((await rows.replica(body.replica_id)).status);
		});

		it('has the price of its pool, as one that was ordered has (spec section 8, D-37)', async () => {
			const agent = await onMarket(world, { a: 0.04, b: 0.036 });
			const { body } = await create(agent.client, agent.id, { instance_id: newMachine(), pool_id: agent.pool('b') });
			expect(body.hourly_cost).toBe(0.036);
			expect(await rows.replica(body.replica_id)).toMatchObject({ hourly_micros: 36_000 });
		});

		it.each([
			['a pool without a dot [bug 10]', 'x'.repeat(128)],
			['a pool of emoji', '🙂'.repeat(30)],
			['quotes', `'"\`;--.'"`],
			['nothing before the dot', '.us-east-1b'],
			['nothing behind the dot', 'c5.large.'],
		])('is not lost when its pool is %s', async (_, pool) => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			expect((await create(agent.client, agent.id, { instance_id: machine, pool_id: pool })).status).toBeLessThan(500);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'replica' });
		});

		it('may bring more tags than are kept: the lists go on answering', async () => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			const tags = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`key-${n}`, `"${'🙂'.repeat(20)}`]));
			const posted = await create(agent.client, agent.id, { instance_id: machine, tags });
			expect(posted.status).toBe(201);
			try {
				const listed = await agent.client.call('listHostReplicas', { agent_id: agent.id });
				expect(listed.status).toBe(200);
				expect(listed.body.replicas).toMatchObject([{ instance_id: machine }]);
				await remove(agent.client, agent.id, posted.body.replica_id);
				expect(await leftovers(agent.client, agent.id)).toEqual([machine]);
			} finally {
				await agent.client.terminated(agent.id, machine);
			}
		});
	});
});
