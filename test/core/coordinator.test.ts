import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { coordinate } from '../../src/core/coordinator.ts';
import type { NoticeLoad } from '../../src/core/notice-lane.ts';
import { type Job, TICK_MS } from '../../src/core/scheduler.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, makeAgent, rowsOf } from './agent-scene.ts';
import { imminent } from './replica-scene.ts';

describeEachDatabase('a run of the coordinator', ({ freshUrl }) => {
	let world: World;
	afterEach(() => world.close());

	const due = ({ id }: AgentScene): Promise<void> =>
		world.store.transact(async (tx) => {
			await tx.updateTable('agent').set({ attention_at: world.now() }).where('id', '=', id).execute();
		});
	/** A world whose coordinator meets the given notices under way, and an agent for which something is due with its next tick. */
	const withLoad = async (load: NoticeLoad) => {
		const job: Job = { name: 'coordinator', summary: 'x', everyMs: TICK_MS, run: (context) => coordinate({ ...context, notices: load }) };
		world = await openWorld(await freshUrl(), { jobs: [job] });
		const agent = await makeAgent(world);
		await agent.client.call('rebalanceRecommendation', { agent_id: agent.id });
		await due(agent);
		const isDue = async () => Number((await rowsOf(world).agent(agent.id)).attention_at) <= world.now();
		await world.advance(TICK_MS, 20);
		return { agent, isDue };
	};
	it('works at once where no notice is under way', async () => {
		const { isDue } = await withLoad({ underWay: 0 });
		expect(await isDue()).toBe(false);
	});

	it('gives way to notices for a second, then works although there are more', async () => {
		const { isDue } = await withLoad({ underWay: 3 });
		await world.advance(980, 20);
		expect(await isDue()).toBe(true);
		await world.advance(40, 20);
		expect(await isDue()).toBe(false);
	});

	it('goes on as soon as they are answered, and gives way anew in the next run', async () => {
		const load = { underWay: 3 };
		const { agent, isDue } = await withLoad(load);
		await world.advance(300, 20);
		expect(await isDue()).toBe(true);
		load.underWay = 0;
		await world.advance(20, 20);
		expect(await isDue()).toBe(false);
		load.underWay = 1;
		await due(agent);
		await world.advance(TICK_MS, 20);
		expect(await isDue()).toBe(true);
		await world.advance(1000, 20);
		expect(await isDue()).toBe(false);
	});

	it('hears of the notices that this daemon takes, whether they are answered or refused', async () => {
		const loads: NoticeLoad[] = [];
		const job: Job = { name: 'x', summary: 'x', everyMs: TICK_MS, run: async ({ notices }) => loads.push(notices) };
		world = await openWorld(await freshUrl(), { jobs: [job], direct: true });
		const agent = await makeAgent(world);
		await world.advance(TICK_MS);
		const [load] = loads;
		for (const handle of [agent.id, 'nobody']) {
			let most = 0;
			let answered = false;
			const notices = Promise.all([imminent(world, agent, handle), imminent(world, agent, handle)]).finally(() => {
				answered = true;
			});
			while (!answered) {
				most = Math.max(most, load?.underWay ?? 0);
				await setImmediate();
			}
			await notices;
			expect([most, load?.underWay]).toEqual([2, 0]);
		}
	});
});
