import { describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import type { PlanEntry } from '../../src/core/emergency-book.ts';
import { addPools } from '../../src/store/prices.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { pool } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, orderedReplica, pollingAgent, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('the countdown of a termination notice', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);

	/** An agent without a replica that fetches launch orders, after its notice. */
	const noticed = async (machine: object = {}): Promise<AgentScene> => {
		const agent = await pollingAgent(world, machine);
		expect((await imminent(world, agent, agent.id)).body.success).toBe(false);
		return agent;
	};
	const planOf = async (agent: AgentScene): Promise<PlanEntry[]> => JSON.parse((await emergenciesOf(world, agent.id)).at(-1)?.plan ?? '[]');
	const told = async (agent: AgentScene) => ({
		events: (await rows.events(agent.id)).filter((type) => type === 'failover_needs_person').length,
		notifications: (await rows.notifications(agent.id)).filter(({ type }) => type === 'failover_needs_person'),
	});
	const orders = async (agent: AgentScene) => (await replicasOf(world, agent.id)).map(({ pool_id, status }) => [pool_id, status]);

	describe('with a replica that is not ready', () => {
		it('promotes it with the call that says it is ready', async () => {
			const { agent, order } = await orderedReplica(world);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: false, action: 'promote_when_ready' });
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('replica');
			await say(agent, agent.id, order.id, 'ready');
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('primary');
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ step: 'confirm', new_instance_id: instanceId }]);
		});

		it('promotes it when its own agent registers, named before or not', async () => {
			for (const named of [true, false]) {
				const { agent, order } = await orderedReplica(world);
				const instanceId = newMachine();
				if (named) await put(agent, agent.id, order.id, instanceId);
				await imminent(world, agent, agent.id);
				const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az });
				expect(joined.body).toMatchObject({ role: 'primary', config: { enabled: true } });
				expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
			}
		});

		it('never promotes a placeholder, however late it is (D-09)', async () => {
			const agent = await noticed();
			for (const left of [30_000, 85_000, 10_000]) {
				await heartbeatsFor(world, left, agent.client, [agent.id]);
				expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			}
			expect(await rows.switches(agent.id)).toEqual([]);
		});

		it('never promotes a machine that is no EC2 instance, not even at the end (D-09)', async () => {
			const agent = await noticed();
			await world.advance(40_000, 2000);
			const order = await fetchOrder(agent, agent.id);
			const joined = await agent.client.register('laptop', { logical_agent_id: agent.logicalId, az: order.az });
			expect(joined.body.role).not.toBe('primary');
			await heartbeatsFor(world, 100_000, agent.client, [agent.id, joined.body.agent_id]);
			expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
		});

		it.each(['has fallen silent', 'has said that it goes'])('orders another where the ready one %s', async (how) => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 80_000, agent.client, [agent.id, replica.handle]);
			if (how === 'has said that it goes') await agent.client.heartbeat(replica.handle, { status: 'offline' });
			else await heartbeatsFor(world, 124_000, agent.client, [agent.id]);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: false });
			expect(await orders(agent)).toEqual([
				[pool('b'), 'failed'],
				[pool('c'), 'launching'],
			]);
		});
	});

	it.each(['had fallen silent', 'had said that it goes'])(
		'promotes a replica that %s when it calls again, and names it, not the launch that was ordered meanwhile',
		async (how) => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 80_000, agent.client, [agent.id, replica.handle]);
			if (how === 'had said that it goes') await agent.client.heartbeat(replica.handle, { status: 'offline' });
			else await heartbeatsFor(world, 124_000, agent.client, [agent.id]);
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: false });
			await agent.client.heartbeat(replica.handle);
			expect((await rolesOf(world, agent.id))[replica.instanceId]).toBe('primary');
			const [emergency] = await emergenciesOf(world, agent.id);
			expect(emergency).toMatchObject({ new_instance_id: replica.instanceId });
			const named = (await replicasOf(world, agent.id)).find(({ id }) => id === emergency?.replica_id);
			expect(named).toMatchObject({ instance_id: replica.instanceId, status: 'promoted' });
			expect((await planOf(agent)).find(({ step }) => step === 'sync')).toMatchObject({ why: 'it had fallen silent, and calls again' });
		},
	);

	describe('without a replica', () => {
		it('offers the launch order to the primary alone, once, and in no other way', async () => {
			const agent = await pollingAgent(world);
			const standby = await joinAgent(agent, 'c');
			await imminent(world, agent, agent.id);
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
			const poll = async (handle: string) =>
				(await agent.client.call('listHostReplicas', { agent_id: handle, status: 'launching' })).body.replicas;
			expect(await poll(standby.handle)).toEqual([]);
			expect(await poll(agent.id)).toMatchObject([{ type: 'automatic-termination', status: 'launching', pool_id: pool('b') }]);
			expect(await poll(agent.id)).toEqual([]);
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
			expect(await world.store.read.selectFrom('command').select('id').where('agent_id', '=', agent.id).execute()).toEqual([]);
		});

		it('orders in the pool of least risk, then price, and says why the others were not taken (D-02)', async () => {
			const region = 'eu-one-1';
			const zone = (letter: string): string => `${region}${letter}`;
			const price = async (agent: AgentScene, prices: Readonly<Record<string, number>>) =>
				agent.client.call('pricingReport', {
					agent_id: agent.id,
					instance: { instance_type: 'c5.large', region },
					pricing: { spot_pools: Object.entries(prices).map(([az, value]) => ({ pool_id: `c5.large.${az}`, az, price: value })) },
				});
			const risky = await pollingAgent(world, { region, az: zone('b') });
			await price(risky, { [zone('a')]: 0.04, [zone('b')]: 0.01, [zone('c')]: 0.03, [zone('d')]: 0.02 });
			await imminent(world, risky, risky.id);
			await world.store.transact((tx) =>
				addPools(tx, world.store.dialect.name, [
					{ id: `c5.large.${zone('e')}`, instance_type: 'c5.large', region, az: zone('e'), active: 1, created_at: world.now() },
				]),
			);
			const agent = await pollingAgent(world, { region, az: zone('a') });
			await price(agent, { [zone('a')]: 0.04, [zone('b')]: 0.01, [zone('c')]: 0.03, [zone('d')]: 0.02 });
			expect((await imminent(world, agent, agent.id)).body.success).toBe(false);
			expect(await fetchOrder(agent, agent.id)).toMatchObject({ pool_id: `c5.large.${zone('d')}`, az: zone('d') });
			const [emergency] = await emergenciesOf(world, agent.id);
			const { body } = await agent.client.call('showEmergency', { emergency_id: emergency?.id ?? '' });
			const launch = body.plan.find(({ step }) => step === 'launch');
			expect(launch).toMatchObject({ choice: `c5.large.${zone('d')}`, why: 'same type and region, 0 signals in 30 days, 0.02 USD/h' });
			expect(Object.fromEntries(launch?.rejected.map(({ what, why }) => [what, why]) ?? [])).toEqual({
				[`c5.large.${zone('a')}`]: 'it is the pool of the primary',
				[`c5.large.${zone('b')}`]: '1 signals in 30 days',
				[`c5.large.${zone('c')}`]: '0.03 USD/h',
				// Anybody can report prices of zones that do not exist: what only others have said comes last.
				[`c5.large.${zone('e')}`]: 'no agent of this client knows its zone',
			});
		});

		it('is stopped neither by old prices nor by none (D-02)', async () => {
			const agent = await pollingAgent(world);
			await agent.client.prices(agent.id, { 'us-east-1b': 0.03, 'us-east-1c': 0.02 });
			await world.advance(2880 * MINUTE, 1440 * MINUTE);
			expect((await imminent(world, agent, agent.id)).status).toBe(200);
			expect((await fetchOrder(agent, agent.id)).pool_id).toMatch(/^c5\.large\.us-east-1[bcd]$/);
		});

		it.each([
			['only other types are known, in a zone of theirs', [['m5.large', 'b']], 'b', 'spot'],
			['no pool is known at all, on-demand in its own zone', [], 'a', 'ondemand'],
		] as const)('orders where %s', async (_, pools, letter, mode) => {
			const region = `eu-${letter}-2`;
			await world.store.transact((tx) =>
				addPools(
					tx,
					world.store.dialect.name,
					pools.map(([type, zone]) => ({
						id: `${type}.${region}${zone}`,
						instance_type: type,
						region,
						az: `${region}${zone}`,
						active: 1,
						created_at: world.now(),
					})),
				),
			);
			const agent = await noticed({ region, az: `${region}a` });
			expect(await fetchOrder(agent, agent.id)).toMatchObject({ pool_id: `c5.large.${region}${letter}`, az: `${region}${letter}`, mode });
		});

		it('tells a person, in event and notification, where the agent never fetches orders (v4, 3.2), and orders nothing', async () => {
			const agent = await makeAgent(world);
			await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id]);
			for (let n = 0; n < 6; n++) {
				const call = { agent_id: agent.id, notice_time: iso(world.now() + 2 * MINUTE - n * 10_000), immediate: true };
				const { status, body } = await agent.client.call('rebalanceRecommendation', call);
				expect([status, body.success, body.action]).toEqual([200, false, 'emergency_snapshot_required']);
				await world.advance(10_000, 2000);
			}
			const { events, notifications } = await told(agent);
			expect(events).toBe(1);
			expect(notifications).toMatchObject([{ severity: 'critical', count: 1 }]);
			expect(notifications[0]?.message).toContain('cannot launch');
			expect(await replicasOf(world, agent.id)).toEqual([]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ told: 1, open_of: agent.id, reports: 6 }]);
		});

		it('lets that person promote it after the deadline too, when the countdown has ended with the command to type', async () => {
			const agent = await makeAgent(world);
			await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id]);
			await imminent(world, agent, agent.id);
			const byHand = await joinAgent(agent, 'c');
			await heartbeatsFor(world, 2 * MINUTE, agent.client, [agent.id, byHand.handle]);
			await world.advance(6000, 2000);
			const [emergency] = await emergenciesOf(world, agent.id);
			expect(emergency).toMatchObject({ outcome: 'told', message: expect.stringContaining('spotctl instances promote') });
			await agent.client.heartbeat(byHand.handle);
			expect(await world.admin.call('promoteInstance', { instance_id: byHand.instanceId })).toMatchObject({ status: 200 });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [byHand.instanceId]: 'primary' });
			// Whether AWS has taken the old one nobody has seen: only a person lets it end.
			expect((await rows.host(agent.id)).hold).toBe(1);
		});

		it('lets that person promote the machine launched by hand as soon as it calls, and counts it as the failover', async () => {
			const agent = await makeAgent(world);
			await heartbeatsFor(world, 3 * MINUTE, agent.client, [agent.id]);
			const call = { agent_id: agent.id, notice_time: iso(world.now() + 2 * MINUTE), immediate: true };
			expect((await agent.client.call('rebalanceRecommendation', call)).body.message).toContain('spotctl instances promote');
			const byHand = await joinAgent(agent, 'c');
			await heartbeatsFor(world, 20_000, agent.client, [agent.id, byHand.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [byHand.instanceId]: 'candidate' });
			expect(await world.admin.call('promoteInstance', { instance_id: byHand.instanceId })).toMatchObject({ status: 200 });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [byHand.instanceId]: 'primary' });
			expect((await rows.host(agent.id)).hold).toBe(0);
			expect((await agent.client.call('rebalanceRecommendation', call)).body).toMatchObject({ success: true });
			await agent.client.heartbeat(byHand.handle);
			await world.advance(4000, 2000);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'failed-over', new_instance_id: byHand.instanceId }]);
		});
	});

	describe('re-plans in another pool', () => {
		it('45 s after the order was fetched, and not before', async () => {
			const agent = await noticed();
			await world.advance(10_000, 2000);
			const order = await fetchOrder(agent, agent.id);
			await world.advance(44_000, 2000);
			expect(await orders(agent)).toEqual([[order.pool_id, 'launching']]);
			await world.advance(4000);
			const [first, second] = await replicasOf(world, agent.id);
			expect(first).toMatchObject({ status: 'failed', live_of: null, error_message: 'no machine 45 s after the order was fetched' });
			expect(second).toMatchObject({ status: 'launching', live_of: agent.id, served_at: null });
			expect(second?.pool_id).not.toBe(first?.pool_id);
			const plan = await planOf(agent);
			expect(plan.map(({ step, why }) => [step, why])).toContainEqual(['replica', 'no machine 45 s after the order was fetched']);
			expect(plan.at(-1)).toMatchObject({ step: 'launch', choice: second?.pool_id });
			expect(plan.at(-1)?.rejected).toContainEqual({ what: first?.pool_id, why: 'a launch there has just failed' });
			expect(await fetchOrder(agent, agent.id)).toMatchObject({ id: second?.id });
		});

		it('60 s after the machine was named without being ready; it stays until another one is the primary, then it must end', async () => {
			const agent = await noticed();
			const order = await fetchOrder(agent, agent.id);
			const slow = newMachine();
			await put(agent, agent.id, order.id, slow);
			await world.advance(58_000, 2000);
			expect(await orders(agent)).toEqual([[order.pool_id, 'syncing']]);
			await world.advance(4000);
			expect(await orders(agent)).toEqual([
				[order.pool_id, 'failed'],
				[pool('c'), 'launching'],
			]);
			expect((await planOf(agent)).map(({ why }) => why)).toContain('not ready after 60 s');
			expect((await rolesOf(world, agent.id))[slow]).toBe('candidate');
			const [next, fast] = [await fetchOrder(agent, agent.id), newMachine()];
			await put(agent, agent.id, next.id, fast);
			const joined = await agent.client.register(fast, { logical_agent_id: agent.logicalId, az: next.az });
			expect(joined.body.role).toBe('primary');
			await agent.client.heartbeat(joined.body.agent_id);
			expect((await rolesOf(world, agent.id))[slow]).toBe('ended');
			const { body } = await agent.client.call('listHostReplicas', { agent_id: joined.body.agent_id, status: 'terminated' });
			expect(body.replicas.map(({ instance_id }) => instance_id)).toEqual([slow]);
		});

		it('keeps a machine that is not ready where no time is left to launch another', async () => {
			const agent = await noticed();
			await world.advance(25_000, 2000);
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			await world.advance(70_000, 2000);
			expect(await orders(agent)).toEqual([[order.pool_id, 'syncing']]);
		});

		it('at once when the agent says that the launch failed, pool after pool, and at last on-demand (D-24)', async () => {
			const agent = await noticed();
			for (const zone of ['b', 'c', 'd'] as const) {
				const order = await fetchOrder(agent, agent.id);
				expect(order).toMatchObject({ pool_id: pool(zone), mode: 'spot' });
				await say(agent, agent.id, order.id, 'failed', { error_message: `no capacity in ${zone}` });
			}
			const last = await fetchOrder(agent, agent.id);
			expect(last).toMatchObject({ mode: 'ondemand', az: 'us-east-1a' });
			const rejected = (await planOf(agent)).at(-1)?.rejected.map(({ what, why }) => [what, why]);
			expect(Object.fromEntries(rejected ?? [])).toEqual({
				[pool('a')]: 'it is the pool of the primary',
				[pool('b')]: 'a launch there has just failed',
				[pool('c')]: 'a launch there has just failed',
				[pool('d')]: 'a launch there has just failed',
			});
			await say(agent, agent.id, last.id, 'failed');
			expect((await orders(agent)).at(-1)).toEqual([expect.stringMatching(/us-east-1[bcd]$/), 'launching']);
			const again = (await planOf(agent)).at(-1);
			const others = again?.rejected.map(({ what }) => what) ?? [];
			expect([...others].sort()).toEqual(
				[pool('a'), pool('b'), pool('c'), pool('d'), 'on-demand'].filter((each) => each !== again?.choice),
			);
			expect(await emergenciesOf(world, agent.id)).toHaveLength(1);
		});

		it('that is not in a zone the agent excluded, nor is the first', async () => {
			const agent = await pollingAgent(world);
			const wishes = { preferred_zones: ['us-east-1c'], exclude_zones: ['us-east-1b'] };
			await agent.client.call('createEmergencyReplica', { agent_id: agent.id, signal_type: 'termination-notice', ...wishes });
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			expect(order.pool_id).toBe(pool('c'));
			await say(agent, agent.id, order.id, 'failed');
			expect((await fetchOrder(agent, agent.id)).pool_id).toBe(pool('d'));
		});

		it('and puts a machine that comes late for the old order on the lists of what must end (D-28)', async () => {
			const agent = await noticed();
			const order = await fetchOrder(agent, agent.id);
			await world.advance(48_000, 2000);
			const late = newMachine();
			expect(await put(agent, agent.id, order.id, late)).toMatchObject({ status: 409, body: { code: 'REPLICA_ENDED' } });
			expect((await rolesOf(world, agent.id))[late]).toBe('ended');
			expect((await orders(agent)).map(([, status]) => status)).toEqual(['failed', 'launching']);
		});
	});

	describe('with an order that nobody fetches', () => {
		it('tells a person once, after 45 s, and goes on offering it', async () => {
			const agent = await noticed();
			await heartbeatsFor(world, 42_000, agent.client, [agent.id]);
			expect(await told(agent)).toEqual({ events: 0, notifications: [] });
			await heartbeatsFor(world, 60_000, agent.client, [agent.id]);
			const { events, notifications } = await told(agent);
			expect([events, notifications.length, notifications[0]?.title]).toEqual([1, 1, 'A launch order is not fetched']);
			expect((await fetchOrder(agent, agent.id)).status).toBe('launching');
		});

		it('ends with a person told when the deadline passes', async () => {
			const agent = await noticed();
			await heartbeatsFor(world, 126_000, agent.client, [agent.id]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'told', open_of: null, told: 1, promoted_at: null }]);
			expect((await told(agent)).notifications).toMatchObject([{ severity: 'critical' }]);
			expect(await orders(agent)).toEqual([[pool('b'), 'failed']]);
		});
	});

	describe('at its end', () => {
		it('promotes the one machine there is, ready or not', async () => {
			const agent = await noticed();
			const order = await fetchOrder(agent, agent.id);
			await heartbeatsFor(world, 30_000, agent.client, [agent.id]);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			await heartbeatsFor(world, 88_000, agent.client, [agent.id]);
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('replica');
			await world.advance(4000);
			expect((await rolesOf(world, agent.id))[instanceId]).toBe('primary');
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: instanceId });
		});

		it('waits for the machine of an order that was fetched just before, and promotes it when it registers', async () => {
			const agent = await noticed();
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			const order = await fetchOrder(agent, agent.id);
			await world.advance(60_000, 2000);
			const late = await agent.client.register(newMachine(), { logical_agent_id: agent.logicalId, az: order.az });
			expect(late.body).toMatchObject({ role: 'primary', config: { enabled: true } });
		});

		it('tells a person when no machine comes for that order before its lease ends', async () => {
			const agent = await noticed();
			await heartbeatsFor(world, 100_000, agent.client, [agent.id]);
			await fetchOrder(agent, agent.id);
			await world.advance(6 * MINUTE, 4000);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'told', open_of: null }]);
			expect((await orders(agent)).map(([, status]) => status)).toEqual(['failed']);
		});

		it('is two minutes after the notice where that names no time', async () => {
			const agent = await pollingAgent(world);
			await agent.client.call('terminationImminent', { agent_id: agent.id });
			await heartbeatsFor(world, 116_000, agent.client, [agent.id]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: null, deadline_at: null }]);
			await world.advance(8000);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'told' }]);
		});
	});
});
