import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { configure } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent, newMachine, orderSwitch, rowsOf } from './agent-scene.ts';
import { onMarket } from './market-scene.ts';

describeEachDatabase('what an agent’s page asks', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);
	type Market = Awaited<ReturnType<typeof onMarket>>;

	const automatic = async (prices: Parameters<typeof onMarket>[1] = { a: 0.04, b: 0.03, c: 0.05 }): Promise<Market> => {
		const agent = await onMarket(world, prices);
		expect((await configure(agent.client, agent.id, { autoSwitchEnabled: true })).status).toBe(200);
		return agent;
	};
	const issue = (agent: Market, body: object, headers: Record<string, string> = {}) =>
		agent.client.call('issueSwitchCommand', { agent_id: agent.id, ...body }, headers);

	describe('a recommendation (#44)', () => {
		it('is to stay, with its reason and no invented figure, beside real prices of five minutes', async () => {
			const agent = await automatic();
			const ask = () => agent.client.call('switchRecommendation', { agent_id: agent.id });
			const { status, body } = await ask();
			expect(status).toBe(200);
			expect(body).toMatchObject({
				agent_id: agent.id,
				decision_type: 'stay_spot',
				risk_score: 0,
				risk_known: false,
				confidence: 0,
				auto_switch_enabled: true,
				will_auto_execute: false,
				alternative_pools: ['b', 'a', 'c']
					.filter((zone) => agent.pool(zone) !== body.current_pool.id)
					.map((zone) => ({ id: agent.pool(zone), az: `us-east-1${zone}` })),
			});
			expect(body.reason).toMatch(/no decision engine/);
			await world.advance(6 * 60_000, 60_000);
			expect((await ask()).body.alternative_pools).toEqual([]);
		});

		it('is 404 for another client’s agent', async () => {
			const agent = await automatic();
			expect((await (await world.client()).call('switchRecommendation', { agent_id: agent.id })).status).toBe(404);
		});
	});

	describe('a switch command (#45, D-16)', () => {
		it('is queued with priority 5 and its reason, where auto-switch is on', async () => {
			const agent = await automatic();
			const { status, body } = await issue(agent, { target_pool: agent.pool('b'), confidence: 0.9 });
			expect([status, body]).toMatchObject([
				201,
				{
					success: true,
					agent_id: agent.id,
					target_mode: 'spot',
					target_pool_id: agent.pool('b'),
					reason: 'Manual command',
					auto_switch_enabled: true,
				},
			]);
			expect(await rows.command(String(body.command_id))).toMatchObject({
				command_type: 'switch',
				priority: 5,
				reason: 'Manual command',
				terminate_wait_seconds: 300,
				status: 'pending',
			});
			expect((await agent.client.poll(agent.id)).body.commands).toMatchObject([{ id: body.command_id, priority: 5 }]);
		});

		it('is the same command for a repeat with the same X-Request-ID, and 409 for another while it is open', async () => {
			const agent = await automatic();
			const once = { 'x-request-id': `issue-${agent.id}` };
			const [first, again] = [
				await issue(agent, { target_pool_id: agent.pool('b') }, once),
				await issue(agent, { target_pool_id: agent.pool('b') }, once),
			];
			expect([first.status, again.status, again.body.command_id]).toEqual([201, 201, first.body.command_id]);
			const second = await issue(agent, { target_pool_id: agent.pool('c') });
			expect([second.status, second.body.code, second.body.command_id]).toEqual([409, 'SWITCH_OPEN', first.body.command_id]);
		});

		it('is 200 without success where the machine is there already', async () => {
			const agent = await automatic();
			await agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: agent.type, region: 'us-east-1', mode: 'spot', pool_id: agent.pool('a') },
				pricing: { spot_pools: [{ pool_id: agent.pool('a'), az: 'us-east-1a', price: 0.04 }] },
			});
			const { status, body } = await issue(agent, { target_mode: 'spot', target_pool_id: agent.pool('a') });
			expect([status, body]).toMatchObject([
				200,
				{ success: false, command_id: null, current_mode: 'spot', current_pool_id: agent.pool('a') },
			]);
		});

		it('is 403 with auto-switch off, 400 disabled, without a pool, or to a pool that is unknown or does not fit', async () => {
			const off = await onMarket(world, { a: 0.04, b: 0.03 });
			await configure(off.client, off.id, { autoSwitchEnabled: false });
			const refused = await issue(off, { target_pool: off.pool('b') });
			expect([refused.status, refused.body]).toMatchObject([403, { code: 'AUTO_SWITCH_DISABLED', auto_switch_enabled: false }]);
			const agent = await automatic();
			for (const body of [
				{},
				{ target_mode: 'spot' },
				{ target_mode: 'moon' },
				{ target_pool: 'no.such.pool' },
				{ target_pool: off.pool('b') },
			])
				expect([(await issue(agent, body)).status, body]).toEqual([400, body]);
			await agent.client.toggle(agent.id, false);
			expect((await issue(agent, { target_pool: agent.pool('b') })).body).toMatchObject({
				code: 'AGENT_DISABLED',
				error: 'Agent is disabled',
			});
			expect((await (await world.client()).call('issueSwitchCommand', { agent_id: agent.id, target_mode: 'ondemand' })).status).toBe(404);
		});

		it('is refused for a host that calls but never asks for commands', async () => {
			const agent = await automatic();
			for (let n = 0; n < 10; n++) {
				await world.advance(20_000, 4000);
				await agent.client.heartbeat(agent.id);
			}
			const fetched = await world.store.read
				.selectFrom('host_liveness')
				.select('commands_polled_at')
				.where('handle', '=', agent.id)
				.executeTakeFirst();
			expect(fetched?.commands_polled_at).toBeNull();
			expect((await issue(agent, { target_pool: agent.pool('b') })).body.code).toBe('AGENT_NEVER_POLLS');
		});
	});

	describe('a manual switch (X31)', () => {
		it('without a pool goes to the cheapest whose price is known, and a wait of 0 is no order to keep the old machine (D-31)', async () => {
			const agent = await onMarket(world, { a: 0.04, b: 0.03, c: 0.05 });
			const { status, body } = await agent.client.call('agentSwitch', {
				agent_id: agent.id,
				target_mode: 'spot',
				target_pool_id: null,
				terminate_wait_seconds: 0,
			});
			expect([status, body]).toMatchObject([200, { success: true, to: { pool_id: agent.pool('b') }, terminate_wait_seconds: 300 }]);
			expect(await rows.command(String(body.command_id))).toMatchObject({ priority: 75, target_pool_id: agent.pool('b') });
		});

		it('is 400 where no price is known', async () => {
			const agent = await onMarket(world, {});
			expect((await agent.client.call('agentSwitch', { agent_id: agent.id, target_mode: 'spot' })).status).toBe(400);
		});
	});

	it('flips an agent with an empty body (X29), and takes settings by PUT (X30)', async () => {
		const agent = await makeAgent(world);
		const flip = async () => (await agent.client.call('flipAgent', { agent_id: agent.id })).body;
		expect([await flip(), await flip()]).toMatchObject([
			{ success: true, enabled: false },
			{ success: true, enabled: true },
		]);
		const put = await agent.client.call('putSettings', { agent_id: agent.id, auto_terminate_enabled: false });
		expect(put.body).toMatchObject({ success: true, auto_terminate_enabled: false });
		const other = await world.client();
		expect((await other.call('flipAgent', { agent_id: agent.id })).status).toBe(404);
		expect((await other.call('putSettings', { agent_id: agent.id })).status).toBe(404);
	});

	it('lists the switches of an agent, newest first, page by page (X32)', async () => {
		const agent = await makeAgent(world);
		const ask = (more: object = {}) => agent.client.call('agentSwitchHistory', { agent_id: agent.id, ...more });
		expect((await ask()).body).toMatchObject({ switches: [], count: 0, next_cursor: null });
		await orderSwitch(agent.client, agent.instanceId, agent.id, 'b');
		await agent.client.report(agent.id, newMachine(), {
			old_instance: { instance_id: agent.instanceId, mode: 'spot' },
			new_instance: { instance_id: newMachine(), mode: 'spot', pool_id: 'c5.large.us-east-1b' },
		});
		const { body } = await ask();
		expect(body.switches).toMatchObject([{ old_mode: 'spot', new_mode: 'spot', success: true }]);
		expect(Date.parse(body.switches[0]?.switched_at ?? '')).toBeLessThanOrEqual(world.now());
		expect((await ask({ cursor: '!' })).body.code).toBe('INVALID_CURSOR');
		expect((await (await world.client()).call('agentSwitchHistory', { agent_id: agent.id })).status).toBe(404);
	});

	describe('for many agents at once (X10)', () => {
		it('does each by itself: unknown ones fail singly, twice counts once, and it is audited', async () => {
			const [one, two] = [await makeAgent(world), await makeAgent(world)];
			const input = { operation: 'disable_agents', agent_ids: [one.id, 'nobody', two.id, one.id], confirm: true };
			const { status, body } = await world.admin.call('bulkExecute', input);
			expect([status, body]).toMatchObject([200, { operation: 'disable_agents', total: 3, succeeded: 2, failed: 1 }]);
			expect(body.results).toMatchObject([
				{ agent_id: one.id, status: 'success' },
				{ agent_id: 'nobody', status: 'failed', code: 'NOT_FOUND' },
				{ agent_id: two.id, status: 'success' },
			]);
			expect((await rows.agent(two.id)).enabled).toBe(0);
			const audit = await world.store.read.selectFrom('audit').select('entity_id').where('action', '=', 'agents.bulk').execute();
			expect(audit.map(({ entity_id }) => entity_id)).toContain('disable_agents');
		});

		it('is done once for one X-Request-ID', async () => {
			const agent = await makeAgent(world);
			const remove = () =>
				world.admin.call(
					'bulkExecute',
					{ operation: 'delete_agents', agent_ids: [agent.id], confirm: true },
					{ 'x-request-id': `bulk-${agent.id}` },
				);
			const first = await remove();
			expect(first.body).toMatchObject({ succeeded: 1, failed: 0 });
			expect((await remove()).body).toMatchObject({ succeeded: 1, failed: 0 });
			expect((await rows.agent(agent.id)).status).toBe('deleted');
		});

		it('is refused unconfirmed, for an operation that is none, for too many, and to a client', async () => {
			const agent = await makeAgent(world);
			const ask = async (more: object) =>
				(await world.admin.call('bulkExecute', { operation: 'delete_agents', agent_ids: [agent.id], confirm: true, ...more })).body.code;
			expect(await ask({ confirm: false })).toBe('CONFIRMATION_REQUIRED');
			expect(await ask({ confirm: 'true' })).toBe('CONFIRMATION_REQUIRED');
			expect(await ask({ operation: 'terminate_instances' })).toBe('UNSUPPORTED_OPERATION');
			expect(await ask({ agent_ids: Array.from({ length: 1001 }, (_, n) => `a${n}`) })).toBe('VALIDATION_ERROR');
			expect(await ask({ agent_ids: [] })).toBe('VALIDATION_ERROR');
			const mine = await agent.client.call('bulkExecute', { operation: 'delete_agents', agent_ids: [agent.id], confirm: true });
			expect(mine.status).toBe(403);
			expect((await rows.agent(agent.id)).status).not.toBe('deleted');
		});
	});
});
