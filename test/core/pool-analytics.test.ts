import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { categoryOf, deviationOf, p95Of, recommendationOf } from '../../src/core/pool-analytics.ts';
import { mergeCleanPrices } from '../../src/store/prices.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent } from './agent-scene.ts';
import { onMarket } from './market-scene.ts';
import { imminent } from './replica-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const FIVE = 5 * MINUTE;

const stretch = (prices: readonly number[]) => ({
	poolId: 'p',
	at: 0,
	points: prices.length,
	synthetic: 0,
	spotSum: prices.reduce((sum, price) => sum + price, 0),
	squareSum: prices.reduce((sum, price) => sum + price * price, 0),
	onDemandSum: 0,
	onDemandPoints: 0,
});

describe('volatility', () => {
	it('is the deviation over the mean, in the classes of the original', () => {
		expect(deviationOf([stretch([90, 110]), stretch([90, 110])])).toBeCloseTo(0.1, 10);
		expect(deviationOf([stretch([5, 5])])).toBeNull();
		expect([null, 0, 0.05, 0.1, 0.2].map(categoryOf)).toEqual(['unknown', 'very_low', 'low', 'medium', 'high']);
	});

	it('does not depend on how the time is cut', () => {
		const prices = fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 3, maxLength: 50 });
		fc.assert(
			fc.property(prices, fc.nat(50), (all, at) => {
				const whole = deviationOf([stretch(all)]);
				const cut = deviationOf([stretch(all.slice(0, at)), stretch(all.slice(at))]);
				expect(cut).toBeCloseTo(whole ?? Number.NaN, 5);
			}),
		);
	});
});

describe('a recommendation', () => {
	it('never follows from an unknown price', () => {
		expect([recommendationOf(null, 1, 15, 'low'), recommendationOf(1, null, 15, 'low')]).toEqual(['not_recommended', 'not_recommended']);
	});

	it('goes by the saving, the agent’s threshold and the risk', () => {
		const of = (target: number, risk: 'very_low' | 'unknown' = 'very_low') => recommendationOf(100, target, 15, risk);
		expect([of(101), of(100), of(90), of(85), of(70), of(70, 'unknown')]).toEqual([
			'not_recommended',
			'neutral',
			'neutral',
			'recommended',
			'strongly_recommended',
			'recommended',
		]);
	});
});

describe('the 95th percentile', () => {
	const group = (ms: number, count = 1) => ({
		trigger: 'manual',
		success: 1 as const,
		seconds: Math.floor(ms / 1000),
		count,
		none: ms === 0 ? count : 0,
		sum: ms * count,
		least: ms,
		most: ms,
	});

	it('is what 95 of 100 stay below', () => {
		expect(p95Of([])).toBe(0);
		expect(p95Of([group(7500)])).toBe(7500);
		expect(p95Of([group(60_000, 5), group(1000, 95)])).toBe(1000);
		expect(p95Of([group(60_000, 6), group(1000, 94)])).toBe(60_000);
	});
});

