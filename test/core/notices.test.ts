import { beforeAll, describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, pollingAgent, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Every way to say that AWS takes the machine back. */
const TERMINATIONS = {
	'#54': ({ client, id }: AgentScene, at: string | undefined) =>
		client.call('createEmergencyReplica', { agent_id: id, signal_type: 'termination-notice', termination_time: at }),
	'#55': ({ client, id }: AgentScene, at: string | undefined) => client.call('terminationImminent', { agent_id: id, termination_time: at }),
	'#53 immediate': ({ client, id }: AgentScene, at: string | undefined) =>
		client.call('rebalanceRecommendation', { agent_id: id, notice_time: at, immediate: true }),
	X16: ({ client, id }: AgentScene, at: string | undefined) => client.call('terminationNotice', { agent_id: id, termination_time: at }),
};

describeEachDatabase('a notice', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);

	const shown = async (agent: AgentScene) => {
		const last = (await emergenciesOf(world, agent.id)).at(-1);
		return (await agent.client.call('showEmergency', { emergency_id: last?.id ?? '' })).body;
	};

	describe('repeated', () => {
		it('by v4 twelve times, every 10 s, through the handle of the lost machine is one failover, each answered alike', async () => {
			const { agent, replica } = await readyReplica(world);
			const notice_time = iso(world.now() + 2 * MINUTE);
			const answers = [];
			for (let n = 0; n < 12; n++) {
				const call = { agent_id: agent.id, notice_time, immediate: true };
				const { status, body } = await agent.client.call('rebalanceRecommendation', call, { 'x-request-id': `v4-${n}` });
				answers.push({ status, success: body.success, action: body.action, new: body.new_instance_id, emergency: body.emergency_id });
				await world.advance(10_000, 2000);
				await agent.client.heartbeat(replica.handle);
			}
			const [emergency, ...others] = await emergenciesOf(world, agent.id);
			expect(answers).toEqual(
				Array.from({ length: 12 }, () => ({
					status: 200,
					success: true,
					action: 'replica_promoted',
					new: replica.instanceId,
					emergency: emergency?.id,
				})),
			);
			expect(others).toEqual([]);
			expect(emergency).toMatchObject({ reports: 12, outcome: 'failed-over' });
			expect(await rows.switches(agent.id)).toHaveLength(1);
		});

		it('by v4 while its replica is made is answered with success from the moment that took over', async () => {
			const agent = await pollingAgent(world);
			const notice_time = iso(world.now() + 2 * MINUTE);
			const answers: boolean[] = [];
			const instanceId = newMachine();
			for (let n = 0; n < 12; n++) {
				if (n === 2) await put(agent, agent.id, (await fetchOrder(agent, agent.id)).id, instanceId);
				if (n === 5) await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
				const { status, body } = await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, notice_time, immediate: true });
				expect([status, body.new_instance_id]).toEqual([200, body.success ? instanceId : null]);
				answers.push(body.success);
				await world.advance(10_000, 2000);
			}
			expect(answers).toEqual([...Array(5).fill(false), ...Array(7).fill(true)]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ reports: 12, new_instance_id: instanceId }]);
			expect(await rows.switches(agent.id)).toHaveLength(1);
		});

		it('by a host that was started again after its failover moves nothing (D-07)', async () => {
			const { agent, replica } = await readyReplica(world);
			await imminent(world, agent, agent.id);
			const old = await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId });
			expect(old.body).toMatchObject({ agent_id: agent.id, role: 'zombie', config: { enabled: false } });
			expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			const now = await agent.client.register(replica.instanceId, { logical_agent_id: agent.logicalId });
			expect(now.body).toMatchObject({ agent_id: replica.handle, role: 'primary', config: { enabled: true } });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
		});

		it('after the failover names the replica and the time of it again', async () => {
			const { agent, replica } = await readyReplica(world);
			const first = await imminent(world, agent, agent.id);
			await world.advance(5000);
			const again = await imminent(world, agent, agent.id);
			expect(again.body).toMatchObject({
				success: true,
				new_instance_id: replica.instanceId,
				replica_id: first.body.replica_id,
				failover_time_ms: first.body.failover_time_ms,
				emergency_id: first.body.emergency_id,
			});
		});

		it('before anything changed gets the same answer (D-25)', async () => {
			const agent = await pollingAgent(world);
			const call = { agent_id: agent.id, termination_time: iso(world.now() + 2 * MINUTE) };
			const first = await agent.client.call('terminationImminent', call);
			const second = await agent.client.call('terminationImminent', call);
			expect(first.body).toMatchObject({ success: false, action: 'emergency_snapshot_required' });
			expect(second.body.data).toEqual(first.body.data);
		});

		it('by both calls of classic and both forms of the others is one emergency with one replica (D-26)', async () => {
			const agent = await pollingAgent(world);
			const at = iso(world.now() + 2 * MINUTE);
			for (const send of Object.values(TERMINATIONS)) await send(agent, at);
			for (const send of Object.values(TERMINATIONS)) await send(agent, undefined);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ reports: 8 }]);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
		});

		it('with the deadline of its predecessor is the own notice of the machine that took over, which must not stop itself', async () => {
			const { agent, replica } = await readyReplica(world);
			const call = { termination_time: iso(world.now() + 2 * MINUTE) };
			await agent.client.call('terminationImminent', { agent_id: agent.id, ...call });
			await world.advance(3000);
			await agent.client.heartbeat(replica.handle);
			const own = await agent.client.call('terminationImminent', { agent_id: replica.handle, ...call });
			expect(own.body.success).toBe(false);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([
				{ instance_id: agent.instanceId, outcome: 'failed-over' },
				{ instance_id: replica.instanceId, open_of: agent.id },
			]);
		});

		it('by an operator of v6 after the failover is the same notice', async () => {
			const { agent, replica } = await readyReplica(world);
			const call = { agent_id: agent.id, termination_time: iso(world.now() + 2 * MINUTE) };
			for (let n = 0; n < 3; n++) {
				const { body } = await world.admin.call('terminationNotice', call);
				expect(body).toMatchObject({ success: true, action: 'emergency_promotion_initiated', new_instance_id: replica.instanceId });
			}
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ reports: 3 }]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
		});
	});

	describe('of v6', () => {
		it('is acknowledged in the data, and says what was begun', async () => {
			const { agent, replica } = await readyReplica(world);
			const rebalance = await agent.client.call('rebalanceNotice', { agent_id: agent.id, notice_time: iso(world.now()) });
			expect(rebalance.body).toMatchObject({ status: 'success', action: 'emergency_replica_created', emergency_replica_id: replica.id });
			expect(rebalance.body.data).toMatchObject({ status: 'acknowledged' });
			const termination = await agent.client.call('terminationNotice', { agent_id: agent.id, termination_time: iso(world.now() + MINUTE) });
			expect(termination.body).toMatchObject({ action: 'emergency_promotion_initiated', new_instance_id: replica.instanceId });
			expect(termination.body.data).toMatchObject({ status: 'acknowledged', emergency_replica_id: replica.id });
		});
	});

	describe('in the books', () => {
		it('keeps every stage, in order, from the signal to the first heartbeat of the new primary', async () => {
			const agent = await pollingAgent(world);
			const seen = world.now();
			await world.advance(1500, 500);
			await imminent(world, agent, agent.id, { detected_at: iso(seen) });
			await world.advance(7000);
			const order = await fetchOrder(agent, agent.id);
			await world.advance(9000);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			await world.advance(20_000, 2000);
			const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az });
			expect(joined.body).toMatchObject({ role: 'primary', config: { enabled: true } });
			await world.advance(4000);
			await agent.client.heartbeat(joined.body.agent_id);
			const at = (ms: number): string => iso(seen + ms);
			expect(await shown(agent)).toMatchObject({
				state: 'failed-over',
				instance_id: agent.instanceId,
				new_instance_id: instanceId,
				signal_at: at(0),
				received_at: at(1500),
				planned_at: at(1500),
				launched_at: at(17_500),
				ready_at: at(37_500),
				promoted_at: at(37_500),
				confirmed_at: at(41_500),
				ended_at: at(41_500),
				failover_ms: 41_500,
			});
		});

		it('keeps its own replica and stages although manual mode orders the next one before the new primary calls', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.advance(20_000, 4000);
			await imminent(world, agent, agent.id);
			const before = await shown(agent);
			await world.advance(6000);
			expect(await replicasOf(world, agent.id)).toHaveLength(2);
			await agent.client.heartbeat(replica.handle);
			const { replica_id, launched_at, ready_at, promoted_at } = await shown(agent);
			expect({ replica_id, launched_at, ready_at, promoted_at }).toEqual({
				replica_id: replica.id,
				launched_at: before.launched_at,
				ready_at: before.ready_at,
				promoted_at: before.promoted_at,
			});
		});

		it('tells a person when nobody calls from the new primary for ten minutes', async () => {
			const agent = await pollingAgent(world);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			await say(agent, agent.id, order.id, 'ready');
			await world.advance(10 * MINUTE - 4000, 4000);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ step: 'confirm', outcome: null }]);
			await world.advance(8000);
			expect(await shown(agent)).toMatchObject({ state: 'unconfirmed', confirmed_at: null, failover_ms: null });
			const told = (await rows.notifications(agent.id)).filter(({ type }) => type === 'failover_needs_person');
			expect(told).toMatchObject([{ severity: 'critical', count: 1 }]);
		});

		it('is in the emergency state of the agent until it has ended', async () => {
			const agent = await pollingAgent(world);
			const state = async () => (await agent.client.call('emergencyStatus', { agent_id: agent.id })).body;
			expect(await state()).toMatchObject({
				agent_id: agent.id,
				notice_status: 'none',
				notice_received_at: null,
				notice_deadline: null,
				emergency_replica: null,
				actions: [],
				emergency_mode_active: false,
				rebalance_only_mode: false,
				last_emergency_event: null,
				emergency_replicas_count: 0,
				termination_notices_24h: 0,
			});
			await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, notice_time: iso(world.now()) });
			expect(await state()).toMatchObject({ notice_status: 'rebalance', emergency_mode_active: true, rebalance_only_mode: true });
			expect((await state()).termination_notices_24h).toBe(0);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			expect(await state()).toMatchObject({
				notice_status: 'termination',
				notice_received_at: iso(world.now()),
				notice_deadline: iso(world.now() + 2 * MINUTE),
				emergency_replica: { id: order.id, status: 'launching', pool_id: order.pool_id, sync_progress: 0 },
				rebalance_only_mode: false,
				last_emergency_event: { type: 'termination', outcome: 'open' },
				emergency_replicas_count: 1,
				termination_notices_24h: 1,
			});
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			await say(agent, agent.id, order.id, 'ready');
			const promoted = await state();
			expect(promoted.emergency_replica).toMatchObject({ id: order.id, status: 'promoted', sync_progress: 100 });
			expect(promoted.actions.some((action) => action.includes(instanceId))).toBe(true);
			const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az });
			await agent.client.heartbeat(joined.body.agent_id);
			expect(await state()).toMatchObject({
				notice_status: 'none',
				emergency_mode_active: false,
				last_emergency_event: { type: 'termination', outcome: 'failed-over' },
				emergency_replicas_count: 0,
				termination_notices_24h: 1,
			});
		});
	});

	describe('leaves the machine to AWS', () => {
		const listed = async (agent: AgentScene, handle: string): Promise<string[]> =>
			(await agent.client.terminations(handle)).body.instances.map(({ instance_id }) => instance_id);

		it('until ten minutes past the deadline, before it is anybody’s to terminate', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.advance(HOUR, MINUTE);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 0, hold_until: world.now() + 12 * MINUTE });
			await world.advance(12 * MINUTE - 1000, MINUTE);
			expect((await agent.client.terminations(replica.handle)).body).toMatchObject({ instances: [], held: 1 });
			expect(await listed(agent, agent.id)).toEqual([]);
			await world.advance(1000);
			expect(await listed(agent, replica.handle)).toEqual([agent.instanceId]);
		});

		it('for the whole of its first hour, which AWS does not bill', async () => {
			const { agent, replica } = await readyReplica(world);
			const { created_at } = await rows.host(agent.id);
			await world.advance(5 * MINUTE, MINUTE);
			await imminent(world, agent, agent.id);
			await agent.client.heartbeat(replica.handle);
			await world.advance(created_at + HOUR - 1000 - world.now(), MINUTE);
			expect(await listed(agent, replica.handle)).toEqual([]);
			await world.advance(1000);
			expect(await listed(agent, replica.handle)).toEqual([agent.instanceId]);
		});
	});

	describe('to a machine that is the primary again', () => {
		it('is a new emergency, though the failover before is not confirmed yet: nobody tells the primary that it may stop', async () => {
			const { agent, replica } = await readyReplica(world);
			await imminent(world, agent, agent.id, { termination_time: null });
			await agent.client.report(replica.handle, agent.instanceId);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'primary' });
			expect(await imminent(world, agent, agent.id)).toMatchObject({ status: 200, body: { success: false } });
			expect(await emergenciesOf(world, agent.id)).toMatchObject([
				{ outcome: 'overtaken' },
				{ outcome: null, instance_id: agent.instanceId },
			]);
		});
	});

	describe('after which a person brings the old machine back', () => {
		it('is overtaken, and no failover that went well', async () => {
			const { agent, replica } = await readyReplica(world);
			await imminent(world, agent, agent.id);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [replica.instanceId]: 'primary' });
			await world.advance(4 * MINUTE, 4000);
			await agent.client.heartbeat(agent.id);
			await world.admin.hold(agent.instanceId, true);
			expect((await world.admin.call('promoteInstance', { instance_id: agent.instanceId })).status).toBe(200);
			await agent.client.heartbeat(agent.id);
			await world.advance(4000, 2000);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'overtaken', instance_id: agent.instanceId }]);
		});
	});

	describe('that two daemons get at once', () => {
		beforeAll(() => world.addDaemon());

		it('is one promotion, and both answer alike', async () => {
			const { agent, replica } = await readyReplica(world);
			const call = { agent_id: agent.id, termination_time: iso(world.now() + 2 * MINUTE) };
			const all = [...world.daemons, ...world.daemons, ...world.daemons];
			const answers = await Promise.all(all.map(({ send }) => send(agent.client.token, 'terminationImminent', call, {})));
			for (const answer of answers)
				expect(answer).toMatchObject({
					status: 200,
					body: { success: true, action: 'replica_promoted', new_instance_id: replica.instanceId },
				});
			expect(await rows.switches(agent.id)).toHaveLength(1);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ reports: 6 }]);
			expect((await rows.agent(agent.id)).generation).toBe(2);
		});

		it('without a replica is one order, fetched once whichever daemon is asked', async () => {
			const agent = await pollingAgent(world);
			const call = { agent_id: agent.id, termination_time: iso(world.now() + 2 * MINUTE) };
			const noticed = await Promise.all(world.daemons.map(({ send }) => send(agent.client.token, 'terminationImminent', call, {})));
			for (const answer of noticed) expect(answer).toMatchObject({ status: 200, body: { success: false } });
			expect(await emergenciesOf(world, agent.id)).toHaveLength(1);
			expect(await replicasOf(world, agent.id)).toHaveLength(1);
			const poll = { agent_id: agent.id, status: 'launching' };
			const polled = await Promise.all(world.daemons.map(({ send }) => send(agent.client.token, 'listHostReplicas', poll, {})));
			expect(polled.map(({ body }) => (body as { total: number }).total).sort()).toEqual([0, 1]);
		});

		it('without a replica is an order on the very next poll, even of the daemon that did not take it', async () => {
			const agent = await pollingAgent(world);
			const [taker, other] = world.daemons;
			const ask = (name: 'listHostReplicas' | 'terminationImminent', daemon: typeof taker, input: object) =>
				daemon?.send(agent.client.token, name, { agent_id: agent.id, ...input }, {});
			const poll = () => ask('listHostReplicas', other, { status: 'launching' });
			expect(await poll()).toMatchObject({ body: { total: 0 } });
			await ask('terminationImminent', taker, { termination_time: iso(world.now() + 2 * MINUTE) });
			expect(await poll()).toMatchObject({ status: 200, body: { total: 1 } });
		});

		it('makes a surplus machine one to terminate on the very next poll, even of the daemon that did not take it', async () => {
			const { agent, replica } = await readyReplica(world);
			const [taker, other] = world.daemons;
			const send = (name: 'instancesToTerminate' | 'attachReplica', daemon: typeof taker, input: object) =>
				daemon?.send(agent.client.token, name, { agent_id: agent.id, ...input }, {});
			expect(await send('instancesToTerminate', other, {})).toMatchObject({ body: { instances: [] } });
			const surplus = newMachine();
			await send('attachReplica', taker, { replica_id: replica.id, instance_id: surplus, status: 'syncing' });
			expect(await send('instancesToTerminate', other, {})).toMatchObject({ body: { instances: [{ instance_id: surplus }] } });
		});
	});
});
