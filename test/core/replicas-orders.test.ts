import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { configure, orderIds, poll } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { openWorld } from '../helpers/world.ts';
import { heartbeatsFor, joinAgent, makeAgent, orderSwitch, rowsOf } from './agent-scene.ts';
import { fetchOrder, orderedReplica, syncingReplica } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('launch orders: GET replicas?status=launching', () => {
		it('hands the order to the primary once under a lease of five minutes, and again after it', async () => {
			const { agent, order } = await orderedReplica(world);
			expect(order).toMatchObject({ status: 'launching', type: 'manual' });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await heartbeatsFor(world, 5 * MINUTE - 2000, agent.client, [agent.id]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await world.advance(2000);
			expect(await orderIds(agent.client, agent.id)).toEqual([order.id]);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', served_count: 2, lease_until: world.now() + 5 * MINUTE });
		});

		it('hands it to one of several polls that come at the same moment (D-05)', async () => {
			const { agent } = await manual();
			const answers = await Promise.all(Array.from({ length: 4 }, () => orderIds(agent.client, agent.id)));
			expect(answers.flat()).toHaveLength(1);
			const [replica] = await rows.liveReplicas(agent.id);
			expect(replica).toMatchObject({ served_count: 1 });
		});

		/** Manual mode on, the order not fetched. */
		const manual = async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			expect((await configure(agent.client, agent.id, { manualReplicaEnabled: true })).status).toBe(200);
			return { agent };
		};

		it('hands it to nobody but the primary, and those who ask in vain take no lease', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const primary = await joinAgent(agent, 'b');
			const candidate = await joinAgent(agent, 'c');
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			for (const handle of [agent.id, candidate.handle]) expect(await orderIds(agent.client, handle)).toEqual([]);
			const stranger = await makeAgent(world);
			expect((await poll(stranger.client, agent.id)).status).toBe(404);
			expect(await orderIds(agent.client, primary.handle)).toHaveLength(1);
		});

		it('hands out nothing once a machine is named, also after the lease', async () => {
			const { agent, id } = await syncingReplica(world);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await heartbeatsFor(world, 5 * MINUTE + 20_000, agent.client, [agent.id]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			expect(await rows.replica(id)).toMatchObject({ served_count: 1 });
		});

		it('takes the order back when the connection closed before the answer was written', async () => {
			const { agent } = await manual();
			const [daemon] = world.daemons;
			const principal = await daemon?.core.authenticate(agent.client.token);
			const lost = await daemon?.core.handlers.listHostReplicas(
				{ agent_id: agent.id, status: 'launching', limit: 1000 },
				{ principal: principal ?? null, requestId: 'lost', idempotencyKey: null, gone: () => true },
			);
			expect(lost).toEqual({ replicas: [], total: 0, count: 0, next_cursor: null });
			const [replica] = await rows.liveReplicas(agent.id);
			expect(replica).toMatchObject({ served_count: 0, served_at: null, lease_until: null, awaits_machine: 0 });
			expect(await orderIds(agent.client, agent.id)).toEqual([replica?.id]);
		});

		it('does not take it back when it was another poll that got it', async () => {
			const { agent } = await manual();
			const order = await fetchOrder(agent, agent.id);
			await world.daemons[0]?.core.handlers.listHostReplicas(
				{ agent_id: agent.id, status: 'launching', limit: 1000 },
				{
					principal: (await world.daemons[0]?.core.authenticate(agent.client.token)) ?? null,
					requestId: 'lost',
					idempotencyKey: null,
					gone: () => true,
				},
			);
			expect(await rows.replica(order.id)).toMatchObject({ served_count: 1, served_handle: agent.id });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
		});

		it('shows an operator the order without a lease', async () => {
			const { agent } = await manual();
			for (let n = 0; n < 2; n++) expect(await orderIds(world.admin, agent.id)).toHaveLength(1);
			expect(await rows.liveReplicas(agent.id)).toMatchObject([{ served_count: 0, lease_until: null }]);
			expect(await orderIds(agent.client, agent.id)).toHaveLength(1);
			expect(await orderIds(world.admin, agent.id)).toHaveLength(1);
		});

		it('names a placeholder that begins with replica-, and both pool_id and az flat', async () => {
			const { order } = await orderedReplica(world);
			expect(order.instance_id).toMatch(/^replica-[0-9a-f]{8}$/);
			expect(order.pool_id).toMatch(/^c5\.large\.us-east-1[bcd]$/);
			expect(order.az).toBe(order.pool_id?.split('.').at(-1));
			expect(order.pool).toEqual({ id: order.pool_id, name: order.pool_id, instance_type: 'c5.large', region: 'us-east-1', az: order.az });
			expect(order).toMatchObject({ mode: 'spot', is_active: true, age_seconds: 0, tags: {}, sync_status: 'initializing', ready_at: null });
		});

		it('does not hand an order of an earlier generation to the next primary', async () => {
			const { agent, order } = await orderedReplica(world);
			const free = (['b', 'c', 'd'] as const).find((zone) => !order.az?.endsWith(zone)) ?? 'b';
			await orderSwitch(agent.client, agent.instanceId, agent.id, free);
			const next = await joinAgent(agent, free);
			expect(next.role).toBe('primary');
			await heartbeatsFor(world, 4000, agent.client, [next.handle]);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'failed', void: 1, live_of: null });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			const [fresh] = await orderIds(agent.client, next.handle);
			expect(fresh).toBeDefined();
			expect(fresh).not.toBe(order.id);
			expect(await rows.replica(String(fresh))).toMatchObject({ generation: 2 });
		});

		it('gives up an order that was fetched three times and led to no machine, and pauses before the next', async () => {
			const { agent, order } = await orderedReplica(world);
			for (let n = 0; n < 2; n++) {
				await heartbeatsFor(world, 5 * MINUTE, agent.client, [agent.id]);
				expect(await orderIds(agent.client, agent.id)).toEqual([order.id]);
			}
			await heartbeatsFor(world, 5 * MINUTE + 4000, agent.client, [agent.id]);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'failed' });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			const [fresh] = await orderIds(agent.client, agent.id);
			expect((await rows.replica(String(fresh))).pool_id).not.toBe((await rows.replica(order.id)).pool_id);
		}, 60_000);

		it('is empty for a deleted agent', async () => {
			const { agent } = await manual();
			await agent.client.remove(agent.id);
			expect(await poll(agent.client, agent.id)).toMatchObject({ status: 200, body: { replicas: [], total: 0 } });
		});
	});
});

describeEachDatabase('a launch order', ({ freshUrl }) => {
	it.each(['stop', 'kill'] as const)(
		'keeps its lease when the daemon that handed it out ends (%s)',
		async (how) => {
			const world = await openWorld(await freshUrl());
			try {
				const { agent, order } = await orderedReplica(world);
				await world.restart(0, how);
				await world.advance(5000);
				const again = () => agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'launching' });
				expect((await again()).body.replicas).toEqual([]);
				await heartbeatsFor(world, 5 * MINUTE, agent.client, [agent.id]);
				expect((await again()).body.replicas).toMatchObject([{ id: order.id }]);
			} finally {
				await world.close();
			}
		},
		60_000,
	);
});