describeEachDatabase('markets and switches', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });

	const clean = (poolId: string, prices: readonly number[], from: number) =>
		world.store.transact((tx) =>
			mergeCleanPrices(
				tx,
				world.store.dialect.name,
				prices.map((micros, n) => ({
					pool_id: poolId,
					bucket: from - (from % FIVE) + n * FIVE,
					spot_micros: micros,
					ondemand_micros: null,
					source: 'primary' as const,
					priority: 4,
					confidence: 1,
					data_source: 'measured' as const,
					observed_at: from + n * FIVE,
				})),
			),
		);

	it('tell how volatile pools are from prices and signals, null where nothing is known (D-36)', async () => {
		const agent = await onMarket(world, { a: 0.04, b: 0.03, c: 0.05 });
		await agent.client.call('pricingReport', {
			agent_id: agent.id,
			instance: { instance_type: agent.type, region: 'us-east-1', mode: 'spot', pool_id: agent.pool('a') },
			pricing: { spot_pools: [{ pool_id: agent.pool('a'), az: 'us-east-1a', price: 0.04 }] },
		});
		const before = world.now() - 3 * HOUR;
		await clean(agent.pool('a'), [40_000, 40_000, 40_000], before);
		await clean(agent.pool('b'), [20_000, 40_000, 20_000, 40_000], before);
		const ask = () => agent.client.call('poolVolatility', { instance_id: agent.instanceId });
		const { status, body } = await ask();
		expect(status).toBe(200);
		expect(body.current_pool).toEqual({
			pool_id: agent.pool('a'),
			az: 'us-east-1a',
			current_price: 0.04,
			volatility_score: 0,
			volatility_category: 'very_low',
			interruption_rate_24h: 0,
			price_stability_7d: 1,
		});
		expect(body.alternative_pools).toMatchObject([
			{ pool_id: agent.pool('b'), current_price: 0.03, volatility_category: 'high', interruption_rate_24h: null, recommendation: null },
			{ pool_id: agent.pool('c'), volatility_score: null, volatility_category: 'unknown', price_stability_7d: null, recommendation: null },
		]);
		await imminent(world, agent, agent.id);
		expect((await ask()).body.current_pool.interruption_rate_24h).toBe(1);
		expect((await (await world.client()).call('poolVolatility', { instance_id: agent.instanceId })).status).toBe(404);
	});

	it('simulate a switch from known prices only, and change nothing', async () => {
		const agent = await onMarket(world, { a: 0.04, b: 0.03 });
		await agent.client.call('pricingReport', {
			agent_id: agent.id,
			instance: { instance_type: agent.type, region: 'us-east-1', mode: 'spot', pool_id: agent.pool('a') },
			pricing: { current_spot_price: 0.04, spot_pools: [{ pool_id: agent.pool('a'), az: 'us-east-1a', price: 0.04 }] },
		});
		const ask = async (more: object = {}) => agent.client.call('simulateSwitch', { instance_id: agent.instanceId, ...more });
		const { body } = await ask({ target_pool: agent.pool('b') });
		expect(body.simulation).toMatchObject({
			current_pool: agent.pool('a'),
			target_pool: agent.pool('b'),
			current_price: 0.04,
			target_price: 0.03,
			hourly_savings: 0.01,
			daily_savings: 0.24,
			monthly_savings: 7.2,
			projected: ['daily_savings', 'monthly_savings'],
			estimated_downtime_seconds: null,
			confidence: 1,
			volatility_risk: 'unknown',
			interruption_probability_24h: null,
			recommendation: 'recommended',
		});
		expect((await ask()).body.simulation.target_pool).toBe(agent.pool('b'));
		expect((await ask({ target_type: 'ondemand' })).body.simulation).toMatchObject({ target_price: 1, recommendation: 'not_recommended' });
		await world.advance(2 * HOUR, MINUTE * 10);
		expect((await ask({ target_pool: agent.pool('b') })).body.simulation).toMatchObject({
			target_price: null,
			hourly_savings: null,
			monthly_savings: null,
			confidence: null,
			recommendation: 'not_recommended',
		});
		expect((await ask({ target_pool: 'no.such.pool' })).status).toBe(400);
		expect((await ask({ target_type: 'moon' })).status).toBe(400);
		expect((await (await world.client()).call('simulateSwitch', { instance_id: agent.instanceId })).status).toBe(404);
		expect(await world.store.read.selectFrom('command').select('id').where('agent_id', '=', agent.id).execute()).toEqual([]);
	});

	it('add up downtime under both vocabularies; unknown downtime is in no average', async () => {
		const agent = await makeAgent(world);
		const { client } = agent;
		const ask = (days?: number) => client.call('downtimeAnalytics', { client_id: client.id, ...(days === undefined ? {} : { days }) });
		expect((await ask()).body).toMatchObject({
			total_switches: 0,
			avg_downtime_seconds: 0,
			p95_downtime_seconds: 0,
			longest_downtime: null,
		});
		const add = (n: number, at: number, more: object) =>
			world.store.transact((tx) =>
				tx
					.insertInto('switch_record')
					.values({
						...{
							id: `${client.id}-${n}`,
							client_id: client.id,
							agent_id: agent.id,
							evidence: 'report',
							success: 1,
							trigger_type: 'manual',
						},
						...{ generation: 1, created_at: at, downtime_ms: null, error_message: null, ...more },
					})
					.execute(),
			);
		await add(1, world.now() - DAY, { downtime_ms: 2500 });
		await add(2, world.now() - DAY, { downtime_ms: 0 });
		await add(3, world.now() - 2 * DAY, { downtime_ms: 62_000, trigger_type: 'emergency' });
		await add(4, world.now() - 2 * DAY, { success: 0 });
		await add(5, world.now() - 10 * DAY, { downtime_ms: 43_000 });
		const { status, body } = await ask(7);
		expect(status).toBe(200);
		expect(body).toMatchObject({
			days: 7,
			total_downtime_seconds: 65,
			average_downtime_per_switch: 22,
			switches_with_downtime: 2,
			switches_without_downtime: 1,
			switches_with_unknown_downtime: 1,
			downtime_by_trigger: {
				emergency: { total_seconds: 62, average_seconds: 62, count: 1 },
				manual: { total_seconds: 3, average_seconds: 1, count: 2 },
			},
			longest_downtime: { switch_id: `${client.id}-3`, downtime_seconds: 62, reason: 'emergency' },
			total_switches: 4,
			successful_switches: 3,
			failed_switches: 1,
			avg_downtime_seconds: 21.5,
			p95_downtime_seconds: 62,
			min_downtime_seconds: 0,
			max_downtime_seconds: 62,
			trend: -50,
		});
		expect(Object.keys((await ask(30)).body)).not.toContain('trend');
		expect((await (await world.client()).call('downtimeAnalytics', { client_id: client.id })).status).toBe(403);
		expect((await world.admin.call('downtimeAnalytics', { client_id: 'nobody' })).status).toBe(404);
	});
});
