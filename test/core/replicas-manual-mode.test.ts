import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { bothLists, configure, create, orderIds, poll, promote, remove } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, heartbeatsFor, makeAgent, newMachine, rowsOf } from './agent-scene.ts';
import { emptySlot, manualOnMarket, onMarket } from './market-scene.ts';
import { fetchOrder, imminent, orderedReplica, put, readyReplica, replicasOf, say, syncingReplica } from './replica-scene.ts';

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('manual mode keeps exactly one', () => {
		it('on: one is ordered in the same answer, which says so; on again orders no second', async () => {
			const agent = await onMarket(world, { a: 0.04, b: 0.03, c: 0.02 });
			const { body } = await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			expect(body).toMatchObject({ manual_replica_enabled: true, auto_switch_enabled: false });
			expect(body.notes).toEqual(expect.arrayContaining([expect.stringContaining(`${agent.pool('c')} was ordered`)]));
			expect(await rows.liveReplicas(agent.id)).toMatchObject([
				{ status: 'launching', pool_id: agent.pool('c'), created_by: 'coordinator' },
			]);
			const again = await agent.client.call('changeSettings', { agent_id: agent.id, replica_enabled: true, replica_count: 1 });
			expect(again.body).toMatchObject({ changed: [] });
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});

		it.each([
			['replica_enabled', { replica_enabled: true }],
			['replica_count', { replica_count: 1 }],
		])('on by %s of the settings orders one', async (_, setting) => {
			const agent = await onMarket(world, { b: 0.03 });
			const { body } = await agent.client.call('changeSettings', { agent_id: agent.id, ...setting });
			expect(body).toMatchObject({ manual_replica_enabled: true });
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		it('a dry run orders nothing', async () => {
			const agent = await onMarket(world, { b: 0.03 });
			await configure(agent.client, agent.id, { manualReplicaEnabled: true, dry_run: true });
			expect(await replicasOf(world, agent.id)).toEqual([]);
			expect(await rows.agent(agent.id)).toMatchObject({ manual_replica_enabled: 0 });
		});

		it('one that is deleted is followed by another at once', async () => {
			const { agent, id } = await syncingReplica(world);
			const { body } = await remove(agent.client, agent.id, id);
			expect(body.message).toMatch(/another one was ordered/);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ status: 'launching' }]);
			expect(await orderIds(agent.client, agent.id)).toHaveLength(1);
		});

		it('one that is promoted is followed by another, for the new primary', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			await heartbeatsFor(world, 4000, agent.client, [replica.handle]);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([
				{ status: 'launching', generation: 2, parent_instance_id: replica.instanceId },
			]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			const order = await fetchOrder(agent, replica.handle);
			expect(order.az).not.toBe(replica.az);
		});

		it('one whose machine ended is followed by another', async () => {
			const { agent, id, instanceId } = await syncingReplica(world);
			await agent.client.terminated(agent.id, instanceId);
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ status: 'launching' }]);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it.each([
			['off', { manualReplicaEnabled: false }, []],
			['auto-switch on', { autoSwitchEnabled: true }, ['manual replica was turned off']],
		] as const)('%s: it is terminated, and the answer says so', async (_, change, more) => {
			const { agent, id, instanceId } = await syncingReplica(world);
			const { body } = await configure(agent.client, agent.id, change);
			expect(body.notes.join('; ')).toContain('the replica was terminated');
			for (const note of more) expect(body.notes.join('; ')).toContain(note);
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', live_of: null });
			expect(await bothLists(agent.client, agent.id)).toEqual([[instanceId], [instanceId]]);
			expect(await rows.events(agent.id)).toContain('replicas_disabled');
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
		});

		it('both at once is refused', async () => {
			const { agent, id } = await syncingReplica(world);
			expect((await configure(agent.client, agent.id, { manualReplicaEnabled: true, autoSwitchEnabled: true })).status).toBe(400);
			expect(await rows.replica(id)).toMatchObject({ status: 'syncing' });
		});

		it('off leaves what an emergency needs, and says so', async () => {
			const { agent, order } = await orderedReplica(world);
			await imminent(world, agent, agent.id);
			const { body } = await configure(agent.client, agent.id, { manualReplicaEnabled: false });
			expect(body.notes.join()).toMatch(/stays while an emergency needs it/);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching' });
		});

		it('off while an emergency needs it ends it when that is over another way (D-24)', async () => {
			const { agent, id } = await syncingReplica(world);
			await imminent(world, agent, agent.id);
			await configure(agent.client, agent.id, { manualReplicaEnabled: false });
			expect(await rows.replica(id)).toMatchObject({ status: 'syncing' });
			const next = newMachine();
			expect((await agent.client.report(agent.id, next)).body).toMatchObject({ action: 'switched' });
			await agent.client.register(next, { logical_agent_id: agent.logicalId });
			const { handle } = await rows.hostOfMachine(agent.client, next);
			await heartbeatsFor(world, 20_000, agent.client, [handle]);
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', live_of: null });
		});

		it('takes over the replica of a rebalance instead of ordering a second', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, instance_id: agent.instanceId });
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			expect(await replicasOf(world, agent.id)).toMatchObject([{ type: 'automatic-rebalance', status: 'launching' }]);
		});

		it('orders nothing while the agent is disabled, and at once when it is enabled', async () => {
			const agent = await emptySlot(world);
			await heartbeatsFor(world, 20_000, agent.client, [agent.id]);
			expect(await replicasOf(world, agent.id)).toEqual([]);
			await agent.client.toggle(agent.id, true);
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
			await agent.client.toggle(agent.id, false);
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		it('turning the agent off and on ends no replica that manual mode does not keep (spec section 4)', async () => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			const { body } = await create(agent.client, agent.id, { instance_id: machine, pool_id: 'c5.large.us-east-1b' });
			await agent.client.toggle(agent.id, false);
			await agent.client.toggle(agent.id, true);
			expect(await rows.replica(body.replica_id)).toMatchObject({ status: 'syncing', instance_id: machine });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it('orders nothing while the primary is silent, and goes on when it calls', async () => {
			const { agent, id } = await syncingReplica(world);
			await world.advance(130_000, 4000);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'offline' });
			await remove(world.admin, agent.id, id);
			await world.advance(20_000, 4000);
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
			await agent.client.heartbeat(agent.id);
			await world.advance(4000);
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		it('a failover locks nobody out: the next replica can be ordered by hand (D-27)', async () => {
			const { agent, replica } = await readyReplica(world);
			await agent.client.toggle(agent.id, false);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			await poll(agent.client, replica.handle);
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
			expect(await create(agent.client, replica.handle)).toMatchObject({ status: 201 });
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		describe('after launches that failed', () => {
			/** The next order fails; then nothing is ordered for `wait`, and after it something is. */
			const failOnce = async (agent: AgentScene, wait: number): Promise<void> => {
				const order = await fetchOrder(agent, agent.id);
				expect((await say(agent, agent.id, order.id, 'failed', { error_message: `no capacity in ${order.az}` })).status).toBe(200);
				expect(await orderIds(agent.client, agent.id)).toEqual([]);
				await heartbeatsFor(world, wait - 2000, agent.client, [agent.id]);
				expect(await rows.liveReplicas(agent.id), `before ${wait / 1000} s`).toEqual([]);
				await world.advance(6000, 2000);
				expect(await rows.liveReplicas(agent.id), `after ${wait / 1000} s`).toHaveLength(1);
			};

			it('it waits 30 s, 60 s … 15 min at the most, tries another pool, and tells it once (D-24, spec section 8)', async () => {
				const agent = await manualOnMarket(world, { a: 0.04, b: 0.03, c: 0.05, d: 0.06 });
				for (const seconds of [30, 60, 120, 240, 480, 900, 900]) await failOnce(agent, seconds * 1000);
				const pools = (await replicasOf(world, agent.id)).map(({ pool_id }) => pool_id);
				expect(pools.slice(0, 3)).toEqual([agent.pool('b'), agent.pool('c'), agent.pool('d')]);
				expect(await rows.notified(agent.id, 'replica_failed')).toMatchObject([{ severity: 'warning' }]);
			}, 120_000);

			it('one that succeeded begins the count anew', async () => {
				const agent = await manualOnMarket(world, { a: 0.04, b: 0.03, c: 0.05, d: 0.06 });
				for (const seconds of [30, 60]) await failOnce(agent, seconds * 1000);
				const order = await fetchOrder(agent, agent.id);
				await put(agent, agent.id, order.id, newMachine());
				await say(agent, agent.id, order.id, 'ready');
				await remove(agent.client, agent.id, order.id);
				await failOnce(agent, 30_000);
			});

			it('an operator may order one meanwhile', async () => {
				const agent = await manualOnMarket(world, { a: 0.04, b: 0.03, c: 0.05 });
				const order = await fetchOrder(agent, agent.id);
				await say(agent, agent.id, order.id, 'failed');
				expect(await create(agent.client, agent.id)).toMatchObject({ status: 201 });
			});

			it('a message of any length and kind is kept', async () => {
				const agent = await manualOnMarket(world, { a: 0.04, b: 0.03 });
				const order = await fetchOrder(agent, agent.id);
				const message = `'"; 🙂 ${'x'.repeat(3990)}`;
				expect((await say(agent, agent.id, order.id, 'failed', { error_message: message })).status).toBe(200);
				expect(await rows.replica(order.id)).toMatchObject({ status: 'failed', error_message: message });
			});
		});
	});

	describe('what a replica costs', () => {
		it('is the price of its pool when it was ordered, counted from its launch to its confirmed end', async () => {
			const agent = await manualOnMarket(world, { a: 0.04, b: 0.036 });
			const order = await fetchOrder(agent, agent.id);
			expect(order.cost).toEqual({ hourly: 0.036, total: 0, known: true, estimated: true });
			await heartbeatsFor(world, 20_000, agent.client, [agent.id]);
			const machine = newMachine();
			await put(agent, agent.id, order.id, machine);
			await agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: agent.type, region: 'us-east-1' },
				pricing: { on_demand_price: 1, spot_pools: [{ pool_id: agent.pool('b'), az: 'us-east-1b', price: 0.9 }] },
			});
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			const cost = async () => {
				const { body } = await agent.client.call('showReplica', { replica_id: order.id });
				return [body.hourly_cost, body.total_cost];
			};
			expect(await cost()).toEqual([0.036, 0.001]);
			await remove(agent.client, agent.id, order.id);
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			await agent.client.terminated(agent.id, machine);
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			expect(await cost()).toEqual([0.036, 0.002]);
		});

		it('goes on while the machine runs although its replica has ended', async () => {
			const agent = await manualOnMarket(world, { a: 0.04, b: 0.036 });
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			await remove(agent.client, agent.id, order.id);
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			expect((await agent.client.call('showReplica', { replica_id: order.id })).body).toMatchObject({ total_cost: 0.001 });
		});

		it('is null where no price is known (D-37)', async () => {
			const agent = await manualOnMarket(world, {});
			const order = await fetchOrder(agent, agent.id);
			expect(order.cost).toEqual({ hourly: null, total: 0, known: false, estimated: true });
			await put(agent, agent.id, order.id, newMachine());
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			const { body } = await agent.client.call('showReplica', { replica_id: order.id });
			expect([body.hourly_cost, body.total_cost]).toEqual([null, null]);
		});

		it('is that of its own pool for a primary that was demoted', async () => {
			const agent = await manualOnMarket(world, { a: 0.04, b: 0.036 });
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			await say(agent, agent.id, order.id, 'ready');
			await promote(agent.client, agent.id, order.id, { demote_old_primary: true });
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ instance_id: agent.instanceId, hourly_micros: 40_000 }]);
		});
	});
});
