import { expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { joinAgent, makeAgent, orderSwitch } from './agent-scene.ts';
import { booksOf, DAY, HOUR, MINUTE, SECOND } from './ledger-scene.ts';

describeEachDatabase('the days of the books', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const { alive, costs, settle, summary, explained, recomputed, micros } = booksOf(world);

	it('agree in every view across midnight: days, months, agents, machines and the total', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.0333);
		await alive(10 * MINUTE, agent.client, [agent.id]);
		// Most of the day nobody listens; it calls again before midnight and over it.
		const midnight = Math.ceil(world.now() / DAY) * DAY;
		await world.stop(0);
		await world.advance(midnight - 30 * MINUTE - world.now(), HOUR);
		await world.restart(0);
		for (let half = 0; half < 3; half++) {
			await costs(agent, agent.id, 'a', 0.0333 + half / 1000);
			await alive(20 * MINUTE, agent.client, [agent.id]);
		}
		await settle();
		const total = await summary(agent.client);
		const series = async (range: string) => (await world.admin.call('clientSavings', { client_id: agent.client.id, range })).body.data;
		for (const range of ['daily', 'weekly', 'monthly', 'yearly']) {
			const rows = (await series(range)) as unknown as readonly { onDemandCost: number; modelCost: number; savings: number }[];
			expect(rows.reduce((sum, row) => sum + micros(row.onDemandCost), 0)).toBe(micros(total.baseline));
			expect(rows.reduce((sum, row) => sum + micros(row.modelCost), 0)).toBe(micros(total.actual));
			expect(rows.reduce((sum, row) => sum + micros(row.savings), 0)).toBe(micros(total.savings));
		}
		expect(((await series('daily')) as unknown as readonly unknown[]).length).toBeGreaterThan(1);
		expect((await series('hourly')) as unknown).toEqual([]);
		const charts = (await world.admin.call('clientCharts', { client_id: agent.client.id })).body;
		expect(charts.savingsTrend.reduce((sum, { actual }) => sum + micros(actual), 0)).toBe(micros(total.actual));
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('give each day its own seconds also while yesterday is still open', async () => {
		const agent = await makeAgent(world);
		const midnight = Math.ceil(world.now() / DAY) * DAY;
		await world.advance(midnight - 30 * MINUTE - world.now(), HOUR);
		await agent.client.heartbeat(agent.id);
		await costs(agent, agent.id, 'a', 0.04);
		await settle();
		await alive(midnight - world.now() - SECOND, agent.client, [agent.id]);
		const daily = async () => {
			const { body } = await world.admin.call('clientSavings', { client_id: agent.client.id, range: 'daily' });
			return (body.data as unknown as { period: string; shares: { seconds: number } }[]).map(({ period, shares }) => [
				period,
				shares.seconds,
			]);
		};
		const before = (await daily()).at(-1)?.[1] as number;
		world.daemons[0]?.pause();
		await world.advance(3 * SECOND, SECOND);
		expect((await daily()).slice(-2)).toEqual([
			[iso(midnight - 1).slice(0, 10), before + 1],
			[iso(midnight).slice(0, 10), 2],
		]);
		const { segments } = await explained(agent.id, iso(midnight).slice(0, 7));
		expect(segments.slice(-2).map(({ start, seconds, closedBy }) => [Date.parse(start) < midnight, seconds > 1, closedBy])).toEqual([
			[true, true, 'open'],
			[false, true, 'open'],
		]);
		world.daemons[0]?.wake();
		await settle();
		expect((await daily()).slice(-2)[0]).toEqual([iso(midnight - 1).slice(0, 10), before + 1]);
	});

	it('price from its begin what changed before midnight and is booked after', async () => {
		const agent = await makeAgent(world);
		const midnight = Math.ceil(world.now() / DAY) * DAY;
		await world.advance(midnight - 30 * MINUTE - world.now(), HOUR);
		await costs(agent, agent.id, 'a', 0.04);
		const other = await makeAgent(world, undefined, { az: 'us-east-1b' });
		await costs(other, other.id, 'b', 0.03);
		await agent.client.poll(agent.id);
		await alive(midnight - world.now() - 40 * SECOND, agent.client, [agent.id]);
		await settle();
		world.daemons[0]?.pause();
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		const switched = world.now();
		expect(switched).toBeLessThan(midnight);
		await world.advance(midnight + 5 * SECOND - world.now(), SECOND);
		await costs(agent, next.handle, 'b', 0.031);
		const said = world.now();
		world.daemons[0]?.wake();
		await settle();
		const own = (await explained(agent.id, iso(midnight).slice(0, 7))).segments.filter(({ instanceId }) => instanceId === next.instanceId);
		expect(own.map(({ start, quality, price, priceSource }) => [Date.parse(start), quality, price, priceSource])).toEqual([
			[switched, 'measured', 0.03, 'quote'],
			[midnight, 'measured', 0.03, 'quote'],
			[said, 'measured', 0.031, 'own'],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});
});
