import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { onMarket } from './market-scene.ts';

const FIVE = 5 * 60_000;

describeEachDatabase('a price alert', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	type Market = Awaited<ReturnType<typeof onMarket>>;

	const report = async (agent: Market, prices: Readonly<Record<string, number>>) => {
		await world.advance(FIVE, 60_000);
		const { status } = await agent.client.call('pricingReport', {
			agent_id: agent.id,
			instance: { instance_type: agent.type, region: 'us-east-1' },
			pricing: {
				spot_pools: Object.entries(prices).map(([zone, price]) => ({ pool_id: agent.pool(zone), az: `us-east-1${zone}`, price })),
			},
		});
		expect(status).toBe(200);
	};
	const told = async (agent: Market) =>
		(
			await world.store.read
				.selectFrom('notification')
				.select('message')
				.where('client_id', '=', agent.client.id)
				.where('type', '=', 'price_alert')
				.orderBy('created_at')
				.orderBy('id')
				.execute()
		).map(({ message }) => message);
	const make = (agent: Market, more: object) => agent.client.call('createPriceAlert', { client_id: agent.client.id, ...more });

	it('is told once when the price passes the threshold, and again only after it went back', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const { status, body } = await make(agent, { threshold: 0.05, pool_id: agent.pool('a') });
		expect([status, body]).toMatchObject([
			201,
			{ alert_type: 'price_above', threshold: 0.05, enabled: true, notification_channels: ['dashboard'] },
		]);
		expect(Number.isInteger(body.alert_id)).toBe(true);
		for (const price of [0.049, 0.05, 0.06, 0.07]) await report(agent, { a: price });
		expect(await told(agent)).toEqual([`${agent.pool('a')} costs $0.05 an hour: at or above $0.05`]);
		for (const price of [0.04, 0.055, 0.056]) await report(agent, { a: price });
		expect(await told(agent)).toHaveLength(2);
		const { body: listed } = await agent.client.call('listPriceAlerts', { client_id: agent.client.id });
		expect(listed.data).toMatchObject([
			{ alert_id: body.alert_id, pool_id: agent.pool('a'), last_fired_at: new Date(world.now() - FIVE).toISOString() },
		]);
	});

	it('is told of a price that came late, with its time, and once; not of one from before it was made or told', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const late = async (ago: number, price: number) => {
			const at = new Date(world.now() - ago).toISOString();
			const { status } = await agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: agent.type, region: 'us-east-1' },
				pricing: { collected_at: at, spot_pools: [{ pool_id: agent.pool('a'), az: 'us-east-1a', price }] },
			});
			expect(status).toBe(200);
			return at;
		};
		await make(agent, { threshold: 0.05, pool_id: agent.pool('a') });
		await late(2 * FIVE, 0.09);
		expect(await told(agent)).toEqual([]);
		for (let at = 0; at < 6; at++)
			if (at !== 3) await report(agent, { a: 0.04 });
			else await world.advance(FIVE, 60_000);
		const at = await late(2 * FIVE, 0.09);
		expect(await told(agent)).toEqual([`${agent.pool('a')} cost at ${at} $0.09 an hour: at or above $0.05`]);
		await late(2 * FIVE, 0.09);
		await report(agent, { a: 0.04 });
		expect(await told(agent)).toHaveLength(1);
		await report(agent, { a: 0.06 });
		expect((await told(agent)).at(-1)).toBe(`${agent.pool('a')} costs $0.06 an hour: at or above $0.05`);
	});

	it('that is beyond its threshold when it is made waits until the price went back', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		await make(agent, { threshold_price: 0.05, alert_type: 'price_below', pool_id: agent.pool('a') });
		await report(agent, { a: 0.03 });
		expect(await told(agent)).toEqual([]);
		await report(agent, { a: 0.06 });
		await report(agent, { a: 0.05 });
		expect(await told(agent)).toEqual([`${agent.pool('a')} costs $0.05 an hour: at or below $0.05`]);
	});

	it('without a pool is about every pool the client reports, those it learns of later too', async () => {
		const agent = await onMarket(world, { a: 0.04, b: 0.04 });
		expect((await make(agent, { threshold: 0.05 })).body.message).toBe('watches 2 pools');
		await report(agent, { a: 0.06, b: 0.04, c: 0.04 });
		await report(agent, { a: 0.06, b: 0.04, c: 0.07 });
		expect(await told(agent)).toEqual([
			`${agent.pool('a')} costs $0.06 an hour: at or above $0.05`,
			`${agent.pool('c')} costs $0.07 an hour: at or above $0.05`,
		]);
	});

	it('of another client stays its own', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const other = await world.client();
		expect((await other.call('createPriceAlert', { client_id: other.id, threshold: 0.05, pool_id: agent.pool('a') })).status).toBe(201);
		expect((await other.call('createPriceAlert', { client_id: agent.client.id, threshold: 0.05 })).status).toBe(403);
		expect((await other.call('listPriceAlerts', { client_id: agent.client.id })).status).toBe(403);
		await report(agent, { a: 0.06 });
		expect(await told(agent)).toEqual([]);
		expect(
			await world.store.read
				.selectFrom('notification')
				.select('id')
				.where('client_id', '=', other.id)
				.where('type', '=', 'price_alert')
				.execute(),
		).toHaveLength(1);
	});

	it('is told once where two daemons write the same price', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		await make(agent, { threshold: 0.05, pool_id: agent.pool('a') });
		await Promise.all([report(agent, { a: 0.06 }), report(agent, { a: 0.06 })]);
		expect(await told(agent)).toHaveLength(1);
	});

	it('costs a report the same whatever alerts there are on other pools', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const crowd = await onMarket(world, { a: 0.04 });
		const cost = async () =>
			(await world.statements(() => report(agent, { a: 0.04 }))).filter((text) => text.includes('price_watch')).length;
		const before = await cost();
		for (let n = 0; n < 20; n++) await make(crowd, { threshold: 0.05 + n / 100, pool_id: crowd.pool('a') });
		expect([before, await cost()]).toEqual([1, 1]);
	});

	it('is silent while it is off, and gone when it is deleted', async () => {
		const agent = await onMarket(world, { a: 0.04 });
		const { body } = await make(agent, { threshold: 0.05, pool_id: agent.pool('a'), enabled: false });
		await report(agent, { a: 0.06 });
		expect(await told(agent)).toEqual([]);
		const one = { client_id: agent.client.id, alert_id: body.alert_id };
		await report(agent, { a: 0.04 });
		expect((await agent.client.call('setPriceAlert', { ...one, enabled: true })).body).toMatchObject({ success: true, enabled: true });
		await report(agent, { a: 0.06 });
		expect(await told(agent)).toHaveLength(1);
		expect((await agent.client.call('deletePriceAlert', one)).status).toBe(200);
		expect((await agent.client.call('deletePriceAlert', one)).status).toBe(404);
		expect(await world.store.read.selectFrom('price_watch').selectAll().where('pool_id', '=', agent.pool('a')).execute()).toEqual([]);
	});

	describe('is refused', () => {
		it.each([
			[{}, 'VALIDATION_ERROR'],
			[{ threshold: null }, 'VALIDATION_ERROR'],
			[{ threshold: 0 }, 'VALIDATION_ERROR'],
			[{ threshold: 'cheap' }, 'VALIDATION_ERROR'],
			[{ threshold: 0.0000001 }, 'VALIDATION_ERROR'],
			[{ threshold: 0.05, alert_type: 'constructor' }, 'VALIDATION_ERROR'],
			[{ threshold: 0.05, pool_id: 'no.such.pool' }, 'VALIDATION_ERROR'],
		])('with %o', async (body, code) => {
			const agent = await onMarket(world, { a: 0.04 });
			expect((await make(agent, body)).body.code).toBe(code);
		});

		it('for a client nobody knows, and beyond 50 of one', async () => {
			expect((await world.admin.call('createPriceAlert', { client_id: 'nobody', threshold: 1 })).status).toBe(404);
			expect((await world.admin.call('listPriceAlerts', { client_id: 'nobody' })).body.data).toEqual([]);
			const agent = await onMarket(world, { a: 0.04 });
			for (let n = 0; n < 50; n++) expect((await make(agent, { threshold: 1 })).status).toBe(201);
			expect((await make(agent, { threshold: 1 })).body.code).toBe('TOO_MANY_ALERTS');
			const first = await agent.client.call('listPriceAlerts', { client_id: agent.client.id, limit: 20 });
			const cursor = (first.body as { next_cursor?: string }).next_cursor;
			const second = await agent.client.call('listPriceAlerts', { client_id: agent.client.id, limit: 1000, ...(cursor ? { cursor } : {}) });
			const ids = [first, second].flatMap(({ body }) => (body.data as unknown as { alert_id: number }[]).map(({ alert_id }) => alert_id));
			expect(new Set(ids).size).toBe(50);
			expect((await agent.client.call('listPriceAlerts', { client_id: agent.client.id, cursor: 'bm9uZQ' })).body.code).toBe(
				'INVALID_CURSOR',
			);
		});
	});
});
