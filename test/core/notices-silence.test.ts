import { beforeAll, describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { emergenciesOf, imminent, orderedReplica, put, readyReplica, replicasOf, say } from './replica-scene.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const FAILOVER = {
	launchMs: 45 * SECOND,
	readyMs: MINUTE,
	silentAfterMs: 180 * SECOND,
	retireRepeatedMs: 30 * MINUTE,
	retireSingleMs: 120 * MINUTE,
	override: true,
};

describeEachDatabase('a primary that falls silent while its ready replica calls', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);

	/** Both have just called. */
	const pair = async (where = world) => {
		const { agent, replica } = await readyReplica(where);
		await where.advance(10 * SECOND);
		for (const handle of [agent.id, replica.handle]) await agent.client.heartbeat(handle);
		return { agent, replica, heardAt: where.now() };
	};
	const shown = async (agent: AgentScene) => {
		const last = (await emergenciesOf(world, agent.id)).at(-1);
		return (await agent.client.call('showEmergency', { emergency_id: last?.id ?? '' })).body;
	};

	it('opens an emergency past the timeout, and not before', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 120 * SECOND, agent.client, [replica.handle]);
		expect(await emergenciesOf(world, agent.id)).toEqual([]);
		await heartbeatsFor(world, 6 * SECOND, agent.client, [replica.handle]);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'silent-primary', step: 'watch', instance_id: agent.instanceId }]);
		expect((await rows.notifications(agent.id)).map(({ type }) => type)).toContain('primary_silent');
	});

	it('is promoted over after 180 s of silence, and not before; the new primary confirms it', async () => {
		const { agent, replica, heardAt } = await pair();
		await heartbeatsFor(world, 179 * SECOND, agent.client, [replica.handle]);
		expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
		await world.advance(4 * SECOND);
		expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
		await agent.client.heartbeat(replica.handle);
		const emergency = await shown(agent);
		expect(emergency).toMatchObject({
			kind: 'silent-primary',
			state: 'failed-over',
			signal_at: iso(heardAt),
			new_instance_id: replica.instanceId,
			confirmed_at: iso(world.now()),
			failover_ms: world.now() - heardAt,
		});
		expect((await agent.client.config(replica.handle)).body.enabled).toBe(true);
		expect((await rows.agent(agent.id)).status).toBe('online');
	});

	it('is kept on hold after that, since silence is no proof of death: no list names it until an operator says so', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 184 * SECOND, agent.client, [replica.handle]);
		expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 1 });
		for (let minute = 0; minute < 90; minute++) await world.advance(MINUTE, MINUTE);
		expect((await agent.client.terminations(replica.handle)).body).toMatchObject({ instances: [], held: 1 });
		expect((await agent.client.terminations(agent.id)).body.instances).toEqual([]);
		await agent.client.hold(agent.instanceId, false);
		expect((await agent.client.terminations(replica.handle)).body.instances).toMatchObject([{ instance_id: agent.instanceId }]);
	});

	it('stays passive when it comes back', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 184 * SECOND, agent.client, [replica.handle]);
		await agent.client.heartbeat(agent.id);
		expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
		expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
	});

	it('that calls again in time ends the emergency, and stays the primary', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 140 * SECOND, agent.client, [replica.handle]);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ open_of: agent.id }]);
		await agent.client.heartbeat(agent.id);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'recovered', open_of: null }]);
		await heartbeatsFor(world, 100 * SECOND, agent.client, [agent.id, replica.handle]);
		expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
	});

	it('that calls again after a signal of AWS still has its signal, and one replica for it', async () => {
		const { agent, replica } = await pair();
		await agent.client.call('rebalanceRecommendation', { agent_id: agent.id, instance_id: agent.instanceId });
		await heartbeatsFor(world, 140 * SECOND, agent.client, [replica.handle]);
		const kinds = async () => (await emergenciesOf(world, agent.id)).map(({ kind, outcome }) => [kind, outcome]);
		expect(await kinds()).toEqual([
			['rebalance', 'escalated'],
			['silent-primary', null],
		]);
		await agent.client.heartbeat(agent.id);
		await world.advance(4 * SECOND);
		expect(await kinds()).toEqual([
			['rebalance', null],
			['silent-primary', 'recovered'],
		]);
		expect((await replicasOf(world, agent.id)).map(({ status }) => status)).toEqual(['ready']);
	});

	it('is not promoted over when any call of it is heard, a poll as well as a heartbeat', async () => {
		const { agent, replica } = await pair();
		for (let n = 0; n < 4; n++) {
			await heartbeatsFor(world, 60 * SECOND, agent.client, [replica.handle]);
			await agent.client.poll(agent.id);
		}
		expect(await emergenciesOf(world, agent.id)).toEqual([]);
	});

	it('is not promoted over while the replica was not heard within the last minute', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 110 * SECOND, agent.client, [replica.handle]);
		await world.advance(76 * SECOND, 2 * SECOND);
		expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
		await agent.client.heartbeat(replica.handle);
		expect((await rolesOf(world, agent.id))[replica.instanceId]).toBe('primary');
	});

	it('opens nothing when the replica has not been heard within the last minute either', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 40 * SECOND, agent.client, [replica.handle]);
		await world.advance(90 * SECOND, 2 * SECOND);
		expect((await rows.agent(agent.id)).status).toBe('offline');
		expect(await emergenciesOf(world, agent.id)).toEqual([]);
	});

	it('ends told, not promoted, when the replica falls silent too', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 130 * SECOND, agent.client, [replica.handle]);
		await agent.client.heartbeat(replica.handle, { status: 'offline' });
		await world.advance(130 * SECOND, 2 * SECOND);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'told', promoted_at: null }]);
		expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
		expect((await rows.notifications(agent.id)).map(({ type }) => type)).toContain('failover_needs_person');
	});

	it('is not promoted over for a replica that is only named or not ready', async () => {
		for (const ready of [true, false]) {
			const { agent, order } = await orderedReplica(world);
			await put(agent, agent.id, order.id, newMachine());
			if (ready) await say(agent, agent.id, order.id, 'ready');
			await world.advance(200 * SECOND, 4 * SECOND);
			expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
		}
	});

	it('counts only silence that somebody could have heard', async () => {
		const { agent, replica } = await pair();
		await world.stop(0, 'kill');
		await world.advance(10 * MINUTE, 10 * MINUTE);
		await world.restart(0, 'kill');
		await heartbeatsFor(world, 179 * SECOND, agent.client, [replica.handle]);
		expect((await rolesOf(world, agent.id))[agent.instanceId]).toBe('primary');
		await world.advance(6 * SECOND);
		expect((await rolesOf(world, agent.id))[replica.instanceId]).toBe('primary');
	});

	it('is in the emergency state as an emergency, not as a notice of AWS', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 130 * SECOND, agent.client, [replica.handle]);
		const { body } = await agent.client.call('emergencyStatus', { agent_id: replica.handle });
		expect(body).toMatchObject({
			agent_id: agent.id,
			notice_status: 'none',
			emergency_mode_active: true,
			rebalance_only_mode: false,
			emergency_replica: { id: replica.id, status: 'ready' },
			last_emergency_event: { type: 'silent-primary', outcome: 'open' },
			termination_notices_24h: 0,
		});
	});

	it('and then brings a notice is failed over at once', async () => {
		const { agent, replica } = await pair();
		await heartbeatsFor(world, 130 * SECOND, agent.client, [replica.handle]);
		expect((await imminent(world, agent, agent.id)).body).toMatchObject({ success: true, new_instance_id: replica.instanceId });
		const emergencies = await emergenciesOf(world, agent.id);
		expect(emergencies.map(({ kind, open_of }) => [kind, open_of])).toEqual([
			['silent-primary', null],
			['termination', agent.id],
		]);
	});

	it('in manual mode gets a next replica from the new primary, in another pool than either', async () => {
		const { agent, replica } = await pair();
		await agent.client.call('listHostReplicas', { agent_id: replica.handle, status: 'launching' });
		await heartbeatsFor(world, 190 * SECOND, agent.client, [replica.handle]);
		await world.advance(6 * SECOND);
		const [first, second, ...more] = await replicasOf(world, agent.id);
		expect([first?.status, second?.status, more.length]).toEqual(['promoted', 'launching', 0]);
		expect(second?.pool_id).not.toBe(first?.pool_id);
	});

	describe('where the rule has another time', () => {
		const with_ = async (silentAfterMs: number, work: (other: World) => Promise<void>): Promise<void> => {
			const other = await openWorld(await freshUrl(), { settings: { failover: { ...FAILOVER, silentAfterMs } } });
			try {
				await work(other);
			} finally {
				await other.close();
			}
		};

		it('of 0 is never promoted over', () =>
			with_(0, async (other) => {
				const { agent, replica } = await pair(other);
				await heartbeatsFor(other, 300 * SECOND, agent.client, [replica.handle]);
				expect((await rowsOf(other).agent(agent.id)).status).toBe('offline');
				expect(await rolesOf(other, agent.id)).toEqual({ [agent.instanceId]: 'primary', [replica.instanceId]: 'replica' });
				expect(await emergenciesOf(other, agent.id)).toEqual([]);
			}));

		it('of ten minutes is promoted over after those', () =>
			with_(10 * MINUTE, async (other) => {
				const { agent, replica } = await pair(other);
				await heartbeatsFor(other, 598 * SECOND, agent.client, [replica.handle]);
				expect((await rolesOf(other, agent.id))[agent.instanceId]).toBe('primary');
				await other.advance(6 * SECOND);
				expect((await rolesOf(other, agent.id))[replica.instanceId]).toBe('primary');
			}));
	});

	describe('with two daemons', () => {
		beforeAll(() => world.addDaemon());

		it('is not promoted over while the other daemon hears it', async () => {
			const { agent, replica } = await pair();
			for (let n = 0; n < 11; n++) {
				world.use(n % 2);
				await agent.client.heartbeat(replica.handle);
				world.use(1);
				await agent.client.heartbeat(agent.id);
				await world.advance(20 * SECOND, 4 * SECOND);
			}
			world.use(0);
			expect(await emergenciesOf(world, agent.id)).toEqual([]);
		});

		it('is promoted over once', async () => {
			const { agent, replica } = await pair();
			for (let n = 0; n < 10; n++) {
				world.use(n % 2);
				await agent.client.heartbeat(replica.handle);
				await world.advance(20 * SECOND, 4 * SECOND);
			}
			world.use(0);
			expect(await rows.switches(agent.id)).toMatchObject([{ evidence: 'silence', new_instance_id: replica.instanceId }]);
			expect(await emergenciesOf(world, agent.id)).toHaveLength(1);
		});
	});
});
