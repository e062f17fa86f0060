import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { poll, promote } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import {
	deletedReplica,
	fetchOrder,
	imminent,
	orderedReplica,
	pollingAgent,
	put,
	readyReplica,
	say,
	syncingReplica,
} from './replica-scene.ts';

const MINUTE = 60_000;

const STATES = ['launching', 'syncing', 'ready', 'promoted', 'terminated', 'failed'] as const;
type State = (typeof STATES)[number];

describeEachDatabase('replicas', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe('transitions (D-28)', () => {
		type Made = { readonly agent: AgentScene; readonly caller: string; readonly id: string };
		const IN: Readonly<Record<State, () => Promise<Made>>> = {
			launching: async () => {
				const { agent, order } = await orderedReplica(world);
				return { agent, caller: agent.id, id: order.id };
			},
			syncing: async () => {
				const { agent, id } = await syncingReplica(world);
				return { agent, caller: agent.id, id };
			},
			ready: async () => {
				const { agent, id } = await syncingReplica(world);
				expect((await say(agent, agent.id, id, 'ready')).status).toBe(200);
				return { agent, caller: agent.id, id };
			},
			promoted: async () => {
				const { agent, replica } = await readyReplica(world);
				expect((await promote(agent.client, agent.id, replica.id)).status).toBe(200);
				return { agent, caller: replica.handle, id: replica.id };
			},
			terminated: async () => {
				const { agent, id } = await deletedReplica(world);
				return { agent, caller: agent.id, id };
			},
			failed: async () => {
				const { agent, id } = await syncingReplica(world);
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
			const after = await rows.replica(id);
			expect(after.status).toBe(status === 200 && !FINAL.includes(from) ? to : from);
			expect(after.live_of).toBe(FINAL.includes(after.status) ? null : agent.id);
		});

		it.each(FINAL.flatMap((from) => STATES.map((to) => [from, to] as const)))(
			'the sync state of a %s replica moves nothing, whatever it says (%s)',
			async (from, to) => {
				const { agent, caller, id } = await IN[from]();
				const before = await rows.replica(id);
				const said = await agent.client.call('replicaSync', {
					agent_id: caller,
					replica_id: id,
					sync_status: 'synced',
					sync_progress: 100,
					status: to,
				});
				expect(said).toMatchObject({ status: 409, body: { code: 'ILLEGAL_TRANSITION' } });
				expect(await rows.replica(id)).toEqual(before);
			},
		);

		it('a sync state may name a state as well, under the same rules', async () => {
			const { agent, id } = await syncingReplica(world);
			const sync = (more: object) => agent.client.call('replicaSync', { agent_id: agent.id, replica_id: id, ...more });
			expect((await sync({ status: 'launching' })).status).toBe(409);
			expect((await sync({ status: 'promoted' })).status).toBe(409);
			expect((await sync({ status: 'ready' })).body).toMatchObject({ data: { status: 'ready' } });
			expect((await sync({ status: 'nonsense' })).status).toBe(400);
			expect((await sync({ status: 'failed' })).status).toBe(200);
			expect(await rows.replica(id)).toMatchObject({ status: 'failed' });
		});

		it('a sync state is answered with the state of the replica it is about, not of the one that follows it', async () => {
			const ended = async (status: 'terminated' | 'failed') => {
				const agent = await pollingAgent(world);
				await agent.client.call('createEmergencyReplica', { agent_id: agent.id, signal_type: 'rebalance-recommendation' });
				const order = await fetchOrder(agent, agent.id);
				await put(agent, agent.id, order.id, newMachine());
				await say(agent, agent.id, order.id, 'ready');
				const { body } = await agent.client.call('replicaSync', { agent_id: agent.id, replica_id: order.id, status });
				expect(body).toMatchObject({ data: { status } });
				expect(await rows.replica(order.id)).toMatchObject({ status });
				return rows.liveReplicas(agent.id);
			};
			expect(await ended('terminated')).toMatchObject([{ status: 'launching' }]);
			await ended('failed');
			const agent = await pollingAgent(world);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			await put(agent, agent.id, order.id, newMachine());
			const synced = { agent_id: agent.id, replica_id: order.id, sync_status: 'synced', sync_progress: 100 };
			expect((await agent.client.call('replicaSync', synced)).body).toMatchObject({ data: { status: 'promoted' } });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'promoted' });
		});

		it('launching becomes syncing with a machine that has not called, ready with one that has', async () => {
			const { agent, order } = await orderedReplica(world);
			const quiet = newMachine();
			expect((await put(agent, agent.id, order.id, quiet)).body).toMatchObject({ data: { status: 'syncing' } });
			expect(await rows.replica(order.id)).toMatchObject({
				status: 'syncing',
				launched_at: world.now(),
				sync_status: 'syncing',
				ready_at: null,
			});
			const other = await orderedReplica(world);
			const heard = await joinAgent(other.agent, 'a');
			expect((await put(other.agent, other.agent.id, other.order.id, heard.instanceId)).body).toMatchObject({ data: { status: 'ready' } });
			expect(await rows.replica(other.order.id)).toMatchObject({ status: 'ready', ready_at: world.now(), state_transfer_progress: 100 });
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
			expect(await rows.replica(order.id)).toMatchObject({ status: 'syncing' });
			await world.advance(44_000, 4000);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'promoted', ready_at: null });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [machine]: 'primary' });
		});

		it('the end of a machine may be confirmed again and again', async () => {
			const { agent, caller, id } = await IN.terminated();
			for (let n = 0; n < 3; n++) {
				expect((await say(agent, caller, id, 'terminated')).status).toBe(200);
				await world.advance(1000);
			}
			expect(await rows.replica(id)).toMatchObject({ status: 'terminated', confirmed_at: world.now() - 3000 });
		});

		it('takes "error" for failed, and any case', async () => {
			const first = await IN.syncing();
			expect((await say(first.agent, first.caller, first.id, 'error', { message: 'AMI is gone' })).status).toBe(200);
			expect(await rows.replica(first.id)).toMatchObject({ status: 'failed', error_message: 'AMI is gone' });
			const second = await IN.syncing();
			expect((await say(second.agent, second.caller, second.id, 'READY')).status).toBe(200);
			expect(await rows.replica(second.id)).toMatchObject({ status: 'ready' });
		});

		it('refuses what is no state, or none at all', async () => {
			const { agent, caller, id } = await IN.syncing();
			for (const status of ['', ' ', 'online', 'x'.repeat(33), '🙂'])
				expect(await say(agent, caller, id, status)).toMatchObject({ status: 400, body: { code: 'VALIDATION_ERROR' } });
			for (const status of [null, undefined, 7, true, ['ready'], { ready: true }])
				expect((await say(agent, caller, id, status as never)).status).toBe(400);
			expect(await rows.replica(id)).toMatchObject({ status: 'syncing' });
		});

		it('"ready" says since when it is synced and promotes nobody while no emergency waits', async () => {
			const { agent, id } = await syncingReplica(world);
			await say(agent, agent.id, id, 'ready', { sync_completed_at: '2021-03-04T00:00:01+00:00' });
			expect(await rows.replica(id)).toMatchObject({
				status: 'ready',
				ready_at: world.now(),
				sync_completed_at: Date.UTC(2021, 2, 4, 0, 0, 1),
			});
			await heartbeatsFor(world, 2 * MINUTE, agent.client, [agent.id]);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'primary' });
		});

		it('a replica that is ready for long and syncs again has time to do so: it does not end at once', async () => {
			const { agent, replica } = await readyReplica(world);
			await heartbeatsFor(world, 16 * MINUTE, agent.client, [agent.id, replica.handle]);
			expect((await say(agent, agent.id, replica.id, 'syncing')).status).toBe(200);
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'syncing', ready_at: null });
			await heartbeatsFor(world, MINUTE, agent.client, [agent.id, replica.handle]);
			expect(await rows.replica(replica.id)).toMatchObject({ status: 'syncing' });
			expect((await say(agent, agent.id, replica.id, 'ready')).status).toBe(200);
		}, 60_000);
	});

	describe('sync-status (#64)', () => {
		const sync = (agent: AgentScene, id: string, more: object) =>
			agent.client.call('replicaSync', { agent_id: agent.id, replica_id: id, ...more });

		it('stores what it says, in both vocabularies', async () => {
			const { agent, id } = await syncingReplica(world);
			expect((await sync(agent, id, { sync_status: 'out-of-sync', sync_latency_ms: 12.6, state_transfer_progress: 40.5 })).status).toBe(
				200,
			);
			expect(await rows.replica(id)).toMatchObject({
				status: 'syncing',
				sync_status: 'out-of-sync',
				sync_latency_ms: 13,
				state_transfer_progress: 40.5,
				last_sync_at: world.now(),
			});
			expect((await sync(agent, id, { sync_state: 'SYNCED', sync_progress: 99.9 })).status).toBe(200);
			expect(await rows.replica(id)).toMatchObject({
				status: 'syncing',
				sync_status: 'synced',
				sync_latency_ms: 13,
				state_transfer_progress: 99.9,
			});
		});

		it('makes a syncing replica ready at 100 %', async () => {
			const { agent, id } = await syncingReplica(world);
			expect((await sync(agent, id, { state_transfer_progress: 100 })).body).toMatchObject({ success: true, data: { status: 'ready' } });
			expect(await rows.replica(id)).toMatchObject({ status: 'ready', ready_at: world.now() });
			await world.advance(2000);
			expect((await sync(agent, id, { state_transfer_progress: 250 })).status).toBe(200);
			expect(await rows.replica(id)).toMatchObject({ status: 'ready', ready_at: world.now() - 2000, state_transfer_progress: 100 });
		});

		it('makes nothing ready that has no machine', async () => {
			const { agent, order } = await orderedReplica(world);
			await sync(agent, order.id, { state_transfer_progress: 100 });
			expect(await rows.replica(order.id)).toMatchObject({ status: 'launching', handle: null });
			expect((await promote(agent.client, agent.id, order.id)).status).toBe(400);
		});

		it('refuses text that is no sync state, and impossible figures', async () => {
			const { agent, id } = await syncingReplica(world);
			const before = await rows.replica(id);
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
			expect(await rows.replica(id)).toEqual(before);
		});
	});
});
