import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, makeAgent, newMachine, orderSwitch, rowsOf } from './agent-scene.ts';

const LEASE = 30 * 60_000;

describeEachDatabase('a switch that fails', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	const figures = async ({ client, id }: AgentScene) => {
		const downtime = (await client.call('downtimeAnalytics', { client_id: client.id, days: 7 })).body;
		const { statistics } = (await client.call('agentStatistics', { agent_id: id })).body;
		const listed = (await client.call('switchHistory', { client_id: client.id })).body.data as unknown as unknown[];
		return {
			total: downtime.total_switches,
			failed: downtime.failed_switches,
			executed: statistics.switches_executed,
			rate: statistics.success_rate,
			known: statistics.success_rate_known,
			listed: listed.length,
		};
	};

	const failing = (agent: AgentScene, more: object = {}) =>
		agent.client.call('switchReport', { agent_id: agent.id, success: false, error: 'no capacity', ...more } as never);

	it('by its own report is counted once among the switches of X6 and in the rate of X2, and history does not list it', async () => {
		const agent = await makeAgent(world);
		expect(await figures(agent)).toMatchObject({ total: 0, failed: 0, known: false });
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
		expect((await failing(agent, { command_id: command })).body.action).toBe('failed');
		expect(await figures(agent)).toEqual({ total: 1, failed: 1, executed: 0, rate: 0, known: true, listed: 0 });
		await failing(agent, { command_id: command });
		await agent.client.ack(agent.id, command, false);
		expect(await figures(agent)).toMatchObject({ total: 1, failed: 1 });
		const again = await orderSwitch(agent.client, agent.instanceId, agent.id);
		await agent.client.report(agent.id, newMachine(), { command_id: again });
		expect(await figures(agent)).toEqual({ total: 2, failed: 1, executed: 1, rate: 0.5, known: true, listed: 1 });
	});

	it('by its acknowledgement is counted, and so is one that the agent began by itself', async () => {
		const agent = await makeAgent(world);
		await agent.client.ack(agent.id, await orderSwitch(agent.client, agent.instanceId, agent.id), false);
		expect(await figures(agent)).toMatchObject({ total: 1, failed: 1 });
		const own = await makeAgent(world);
		await failing(own);
		expect(await figures(own)).toMatchObject({ total: 1, failed: 1, rate: 0, known: true });
	});

	it('by its silence is counted when its lease is over, until its machine is reported after all', async () => {
		const agent = await makeAgent(world);
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
		for (let passed = 0; passed < LEASE; passed += 60_000) {
			await agent.client.heartbeat(agent.id);
			await world.advance(60_000, 30_000);
		}
		expect(await rowsOf(world).command(command)).toMatchObject({ status: 'failed', outcome: 'unconfirmed' });
		expect(await figures(agent)).toMatchObject({ total: 1, failed: 1, listed: 0 });
		expect((await agent.client.report(agent.id, newMachine(), { command_id: command })).body.action).toBe('switched');
		expect(await figures(agent)).toEqual({ total: 1, failed: 0, executed: 1, rate: 1, known: true, listed: 1 });
	});

	it('is not counted where nobody fetched it', async () => {
		const agent = await makeAgent(world);
		await agent.client.force(agent.instanceId, 'b');
		for (let passed = 0; passed < LEASE + 120_000; passed += 60_000) {
			await agent.client.heartbeat(agent.id);
			await world.advance(60_000, 30_000);
		}
		expect(await figures(agent)).toMatchObject({ total: 0, failed: 0, known: false });
	});
});
