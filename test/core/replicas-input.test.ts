import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { create } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Actor } from '../helpers/world.ts';
import { makeAgent, newMachine, rolesOf, rowsOf } from './agent-scene.ts';
import { orderedReplica, put, say, syncingReplica } from './replica-scene.ts';

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
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

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
			const { agent, id: replicaId } = await syncingReplica(world);
			const before = await rows.replica(replicaId);
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
			expect(await rows.replica(replicaId)).toEqual(before);
			expect(await rolesOf(world, agent.id)).not.toHaveProperty('i-0abc');
		});

		it('an id in the other case is another id, on both databases', async () => {
			const { agent, id } = await syncingReplica(world);
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
			const { agent, id } = await syncingReplica(world);
			const before = await rows.replica(id);
			const ids = { agent_id: agent.id, replica_id: id };
			const huge = Array.from({ length: 20_000 }, (_, n) => n);
			const bodies = [
				['attachReplica', { instance_id: huge }],
				['replicaStatus', { status: huge }],
				['replicaStatus', { status: 'ready', sync_completed_at: huge }],
				['replicaStatus', { status: 'failed', error_message: huge }],
				['replicaSync', { sync_status: huge }],
				['promoteReplica', { demote_old_primary: 'perhaps' }],
				['promoteReplica', { demote_old_primary: huge }],
				['createReplica', { tags: { all: huge } }],
				['createReplica', { tags: { all: 'x'.repeat(1_100_000) } }],
				['createReplica', { replica_type: 'x'.repeat(33) }],
				['createReplica', { instance_id: ['i-0abc'] }],
			] as const;
			for (const [name, body] of bodies) {
				const { status } = await agent.client.call(name, { ...ids, ...body } as never);
				expect([400, 413], `${name} ${JSON.stringify(body).slice(0, 60)}`).toContain(status);
			}
			expect((await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'x'.repeat(65) })).status).toBe(400);
			expect((await agent.client.call('listHostReplicas', { agent_id: agent.id, include_terminated: 'perhaps' })).status).toBe(400);
			expect((await agent.client.call('listClientReplicas', { client_id: agent.client.id, limit: 1001 })).status).toBe(400);
			expect(await rows.replica(id)).toEqual(before);
		});

		it('a time beyond all reason does no harm', async () => {
			for (const at of ['9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z', 8.64e15, -1]) {
				const { agent, id } = await syncingReplica(world);
				expect((await say(agent, agent.id, id, 'ready', { sync_completed_at: at })).status).toBeLessThan(500);
				expect((await agent.client.call('listHostReplicas', { agent_id: agent.id })).status).toBe(200);
				expect((await agent.client.call('showReplica', { replica_id: id })).status).toBe(200);
			}
		});

		it('a type of replica nobody knows is a manual one', async () => {
			const agent = await makeAgent(world);
			const { body } = await create(agent.client, agent.id, { instance_id: newMachine(), replica_type: '🙂' });
			expect(await rows.replica(body.replica_id)).toMatchObject({ type: 'manual', status: 'syncing' });
		});
	});
});
