import { describe, expect, it } from 'vitest';
import { bucketsOf, labelOf } from '../../src/core/price-history.ts';
import { mergeCleanPrices } from '../../src/store/prices.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent } from './agent-scene.ts';
import { onMarket } from './market-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const FIVE = 5 * MINUTE;

describe('a bucket of a chart (D-33)', () => {
	it('is named in UTC, by hour or by day', () => {
		const at = Date.parse('2021-03-04T23:00:00Z');
		expect([labelOf(at, 'hour'), labelOf(at, 'day')]).toEqual(['2021-03-04 23:00', '2021-03-04']);
	});

	it('is the mean of all its points where its parts come from two places', () => {
		const part = { poolId: 'p', at: 0, synthetic: 0, squareSum: 0, onDemandPoints: 0, onDemandSum: 0 };
		const [bucket] = bucketsOf([
			{ ...part, points: 1, spotSum: 100 },
			{ ...part, points: 3, spotSum: 60, synthetic: 1, onDemandPoints: 2, onDemandSum: 400 },
		]);
		expect([bucket?.pools.get('p'), bucket?.onDemandMicros]).toEqual([{ micros: 40, synthetic: true }, 200]);
	});
});

describeEachDatabase('prices over time', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });

	/** Writes clean prices as the pipeline keeps them, micro-dollars by time. */
	const clean = (poolId: string, points: readonly (readonly [at: number, micros: number, how?: 'measured' | 'interpolated'])[]) =>
		world.store.transact((tx) =>
			mergeCleanPrices(
				tx,
				world.store.dialect.name,
				points.map(([at, micros, how = 'measured']) => ({
					pool_id: poolId,
					bucket: at - (at % FIVE),
					spot_micros: micros,
					ondemand_micros: how === 'measured' ? 1_000_000 : null,
					source: how === 'measured' ? ('primary' as const) : ('interpolated' as const),
					priority: how === 'measured' ? 4 : 1,
					confidence: 1,
					data_source: how,
					observed_at: at,
				})),
			),
		);

	it('are means by UTC hour under pool keys; hours without a price have no row, pools without one are null (D-36, D-37)', async () => {
		const agent = await onMarket(world, { a: 0.04, b: 0.03 });
		const hour = world.now() - (world.now() % HOUR) - 5 * HOUR;
		await clean(agent.pool('a'), [
			[hour, 50_000],
			[hour + FIVE, 70_000],
			[hour + 2 * HOUR, 20_000, 'interpolated'],
		]);
		const { status, body } = await agent.client.call('instancePriceHistory', { instance_id: agent.instanceId, hours: 6 });
		expect(status).toBe(200);
		const [a, b] = [`pool_${agent.pool('a')}`, `pool_${agent.pool('b')}`];
		expect(body.pools).toEqual(
			['a', 'b'].map((zone) => ({ id: agent.pool(zone), name: agent.pool(zone), az: `us-east-1${zone}`, key: `pool_${agent.pool(zone)}` })),
		);
		const rows = (body as { series: unknown }).series;
		expect(rows).toEqual([
			{ time: labelOf(hour, 'hour'), onDemand: 1, onDemandKnown: true, synthetic: [], [a]: 0.06, [b]: null },
			{ time: labelOf(hour + 2 * HOUR, 'hour'), onDemand: 0, onDemandKnown: false, synthetic: [a], [a]: 0.02, [b]: null },
			{ time: labelOf(world.now(), 'hour'), onDemand: 1, onDemandKnown: true, synthetic: [], [a]: 0.04, [b]: 0.03 },
		]);
		expect(body).toMatchObject({ onDemandPrice: 1, onDemandKnown: true, interval: 'hour', poolsLeftOut: 0 });
	});

	it('are the object with empty arrays where no pool is known, bare too', async () => {
		const agent = await onMarket(world, {});
		const empty = { data: [], series: [], pools: [], onDemandPrice: 0, onDemandKnown: false };
		const wrapped = await agent.client.call('instancePriceHistory', { instance_id: agent.instanceId });
		// In the envelope, `data` is the payload: that is what `series` is for.
		expect(wrapped.body).toMatchObject({ data: empty, series: [] });
		const bare = await agent.client.call('instancePriceHistory', { instance_id: agent.instanceId }, { 'x-response-format': 'bare' });
		expect(bare.body).toMatchObject(empty);
	});

	it('say the same once their hours are summed, and days agree with hours', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const day = world.now() - (world.now() % DAY) - 3 * DAY;
		await clean(
			agent.pool('a'),
			Array.from({ length: 30 }, (_, n) => [day + n * HOUR + (n % 12) * FIVE, 10_000 + n * 1000] as const),
		);
		const ask = async (interval: 'hour' | 'day') =>
			(await agent.client.call('instancePriceHistory', { instance_id: agent.instanceId, days: 5, interval })).body.series;
		const before = [await ask('hour'), await ask('day')];
		const summed = () => world.store.read.selectFrom('price_hour').selectAll().where('pool_id', '=', agent.pool('a')).execute();
		expect(await summed()).toEqual([]);
		await world.admin.call('runJob', { name: 'price-hours' });
		await world.advance(4000, 1000);
		expect((await summed()).length).toBeGreaterThan(25);
		expect([await ask('hour'), await ask('day')]).toEqual(before);
		expect(before[1]?.[0]).toMatchObject({ time: labelOf(day, 'day'), [`pool_${agent.pool('a')}`]: 0.0215 });
	});

	it('do not show pools that only agents of others report', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const other = await world.client();
		const stranger = await makeAgent(world, other, { instance_type: agent.type });
		await other.call('pricingReport', {
			agent_id: stranger.id,
			instance: { instance_type: agent.type, region: 'us-east-1' },
			pricing: { spot_pools: [{ pool_id: `${agent.type}.us-east-1zz`, az: 'us-east-1zz', price: 0.0001 }] },
		});
		const { body } = await agent.client.call('instancePriceHistory', { instance_id: agent.instanceId });
		expect(body.pools.map(({ id }) => id)).toEqual([agent.pool('a')]);
	});

	it('take six statements at most, whatever their length', async () => {
		const agent = await onMarket(world, { a: 0.04, b: 0.03, c: 0.02 });
		const ask = () => agent.client.call('instancePriceHistory', { instance_id: agent.instanceId, days: 90 });
		await ask();
		expect((await world.statements(ask)).length).toBeLessThanOrEqual(6);
	});

	it.each([
		[{ days: 0 }, 1],
		[{ days: 4000 }, 90],
		[{ hours: 24 }, 1],
		[{ days: -3 }, 1],
		[{}, 7],
	] as const)('begin where %o says, clamped', async (range, days) => {
		const agent = await onMarket(world, { a: 0.04 });
		const { status, body } = await agent.client.call('instancePriceHistory', { instance_id: agent.instanceId, ...range });
		const since = world.now() - days * DAY;
		expect([status, body.from]).toEqual([200, new Date(since - (since % HOUR)).toISOString()]);
	});

	it('are 400 for an interval or a length that is none, 404 for a machine of another client', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const ask = (more: object) => agent.client.call('instancePriceHistory', { instance_id: agent.instanceId, ...more });
		expect((await ask({ interval: 'week' })).status).toBe(400);
		expect((await ask({ days: 'x' })).status).toBe(400);
		const other = await world.client();
		expect((await other.call('instancePriceHistory', { instance_id: agent.instanceId })).status).toBe(404);
	});

	describe('of the owner of a token', () => {
		it('are those around the agent that was heard last, with the cheapest as price (X34)', async () => {
			const agent = await onMarket(world, { a: 0.04, b: 0.03 });
			const history = [
				{
					ondemand_price: 1,
					ondemand_known: true,
					price: 0.03,
					spot_pools: [
						{ pool_id: agent.pool('a'), az: 'us-east-1a', price: 0.04, synthetic: false },
						{ pool_id: agent.pool('b'), az: 'us-east-1b', price: 0.03, synthetic: false },
					],
				},
			];
			for (const name of ['pricingHistory', 'pricingHistoryAlias'] as const) {
				const { status, body } = await agent.client.call(name, {});
				expect(status).toBe(200);
				expect(body).toMatchObject({
					history,
					days: 7,
					data_points: 1,
					agent_id: agent.id,
					instance_type: agent.type,
					region: 'us-east-1',
				});
			}
			const { body } = await agent.client.call('currentPricing', {});
			expect(body).toMatchObject({
				agent_id: agent.id,
				ondemand_price: 1,
				pools: [{ pool_id: agent.pool('b'), price: 0.03 }, { pool_id: agent.pool('a') }],
			});
		});

		it('are 404 without an agent, with another client’s and with a deleted one; an admin says whose', async () => {
			const client = await world.client();
			expect((await client.call('pricingHistory', {})).body).toMatchObject({ code: 'NOT_FOUND', error: 'No active agents found' });
			const agent = await onMarket(world, { a: 0.04 });
			expect((await client.call('pricingHistory', { agent_id: agent.id })).status).toBe(404);
			expect((await world.admin.call('pricingHistory', {})).body.code).toBe('CLIENT_REQUIRED');
			expect((await world.admin.call('pricingHistory', { client_id: agent.client.id })).body.agent_id).toBe(agent.id);
			expect((await client.call('currentPricing', { client_id: agent.client.id })).status).toBe(403);
			await world.admin.remove(agent.id);
			expect((await agent.client.call('pricingHistory', { agent_id: agent.id })).status).toBe(404);
		});

		it('are empty, without a type, where no pool is known', async () => {
			const agent = await onMarket(world, {});
			const { body } = await agent.client.call('pricingHistory', { days: 99 });
			expect(body).toMatchObject({ history: [], days: 30, data_points: 0, agent_id: agent.id });
			expect(Object.keys(body)).not.toContain('instance_type');
		});
	});

	it('are beside what a machine has done: figures of the books, no invented price', async () => {
		const agent = await onMarket(world, {});
		const { status, body } = await agent.client.call('instanceMetrics', { instance_id: agent.instanceId });
		expect(status).toBe(200);
		expect(body).toMatchObject({
			id: agent.instanceId,
			spotPrice: 0,
			onDemandPrice: 0,
			pricesKnown: { spot: false, onDemand: false },
			uptimeHours: 0,
			totalSwitches: 0,
			totalSavings: 0,
		});
		expect((await (await world.client()).call('instanceMetrics', { instance_id: agent.instanceId })).status).toBe(404);
	});
});
