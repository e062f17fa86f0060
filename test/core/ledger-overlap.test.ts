import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Target } from '../helpers/world.ts';
import { type AgentScene, joinAgent, makeAgent, newMachine, orderSwitch } from './agent-scene.ts';
import { booksOf, MINUTE, SECOND } from './ledger-scene.ts';
import { imminent, readyReplica } from './replica-scene.ts';

describeEachDatabase('the overlap of a switch', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });

	const { alive, costs, settle, summary, explained, recomputed, micros, amountOf } = booksOf(world);

	/** An agent whose price is known, with these settings. */
	const makeSet = async (autoTerminate: boolean, waitSeconds = 600): Promise<AgentScene> => {
		const agent = await makeAgent(world);
		const settings = { agent_id: agent.id, auto_terminate_enabled: autoTerminate, terminate_wait_seconds: waitSeconds };
		expect((await world.admin.call('changeConfig', settings)).status).toBe(200);
		await costs(agent, agent.id, 'a', 0.05);
		await agent.client.poll(agent.id);
		return agent;
	};

	/** Switches it by an operator's order to zone b; answers the new machine and when it became the primary. */
	const switched = async (agent: AgentScene, target: Target = 'b', more: object = {}) => {
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id, target, more);
		const at = world.now();
		const next = await joinAgent(agent);
		return { at, command, next };
	};

	/** The lines of the old machine after it was the primary: how long each, in seconds, and what ended it. */
	const linesOf = async (agent: AgentScene, since: number) => {
		await settle();
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		return own
			.filter(({ start }) => Date.parse(start) >= since)
			.map(({ line, quality, seconds, closedBy }) => {
				expect(quality).toBe('estimated');
				return closedBy === 'open' ? [line, closedBy] : [line, seconds, closedBy];
			});
	};

	it('lasts until the planned end of the old machine, which is a zombie after it', async () => {
		const agent = await makeSet(true);
		const { at, next } = await switched(agent);
		await costs(agent, next.handle, 'b', 0.04);
		await alive(5 * MINUTE, agent.client, [next.handle]);
		expect(await linesOf(agent, at)).toEqual([['overlap', 'open']]);
		await alive(10 * MINUTE, agent.client, [next.handle]);
		expect(await linesOf(agent, at)).toEqual([
			['overlap', 600, 'overdue'],
			['zombie', 'open'],
		]);
		const figures = await summary(agent.client);
		expect(micros(figures.overlapCost)).toBe(amountOf(0.05, 600));
		expect(micros(figures.actual)).toBe(
			micros(figures.primaryCost) + micros(figures.replicaCost) + micros(figures.overlapCost) + micros(figures.zombieCost),
		);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('is none where the old machine is to be kept', async () => {
		const agent = await makeSet(false);
		expect(await linesOf(agent, (await switched(agent)).at)).toEqual([['zombie', 'open']]);
		const byOrder = await makeSet(true);
		expect(await linesOf(byOrder, (await switched(byOrder, 'b', { auto_terminate: false })).at)).toEqual([['zombie', 'open']]);
	});

	it('is as long as the order says that made the switch, whatever the settings of the agent say', async () => {
		const agent = await makeSet(false, 120);
		const { at, next } = await switched(agent, 'b', { auto_terminate: true });
		await alive(10 * MINUTE, agent.client, [next.handle]);
		expect(await linesOf(agent, at)).toEqual([
			['overlap', 120, 'overdue'],
			['zombie', 'open'],
		]);
		const ordered = await makeSet(true, 600);
		const order = { agent_id: ordered.id, target_mode: 'spot', target_pool_id: 'c5.large.us-east-1b', terminate_wait_seconds: 240 };
		expect((await ordered.client.call('agentSwitch', order)).status).toBe(200);
		await ordered.client.poll(ordered.id);
		const moved = world.now();
		const after = await joinAgent(ordered);
		await alive(10 * MINUTE, ordered.client, [after.handle]);
		expect(await linesOf(ordered, moved)).toEqual([
			['overlap', 240, 'overdue'],
			['zombie', 'open'],
		]);
		expect((await recomputed(ordered.client)).changed).toBe(0);
	});

	it('lasts without an order as long as the settings say at the switch: those of later are for later switches', async () => {
		const { agent, replica } = await readyReplica(world);
		const settings = { agent_id: agent.id, auto_terminate_enabled: true, terminate_wait_seconds: 180 };
		expect((await world.admin.call('changeConfig', settings)).status).toBe(200);
		await costs(agent, agent.id, 'a', 0.05);
		const at = world.now();
		expect((await agent.client.call('promoteReplica', { agent_id: agent.id, replica_id: replica.id })).status).toBe(200);
		expect((await world.admin.call('changeConfig', { agent_id: agent.id, terminate_wait_seconds: 3600 })).status).toBe(200);
		await alive(10 * MINUTE, agent.client, [replica.handle]);
		expect(await linesOf(agent, at)).toEqual([
			['overlap', 180, 'overdue'],
			['zombie', 'open'],
		]);
	});

	it('lasts until AWS has taken the old machine back, though its settings would keep it', async () => {
		const { agent } = await readyReplica(world);
		expect((await world.admin.call('changeConfig', { agent_id: agent.id, auto_terminate_enabled: false })).status).toBe(200);
		await costs(agent, agent.id, 'a', 0.05);
		const at = world.now();
		expect((await imminent(world, agent, agent.id)).status).toBe(200);
		expect(await linesOf(agent, at)).toEqual([['overlap', 'open']]);
	});

	it('ends when somebody puts the old machine on hold, and does not go on when it is released', async () => {
		const agent = await makeSet(true);
		const { at, next } = await switched(agent);
		await alive(100 * SECOND, agent.client, [next.handle]);
		expect((await agent.client.hold(agent.instanceId, true)).status).toBe(200);
		await alive(100 * SECOND, agent.client, [next.handle]);
		expect((await agent.client.hold(agent.instanceId, false)).status).toBe(200);
		await alive(100 * SECOND, agent.client, [next.handle]);
		const lines = [
			['overlap', 100, 'kept'],
			['zombie', 'open'],
		];
		expect(await linesOf(agent, at)).toEqual(lines);
		expect((await agent.client.terminated(next.handle, agent.instanceId)).status).toBe(200);
		await alive(10 * MINUTE, agent.client, [next.handle]);
		const ended = await linesOf(agent, at);
		expect(ended.map(([line]) => line)).toEqual(['overlap', 'zombie']);
		expect(ended.at(-1)?.[2]).toBe('end');
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('ends when the switch is disputed, since the old machine is kept', async () => {
		const agent = await makeSet(true);
		const { at, command, next } = await switched(agent);
		await alive(100 * SECOND, agent.client, [next.handle]);
		expect((await agent.client.ack(agent.id, command, false)).status).toBe(200);
		expect(await linesOf(agent, at)).toEqual([
			['overlap', 100, 'kept'],
			['zombie', 'open'],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('is none where the agent is deleted while its switch is under way, though the order had a wait', async () => {
		const agent = await makeSet(true);
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
		expect((await world.admin.call('deleteAgent', { agent_id: agent.id })).status).toBe(200);
		const at = world.now();
		expect((await agent.client.report(agent.id, newMachine(), { command_id: command })).body).toMatchObject({ action: 'switched' });
		expect((await linesOf(agent, at)).map(([line]) => line)).toEqual(['zombie']);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('is over for a machine that comes back after its agent was deleted', async () => {
		const agent = await makeSet(true);
		const { at, next } = await switched(agent);
		await alive(100 * SECOND, agent.client, [next.handle]);
		expect((await agent.client.terminated(next.handle, agent.instanceId)).status).toBe(200);
		expect((await world.admin.call('deleteAgent', { agent_id: agent.id })).status).toBe(200);
		await alive(100 * SECOND, agent.client, []);
		expect((await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId, az: 'us-east-1a' })).status).toBe(200);
		await alive(10 * MINUTE, agent.client, []);
		const lines = await linesOf(agent, at);
		expect(lines.map(([line]) => line)).toEqual(['overlap', 'zombie']);
		expect(lines[0]?.[2]).toBe('kept');
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('ends when the agent is deleted, of which no list names its old machine any more', async () => {
		const agent = await makeSet(true);
		const { at, next } = await switched(agent);
		await alive(100 * SECOND, agent.client, [next.handle]);
		expect((await world.admin.call('deleteAgent', { agent_id: agent.id })).status).toBe(200);
		expect(await linesOf(agent, at)).toEqual([
			['overlap', 100, 'kept'],
			['zombie', 'open'],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});
});
