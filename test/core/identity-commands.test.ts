import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { pool } from '../helpers/world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';

describeEachDatabase('commands and hosts', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);

	describe('a claim (D-05)', () => {
		it('is offered once, never again, not even to the claimant', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			for (let n = 0; n < 3; n++) expect((await agent.client.poll(agent.id)).body).toMatchObject({ commands: [], count: 0 });
			await heartbeatsFor(world, 60_000, agent.client, [agent.id]);
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
		});

		it('goes to one of many polls at once', async () => {
			const agent = await makeAgent(world);
			const { body } = await agent.client.force(agent.instanceId, 'b');
			const polls = await Promise.all(Array.from({ length: 8 }, () => agent.client.poll(agent.id)));
			expect(polls.flatMap((reply) => reply.body.commands.map((command) => command.id))).toEqual([body.command_id]);
		});

		it('says everything an agent reads, and nothing of it is null', async () => {
			const agent = await makeAgent(world);
			await agent.client.force(agent.instanceId, 'b');
			const [command] = (await agent.client.poll(agent.id)).body.commands;
			expect(command).toMatchObject({
				command_type: 'switch',
				instance_id: agent.instanceId,
				target_mode: 'spot',
				target_pool_id: pool('b'),
				priority: 75,
				terminate_wait_seconds: 300,
			});
		});

		it('whose connection closed before the answer is undone, and offered again', async () => {
			const agent = await makeAgent(world);
			const { body } = await agent.client.force(agent.instanceId, 'b');
			await world.daemons[0]?.pollLost(agent.client, agent.id);
			expect(await rows.command(String(body.command_id))).toMatchObject({
				status: 'pending',
				claim_id: null,
				awaits_machine: 0,
				lease_until: null,
			});
			expect((await agent.client.poll(agent.id)).body.commands).toMatchObject([{ id: body.command_id }]);
		});

		it('has a lease of the configured time and the wait of the command', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			expect(await rows.command(command)).toMatchObject({ status: 'claimed', lease_until: world.now() + 900_000 + 300_000 });
		});

		it('is for one handle: the machine that took over never gets what was meant for its predecessor', async () => {
			const agent = await makeAgent(world);
			const pending = String((await agent.client.force(agent.instanceId, 'b')).body.command_id);
			const next = await joinAgent(agent, 'c');
			await heartbeatsFor(world, 140_000, agent.client, [next.handle]);
			expect((await rolesOf(world, agent.id))[next.instanceId]).toBe('primary');
			expect((await agent.client.poll(next.handle)).body.commands).toEqual([]);
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
			expect(await rows.command(pending)).toMatchObject({ status: 'cancelled', outcome: 'superseded' });
		});
	});

	describe('without evidence', () => {
		it('a claimed command is failed and unconfirmed at the end of its lease, with a notification', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			await heartbeatsFor(world, 1_199_000, agent.client, [agent.id]);
			expect(await rows.command(command)).toMatchObject({ status: 'claimed' });
			await world.advance(3000);
			expect(await rows.command(command)).toMatchObject({ status: 'failed', outcome: 'unconfirmed', open_switch_of: null });
			expect(await rows.notifications(agent.id)).toContainEqual(expect.objectContaining({ title: 'Switch unconfirmed' }));
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
			expect((await agent.client.force(agent.instanceId, 'b')).status).toBe(200);
		});

		it('a command nobody fetched expires (D-30)', async () => {
			const agent = await makeAgent(world);
			const command = String((await agent.client.force(agent.instanceId, 'b')).body.command_id);
			await world.advance(1_802_000, 4000);
			expect(await rows.command(command)).toMatchObject({ status: 'expired', outcome: 'expired', open_switch_of: null });
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
		});

		it('a command past its expiry is not handed out even before the sweep has seen it', async () => {
			const agent = await makeAgent(world);
			await agent.client.force(agent.instanceId, 'b');
			await world.advance(1_799_500, 4000);
			await world.advance(500, 500);
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
		});
	});

	describe('an agent that restarts in mid-command', () => {
		it('does not get it again, and has five minutes for the evidence', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			await heartbeatsFor(world, 60_000, agent.client, [agent.id]);
			await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId });
			expect(await rows.command(command)).toMatchObject({
				status: 'claimed',
				lease_until: world.now() + 300_000,
				due_at: world.now() + 300_000,
			});
			expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
			await heartbeatsFor(world, 302_000, agent.client, [agent.id]);
			expect(await rows.command(command)).toMatchObject({ status: 'failed', outcome: 'unconfirmed' });
		});

		it('never has longer than its lease', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			const { lease_until } = await rows.command(command);
			await heartbeatsFor(world, 1_100_000, agent.client, [agent.id]);
			await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId });
			expect(await rows.command(command)).toMatchObject({ lease_until });
		});

		it('is proved by its new machine all the same, and then ends by the terminate list', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId });
			await heartbeatsFor(world, 240_000, agent.client, [agent.id]);
			const next = await joinAgent(agent, 'b');
			expect(next.role).toBe('primary');
			await heartbeatsFor(world, 320_000, agent.client, [next.handle]);
			expect((await agent.client.terminations(next.handle)).body.instances).toMatchObject([{ instance_id: agent.instanceId }]);
		});

		it('of v3.2 that only says "executed" has five minutes for its report', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			expect((await agent.client.mark(agent.id, command)).body).toMatchObject({ success: true, command_status: 'claimed' });
			expect(await rows.command(command)).toMatchObject({ lease_until: world.now() + 300_000, acknowledged_success: null });
			await agent.client.report(agent.id, newMachine());
			expect(await rows.command(command)).toMatchObject({ status: 'completed', outcome: 'report' });
		});
	});

	it('an acknowledgement is idempotent, the first one counts', async () => {
		const agent = await makeAgent(world);
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
		await agent.client.ack(agent.id, command, false);
		expect((await agent.client.ack(agent.id, command, true)).body).toMatchObject({ command_status: 'failed' });
		expect(await rows.command(command)).toMatchObject({ status: 'failed', outcome: 'failed', acknowledged_success: 0 });
		expect(await rows.events(agent.id)).toEqual(['agent_registered', 'manual_switch_requested', 'command_failed']);
	});

	it('an acknowledgement of what the books hold already counts from its claimant alone', async () => {
		const agent = await makeAgent(world);
		const [stranger, sibling] = [await makeAgent(world), await makeAgent(world, agent.client)];
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
		await agent.client.report(agent.id, newMachine());
		const { acknowledged_at: before } = (await rows.command(command)) ?? {};
		expect((await stranger.client.ack(agent.id, command)).status).toBe(404);
		expect((await stranger.client.ack(stranger.id, command)).status).toBe(404);
		expect((await sibling.client.ack(sibling.id, command)).status).toBe(404);
		expect([before, (await rows.command(command))?.acknowledged_at]).toEqual([null, null]);
		expect((await agent.client.ack(agent.id, command)).body).toMatchObject({ success: true, command_status: 'completed' });
		expect(await rows.command(command)).toMatchObject({ acknowledged_at: world.now(), acknowledged_success: 1, outcome: 'report' });
	});

	describe('a forced switch (D-29)', () => {
		const code = async (promise: Promise<{ status: number; body: { code?: string } }>) => {
			const { status, body } = await promise;
			return [status, body.code];
		};

		it('is one at a time, also when two are asked at once (D-30)', async () => {
			const agent = await makeAgent(world);
			const replies = await Promise.all(['b', 'c', 'd'].map((zone) => agent.client.force(agent.instanceId, zone as 'b')));
			expect(replies.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
			const open = replies.find(({ status }) => status === 200)?.body.command_id;
			for (const { status, body } of replies) if (status === 409) expect(body).toMatchObject({ code: 'SWITCH_OPEN', command_id: open });
		});

		it('takes a spot target only with a pool', async () => {
			const agent = await makeAgent(world);
			for (const target of ['spot', 'pool']) {
				expect(await code(agent.client.call('forceSwitch', { instance_id: agent.instanceId, target }))).toEqual([400, 'VALIDATION_ERROR']);
			}
		});

		it('refuses an unknown pool, one of another type, the current one, and another type of machine', async () => {
			const agent = await makeAgent(world);
			const force = (more: object) => agent.client.call('forceSwitch', { instance_id: agent.instanceId, ...more });
			expect(await code(force({ target: 'pool', pool_id: 'c5.large.us-east-1z' }))).toEqual([400, 'VALIDATION_ERROR']);
			const big = await makeAgent(world, agent.client, { instance_type: 'm5.large' });
			expect(await code(agent.client.force(big.instanceId, 'b'))).toEqual([400, 'VALIDATION_ERROR']);
			expect(await code(agent.client.force(agent.instanceId, 'a'))).toEqual([409, 'ALREADY_THERE']);
			expect(await code(agent.client.force(agent.instanceId, 'b', { new_instance_type: 'c5.xlarge' }))).toEqual([400, 'VALIDATION_ERROR']);
		});

		it('is of the primary: any other machine is told which that is', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'b');
			const { status, body } = await agent.client.force(agent.instanceId, 'c');
			expect([status, body.code, body.primary]).toEqual([409, 'NOT_PRIMARY', next.instanceId]);
		});

		const configure = (agent: { id: string }, change: object) => world.admin.call('changeConfig', { agent_id: agent.id, ...change });

		it('is refused for a host that never asks for commands (v4), whatever else was changed of its agent meanwhile', async () => {
			const agent = await makeAgent(world);
			await heartbeatsFor(world, 140_000, agent.client, [agent.id]);
			expect(await code(agent.client.force(agent.instanceId, 'b'))).toEqual([409, 'AGENT_NEVER_POLLS']);
			await configure(agent, { terminate_wait_seconds: 42, max_switches_per_day: 9 });
			await configure(agent, { enabled: true });
			await agent.client.heartbeat(agent.id, { status: 'offline' });
			await agent.client.heartbeat(agent.id);
			expect(await code(agent.client.force(agent.instanceId, 'b'))).toEqual([409, 'AGENT_NEVER_POLLS']);
		});

		it('is queued with a warning for two minutes after its host registered, was promoted or was enabled, and not longer', async () => {
			const agent = await makeAgent(world);
			const refused = async (instanceId: string, handle: string, target: 'b' | 'd' = 'b') => {
				const early = await agent.client.force(instanceId, target, { dry_run: true });
				expect([early.status, early.body.warnings]).toEqual([200, ['the agent has not asked for commands yet']]);
				await heartbeatsFor(world, 140_000, agent.client, [handle]);
				expect(await code(agent.client.force(instanceId, target, { dry_run: true }))).toEqual([409, 'AGENT_NEVER_POLLS']);
			};
			await refused(agent.instanceId, agent.id);
			await agent.client.toggle(agent.id, false);
			await agent.client.toggle(agent.id, true);
			await refused(agent.instanceId, agent.id);
			const standby = await joinAgent(agent);
			await heartbeatsFor(world, 140_000, agent.client, [standby.handle]);
			expect((await rolesOf(world, agent.id))[standby.instanceId]).toBe('primary');
			await refused(standby.instanceId, standby.handle, 'd');
			await agent.client.poll(standby.handle);
			expect((await agent.client.force(standby.instanceId, 'd', { dry_run: true })).body.warnings).toEqual([]);
		});

		it('queues for an agent that is offline or disabled, with a warning', async () => {
			const agent = await makeAgent(world);
			await agent.client.poll(agent.id);
			await agent.client.toggle(agent.id, false);
			await agent.client.heartbeat(agent.id, { status: 'offline' });
			const { body } = await agent.client.force(agent.instanceId, 'b');
			expect(body.warnings).toHaveLength(2);
			expect((await agent.client.poll(agent.id)).body.commands).toHaveLength(1);
		});
	});

	it('a pending command that is cancelled is given to nobody; a claimed one is cancelled in the books (D-30)', async () => {
		const agent = await makeAgent(world);
		const pending = String((await agent.client.force(agent.instanceId, 'b')).body.command_id);
		expect((await agent.client.cancel(pending)).body).toMatchObject({ was: 'pending' });
		expect((await agent.client.poll(agent.id)).body.commands).toEqual([]);
		const claimed = await orderSwitch(agent.client, agent.instanceId, agent.id);
		expect((await agent.client.cancel(claimed)).body).toMatchObject({ was: 'claimed' });
		expect((await agent.client.cancel(claimed)).status).toBe(409);
		expect((await agent.client.ack(agent.id, claimed)).body).toMatchObject({ command_status: 'cancelled' });
	});
});
