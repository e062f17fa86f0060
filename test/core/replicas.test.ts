import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { type Actor, type ClientActor, openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';
import { fetchOrder, imminent, orderedReplica, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const MINUTE = 60_000;
const STATES = ['launching', 'syncing', 'ready', 'promoted', 'terminated', 'failed'] as const;
type State = (typeof STATES)[number];

/** Ids that people who mean no good put where an id belongs. */
const HOSTILE_IDS = [
	['ten kilobytes', 'x'.repeat(10_240)],
	['quotes', `'"\`; drop table replica; --`],
	['slashes', '../../api/admin/clients'],
	['emoji', '🙂🙃'],
	['wildcards', '%_%'],
	['a NUL', 'a\u0000b'],
	['a word of JavaScript', '__proto__'],
	['a space', ' '],
] as const;

describeEachDatabase('replicas', ({ freshUrl }) => {
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

	const poll = (client: Actor, handle: string) => client.call('listHostReplicas', { agent_id: handle, status: 'launching' });
	const orderIds = async (client: Actor, handle: string) => (await poll(client, handle)).body.replicas.map((order) => order.id);
	/** The machines that `?status=terminated` names. */
	const leftovers = async (client: Actor, handle: string) =>
		(await client.call('listHostReplicas', { agent_id: handle, status: 'terminated' })).body.replicas.map((replica) => replica.instance_id);
	/** The machines that the terminate list names. */
	const doomed = async (client: Actor, handle: string) =>
		(await client.terminations(handle)).body.instances.map((instance) => instance.instance_id);
	const bothLists = async (client: Actor, handle: string) => [await leftovers(client, handle), await doomed(client, handle)];

	const row = (id: string) => world.store.read.selectFrom('replica').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
	const liveOf = async (agentId: string) => (await replicasOf(world, agentId)).filter((replica) => replica.live_of !== null);
	const notified = async (agentId: string, type: string) => (await rows.notifications(agentId)).filter((told) => told.type === type);

	const remove = (client: Actor, handle: string, replicaId: string) =>
		client.call('deleteReplica', { agent_id: handle, replica_id: replicaId });
	const promote = (client: Actor, handle: string, replicaId: string, more: object = {}) =>
		client.call('promoteReplica', { agent_id: handle, replica_id: replicaId, ...more });
	const create = (client: Actor, handle: string, more: object = {}) => client.call('createReplica', { agent_id: handle, ...more });
	const configure = (client: Actor, handle: string, change: object) => client.call('changeConfig', { agent_id: handle, ...change });

	let types = 0;
	/** An agent of an instance type nobody else has, so that its market is its own; prices by zone. */
	const onMarket = async (prices: Readonly<Partial<Record<'a' | 'b' | 'c' | 'd', number>>>) => {
		const type = `t${++types}.large`;
		const agent = await makeAgent(world, undefined, { instance_type: type });
		const spot_pools = Object.entries(prices).map(([zone, price]) => ({
			pool_id: `${type}.us-east-1${zone}`,
			instance_type: type,
			az: `us-east-1${zone}`,
			price,
		}));
		if (spot_pools.length > 0) {
			const reported = await agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: type, region: 'us-east-1' },
				pricing: { on_demand_price: 1, spot_pools },
			});
			expect(reported.body).toMatchObject({ records_inserted: spot_pools.length });
		}
		await poll(agent.client, agent.id);
		return { ...agent, type, pool: (zone: string) => `${type}.us-east-1${zone}` };
	};

	/** An agent in manual mode whose market is its own and whose order was not fetched yet. */
	const manualOnMarket = async (prices: Parameters<typeof onMarket>[0]) => {
		const agent = await onMarket(prices);
		expect((await configure(agent.client, agent.id, { manualReplicaEnabled: true })).status).toBe(200);
		return agent;
	};

	/** Manual mode with no replica: the one that was ordered at once has been deleted while manual mode was off and on again in between. */
	const emptySlot = async (prices: Parameters<typeof onMarket>[0] = { a: 0.04, b: 0.03, c: 0.05 }) => {
		const agent = await onMarket(prices);
		await agent.client.toggle(agent.id, false);
		await configure(agent.client, agent.id, { manualReplicaEnabled: true });
		expect(await liveOf(agent.id)).toEqual([]);
		return agent;
	};

	/** A replica whose machine was named and has not called. */
	const syncingReplica = async () => {
		const { agent, order } = await orderedReplica(world);
		const instanceId = newMachine();
		expect((await put(agent, agent.id, order.id, instanceId)).status).toBe(200);
		return { agent, id: order.id, instanceId };
	};

	/** A replica that was deleted and whose machine runs on. */
	const deletedReplica = async () => {
		const made = await syncingReplica();
		expect((await remove(made.agent.client, made.agent.id, made.id)).status).toBe(200);
		return made;
	};

	describe('launch orders: GET replicas?status=launching', () => {
		it('hands the order to the primary once under a lease of five minutes, and again after it', async () => {
			const { agent, order } = await orderedReplica(world);
			expect(order).toMatchObject({ status: 'launching', type: 'manual' });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await heartbeatsFor(world, 5 * MINUTE - 2000, agent.client, [agent.id]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await world.advance(2000);
			expect(await orderIds(agent.client, agent.id)).toEqual([order.id]);
			expect(await row(order.id)).toMatchObject({ status: 'launching', served_count: 2, lease_until: world.now() + 5 * MINUTE });
		});

		it('hands it to one of several polls that come at the same moment (D-05)', async () => {
			const { agent } = await manual();
			const answers = await Promise.all(Array.from({ length: 4 }, () => orderIds(agent.client, agent.id)));
			expect(answers.flat()).toHaveLength(1);
			const [replica] = await liveOf(agent.id);
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
			const { agent, id } = await syncingReplica();
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await heartbeatsFor(world, 5 * MINUTE + 20_000, agent.client, [agent.id]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			expect(await row(id)).toMatchObject({ served_count: 1 });
		});

		it('takes the order back when the connection closed before the answer was written', async () => {
			const { agent } = await manual();
			const [daemon] = world.daemons;
			const principal = await daemon?.core.authenticate(agent.client.token);
			const lost = await daemon?.core.handlers.listHostReplicas(
				{ agent_id: agent.id, status: 'launching' },
				{ principal: principal ?? null, requestId: 'lost', idempotencyKey: null, gone: () => true },
			);
			expect(lost).toEqual({ replicas: [], total: 0 });
			const [replica] = await liveOf(agent.id);
			expect(replica).toMatchObject({ served_count: 0, served_at: null, lease_until: null, awaits_machine: 0 });
			expect(await orderIds(agent.client, agent.id)).toEqual([replica?.id]);
		});

		it('does not take it back when it was another poll that got it', async () => {
			const { agent } = await manual();
			const order = await fetchOrder(agent, agent.id);
			await world.daemons[0]?.core.handlers.listHostReplicas(
				{ agent_id: agent.id, status: 'launching' },
				{
					principal: (await world.daemons[0]?.core.authenticate(agent.client.token)) ?? null,
					requestId: 'lost',
					idempotencyKey: null,
					gone: () => true,
				},
			);
			expect(await row(order.id)).toMatchObject({ served_count: 1, served_handle: agent.id });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
		});

		it('shows an operator the order without a lease', async () => {
			const { agent } = await manual();
			for (let n = 0; n < 2; n++) expect(await orderIds(world.admin, agent.id)).toHaveLength(1);
			expect(await liveOf(agent.id)).toMatchObject([{ served_count: 0, lease_until: null }]);
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
			expect(await row(order.id)).toMatchObject({ status: 'failed', void: 1, live_of: null });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			const [fresh] = await orderIds(agent.client, next.handle);
			expect(fresh).toBeDefined();
			expect(fresh).not.toBe(order.id);
			expect(await row(String(fresh))).toMatchObject({ generation: 2 });
		});

		it('gives up an order that was fetched three times and led to no machine, and pauses before the next', async () => {
			const { agent, order } = await orderedReplica(world);
			for (let n = 0; n < 2; n++) {
				await heartbeatsFor(world, 5 * MINUTE, agent.client, [agent.id]);
				expect(await orderIds(agent.client, agent.id)).toEqual([order.id]);
			}
			await heartbeatsFor(world, 5 * MINUTE + 4000, agent.client, [agent.id]);
			expect(await row(order.id)).toMatchObject({ status: 'failed' });
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			const [fresh] = await orderIds(agent.client, agent.id);
			expect((await row(String(fresh))).pool_id).not.toBe((await row(order.id)).pool_id);
		}, 60_000);

		it('is empty for a deleted agent', async () => {
			const { agent } = await manual();
			await agent.client.remove(agent.id);
			expect(await poll(agent.client, agent.id)).toMatchObject({ status: 200, body: { replicas: [], total: 0 } });
		});
	});

	describe('lists of replicas', () => {
		it('a host reads the live ones, all of them when it asks for that, and those of one state; newest first', async () => {
			const { agent, id } = await deletedReplica();
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
			const [live] = await liveOf(agent.id);
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
			const { agent, id } = await syncingReplica();
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
			expect(await row(id)).toMatchObject({ status: 'syncing' });
		});

		it('a replica of another agent of the same client is not found by this one', async () => {
			const { agent, id } = await syncingReplica();
			const sibling = await makeAgent(world, agent.client);
			expect((await put({ client: agent.client }, sibling.id, id, newMachine())).status).toBe(404);
			expect((await say({ client: agent.client }, sibling.id, id, 'failed')).status).toBe(404);
			expect((await remove(agent.client, sibling.id, id)).status).toBe(404);
			expect((await promote(agent.client, sibling.id, id)).status).toBe(404);
			expect(await row(id)).toMatchObject({ status: 'syncing' });
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
			const { agent, id, instanceId } = await deletedReplica();
			const { body } = await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'terminated' });
			expect(body).toMatchObject({ total: 1, replicas: [{ id, instance_id: instanceId, status: 'terminated', is_active: false }] });
			expect(await doomed(agent.client, agent.id)).toEqual([instanceId]);
			const said = await say(agent, agent.id, id, 'terminated', { is_active: false, terminated_at: new Date(world.now()).toISOString() });
			expect(said.status).toBe(200);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await row(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
			expect(await rows.hostOfMachine(agent.client, instanceId)).toMatchObject({ role: 'terminated' });
		});

		it('names it until its end is confirmed by a termination report', async () => {
			const { agent, id, instanceId } = await deletedReplica();
			expect((await agent.client.terminated(agent.id, instanceId)).status).toBe(200);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await row(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
		});

		it('names the machine of a replica that failed, as terminated, and the replica stays failed', async () => {
			const { agent, id, instanceId } = await syncingReplica();
			await say(agent, agent.id, id, 'failed', { error_message: 'no capacity' });
			const { body } = await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'terminated' });
			expect(body.replicas).toMatchObject([{ id, instance_id: instanceId, status: 'terminated' }]);
			expect(await doomed(agent.client, agent.id)).toEqual([instanceId]);
			await say(agent, agent.id, id, 'terminated');
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			expect(await row(id)).toMatchObject({ status: 'failed', error_message: 'no capacity', confirmed_at: world.now() });
		});

		it('hides a machine for five minutes after an attempt that failed', async () => {
			const { agent, instanceId } = await deletedReplica();
			await agent.client.terminated(agent.id, instanceId, false);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			await heartbeatsFor(world, 5 * MINUTE - 2000, agent.client, [agent.id]);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
			await world.advance(2000);
			expect(await bothLists(agent.client, agent.id)).toEqual([[instanceId], [instanceId]]);
		});

		it('names it with auto-terminate off too, where the terminate list only counts it', async () => {
			const { agent, instanceId } = await deletedReplica();
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
			expect(await row(replica.id)).toMatchObject({ status: 'failed' });
			expect((await rows.host(replica.handle)).hold_until).toBeGreaterThanOrEqual(deadline + 10 * MINUTE);
			await heartbeatsFor(world, MINUTE, agent.client, [agent.id]);
			expect(await leftovers(agent.client, agent.id)).toEqual([]);
			expect((await agent.client.terminations(agent.id)).body).toMatchObject({ instances: [], held: 1 });
		});

		it('names a machine to nobody but the primary of its own agent (D-12)', async () => {
			const { agent, instanceId } = await deletedReplica();
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

	describe('transitions (D-28)', () => {
		type Made = { readonly agent: AgentScene; readonly caller: string; readonly id: string };
		const IN: Readonly<Record<State, () => Promise<Made>>> = {
			launching: async () => {
				const { agent, order } = await orderedReplica(world);
				return { agent, caller: agent.id, id: order.id };
			},
			syncing: async () => {
				const { agent, id } = await syncingReplica();
				return { agent, caller: agent.id, id };
			},
			ready: async () => {
				const { agent, id } = await syncingReplica();
				expect((await say(agent, agent.id, id, 'ready')).status).toBe(200);
				return { agent, caller: agent.id, id };
			},
			promoted: async () => {
				const { agent, replica } = await readyReplica(world);
				expect((await promote(agent.client, agent.id, replica.id)).status).toBe(200);
				return { agent, caller: replica.handle, id: replica.id };
			},
			terminated: async () => {
				const { agent, id } = await deletedReplica();
				return { agent, caller: agent.id, id };
			},
			failed: async () => {
				const { agent, id } = await syncingReplica();
				expect((await say(agent, agent.id, id, 'failed')).status).toBe(200);
				return { agent, caller: agent.id, id };
			},
		};
		/**
		 * What a status may move (spec section 2 "Ours"). Without a machine nothing syncs or is ready: that comes with its PUT. Nothing is
		 * promoted by a status. `terminated` of what has ended confirms its end and changes no state.
		 */
		const MAY: Readonly<Record<State, readonly State[]>> = {
			launching: ['launching', 'failed', 'terminated'],
			syncing: ['syncing', 'ready', 'failed', 'terminated'],
			ready: ['ready', 'syncing', 'failed', 'terminated'],
			promoted: ['promoted'],
			terminated: ['terminated'],
			failed: ['failed', 'terminated'],
		};
		const FINAL: readonly State[] = ['promoted', 'terminated', 'failed'];
		const pairs = STATES.flatMap((from) => STATES.map((to) => [from, to, MAY[from].includes(to) ? 200 : 409] as const));

		it.each(pairs)('a %s replica that is said to be %s: %d', async (from, to, status) => {
			const { agent, caller, id } = await IN[from]();
			const said = await say(agent, caller, id, to);
			expect(said.status).toBe(status);
			if (status === 200) expect(said.body).toMatchObject({ success: true, replica_id: id, data: { status: to } });
			else expect(said.body).toMatchObject({ code: 'ILLEGAL_TRANSITION', replica_id: id, replica_status: from });
			const after = await row(id);
			expect(after.status).toBe(status === 200 && !FINAL.includes(from) ? to : from);
			expect(after.live_of).toBe(FINAL.includes(after.status) ? null : agent.id);
		});

		it.each(FINAL.flatMap((from) => STATES.map((to) => [from, to] as const)))(
			'the sync state of a %s replica moves nothing, whatever it says (%s)',
			async (from, to) => {
				const { agent, caller, id } = await IN[from]();
				const before = await row(id);
				const said = await agent.client.call('replicaSync', {
					agent_id: caller,
					replica_id: id,
					sync_status: 'synced',
					sync_progress: 100,
					status: to,
				});
				expect(said).toMatchObject({ status: 409, body: { code: 'ILLEGAL_TRANSITION' } });
				expect(await row(id)).toEqual(before);
			},
		);

		it('a sync state may name a state as well, under the same rules', async () => {
			const { agent, id } = await syncingReplica();
			const sync = (more: object) => agent.client.call('replicaSync', { agent_id: agent.id, replica_id: id, ...more });
			expect((await sync({ status: 'launching' })).status).toBe(409);
			expect((await sync({ status: 'promoted' })).status).toBe(409);
			expect((await sync({ status: 'ready' })).body).toMatchObject({ data: { status: 'ready' } });
			expect((await sync({ status: 'nonsense' })).status).toBe(400);
			expect((await sync({ status: 'failed' })).status).toBe(200);
			expect(await row(id)).toMatchObject({ status: 'failed' });
		});

		it('launching becomes syncing with a machine that has not called, ready with one that has', async () => {
			const { agent, order } = await orderedReplica(world);
			const quiet = newMachine();
			expect((await put(agent, agent.id, order.id, quiet)).body).toMatchObject({ data: { status: 'syncing' } });
			expect(await row(order.id)).toMatchObject({ status: 'syncing', launched_at: world.now(), sync_status: 'syncing', ready_at: null });
			const other = await orderedReplica(world);
			const heard = await joinAgent(other.agent, 'a');
			expect((await put(other.agent, other.agent.id, other.order.id, heard.instanceId)).body).toMatchObject({ data: { status: 'ready' } });
			expect(await row(other.order.id)).toMatchObject({ status: 'ready', ready_at: world.now(), state_transfer_progress: 100 });
		});

		it('syncing becomes promoted without having been ready only where the old primary is gone', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			await world.advance(40_000, 4000);
			const machine = newMachine();
			await put(agent, agent.id, order.id, machine);
			await agent.client.heartbeat(agent.id);
			await world.advance(40_000, 4000);
			await agent.client.heartbeat(agent.id);
			expect(await row(order.id)).toMatchObject({ status: 'syncing' });
			await world.advance(44_000, 4000);
			expect(await row(order.id)).toMatchObject({ status: 'promoted', ready_at: null });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [machine]: 'primary' });
		});

		it('the end of a machine may be confirmed again and again', async () => {
			const { agent, caller, id } = await IN.terminated();
			for (let n = 0; n < 3; n++) {
				expect((await say(agent, caller, id, 'terminated')).status).toBe(200);
				await world.advance(1000);
			}
			expect(await row(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() - 3000 });
		});

		it('takes "error" for failed, and any case', async () => {
			const first = await IN.syncing();
			expect((await say(first.agent, first.caller, first.id, 'error', { message: 'AMI is gone' })).status).toBe(200);
			expect(await row(first.id)).toMatchObject({ status: 'failed', error_message: 'AMI is gone' });
			const second = await IN.syncing();
			expect((await say(second.agent, second.caller, second.id, 'READY')).status).toBe(200);
			expect(await row(second.id)).toMatchObject({ status: 'ready' });
		});

		it('refuses what is no state, or none at all', async () => {
			const { agent, caller, id } = await IN.syncing();
			for (const status of ['', ' ', 'online', 'x'.repeat(33), '🙂'])
				expect(await say(agent, caller, id, status)).toMatchObject({ status: 400, body: { code: 'VALIDATION_ERROR' } });
			for (const status of [null, undefined, 7, true, ['ready'], { ready: true }])
				expect((await say(agent, caller, id, status as never)).status).toBe(400);
			expect(await row(id)).toMatchObject({ status: 'syncing' });
		});

		it('"ready" says since when it is synced and promotes nobody while no emergency waits', async () => {
			const { agent, id } = await syncingReplica();
			await say(agent, agent.id, id, 'ready', { sync_completed_at: '2021-03-04T00:00:01+00:00' });
			expect(await row(id)).toMatchObject({ status: 'ready', ready_at: world.now(), sync_completed_at: Date.UTC(2021, 2, 4, 0, 0, 1) });
			await heartbeatsFor(world, 2 * MINUTE, agent.client, [agent.id]);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'primary' });
		});

		it('a replica that is ready for long and syncs again has time to do so: it does not end at once', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 16 * MINUTE, agent.client, [agent.id, replica.handle]);
			expect((await say(agent, agent.id, replica.id, 'syncing')).status).toBe(200);
			expect(await row(replica.id)).toMatchObject({ status: 'syncing', ready_at: null });
			await heartbeatsFor(world, MINUTE, agent.client, [agent.id, replica.handle]);
			expect(await row(replica.id)).toMatchObject({ status: 'syncing' });
			expect((await say(agent, agent.id, replica.id, 'ready')).status).toBe(200);
		}, 60_000);
	});

	describe('sync-status (#64)', () => {
		const sync = (agent: AgentScene, id: string, more: object) =>
			agent.client.call('replicaSync', { agent_id: agent.id, replica_id: id, ...more });

		it('stores what it says, in both vocabularies', async () => {
			const { agent, id } = await syncingReplica();
			expect((await sync(agent, id, { sync_status: 'out-of-sync', sync_latency_ms: 12.6, state_transfer_progress: 40.5 })).status).toBe(
				200,
			);
			expect(await row(id)).toMatchObject({
				status: 'syncing',
				sync_status: 'out-of-sync',
				sync_latency_ms: 13,
				state_transfer_progress: 40.5,
				last_sync_at: world.now(),
			});
			expect((await sync(agent, id, { sync_state: 'SYNCED', sync_progress: 99.9 })).status).toBe(200);
			expect(await row(id)).toMatchObject({ status: 'syncing', sync_status: 'synced', sync_latency_ms: 13, state_transfer_progress: 99.9 });
		});

		it('makes a syncing replica ready at 100 %', async () => {
			const { agent, id } = await syncingReplica();
			expect((await sync(agent, id, { state_transfer_progress: 100 })).body).toMatchObject({ success: true, data: { status: 'ready' } });
			expect(await row(id)).toMatchObject({ status: 'ready', ready_at: world.now() });
			await world.advance(2000);
			expect((await sync(agent, id, { state_transfer_progress: 250 })).status).toBe(200);
			expect(await row(id)).toMatchObject({ status: 'ready', ready_at: world.now() - 2000, state_transfer_progress: 100 });
		});

		it('makes nothing ready that has no machine', async () => {
			const { agent, order } = await orderedReplica(world);
			await sync(agent, order.id, { state_transfer_progress: 100 });
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
			expect((await promote(agent.client, agent.id, order.id)).status).toBe(400);
		});

		it('refuses text that is no sync state, and impossible figures', async () => {
			const { agent, id } = await syncingReplica();
			const before = await row(id);
			for (const body of [
				{ sync_status: 'nearly' },
				{ sync_status: 7 },
				{ sync_state: ['synced'] },
				{ state_transfer_progress: '100' },
				{ state_transfer_progress: -1 },
				{ state_transfer_progress: 1e9 },
				{ sync_latency_ms: -5 },
				{ sync_latency_ms: 1e12 },
				{ sync_latency_ms: {} },
			])
				expect(await sync(agent, id, body)).toMatchObject({ status: 400, body: { code: 'VALIDATION_ERROR' } });
			expect(await row(id)).toEqual(before);
		});
	});

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
			const [before, events] = [await row(order.id), await rows.events(agent.id)];
			await world.advance(2000);
			expect((await put(agent, agent.id, order.id, machine)).status).toBe(200);
			expect(await row(order.id)).toEqual(before);
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
			const { agent, id, instanceId } = await syncingReplica();
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
			expect(await row(order.id)).toMatchObject({ instance_id: winner, status: 'syncing' });
			for (const list of await bothLists(agent.client, agent.id)) expect(list.sort()).toEqual(losers);
		});

		it('beats a guess: the machine that had registered for it ends, with a row of its own', async () => {
			const { agent, order } = await orderedReplica(world);
			const guessed = await agent.client.register(newMachine(), { logical_agent_id: agent.logicalId, az: order.az });
			expect(guessed.body.role).toBe('replica');
			expect(await row(order.id)).toMatchObject({ guess: 1, status: 'ready', handle: guessed.body.agent_id });
			const right = newMachine();
			expect((await put(agent, agent.id, order.id, right)).status).toBe(200);
			expect(await row(order.id)).toMatchObject({ guess: 0, status: 'syncing', instance_id: right, ready_at: null });
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
			expect(await row(order.id)).toMatchObject({ guess: 0, status: 'ready' });
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
			expect(await row(order.id)).toMatchObject({ status: end, live_of: null });
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
			expect(await row(replica.id)).toMatchObject({ status: 'failed', handle: replica.handle });
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
			const { agent, id, instanceId } = await deletedReplica();
			await say(agent, agent.id, id, 'terminated');
			expect((await put(agent, agent.id, id, instanceId)).status).toBe(409);
			expect(await rows.hostOfMachine(agent.client, instanceId)).toMatchObject({ role: 'terminated' });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it('that names the primary moves nothing', async () => {
			const { agent, order } = await orderedReplica(world);
			expect(await put(agent, agent.id, order.id, agent.instanceId)).toMatchObject({ status: 409, body: { code: 'MACHINE_IS_PRIMARY' } });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
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
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
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
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
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
			expect(await row(order.id)).toMatchObject({ status: 'launching', handle: null });
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

	describe('DELETE (#61)', () => {
		it('ends the replica, and its machine is to be killed', async () => {
			const { agent, id, instanceId } = await syncingReplica();
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			const { status, body } = await remove(agent.client, agent.id, id);
			expect([status, body.success, body.replica_id, body.terminated_at]).toEqual([200, true, id, new Date(world.now()).toISOString()]);
			expect(await row(id)).toMatchObject({ status: 'terminated', ended_at: world.now(), confirmed_at: null });
			expect(await bothLists(agent.client, agent.id)).toEqual([[instanceId], [instanceId]]);
			expect(await rows.events(agent.id)).toContain('replica_terminated');
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', id).execute();
			expect(audits).toEqual([{ action: 'replicas.delete' }]);
		});

		it.each(['terminated', 'failed'] as const)('of one that is %s is 400 with the time of its end', async (end) => {
			const { agent, id } = await syncingReplica();
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
			expect(await row(replica.id)).toMatchObject({ status: 'promoted', live_of: null, promoted_at: world.now(), ended_at: null });
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
			const { agent, id } = await syncingReplica();
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
			expect(await row(replica.id)).toMatchObject({ status: won ? 'promoted' : 'terminated' });
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
			const [standby, ...more] = await liveOf(agent.id);
			expect(more).toEqual([]);
			expect(standby).toMatchObject({ status: 'ready', type: 'manual', handle: agent.id, instance_id: agent.instanceId });
			expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
			expect((await agent.client.config(replica.handle)).body.enabled).toBe(true);
			expect(await bothLists(agent.client, replica.handle)).toEqual([[], []]);
			await heartbeatsFor(world, 6 * MINUTE, agent.client, [agent.id, replica.handle]);
			expect(await liveOf(agent.id)).toMatchObject([{ id: standby?.id, status: 'ready' }]);
			expect((await promote(agent.client, agent.id, String(standby?.id), { demote_old_primary: true })).status).toBe(200);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
			expect(await liveOf(agent.id)).toMatchObject([{ status: 'ready', handle: replica.handle }]);
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
			expect(await row(replica.id)).toMatchObject({ status: 'ready' });
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
			expect(await notified(agent.id, 'replica_failed')).toEqual([]);
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

	describe('POST: an order (#59)', () => {
		it('orders a replica in the cheapest pool but the own one', async () => {
			const agent = await emptySlot({ a: 0.01, b: 0.03, c: 0.02, d: 0.05 });
			const { status, body } = await create(agent.client, agent.id, { tags: { team: 'ops' }, created_by: 'dashboard' });
			expect(status).toBe(201);
			expect(body).toMatchObject({
				success: true,
				instance_id: expect.stringMatching(/^replica-[0-9a-f]{8}$/),
				pool: { id: agent.pool('c'), az: 'us-east-1c' },
				hourly_cost: 0.02,
				data: { status: 'launching' },
			});
			expect(await row(body.replica_id)).toMatchObject({ type: 'manual', created_by: 'dashboard', hourly_micros: 20_000 });
			expect(await fetchOrder(agent, agent.id)).toMatchObject({ id: body.replica_id, tags: { team: 'ops' }, created_by: 'dashboard' });
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', body.replica_id).execute();
			expect(audits).toEqual([{ action: 'replicas.create' }]);
		});

		it.each(['pool_id', 'target_pool_id', 'target_pool'])('takes the pool from %s', async (name) => {
			const agent = await emptySlot();
			expect((await create(agent.client, agent.id, { [name]: agent.pool('c') })).body).toMatchObject({ pool: { id: agent.pool('c') } });
		});

		it('means the agent, whichever handle is given', async () => {
			const agent = await emptySlot();
			const candidate = await joinAgent(agent, 'd', { instance_type: agent.type });
			expect(await create(agent.client, candidate.handle)).toMatchObject({ status: 201 });
			expect(await liveOf(agent.id)).toHaveLength(1);
		});

		it('leaves out zones, and what costs too much or an unknown price', async () => {
			const agent = await emptySlot({ a: 0.01, b: 0.02, c: 0.03 });
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
			expect(await liveOf(agent.id)).toEqual([]);
		});

		it('finds no pool when every zone is left out, its own included', async () => {
			const agent = await emptySlot();
			const all = ['us-east-1a', 'us-east-1b', 'us-east-1c', 'us-east-1d'];
			expect(await create(agent.client, agent.id, { exclude_zones: all })).toMatchObject({
				status: 400,
				body: { code: 'NO_SUITABLE_POOL' },
			});
			expect(await liveOf(agent.id)).toEqual([]);
		});

		it("never in the primary's own pool", async () => {
			const agent = await emptySlot({ a: 0.01, b: 0.02 });
			expect(await create(agent.client, agent.id, { pool_id: agent.pool('a') })).toMatchObject({
				status: 400,
				body: { code: 'NO_SUITABLE_POOL' },
			});
			expect((await create(agent.client, agent.id)).body).toMatchObject({ pool: { id: agent.pool('b') } });
		});

		it('is 400 for a pool of another type and 404 for one nobody knows', async () => {
			const agent = await emptySlot();
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
			expect(await liveOf(agent.id)).toEqual([]);
		});

		it('is 400 with a hint while manual mode is off', async () => {
			const agent = await onMarket({ b: 0.02 });
			expect(await create(agent.client, agent.id)).toMatchObject({
				status: 400,
				body: { code: 'MANUAL_REPLICA_OFF', hint: expect.any(String) },
			});
		});

		it('is 400 with the count while there is one', async () => {
			const { agent, id } = await syncingReplica();
			expect(await create(agent.client, agent.id)).toMatchObject({
				status: 400,
				body: { code: 'REPLICA_EXISTS', current_count: 1, max_allowed: 1, note: expect.any(String), replica_id: id },
			});
		});

		it('of several at once orders one (D-24)', async () => {
			const agent = await emptySlot();
			const answers = await Promise.all(Array.from({ length: 4 }, () => create(agent.client, agent.id)));
			expect(answers.map(({ status }) => status).sort()).toEqual([201, 400, 400, 400]);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});

		it('is 404 for an agent that is offline or deleted', async () => {
			const agent = await emptySlot();
			await agent.client.heartbeat(agent.id, { status: 'offline' });
			expect(await create(agent.client, agent.id)).toMatchObject({ status: 404, body: { code: 'AGENT_OFFLINE' } });
			await agent.client.heartbeat(agent.id);
			await agent.client.remove(agent.id);
			expect(await create(agent.client, agent.id)).toMatchObject({ status: 404, body: { code: 'AGENT_DELETED' } });
		});

		it('is 404 for an agent whose primary has been silent for the heartbeat timeout', async () => {
			const agent = await emptySlot();
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
			const agent = await emptySlot();
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
			expect(await liveOf(agent.id)).toEqual([]);
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
			expect(await row(body.replica_id)).toMatchObject({ status: 'syncing', pool_id: 'c5.large.us-east-1c', az: 'us-east-1c' });
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
			const { agent, id, instanceId } = await syncingReplica();
			const machine = newMachine();
			const { status, body } = await create(agent.client, agent.id, { instance_id: machine });
			expect([status, body.success]).toEqual([201, true]);
			expect(body.replica_id).not.toBe(id);
			expect(await row(body.replica_id)).toMatchObject({ status: 'terminated', instance_id: machine });
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
			expect((await liveOf(agent.id)).every((live) => live.instance_id !== machine)).toBe(true);
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
			expect((body.data as unknown as { status: string }).status).toBe((await row(body.replica_id)).status);
		});

		it('has the price of its pool, as one that was ordered has (spec section 8, D-37)', async () => {
			const agent = await onMarket({ a: 0.04, b: 0.036 });
			const { body } = await create(agent.client, agent.id, { instance_id: newMachine(), pool_id: agent.pool('b') });
			expect(body.hourly_cost).toBe(0.036);
			expect(await row(body.replica_id)).toMatchObject({ hourly_micros: 36_000 });
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

	describe('manual mode keeps exactly one', () => {
		it('on: one is ordered in the same answer, which says so; on again orders no second', async () => {
			const agent = await onMarket({ a: 0.04, b: 0.03, c: 0.02 });
			const { body } = await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			expect(body).toMatchObject({ manual_replica_enabled: true, auto_switch_enabled: false });
			expect(body.notes).toEqual(expect.arrayContaining([expect.stringContaining(`${agent.pool('c')} was ordered`)]));
			expect(await liveOf(agent.id)).toMatchObject([{ status: 'launching', pool_id: agent.pool('c'), created_by: 'coordinator' }]);
			const again = await agent.client.call('changeSettings', { agent_id: agent.id, replica_enabled: true, replica_count: 1 });
			expect(again.body).toMatchObject({ changed: [] });
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});

		it.each([
			['replica_enabled', { replica_enabled: true }],
			['replica_count', { replica_count: 1 }],
		])('on by %s of the settings orders one', async (_, setting) => {
			const agent = await onMarket({ b: 0.03 });
			const { body } = await agent.client.call('changeSettings', { agent_id: agent.id, ...setting });
			expect(body).toMatchObject({ manual_replica_enabled: true });
			expect(await liveOf(agent.id)).toHaveLength(1);
		});

		it('a dry run orders nothing', async () => {
			const agent = await onMarket({ b: 0.03 });
			await configure(agent.client, agent.id, { manualReplicaEnabled: true, dry_run: true });
			expect(await replicasOf(world, agent.id)).toEqual([]);
			expect(await rows.agent(agent.id)).toMatchObject({ manual_replica_enabled: 0 });
		});

		it('one that is deleted is followed by another at once', async () => {
			const { agent, id } = await syncingReplica();
			const { body } = await remove(agent.client, agent.id, id);
			expect(body.message).toMatch(/another one was ordered/);
			expect(await liveOf(agent.id)).toMatchObject([{ status: 'launching' }]);
			expect(await orderIds(agent.client, agent.id)).toHaveLength(1);
		});

		it('one that is promoted is followed by another, for the new primary', async () => {
			const { agent, replica } = await readyReplica(world);
			await promote(agent.client, agent.id, replica.id);
			await heartbeatsFor(world, 4000, agent.client, [replica.handle]);
			expect(await liveOf(agent.id)).toMatchObject([{ status: 'launching', generation: 2, parent_instance_id: replica.instanceId }]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			const order = await fetchOrder(agent, replica.handle);
			expect(order.az).not.toBe(replica.az);
		});

		it('one whose machine ended is followed by another', async () => {
			const { agent, id, instanceId } = await syncingReplica();
			await agent.client.terminated(agent.id, instanceId);
			expect(await row(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() });
			expect(await liveOf(agent.id)).toMatchObject([{ status: 'launching' }]);
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it.each([
			['off', { manualReplicaEnabled: false }, []],
			['auto-switch on', { autoSwitchEnabled: true }, ['manual replica was turned off']],
		] as const)('%s: it is terminated, and the answer says so', async (_, change, more) => {
			const { agent, id, instanceId } = await syncingReplica();
			const { body } = await configure(agent.client, agent.id, change);
			expect(body.notes.join('; ')).toContain('the replica was terminated');
			for (const note of more) expect(body.notes.join('; ')).toContain(note);
			expect(await row(id)).toMatchObject({ status: 'terminated', live_of: null });
			expect(await bothLists(agent.client, agent.id)).toEqual([[instanceId], [instanceId]]);
			expect(await rows.events(agent.id)).toContain('replicas_disabled');
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			expect(await liveOf(agent.id)).toEqual([]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
		});

		it('both at once is refused', async () => {
			const { agent, id } = await syncingReplica();
			expect((await configure(agent.client, agent.id, { manualReplicaEnabled: true, autoSwitchEnabled: true })).status).toBe(400);
			expect(await row(id)).toMatchObject({ status: 'syncing' });
		});

		it('off leaves what an emergency needs, and says so', async () => {
			const { agent, order } = await orderedReplica(world);
			await imminent(world, agent, agent.id);
			const { body } = await configure(agent.client, agent.id, { manualReplicaEnabled: false });
			expect(body.notes.join()).toMatch(/stays while an emergency needs it/);
			expect(await row(order.id)).toMatchObject({ status: 'launching' });
		});

		it('off while an emergency needs it ends it when that is over another way (D-24)', async () => {
			const { agent, id } = await syncingReplica();
			await imminent(world, agent, agent.id);
			await configure(agent.client, agent.id, { manualReplicaEnabled: false });
			expect(await row(id)).toMatchObject({ status: 'syncing' });
			const next = newMachine();
			expect((await agent.client.report(agent.id, next)).body).toMatchObject({ action: 'switched' });
			await agent.client.register(next, { logical_agent_id: agent.logicalId });
			const { handle } = await rows.hostOfMachine(agent.client, next);
			await heartbeatsFor(world, 20_000, agent.client, [handle]);
			expect(await row(id)).toMatchObject({ status: 'terminated', live_of: null });
		});

		it('takes over the replica of a rebalance instead of ordering a second', async () => {
			const agent = await makeAgent(world);
			await poll(agent.client, agent.id);
			await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, instance_id: agent.instanceId });
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			expect(await replicasOf(world, agent.id)).toMatchObject([{ type: 'automatic-rebalance', status: 'launching' }]);
		});

		it('orders nothing while the agent is disabled, and at once when it is enabled', async () => {
			const agent = await emptySlot();
			await heartbeatsFor(world, 20_000, agent.client, [agent.id]);
			expect(await replicasOf(world, agent.id)).toEqual([]);
			await agent.client.toggle(agent.id, true);
			expect(await liveOf(agent.id)).toHaveLength(1);
			await agent.client.toggle(agent.id, false);
			expect(await liveOf(agent.id)).toHaveLength(1);
		});

		it('turning the agent off and on ends no replica that manual mode does not keep (spec section 4)', async () => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			const { body } = await create(agent.client, agent.id, { instance_id: machine, pool_id: 'c5.large.us-east-1b' });
			await agent.client.toggle(agent.id, false);
			await agent.client.toggle(agent.id, true);
			expect(await row(body.replica_id)).toMatchObject({ status: 'syncing', instance_id: machine });
			expect(await bothLists(agent.client, agent.id)).toEqual([[], []]);
		});

		it('orders nothing while the primary is silent, and goes on when it calls', async () => {
			const { agent, id } = await syncingReplica();
			await world.advance(130_000, 4000);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'offline' });
			await remove(world.admin, agent.id, id);
			await world.advance(20_000, 4000);
			expect(await liveOf(agent.id)).toEqual([]);
			await agent.client.heartbeat(agent.id);
			await world.advance(4000);
			expect(await liveOf(agent.id)).toHaveLength(1);
		});

		it('a failover locks nobody out: the next replica can be ordered by hand (D-27)', async () => {
			const { agent, replica } = await readyReplica(world);
			await agent.client.toggle(agent.id, false);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			await poll(agent.client, replica.handle);
			expect(await liveOf(agent.id)).toEqual([]);
			expect(await create(agent.client, replica.handle)).toMatchObject({ status: 201 });
			expect(await liveOf(agent.id)).toHaveLength(1);
		});

		describe('after launches that failed', () => {
			/** The next order fails; then nothing is ordered for `wait`, and after it something is. */
			const failOnce = async (agent: AgentScene, wait: number): Promise<void> => {
				const order = await fetchOrder(agent, agent.id);
				expect((await say(agent, agent.id, order.id, 'failed', { error_message: `no capacity in ${order.az}` })).status).toBe(200);
				expect(await orderIds(agent.client, agent.id)).toEqual([]);
				await heartbeatsFor(world, wait - 2000, agent.client, [agent.id]);
				expect(await liveOf(agent.id), `before ${wait / 1000} s`).toEqual([]);
				await world.advance(6000, 2000);
				expect(await liveOf(agent.id), `after ${wait / 1000} s`).toHaveLength(1);
			};

			it('it waits 30 s, 60 s … 15 min at the most, tries another pool, and tells it once (D-24, spec section 8)', async () => {
				const agent = await manualOnMarket({ a: 0.04, b: 0.03, c: 0.05, d: 0.06 });
				for (const seconds of [30, 60, 120, 240, 480, 900, 900]) await failOnce(agent, seconds * 1000);
				const pools = (await replicasOf(world, agent.id)).map(({ pool_id }) => pool_id);
				expect(pools.slice(0, 3)).toEqual([agent.pool('b'), agent.pool('c'), agent.pool('d')]);
				expect(await notified(agent.id, 'replica_failed')).toMatchObject([{ severity: 'warning' }]);
			}, 120_000);

			it('one that succeeded begins the count anew', async () => {
				const agent = await manualOnMarket({ a: 0.04, b: 0.03, c: 0.05, d: 0.06 });
				for (const seconds of [30, 60]) await failOnce(agent, seconds * 1000);
				const order = await fetchOrder(agent, agent.id);
				await put(agent, agent.id, order.id, newMachine());
				await say(agent, agent.id, order.id, 'ready');
				await remove(agent.client, agent.id, order.id);
				await failOnce(agent, 30_000);
			});

			it('an operator may order one meanwhile', async () => {
				const agent = await manualOnMarket({ a: 0.04, b: 0.03, c: 0.05 });
				const order = await fetchOrder(agent, agent.id);
				await say(agent, agent.id, order.id, 'failed');
				expect(await create(agent.client, agent.id)).toMatchObject({ status: 201 });
			});

			it('a message of any length and kind is kept', async () => {
				const agent = await manualOnMarket({ a: 0.04, b: 0.03 });
				const order = await fetchOrder(agent, agent.id);
				const message = `'"; 🙂 ${'x'.repeat(3990)}`;
				expect((await say(agent, agent.id, order.id, 'failed', { error_message: message })).status).toBe(200);
				expect(await row(order.id)).toMatchObject({ status: 'failed', error_message: message });
			});
		});
	});

	describe('what a replica costs', () => {
		it('is the price of its pool when it was ordered, counted from its launch to its confirmed end', async () => {
			const agent = await manualOnMarket({ a: 0.04, b: 0.036 });
			const order = await fetchOrder(agent, agent.id);
			expect(order.cost).toEqual({ hourly: 0.036, total: 0, known: true });
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
			const agent = await manualOnMarket({ a: 0.04, b: 0.036 });
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			await remove(agent.client, agent.id, order.id);
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			expect((await agent.client.call('showReplica', { replica_id: order.id })).body).toMatchObject({ total_cost: 0.001 });
		});

		it('is null where no price is known (D-37)', async () => {
			const agent = await manualOnMarket({});
			const order = await fetchOrder(agent, agent.id);
			expect(order.cost).toEqual({ hourly: null, total: 0, known: false });
			await put(agent, agent.id, order.id, newMachine());
			await heartbeatsFor(world, 40_000, agent.client, [agent.id]);
			const { body } = await agent.client.call('showReplica', { replica_id: order.id });
			expect([body.hourly_cost, body.total_cost]).toEqual([null, null]);
		});

		it('is that of its own pool for a primary that was demoted', async () => {
			const agent = await manualOnMarket({ a: 0.04, b: 0.036 });
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			await say(agent, agent.id, order.id, 'ready');
			await promote(agent.client, agent.id, order.id, { demote_old_primary: true });
			expect(await liveOf(agent.id)).toMatchObject([{ instance_id: agent.instanceId, hourly_micros: 40_000 }]);
		});
	});

	describe('input that means no good', () => {
		const ROUTES = (agentId: string, replicaId: string) =>
			[
				['replicaConfig', { agent_id: agentId }],
				['listHostReplicas', { agent_id: agentId, status: 'launching' }],
				['listHostReplicas', { agent_id: agentId }],
				['createReplica', { agent_id: agentId, instance_id: 'i-0abc' }],
				['attachReplica', { agent_id: agentId, replica_id: replicaId, instance_id: 'i-0abc' }],
				['deleteReplica', { agent_id: agentId, replica_id: replicaId }],
				['promoteReplica', { agent_id: agentId, replica_id: replicaId }],
				['replicaStatus', { agent_id: agentId, replica_id: replicaId, status: 'ready' }],
				['replicaSync', { agent_id: agentId, replica_id: replicaId, sync_progress: 100 }],
				['showReplica', { replica_id: replicaId }],
			] as const;

		it.each(HOSTILE_IDS)('%s as an id: 404, and nothing changes', async (_, id) => {
			const { agent, id: replicaId } = await syncingReplica();
			const before = await row(replicaId);
			for (const actor of [agent.client, world.admin] as Actor[]) {
				for (const [name, input] of ROUTES(id, replicaId)) {
					if (name === 'showReplica') continue;
					expect((await actor.call(name, input as never)).status, `${name} of the agent`).toBe(404);
				}
				for (const [name, input] of ROUTES(agent.id, id)) {
					if (!('replica_id' in input)) continue;
					expect((await actor.call(name, input as never)).status, name).toBe(404);
				}
				expect((await actor.call('listReplicas', { agent_id: id.slice(0, 255) })).status).toBe(404);
				expect((await actor.call('listReplicas', { agent_id: 'x'.repeat(256) })).status).toBe(400);
				expect((await actor.call('listReplicas', { cursor: id.slice(0, 500) })).status).toBe(400);
			}
			expect(await row(replicaId)).toEqual(before);
			expect(await rolesOf(world, agent.id)).not.toHaveProperty('i-0abc');
		});

		it('an id in the other case is another id, on both databases', async () => {
			const { agent, id } = await syncingReplica();
			const letters = await world.store.read.selectFrom('replica').select('id').where('id', '=', id).executeTakeFirst();
			expect(letters?.id).toBe(id);
			const machine = `i-0abcdef${id.slice(-8)}`;
			const upper = `i-0ABCDEF${id.slice(-8)}`;
			const other = await orderedReplica(world);
			await put(other.agent, other.agent.id, other.order.id, machine);
			expect(await put(other.agent, other.agent.id, other.order.id, upper)).toMatchObject({ status: 409, body: { code: 'REPLICA_TAKEN' } });
			expect(await rolesOf(world, other.agent.id)).toMatchObject({ [machine]: 'replica', [upper]: 'ended' });
			expect((await agent.client.call('showReplica', { replica_id: id })).status).toBe(200);
		});

		it('huge and odd bodies are 400 or 413, never 500', async () => {
			const { agent, id } = await syncingReplica();
			const before = await row(id);
			const ids = { agent_id: agent.id, replica_id: id };
			const huge = Array.from({ length: 20_000 }, (_, n) => n);
			const bodies = [
				['attachReplica', { instance_id: huge }],
				['attachReplica', { instance_id: 'i-1', sync_progress: 'x' }],
				['attachReplica', { instance_id: 'i-1', status: { a: 1 } }],
				['replicaStatus', { status: huge }],
				['replicaStatus', { status: 'ready', sync_completed_at: 'yesterday' }],
				['replicaStatus', { status: 'ready', sync_completed_at: {} }],
				['replicaStatus', { status: 'failed', error_message: 'x'.repeat(4001) }],
				['replicaStatus', { status: 'failed', error_message: ['x'] }],
				['replicaStatus', { status: 'terminated', is_active: 'no' }],
				['replicaSync', { sync_status: huge }],
				['promoteReplica', { demote_old_primary: 'perhaps' }],
				['promoteReplica', { demote_old_primary: huge }],
				['createReplica', { tags: { all: huge } }],
				['createReplica', { tags: { all: 'x'.repeat(1_100_000) } }],
				['createReplica', { instance_id: 'i-0abc', replica_type: 'x'.repeat(33) }],
				['createReplica', { instance_id: ['i-0abc'] }],
			] as const;
			for (const [name, body] of bodies) {
				const { status } = await agent.client.call(name, { ...ids, ...body } as never);
				expect([400, 413], `${name} ${JSON.stringify(body).slice(0, 60)}`).toContain(status);
			}
			expect((await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'x'.repeat(65) })).status).toBe(400);
			expect((await agent.client.call('listHostReplicas', { agent_id: agent.id, include_terminated: 'perhaps' })).status).toBe(400);
			expect((await agent.client.call('listClientReplicas', { client_id: agent.client.id, limit: 501 })).status).toBe(400);
			expect(await row(id)).toEqual(before);
		});

		it('a time beyond all reason does no harm', async () => {
			for (const at of ['9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z', 8.64e15, -1]) {
				const { agent, id } = await syncingReplica();
				expect((await say(agent, agent.id, id, 'ready', { sync_completed_at: at })).status).toBeLessThan(500);
				expect((await agent.client.call('listHostReplicas', { agent_id: agent.id })).status).toBe(200);
				expect((await agent.client.call('showReplica', { replica_id: id })).status).toBe(200);
			}
		});

		it('a type of replica nobody knows is a manual one', async () => {
			const agent = await makeAgent(world);
			const { body } = await create(agent.client, agent.id, { instance_id: newMachine(), replica_type: '🙂' });
			expect(await row(body.replica_id)).toMatchObject({ type: 'manual', status: 'syncing' });
		});
	});

	describe('calls that cross each other', () => {
		/** Whatever came first: at most one live replica, and every machine is the primary, the replica, or on its way out. */
		const settled = async (agent: AgentScene) => {
			expect((await liveOf(agent.id)).length).toBeLessThanOrEqual(1);
			expect(Object.values(await rolesOf(world, agent.id)).filter((role) => role === 'primary')).toHaveLength(1);
		};

		it('PUT and DELETE: the machine ends, whichever was first', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, order } = await orderedReplica(world);
				const machine = newMachine();
				const calls = [() => put(agent, agent.id, order.id, machine), () => remove(agent.client, agent.id, order.id)];
				if (n % 2 === 1) calls.reverse();
				await Promise.all(calls.map((call) => call()));
				expect(await row(order.id)).toMatchObject({ status: 'terminated', instance_id: machine });
				expect(await bothLists(agent.client, agent.id)).toEqual([[machine], [machine]]);
				await settled(agent);
			}
		});

		it('PUT and the deletion of the agent: the machine ends, and its former primary is told', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, order } = await orderedReplica(world);
				const machine = newMachine();
				const calls = [() => put(agent, agent.id, order.id, machine), () => agent.client.remove(agent.id)];
				if (n % 2 === 1) calls.reverse();
				await Promise.all(calls.map((call) => call() as Promise<unknown>));
				expect(await bothLists(agent.client, agent.id)).toEqual([[machine], [machine]]);
			}
		});

		it('PUTs of two agents that name one machine: it belongs to one of them', async () => {
			const one = await orderedReplica(world);
			const sibling = await makeAgent(world, one.agent.client);
			await configure(one.agent.client, sibling.id, { manualReplicaEnabled: true });
			const two = { agent: sibling, order: await fetchOrder(sibling, sibling.id) };
			const machine = newMachine();
			const answers = await Promise.all([one, two].map(({ agent, order }) => put(agent, agent.id, order.id, machine)));
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
			const owner = answers[0]?.status === 200 ? one : two;
			expect(await rows.hostOfMachine(one.agent.client, machine)).toMatchObject({ role: 'replica', agent_id: owner.agent.id });
			await settled(one.agent);
			await settled(two.agent);
		});

		it('a promotion and the registration of a switch: one primary, one enabled handle', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, replica } = await readyReplica(world);
				const zone = (['b', 'c', 'd'] as const).find((each) => !replica.az?.endsWith(each)) ?? 'b';
				await orderSwitch(agent.client, agent.instanceId, agent.id, zone);
				const instanceId = newMachine();
				const calls = [
					() => promote(agent.client, agent.id, replica.id),
					() => agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: `us-east-1${zone}` }),
				];
				if (n % 2 === 1) calls.reverse();
				const answers = await Promise.all(calls.map((call) => call()));
				for (const { status } of answers) expect(status).toBe(200);
				await settled(agent);
				const { handle } = await rows.hostOfMachine(agent.client, instanceId);
				const enabled = await Promise.all(
					[agent.id, replica.handle, handle].map(async (each) => (await agent.client.config(each)).body.enabled),
				);
				expect(enabled.filter(Boolean)).toHaveLength(1);
			}
		});

		it('a promotion and a notice: the replica is promoted once', async () => {
			for (let n = 0; n < 4; n++) {
				const { agent, replica } = await readyReplica(world);
				const calls = [() => promote(agent.client, agent.id, replica.id), () => imminent(world, agent, agent.id)];
				if (n % 2 === 1) calls.reverse();
				await Promise.all(calls.map((call) => call() as Promise<unknown>));
				expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
				expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
				expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			}
		});

		it('turning manual mode on from several sides: one replica (D-24)', async () => {
			const agent = await onMarket({ a: 0.04, b: 0.03, c: 0.05 });
			const answers = await Promise.all(Array.from({ length: 4 }, () => configure(agent.client, agent.id, { manualReplicaEnabled: true })));
			for (const { status } of answers) expect([200, 409]).toContain(status);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});
	});

	describe('with two daemons', () => {
		beforeAll(() => world.addDaemon());

		it('an order is handed out once, whichever of them is asked', async () => {
			const agent = await makeAgent(world);
			for (const index of [1, 0]) {
				world.use(index);
				await poll(agent.client, agent.id);
			}
			await configure(agent.client, agent.id, { manualReplicaEnabled: true });
			await world.advance(1000, 200);
			const asked = [0, 1, 0, 1].map((index) => {
				world.use(index);
				return orderIds(agent.client, agent.id);
			});
			world.use(0);
			expect((await Promise.all(asked)).flat()).toHaveLength(1);
			expect(await liveOf(agent.id)).toMatchObject([{ served_count: 1 }]);
		});

		it('a promotion by one shows at once in the other: no order, no list and no claim for the old primary', async () => {
			const { agent, replica } = await readyReplica(world);
			const asked = async (handle: string) => [
				await orderIds(agent.client, handle),
				...(await bothLists(agent.client, handle)),
				(await agent.client.poll(handle)).body.commands,
			];
			world.use(1);
			for (const handle of [agent.id, replica.handle]) await asked(handle);
			world.use(0);
			await agent.client.force(agent.instanceId, 'd');
			expect((await promote(agent.client, agent.id, replica.id)).status).toBe(200);
			world.use(1);
			expect(await asked(agent.id)).toEqual([[], [], [], []]);
			await heartbeatsFor(world, 5000, agent.client, [replica.handle]);
			expect(await orderIds(agent.client, agent.id)).toEqual([]);
			expect(await orderIds(agent.client, replica.handle)).toHaveLength(1);
			world.use(0);
		});

		it('promotions of both at once: one wins, and the other reads who won (D-06)', async () => {
			const { agent, replica } = await readyReplica(world);
			const answers = await Promise.all(
				[0, 1].map((index) => {
					world.use(index);
					return promote(agent.client, agent.id, replica.id);
				}),
			);
			world.use(0);
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
			expect(answers.find(({ status }) => status === 409)?.body).toMatchObject({ primary: replica.instanceId });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
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
