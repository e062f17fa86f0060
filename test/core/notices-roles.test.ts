import { describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { emergenciesOf, fetchOrder, imminent, put, readyReplica, replicasOf } from './replica-scene.ts';

const MINUTE = 60_000;

/** The calls that say that AWS takes the machine back now (identity.md section 5, "termination-imminent, immediate:true"). */
const TAKEN_BACK = {
	'#55': ({ client }: AgentScene, handle: string, at: string) =>
		client.call('terminationImminent', { agent_id: handle, termination_time: at }),
	'#53 immediate': ({ client }: AgentScene, handle: string, at: string) =>
		client.call('rebalanceRecommendation', { agent_id: handle, notice_time: at, immediate: true }),
	X16: ({ client }: AgentScene, handle: string, at: string) => client.call('terminationNotice', { agent_id: handle, termination_time: at }),
};

/** The calls that ask for a replica, or say that AWS recommends to move ("create-emergency-replica, rebalance"). */
const SIGNALLED = {
	'#54 of a termination': ({ client }: AgentScene, handle: string, at: string) =>
		client.call('createEmergencyReplica', { agent_id: handle, signal_type: 'termination-notice', termination_time: at }),
	'#54 of a rebalance': ({ client }: AgentScene, handle: string) =>
		client.call('createEmergencyReplica', { agent_id: handle, signal_type: 'rebalance-recommendation' }),
	'#53': ({ client }: AgentScene, handle: string, at: string) =>
		client.call('rebalanceRecommendation', { agent_id: handle, notice_time: at }),
	X15: ({ client }: AgentScene, handle: string, at: string) => client.call('rebalanceNotice', { agent_id: handle, notice_time: at }),
};

type Calls = typeof TAKEN_BACK | typeof SIGNALLED;

describeEachDatabase('a notice, by the role of the machine that brings it', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);

	/** What each call answers: 200 and these in every case. */
	const answers = async (calls: Calls, agent: AgentScene, handle: string, at = iso(world.now() + 2 * MINUTE)) => {
		const found: Record<string, unknown> = {};
		for (const [name, send] of Object.entries(calls)) {
			const { status, body } = await send(agent, handle, at);
			found[name] = [status, body.success, body.action, body.new_instance_id];
		}
		return found;
	};
	const all = (calls: Calls, ...answer: unknown[]) => Object.fromEntries(Object.keys(calls).map((name) => [name, answer]));
	const standbyOf = async (role: 'replica' | 'candidate') => {
		if (role === 'candidate') {
			const agent = await makeAgent(world);
			return { agent, ...(await joinAgent(agent, 'c')) };
		}
		const { agent, replica } = await readyReplica(world);
		return { agent, ...replica };
	};
	/** A machine that has nothing to say any more, and the primary. */
	const spentOf = async (role: 'zombie' | 'ended' | 'terminated') => {
		const { agent, replica } = await readyReplica(world);
		if (role === 'ended') {
			await agent.client.call('changeConfig', { agent_id: agent.id, manualReplicaEnabled: false });
			return { agent, handle: replica.handle, instanceId: replica.instanceId, primary: agent.instanceId };
		}
		await world.admin.call('promoteReplica', { agent_id: agent.id, replica_id: replica.id });
		if (role === 'terminated') await agent.client.terminated(replica.handle, agent.instanceId);
		return { agent, handle: agent.id, instanceId: agent.instanceId, primary: replica.instanceId };
	};
	const seenAt = async (handle: string): Promise<number> => {
		await world.advance(1000, 500);
		return (await rows.liveness(handle)).seen_at;
	};

	describe.each(['replica', 'candidate'] as const)('a %s', (role) => {
		it('orders nothing and opens nothing with a signal; what it said is noted', async () => {
			const { agent, handle, instanceId } = await standbyOf(role);
			const before = await replicasOf(world, agent.id);
			expect(await answers(SIGNALLED, agent, handle)).toEqual(all(SIGNALLED, 200, false, 'none', agent.instanceId));
			expect(await replicasOf(world, agent.id)).toEqual(before);
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
			expect((await rows.events(agent.id)).filter((type) => type === 'standby_signalled')).toHaveLength(2);
			expect((await rolesOf(world, agent.id))[instanceId]).toBe(role);
		});

		it('is told of once in two hours for each kind of signal, however often it repeats it', async () => {
			const { agent, handle } = await standbyOf(role);
			const at = iso(world.now());
			const told = async () => (await rows.events(agent.id)).filter((type) => type === 'standby_signalled').length;
			for (let minute = 0; minute < 115; minute++) {
				for (const each of [agent.id, handle]) await agent.client.heartbeat(each);
				await SIGNALLED['#53'](agent, handle, at);
				await world.advance(MINUTE, MINUTE);
			}
			expect(await told()).toBe(1);
			await SIGNALLED['#54 of a termination'](agent, handle, at);
			expect(await told()).toBe(2);
			await world.advance(6 * MINUTE, MINUTE);
			await SIGNALLED['#53'](agent, handle, at);
			expect(await told()).toBe(3);
		});

		it.each(Object.keys(TAKEN_BACK) as (keyof typeof TAKEN_BACK)[])(
			'that is taken back (%s) is lost, and moves no primary',
			async (route) => {
				const { agent, handle, instanceId } = await standbyOf(role);
				const { status, body } = await TAKEN_BACK[route](agent, handle, iso(world.now() + 2 * MINUTE));
				expect([status, body.success, body.action, body.new_instance_id]).toEqual([200, false, 'standby_lost', null]);
				expect(await emergenciesOf(world, agent.id)).toEqual([]);
				expect(await rolesOf(world, agent.id)).toEqual({
					[agent.instanceId]: 'primary',
					[instanceId]: role === 'replica' ? 'ended' : 'candidate',
				});
			},
		);
	});

	describe('a replica that is taken back', () => {
		it('frees its slot, and manual mode orders another in another pool', async () => {
			const { agent, replica } = await readyReplica(world);
			await imminent(world, agent, replica.handle);
			const [lost, next, ...more] = await replicasOf(world, agent.id);
			expect(lost).toMatchObject({ id: replica.id, status: 'failed', live_of: null });
			expect(more).toEqual([]);
			expect(next).toMatchObject({ type: 'manual', status: 'launching', live_of: agent.id });
			expect(next?.pool_id).not.toBe(lost?.pool_id);
		});

		it('is replaced while a rebalance of the primary needs it', async () => {
			const agent = await makeAgent(world);
			await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, notice_time: iso(world.now()) });
			const order = await fetchOrder(agent, agent.id);
			const instanceId = newMachine();
			await put(agent, agent.id, order.id, instanceId);
			const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az });
			await imminent(world, agent, joined.body.agent_id);
			expect((await replicasOf(world, agent.id)).map(({ status, type }) => [status, type])).toEqual([
				['failed', 'automatic-rebalance'],
				['launching', 'automatic-rebalance'],
			]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'rebalance', open_of: agent.id }]);
		});

		it('is not replaced where no mode and no emergency needs one', async () => {
			const agent = await makeAgent(world);
			const reported = await agent.client.call('createReplica', { agent_id: agent.id, instance_id: newMachine(), replica_type: 'manual' });
			const machine = reported.body.instance_id;
			const joined = await agent.client.register(machine, { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
			expect(joined.body.role).toBe('replica');
			await imminent(world, agent, joined.body.agent_id);
			await heartbeatsFor(world, MINUTE, agent.client, [agent.id]);
			expect((await replicasOf(world, agent.id)).map(({ status }) => status)).toEqual(['failed']);
		});

		it('is left to AWS for the hour it does not bill, and ten minutes past its deadline, then it is on the lists', async () => {
			const { agent, replica } = await readyReplica(world);
			await imminent(world, agent, replica.handle);
			const named = async () => [
				(await agent.client.terminations(agent.id)).body.instances.map(({ instance_id }) => instance_id),
				(await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'terminated' })).body.replicas.map(
					({ instance_id }) => instance_id,
				),
			];
			await world.advance(59 * MINUTE, MINUTE);
			expect(await named()).toEqual([[], []]);
			await world.advance(2 * MINUTE, MINUTE);
			expect(await named()).toEqual([[replica.instanceId], [replica.instanceId]]);
		});

		it('is left to AWS until ten minutes past its deadline where it is older than that hour', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.advance(61 * MINUTE, MINUTE);
			await imminent(world, agent, replica.handle);
			const held = async () => (await agent.client.terminations(agent.id)).body;
			await world.advance(12 * MINUTE - 1000, MINUTE);
			expect(await held()).toMatchObject({ instances: [], held: 1 });
			await world.advance(1000);
			expect((await held()).instances).toMatchObject([{ instance_id: replica.instanceId }]);
		});

		it('at the same second as the primary leaves nobody promoted who is going', async () => {
			const { agent, replica } = await readyReplica(world);
			const at = iso(world.now() + 2 * MINUTE);
			await TAKEN_BACK['#55'](agent, replica.handle, at);
			expect((await TAKEN_BACK['#55'](agent, agent.id, at)).body).toMatchObject({ success: false });
			expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'termination', instance_id: agent.instanceId }]);
		});

		it('and its primary, with one call each at once, end with one primary and one emergency of each at most', async () => {
			const { agent, replica } = await readyReplica(world);
			const at = iso(world.now() + 2 * MINUTE);
			const answers = await Promise.all([agent.id, replica.handle].map((handle) => TAKEN_BACK['#55'](agent, handle, at)));
			expect(answers.map(({ status }) => status)).toEqual([200, 200]);
			const roles = Object.values(await rolesOf(world, agent.id));
			expect(roles.filter((role) => role === 'primary')).toHaveLength(1);
			const open = (await emergenciesOf(world, agent.id)).filter(({ open_of }) => open_of !== null);
			expect(open).toHaveLength(1);
		});
	});

	describe.each(['zombie', 'ended', 'terminated'] as const)('a %s machine', (role) => {
		it('is told which machine is the primary, and may stop where it is taken back', async () => {
			const { agent, handle, primary } = await spentOf(role);
			expect(await answers(SIGNALLED, agent, handle)).toEqual(all(SIGNALLED, 200, false, 'none', primary));
			const told = await answers(TAKEN_BACK, agent, handle);
			const promoted = [200, true, 'replica_promoted', primary];
			expect(told).toEqual({ '#55': promoted, '#53 immediate': promoted, X16: [200, true, 'emergency_promotion_initiated', primary] });
		});

		it('orders nothing and moves no role', async () => {
			const { agent, handle } = await spentOf(role);
			const before = [await rolesOf(world, agent.id), await replicasOf(world, agent.id)];
			await answers(SIGNALLED, agent, handle);
			await answers(TAKEN_BACK, agent, handle);
			expect([await rolesOf(world, agent.id), await replicasOf(world, agent.id)]).toEqual(before);
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
		});
	});

	describe('a machine of a deleted agent', () => {
		it('is answered, and nothing follows', async () => {
			const { agent, replica } = await readyReplica(world);
			await agent.client.remove(agent.id);
			const before = await replicasOf(world, agent.id);
			for (const handle of [agent.id, replica.handle]) {
				for (const calls of [SIGNALLED, TAKEN_BACK])
					for (const answer of Object.values(await answers(calls, agent, handle))) expect(answer).toEqual([200, false, 'none', null]);
				expect((await agent.client.call('hostEnded', { agent_id: handle, reason: 'gone' })).status).toBe(200);
				expect((await agent.client.call('emergencyStatus', { agent_id: handle })).status).toBe(404);
			}
			expect(await replicasOf(world, agent.id)).toEqual(before);
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
			expect((await rows.agent(agent.id)).status).toBe('deleted');
		});

		it('that had an emergency open ends it, and orders nothing more', async () => {
			const agent = await makeAgent(world);
			await imminent(world, agent, agent.id);
			await agent.client.remove(agent.id);
			await world.advance(10_000, 2000);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'deleted', open_of: null }]);
			expect((await replicasOf(world, agent.id)).map(({ live_of }) => live_of)).toEqual([null]);
		});
	});

	describe('the emergency state', () => {
		it('is that of the agent for every machine of it, and for an operator', async () => {
			const { agent, replica } = await readyReplica(world);
			const candidate = await joinAgent(agent, 'd');
			await imminent(world, agent, agent.id);
			const states = [];
			for (const handle of [agent.id, replica.handle, candidate.handle])
				states.push((await agent.client.call('emergencyStatus', { agent_id: handle })).body.data);
			states.push((await world.admin.call('emergencyStatus', { agent_id: agent.id })).body.data);
			for (const state of states) expect(state).toEqual(states[0]);
			expect(states[0]).toMatchObject({ agent_id: agent.id, notice_status: 'termination', emergency_replica: { status: 'promoted' } });
		});
	});

	describe('an operator', () => {
		it('means the agent: it is failed over, audited, and nobody counts as heard', async () => {
			const { agent, replica } = await readyReplica(world);
			const before = [await seenAt(agent.id), await seenAt(replica.handle)];
			await world.advance(30_000, 2000);
			const { body } = await world.admin.call('terminationImminent', { agent_id: replica.handle });
			expect(body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			expect([await seenAt(agent.id), await seenAt(replica.handle)]).toEqual(before);
			const audits = await world.store.read.selectFrom('audit').selectAll().where('entity_id', '=', agent.id).execute();
			const audit = audits.find(({ action }) => action === 'notices.termination');
			expect(JSON.parse(audit?.after_json ?? 'null')).toMatchObject({ primary: agent.instanceId });
		});

		it('is audited for a rebalance and for an end that is reported too', async () => {
			const agent = await makeAgent(world);
			await world.admin.call('rebalanceRecommendation', { agent_id: agent.id });
			await world.admin.call('hostEnded', { agent_id: agent.id, reason: 'gone' });
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', agent.id).execute();
			expect(audits.map(({ action }) => action)).toEqual(['notices.rebalance', 'agents.termination']);
		});
	});

	describe('an operator who simulates it', () => {
		it('is refused for a client that is no test client, and nothing happens', async () => {
			const { agent } = await readyReplica(world);
			const refused = await world.admin.call('simulateNotice', { agent_id: agent.id, kind: 'termination' });
			expect(refused).toMatchObject({ status: 403, body: { code: 'NOT_A_TEST_CLIENT' } });
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
		});

		it('fails a test client over as a real one does, and is audited', async () => {
			const { agent, replica } = await readyReplica(world);
			await world.admin.call('updateClient', { client_id: agent.client.id, test_client: true });
			const { body } = await agent.client.call('simulateNotice', { agent_id: agent.id, kind: 'termination' });
			expect(body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
			const audits = await world.store.read.selectFrom('audit').select('action').where('entity_id', '=', agent.id).execute();
			expect(audits.map(({ action }) => action)).toContain('notices.termination');
		});
	});

	describe('a stranger', () => {
		it('gets 404 on every route, for a handle nobody has and for one of another client', async () => {
			const agent = await makeAgent(world);
			const other = { ...agent, client: await world.client() };
			const at = iso(world.now() + 2 * MINUTE);
			for (const send of [...Object.values(TAKEN_BACK), ...Object.values(SIGNALLED)]) {
				expect(await send(other, agent.id, at)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
				expect(await send(agent, '00000000-0000-4000-8000-00000000dead', at)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
			}
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
		});
	});

	describe('a signal without a known name', () => {
		it('is refused with what it may be, and with underscores it is not', async () => {
			const agent = await makeAgent(world);
			const call = (more: object) => agent.client.call('createEmergencyReplica', { agent_id: agent.id, ...more });
			expect(await call({ signal_type: 'earthquake' })).toMatchObject({ status: 400, body: { code: 'INVALID_SIGNAL_TYPE' } });
			expect(await call({})).toMatchObject({ status: 400, body: { code: 'INVALID_SIGNAL_TYPE' } });
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
			expect(await call({ reason: 'rebalance_recommendation' })).toMatchObject({ status: 201, body: { success: true } });
		});
	});

	describe('the end of an instance (#52)', () => {
		const end = ({ client }: AgentScene, handle: string) => client.call('hostEnded', { agent_id: handle, reason: 'spot' });

		it('of the primary makes the agent offline where nobody can take over', async () => {
			const agent = await makeAgent(world);
			await end(agent, agent.id);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'offline', terminated_at: world.now() });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect((await rows.notifications(agent.id)).map(({ type }) => type)).toContain('agent_terminated');
		});

		it.each(['ready', 'syncing'])('of the primary promotes a %s replica at once', async (status) => {
			const { agent, replica } = await readyReplica(world);
			if (status === 'syncing') await agent.client.call('replicaStatus', { agent_id: agent.id, replica_id: replica.id, status: 'syncing' });
			await end(agent, agent.id);
			expect((await rolesOf(world, agent.id))[replica.instanceId]).toBe('primary');
			expect((await rows.agent(agent.id)).status).toBe('online');
			expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'termination', new_instance_id: replica.instanceId }]);
		});

		it('of a replica frees its slot, and of a zombie ends it; the primary stays', async () => {
			const first = await readyReplica(world);
			await end(first.agent, first.replica.handle);
			expect(await rolesOf(world, first.agent.id)).toEqual({
				[first.agent.instanceId]: 'primary',
				[first.replica.instanceId]: 'terminated',
			});
			expect((await replicasOf(world, first.agent.id))[0]).toMatchObject({ live_of: null, confirmed_at: world.now() });
			const second = await spentOf('zombie');
			await end(second.agent, second.handle);
			expect(await rolesOf(world, second.agent.id)).toEqual({ [second.instanceId]: 'terminated', [second.primary]: 'primary' });
			expect(await emergenciesOf(world, second.agent.id)).toEqual([]);
		});
	});
});
