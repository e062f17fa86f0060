import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent, rowsOf } from './agent-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('the settings of an agent', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);

	/** The body of the dashboard's dialogue: it sends all four keys, whatever was touched. */
	const dialogue = (agentId: string, terminateWaitMinutes: number, more: object = {}) =>
		world.admin.call('changeConfig', {
			agent_id: agentId,
			terminateWaitMinutes,
			autoSwitchEnabled: true,
			manualReplicaEnabled: false,
			autoTerminateEnabled: true,
			...more,
		});

	describe('as the dashboard sends them back (#25)', () => {
		it.each([
			[20, 0],
			[59, 0],
			[90, 1],
			[330, 5],
		])('keep a wait of %i seconds, which is shown as %i minutes', async (seconds, minutes) => {
			const agent = await makeAgent(world);
			await world.admin.call('changeConfig', { agent_id: agent.id, terminate_wait_seconds: seconds });
			const { body: list } = await world.admin.call('listClientAgents', { client_id: agent.client.id });
			expect(list.data).toMatchObject([{ terminateWaitMinutes: minutes }]);
			const before = await rows.agent(agent.id);
			const { status, body } = await dialogue(agent.id, minutes);
			expect([status, body.changed, body.terminate_wait_seconds]).toEqual([200, [], seconds]);
			expect(await rows.agent(agent.id)).toEqual(before);
		});

		it('keep it too when another of them was touched', async () => {
			const agent = await makeAgent(world);
			await world.admin.call('changeConfig', { agent_id: agent.id, terminate_wait_seconds: 20 });
			const { body } = await dialogue(agent.id, 0, { autoTerminateEnabled: false });
			expect(body).toMatchObject({ changed: ['auto_terminate_enabled'], auto_terminate_enabled: false, terminate_wait_seconds: 20 });
		});

		it('take 0 minutes for the shortest wait there is, never for "do not terminate", and say so (D-31)', async () => {
			const agent = await makeAgent(world);
			const { status, body } = await dialogue(agent.id, 0);
			expect([status, body.changed, body.terminate_wait_seconds, body.auto_terminate_enabled]).toEqual([
				200,
				['terminate_wait_seconds'],
				1,
				true,
			]);
			expect(body.notes.join()).toMatch(/shortest wait.* 1 s.*auto-terminate/);
			expect((await dialogue(agent.id, 3)).body).toMatchObject({ changed: ['terminate_wait_seconds'], terminate_wait_seconds: 180 });
			expect((await dialogue(agent.id, -1)).status).toBe(400);
			expect((await dialogue(agent.id, 1441)).status).toBe(400);
		});
	});

	describe('after it was deleted and restored', () => {
		const remade = async (settings: object) => {
			const agent = await makeAgent(world);
			await world.admin.call('changeConfig', { agent_id: agent.id, ...settings });
			expect((await world.admin.remove(agent.id)).status).toBe(200);
			expect(await rows.agent(agent.id)).toMatchObject({ enabled: 0, auto_switch_enabled: 0, manual_replica_enabled: 0 });
			return agent;
		};

		it.each([
			['on', { enabled: true }, { enabled: 1, auto_switch_enabled: 1, manual_replica_enabled: 0 }],
			['disabled', { enabled: false }, { enabled: 0, auto_switch_enabled: 1, manual_replica_enabled: 0 }],
			['without auto-switch', { auto_switch_enabled: false }, { enabled: 1, auto_switch_enabled: 0, manual_replica_enabled: 0 }],
			['with a manual replica', { manual_replica_enabled: true }, { enabled: 1, auto_switch_enabled: 0, manual_replica_enabled: 1 }],
		])('are those from before: %s', async (_, settings, stored) => {
			const agent = await remade(settings);
			const { body } = await world.admin.restore(agent.id);
			expect(body).toMatchObject({
				enabled: stored.enabled === 1,
				auto_switch_enabled: stored.auto_switch_enabled === 1,
				manual_replica_enabled: stored.manual_replica_enabled === 1,
			});
			expect(body.message).toContain(stored.enabled === 1 ? 'with its settings from before' : 'disabled, as it was before');
			expect(await rows.agent(agent.id)).toMatchObject(stored);
			await agent.client.heartbeat(agent.id);
			expect((await agent.client.config(agent.id)).body).toMatchObject({
				enabled: stored.enabled === 1,
				auto_switch_enabled: stored.auto_switch_enabled === 1,
			});
		});

		it('bring the replica of the manual mode back as well', async () => {
			const agent = await remade({ manual_replica_enabled: true });
			await world.admin.restore(agent.id);
			for (let seconds = 0; seconds < 30; seconds += 5) {
				await agent.client.heartbeat(agent.id);
				await agent.client.call('listHostReplicas', { agent_id: agent.id, status: 'launching' });
				await world.advance(5000);
			}
			await agent.client.prices(agent.id, { 'us-east-1a': 0.04, 'us-east-1b': 0.03 });
			await world.advance(MINUTE / 2, 5000);
			expect(await rows.liveReplicas(agent.id)).toHaveLength(1);
		});

		it('are said to be unknown where an older spotctl deleted it and kept none', async () => {
			const agent = await remade({});
			await world.store.ddl.updateTable('agent').set({ kept_settings: null }).where('id', '=', agent.id).execute();
			const { body } = await world.admin.restore(agent.id);
			expect(body).toMatchObject({ enabled: true, auto_switch_enabled: false, manual_replica_enabled: false });
			expect(body.message).toMatch(/enabled, .*auto-switch and manual replica.* off.* not known/);
		});

		it('are those from before the last deletion, not an earlier one', async () => {
			const agent = await remade({ enabled: false });
			await world.admin.restore(agent.id);
			await world.admin.toggle(agent.id, true);
			await world.admin.remove(agent.id);
			expect((await world.admin.restore(agent.id)).body).toMatchObject({ enabled: true, auto_switch_enabled: true });
			expect(await rows.agent(agent.id)).toMatchObject({ kept_settings: null });
		});
	});
});
