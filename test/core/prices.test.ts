import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { operations } from '../../src/contract/index.ts';
import { parseInstant } from '../../src/contract/instant.ts';
import type { Principal } from '../../src/core/caller.ts';
import { bucketOf, CONFIDENCE, observedAt, PRIORITY, pointsOf, readPrices } from '../../src/core/price-points.ts';
import { createPriceWriter } from '../../src/core/price-writer.ts';
import { readReport } from '../../src/core/report.ts';
import type { PriceSource } from '../../src/store/schema.ts';
import { startCore, type TestCore } from '../helpers/core.ts';
import { machine } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';

const MINUTE = 60_000;
const NOW = Date.parse('2021-03-04T05:06:07.089Z');
const HOST = { type: 'c5.large', region: 'us-east-1', az: 'us-east-1a' };

const instants = fc.integer({ min: Date.parse('2015-01-01'), max: Date.parse('2035-01-01') });

describe('a bucket', () => {
	it('is five minutes of UTC, whatever the zone of the machine', () => {
		expect(new Date(bucketOf(NOW)).toISOString()).toBe('2021-03-04T05:05:00.000Z');
		fc.assert(
			fc.property(instants, (at) => {
				const start = bucketOf(at);
				expect(start).toBeLessThanOrEqual(at);
				expect(at - start).toBeLessThan(5 * MINUTE);
				expect([new Date(start).getUTCMinutes() % 5, new Date(start).getUTCSeconds(), start % 1000, bucketOf(start)]).toEqual([
					0,
					0,
					0,
					start,
				]);
			}),
		);
	});
});

describe('the time of a price', () => {
	it("is the agent's word within 15 minutes, else the arrival; never later than now", () => {
		expect(observedAt(NOW - 15 * MINUTE, NOW)).toBe(NOW - 15 * MINUTE);
		expect(observedAt(NOW - 15 * MINUTE - 1, NOW)).toBe(NOW);
		expect(observedAt(NOW + 15 * MINUTE, NOW)).toBe(NOW);
		expect([observedAt(null, NOW), observedAt(undefined, NOW)]).toEqual([NOW, NOW]);
		fc.assert(
			fc.property(instants, instants, (collected, now) => {
				const at = observedAt(collected, now);
				expect(at).toBe(Math.abs(collected - now) <= 15 * MINUTE ? Math.min(collected, now) : now);
			}),
		);
	});
});

describe('the points of a report', () => {
	const zone = fc.constantFrom('us-east-1a', 'us-east-1b', 'us-west-2-lax-1a', 'eu-west-1c', 'unknown', 'x');
	const type = fc.constantFrom('c5.large', 'm5.xlarge', 'u-6tb1.metal', 'unknown');
	const listed = fc.array(
		fc.record({
			pool_id: fc.option(
				fc.oneof(
					fc.tuple(type, zone).map((parts) => parts.join('.')),
					fc.string({ maxLength: 20 }),
				),
				{ nil: null },
			),
			instance_type: fc.option(type, { nil: null }),
			az: fc.option(zone, { nil: null }),
			price: fc.option(fc.double({ min: 1e-9, max: 1000, noNaN: true }), { nil: null }),
		}),
		{ maxLength: 30 },
	);

	it('are one for each pool, the first; a pool is its type and zone, or it is dropped', () => {
		fc.assert(
			fc.property(listed, (given) => {
				const { points, duplicates, ignored } = pointsOf(given, HOST);
				const reasons = Object.values(ignored);
				expect(points.length + duplicates + reasons.reduce((sum, count) => sum + count, 0)).toBe(given.length);
				expect(reasons.every((count) => count > 0)).toBe(true);
				const known = given.flatMap((each) => pointsOf([each], HOST).points.map(({ poolId }) => poolId));
				expect([points.length, duplicates]).toEqual([new Set(known).size, known.length - new Set(known).size]);
				expect(new Set(points.map(({ poolId }) => poolId)).size).toBe(points.length);
				for (const point of points) {
					expect(point.poolId).toBe(`${point.type}.${point.az}`);
					expect(point.spotMicros).toBeGreaterThan(0);
					const first = given.find(({ pool_id, instance_type, az, price }) => {
						const said = pool_id ?? `${instance_type ?? HOST.type}.${az}`;
						return (
							said === point.poolId &&
							price !== null &&
							Math.round(price * 1e6) > 0 &&
							pointsOf([{ pool_id, instance_type, az, price }], HOST).points.length === 1
						);
					});
					expect(first && Math.round((first.price ?? 0) * 1e6)).toBe(point.spotMicros);
				}
			}),
		);
	});

	it.each([
		['c5.large.us-east-1b', null, null, 'c5.large.us-east-1b'],
		['c5.large.us-east-1b', 'c5.large', 'us-east-1b', 'c5.large.us-east-1b'],
		[null, null, 'us-east-1b', 'c5.large.us-east-1b'],
		[null, 'm5.large', 'us-east-1b', 'm5.large.us-east-1b'],
		['c5.large.us-east-1b', 'm5.large', null, undefined],
		['c5.large.us-east-1b', null, 'us-east-1c', undefined],
		['C5.LARGE.us-east-1b ', 'c5.large', 'us-east-1b', undefined],
		[null, 'c5.large', null, undefined],
		['nonsense', null, null, undefined],
		['.', null, null, undefined],
		["c5.large.'; drop table pool; --", null, null, undefined],
	])('pool %s of type %s in zone %s is %s', (pool_id, instance_type, az, expected) => {
		expect(pointsOf([{ pool_id, instance_type, az, price: 0.05 }], HOST).points[0]?.poolId).toBe(expected);
	});
});

const pools = [
	{ pool_id: 'c5.large.us-east-1a', instance_type: 'c5.large', az: 'us-east-1a', price: 0.04 },
	{ pool_id: 'c5.large.us-east-1b', instance_type: 'c5.large', az: 'us-east-1b', price: 0.03 },
];
const collected_at = '2021-03-04T05:04:00.123456+00:00';

/** The three shapes of #48, saying the same. */
const SHAPES: Readonly<Record<string, object>> = {
	classic: {
		instance: {
			instance_id: 'i-1',
			instance_type: 'c5.large',
			region: 'us-east-1',
			az: 'us-east-1a',
			mode: 'spot',
			pool_id: 'c5.large.us-east-1a',
		},
		pricing: {
			on_demand_price: 0.085,
			current_spot_price: 0.04,
			cheapest_pool: { pool_id: 'c5.large.us-east-1b', price: 0.03 },
			spot_pools: pools,
			collected_at,
		},
	},
	'v3.2': {
		instance: {
			instance_id: 'i-1',
			instance_type: 'c5.large',
			region: 'us-east-1',
			az: 'us-east-1a',
			current_mode: 'spot',
			current_pool_id: 'c5.large.us-east-1a',
		},
		on_demand_price: { price: 0.085 },
		spot_pools: pools,
		collected_at,
	},
	flat: {
		instance_id: 'i-1',
		instance_type: 'c5.large',
		region: 'us-east-1',
		az: 'us-east-1a',
		current_mode: 'spot',
		current_pool_id: 'c5.large.us-east-1a',
		current_spot_price: 0.04,
		on_demand_price: 0.085,
		spot_prices: pools,
		collected_at,
	},
};

describe('the three shapes of a report', () => {
	it('say the same', () => {
		const read = Object.values(SHAPES).map((shape) =>
			readPrices(operations.pricingReport.input.parse({ agent_id: 'x', ...shape }), HOST, NOW),
		);
		expect(read[0]).toEqual({
			points: [
				{ poolId: 'c5.large.us-east-1a', type: 'c5.large', region: 'us-east-1', az: 'us-east-1a', spotMicros: 40_000 },
				{ poolId: 'c5.large.us-east-1b', type: 'c5.large', region: 'us-east-1', az: 'us-east-1b', spotMicros: 30_000 },
			],
			duplicates: 0,
			ignored: {},
			onDemandMicros: 85_000,
			currentMicros: 40_000,
			mode: 'spot',
			currentPoolId: 'c5.large.us-east-1a',
			type: 'c5.large',
			region: 'us-east-1',
			observedAt: parseInstant('2021-03-04T05:04:00.123Z'),
		});
		expect(read[1]).toEqual(read[0]);
		expect(read[2]).toEqual(read[0]);
	});

	it('leave unknown what they do not say', () => {
		const read = readPrices(operations.pricingReport.input.parse({ agent_id: 'x', spot_pools: pools }), HOST, NOW);
		expect(read).toMatchObject({ onDemandMicros: null, currentMicros: null, mode: null, currentPoolId: null, observedAt: NOW });
	});
});

describeEachDatabase('reported prices', ({ kind, freshUrl }) => {
	let test: TestCore;
	let acme: Principal & { readonly kind: 'client' };
	let agentId = '';
	let standby = '';
	let count = 0;

	beforeAll(async () => {
		test = await startCore(await freshUrl(), '2021-03-04T05:06:07Z');
	});
	afterAll(() => test.close());
	beforeEach(async () => {
		count++;
		// An hour further, so that no bucket and no "newest" of an earlier test is in the way.
		test.advance(3 * 60 * MINUTE);
		acme = await test.client(`acme-${count}`);
		agentId = (await test.call('registerHost', machine(`i-${count}a`, { logical_agent_id: 'web' }) as never, acme)).agent_id;
		standby = (await test.call('registerHost', machine(`i-${count}b`, { logical_agent_id: 'web' }) as never, acme)).agent_id;
		test.statements();
	});

	const report = (body: object, handle = agentId) => test.call('pricingReport', { agent_id: handle, ...body } as never, acme);
	const spot = (price: number, more: object = {}) => ({ spot_pools: [{ pool_id: 'c5.large.us-east-1a', price }], ...more });
	const raw = async () =>
		(await test.store.read.selectFrom('price_report').selectAll().where('client_id', '=', acme.clientId).orderBy('id').execute()).map(
			({ points, ...row }) => ({ ...row, points: JSON.parse(points) as Record<string, number> }),
		);
	const clean = async (pool = 'c5.large.us-east-1a') =>
		(
			await test.store.read
				.selectFrom('price_clean')
				.selectAll()
				.where('pool_id', '=', pool)
				.where('bucket', '>', test.clock.now() - 90 * MINUTE)
				.orderBy('bucket')
				.execute()
		).map(({ spot_micros, source, priority, confidence, bucket }) => ({ spot: spot_micros, source, priority, confidence, bucket }));
	const own = (handle = agentId) => test.store.read.selectFrom('host_price').selectAll().where('handle', '=', handle).executeTakeFirst();

	it.each(Object.entries(SHAPES))('in the %s shape are kept raw and clean, with what the host and the type cost', async (_, shape) => {
		const fresh = JSON.parse(
			JSON.stringify(shape).replaceAll(collected_at, new Date(test.clock.now() - 3 * MINUTE).toISOString()),
		) as object;
		expect(await report(fresh)).toEqual({ success: true, records_inserted: 2, duplicates: 0, ignored: 0, ignored_because: {} });
		const at = test.clock.now() - 3 * MINUTE;
		expect((await raw()).map(({ id: _id, ...row }) => row)).toEqual([
			{
				client_id: acme.clientId,
				handle: agentId,
				source: 'primary',
				instance_type: 'c5.large',
				ondemand_micros: 85_000,
				current_micros: 40_000,
				points: Object.fromEntries(pools.map(({ pool_id, price }) => [pool_id, price * 1e6])),
				observed_at: at,
				arrived_at: test.clock.now(),
			},
		]);
		expect(await clean()).toEqual([{ spot: 40_000, source: 'primary', priority: 4, confidence: 1, bucket: bucketOf(at) }]);
		expect(await own()).toEqual({ handle: agentId, spot_micros: 40_000, ondemand_micros: 85_000, reported_at: test.clock.now() });
		const listed = await test.store.read.selectFrom('ondemand_price').selectAll().executeTakeFirst();
		expect([listed?.micros, listed?.observed_at]).toEqual([85_000, at]);
	});

	it('of one bucket are one: the better source wins whenever it comes, of equals the first', async () => {
		await report(spot(0.051), standby);
		expect(await clean()).toMatchObject([{ spot: 51_000, source: 'replica-manual', priority: 2, confidence: 0.95 }]);
		await report(spot(0.052));
		await report(spot(0.053));
		await report(spot(0.054), standby);
		expect(await clean()).toMatchObject([{ spot: 52_000, source: 'primary', priority: 4, confidence: 1 }]);
		expect((await raw()).map(({ points, source }) => [points['c5.large.us-east-1a'], source])).toEqual([
			[51_000, 'replica-manual'],
			[52_000, 'primary'],
			[53_000, 'primary'],
			[54_000, 'replica-manual'],
		]);
		test.advance(5 * MINUTE);
		await report(spot(0.055), standby);
		expect((await clean()).map(({ spot: price }) => price)).toEqual([52_000, 55_000]);
	});

	it('of one bucket are not written again by a daemon that has written as good ones, nor does that hide a better one', async () => {
		const written = async (body: object, handle = agentId) => {
			test.statements();
			await report(body, handle);
			return test.statements().some((text) => text.includes('price_clean'));
		};
		expect(await written(spot(0.051), standby)).toBe(true);
		expect(await written(spot(0.052), standby)).toBe(false);
		expect(await written(spot(0.053))).toBe(true);
		expect([await written(spot(0.054)), await written(spot(0.055), standby)]).toEqual([false, false]);
		expect(await clean()).toMatchObject([{ spot: 53_000, source: 'primary' }]);
		const late = { collected_at: new Date(test.clock.now() - 10 * MINUTE).toISOString() };
		expect([await written(spot(0.056, late)), await written(spot(0.057, late), standby)]).toEqual([true, true]);
		expect((await clean()).map(({ spot: price }) => price)).toEqual([56_000, 53_000]);
		expect(await written(spot(0.058))).toBe(false);
		expect(await raw()).toHaveLength(8);
	});

	it('of one bucket are one also when they come at once: one of the better source, whichever of them is written first', async () => {
		await Promise.all([report(spot(0.061), standby), report(spot(0.062)), report(spot(0.063)), report(spot(0.064), standby)]);
		const kept = await clean();
		expect(kept).toMatchObject([{ source: 'primary', priority: 4, confidence: 1 }]);
		expect([62_000, 63_000]).toContain(kept[0]?.spot);
		expect(await raw()).toHaveLength(4);
		const late = new Date(test.clock.now() - 10 * MINUTE).toISOString();
		await Promise.all([
			report({ on_demand_price: 0.09, collected_at: null }),
			report({ on_demand_price: 0.08, collected_at: late }),
			report({ pricing: { current_spot_price: 0.07 } }),
		]);
		expect((await test.store.read.selectFrom('ondemand_price').selectAll().executeTakeFirst())?.micros).toBe(90_000);
		expect(await own()).toMatchObject({ spot_micros: 70_000, ondemand_micros: expect.any(Number) });
	});

	it.each([
		[-15 * MINUTE, true],
		[-15 * MINUTE - 1000, false],
		[10 * MINUTE, false],
		[15 * MINUTE + 1000, false],
		[-1000, true],
	])('collected %d ms from now are of that time: %s', async (offset, believed) => {
		const now = test.clock.now();
		await report(spot(0.04, { collected_at: new Date(now + offset).toISOString() }));
		const at = believed ? now + offset : now;
		expect((await raw())[0]).toMatchObject({ observed_at: at, arrived_at: now });
		expect((await clean()).map(({ bucket }) => bucket)).toEqual([bucketOf(at)]);
	});

	it('that cannot be are ignored and counted with the reason, apart from a pool that is named twice; the rest is kept', async () => {
		const listed = [
			...pools,
			{ pool_id: 'c5.large.us-east-1c', instance_type: 'm5.large', az: 'us-east-1c', price: 0.05 },
			{ pool_id: 'c5.large.us-east-1c', az: 'us-east-1d', price: 0.05 },
			{ pool_id: 'c5.large.us-east-1a', price: 0.9 },
			{ pool_id: null, az: null, price: 0.05 },
			{ pool_id: 'c5.large.us-east-1d', price: null },
			{ pool_id: 'c5.large.us-east-1d' },
			{ pool_id: 'c5.large.us-east-1d', price: 1e-7 },
		];
		expect(await report({ spot_pools: listed })).toEqual({
			success: true,
			records_inserted: 2,
			duplicates: 1,
			ignored: 6,
			ignored_because: {
				'its pool is not its type and zone': 2,
				'no type or zone is known': 1,
				'no price': 2,
				'the price is below a micro-dollar': 1,
			},
		});
		expect(await clean('c5.large.us-east-1c')).toEqual([]);
		expect(await clean()).toMatchObject([{ spot: 40_000 }]);
	});

	it('that are unknown stay unknown, and what was known stays', async () => {
		await report(spot(0.04));
		expect([(await raw())[0]?.ondemand_micros, await own()]).toEqual([null, undefined]);
		await report(spot(0.04, { on_demand_price: 0.085, current_spot_price: 0.041 }));
		await report(spot(0.04, { on_demand_price: null, current_spot_price: null }));
		expect(await own()).toMatchObject({ spot_micros: 41_000, ondemand_micros: 85_000 });
		expect((await raw()).at(-1)?.ondemand_micros).toBe(null);
	});

	it('are kept raw and clean, or not at all', async () => {
		const boom =
			kind === 'sqlite'
				? sql`create trigger boom before insert on price_clean begin select raise(abort, 'boom'); end`
				: sql`create trigger boom before insert on price_clean for each row signal sqlstate '45000' set message_text = 'boom'`;
		await boom.execute(test.store.ddl);
		try {
			const failed = await Promise.allSettled([report(SHAPES['classic'] ?? {}), report(spot(0.09), standby)]);
			expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
			expect([await raw(), await own()]).toEqual([[], undefined]);
		} finally {
			await sql`drop trigger boom`.execute(test.store.ddl);
		}
		expect(await report(spot(0.04))).toMatchObject({ records_inserted: 1 });
		expect([(await raw()).length, (await clean()).length]).toEqual([1, 1]);
	});

	it('are kept also where the database has lost a pool that the daemon remembers', async () => {
		await report(spot(0.04));
		await test.store.ddl.deleteFrom('pool').where('id', '=', 'c5.large.us-east-1a').execute();
		test.advance(5 * MINUTE);
		expect(await report(spot(0.05))).toMatchObject({ records_inserted: 1 });
		expect(await clean()).toMatchObject([{ spot: 50_000 }]);
	});

	it('take the same few statements however many pools there are', async () => {
		const many = (size: number, letter: string) => ({
			on_demand_price: 0.085,
			current_spot_price: 0.04,
			spot_pools: Array.from({ length: size }, (_, at) => ({ pool_id: `c5.large.us-east-${at}${letter}`, price: 0.04 })),
		});
		await report(spot(0.04, { on_demand_price: 0.085 }));
		const counts: number[] = [];
		for (const size of [1, 6, 100, 500]) {
			test.advance(5 * MINUTE);
			await test.call('readConfig', { agent_id: agentId } as never, acme);
			test.statements();
			await report(many(size, `${String.fromCharCode(97 + counts.length)}`));
			counts.push(test.statements().length);
		}
		expect(new Set(counts).size).toBe(1);
		expect(counts[0]).toBeLessThanOrEqual(10);
	});

	it('below half a micro-dollar are none: neither a decide call nor a switch report makes a machine free (D-37)', async () => {
		const tiny = { pricing: { ondemand_price: 1e-9, spot_price: 1e-9 }, ondemand_price: 1e-9 };
		await test.call('decide', { agent_id: agentId, ...tiny } as never, acme);
		expect(await own()).toBe(undefined);
		const { record } = readReport(
			{
				...operations.switchReport.input.parse({
					agent_id: agentId,
					new_instance_id: 'i-0abc',
					prices: { on_demand: 1e-9, old_spot: 0, new_spot: 4e-7 },
				}),
			},
			test.clock.now(),
		);
		expect([record.ondemand_micros, record.old_spot_micros, record.new_spot_micros, record.impact_micros]).toEqual([
			null,
			null,
			null,
			null,
		]);
	});

	it('of a deleted agent are not kept', async () => {
		await test.call('deleteAgent', { agent_id: agentId });
		expect(await report(spot(0.04))).toEqual({
			success: true,
			records_inserted: 0,
			duplicates: 0,
			ignored: 1,
			ignored_because: { 'the agent is deleted': 1 },
		});
		const decided = await test.call('decide', { agent_id: agentId, spot_pools: pools, ondemand_price: 0.085 } as never, acme);
		expect([decided.prices_stored, decided.reason, await raw()]).toEqual([0, 'Agent deleted', []]);
	});

	it('need a type, from the report, the pool or the host', async () => {
		const { agent_id } = await test.call(
			'registerHost',
			{ instance_id: `i-${count}c`, logical_agent_id: 'bare', instance_type: null, region: 'us-east-1', az: null },
			acme,
		);
		await expect(report({ spot_pools: [{ az: 'us-east-1a', price: 0.04 }] }, agent_id)).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
		expect(
			await report({ instance: { instance_type: 'c5.large' }, spot_pools: [{ az: 'us-east-1a', price: 0.04 }] }, agent_id),
		).toMatchObject({ records_inserted: 1 });
		expect(await report(spot(0.04), agent_id)).toMatchObject({ records_inserted: 1 });
		expect(await report({}, agent_id)).toMatchObject({ records_inserted: 0 });
	});

	it('are shown cheapest first, unknown last, with their age; an hour later they are unknown', async () => {
		const at = test.clock.now();
		await report({ on_demand_price: 0.08, spot_pools: [{ pool_id: 'c5.large.us-east-1b', price: 0.06 }] });
		test.advance(40 * MINUTE);
		await report({ spot_pools: [{ pool_id: 'c5.large.us-east-1a', price: 0.04 }] });
		const pricing = async () => test.call('instancePricing', { instance_id: `i-${count}a` }, acme);
		const shown = async () =>
			(await pricing()).pools
				.filter(({ id }) => /us-east-1[ab]$/.test(id))
				.map(({ id, price, savings, known, observedAt }) => [id.slice(-2), price, savings, known, observedAt]);
		const [b, a] = [new Date(at).toISOString(), new Date(at + 40 * MINUTE).toISOString()];
		expect(await shown()).toEqual([
			['1a', 0.04, 50, true, a],
			['1b', 0.06, 25, true, b],
		]);
		const { currentMode, currentPool, onDemand, pools: listed } = await pricing();
		expect([currentMode, currentPool?.id, onDemand]).toEqual([
			'spot',
			'c5.large.us-east-1a',
			{ name: 'On-Demand', price: 0.08, known: true, observedAt: b },
		]);
		const knowns = listed.map(({ known }) => known);
		expect(knowns).toEqual([...knowns].sort((x, y) => Number(y) - Number(x)));
		// Exactly an hour is not older than an hour, though its bucket began before.
		test.advance(20 * MINUTE);
		expect((await shown()).map(([id, , , known]) => [id, known])).toEqual([
			['1a', true],
			['1b', true],
		]);
		test.advance(1);
		expect(await shown()).toEqual([
			['1a', 0.04, 50, true, a],
			['1b', 0, 0, false, null],
		]);
		const options = (await test.call('instanceOptions', { instance_id: `i-${count}a` }, acme)).availablePools.filter(({ id }) =>
			/us-east-1[ab]$/.test(id),
		);
		expect(options.map(({ id, price, observedAt, current }) => [id.slice(-2), price, observedAt, current])).toEqual([
			['1a', 0.04, a, true],
			['1b', 0.06, b, false],
		]);
		test.advance(24 * 60 * MINUTE);
		const late = await test.call('instanceOptions', { instance_id: `i-${count}a` }, acme);
		expect([late.pools, late.instanceTypes]).toEqual([late.availablePools, late.availableTypes]);
		expect(late.availablePools.every(({ price }) => price === null)).toBe(true);
		expect([late.currentType, late.currentRegion, late.currentAz, late.availableTypes]).toEqual([
			'c5.large',
			'us-east-1',
			'us-east-1a',
			['c5.large'],
		]);
	});

	it('that nobody reported are shown as unknown, and an unknown machine as missing', async () => {
		const { agent_id } = await test.call(
			'registerHost',
			machine(`i-${count}z`, { logical_agent_id: 'lone', instance_type: 'z1d.large', mode: 'ondemand' }) as never,
			acme,
		);
		expect(agent_id).not.toBe('');
		expect(await test.call('instancePricing', { instance_id: `i-${count}z` }, acme)).toEqual({
			currentMode: 'ondemand',
			currentPool: null,
			onDemand: { name: 'On-Demand', price: 0, known: false, observedAt: null },
			pools: [],
		});
		expect(await test.call('instanceOptions', { instance_id: `i-${count}z` }, acme)).toMatchObject({
			availablePools: [],
			availableTypes: ['z1d.large'],
			currentPoolId: null,
		});
		for (const name of ['instancePricing', 'instanceOptions'] as const)
			await expect(test.call(name, { instance_id: 'i-nobody' }, acme)).rejects.toMatchObject({ code: 'NOT_FOUND' });
	});

	it('follow one rule however they come: per pool and bucket the best source, of equals the first', async () => {
		const sources: readonly PriceSource[] = ['primary', 'replica-automatic', 'replica-manual', 'interpolated'];
		const writer = createPriceWriter(test.store, test.clock);
		let run = 0;
		const reports = fc.array(
			fc.array(
				fc.record({
					source: fc.constantFrom(...sources),
					minutes: fc.integer({ min: 0, max: 16 }),
					zones: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
					spotMicros: fc.integer({ min: 1, max: 1e9 }),
				}),
				{ minLength: 1, maxLength: 6 },
			),
			{ minLength: 1, maxLength: 5 },
		);
		await fc.assert(
			fc.asyncProperty(reports, async (groups) => {
				const type = `p${count}r${run++}.large`;
				const wanted = new Map<string, { spot: number; source: PriceSource }>();
				for (const group of groups) {
					for (const { source, minutes, zones, spotMicros } of group) {
						for (const zone of zones) {
							const key = `${type}.us-east-1${zone} ${bucketOf(NOW + minutes * MINUTE)}`;
							const known = wanted.get(key);
							if (known === undefined || PRIORITY[source] > PRIORITY[known.source]) wanted.set(key, { spot: spotMicros, source });
						}
					}
					await Promise.all(
						group.map(({ source, minutes, zones, spotMicros }) =>
							writer.write({
								clientId: acme.clientId,
								handle: agentId,
								source,
								own: false,
								arrivedAt: NOW,
								prices: {
									points: zones.map((zone) => ({
										poolId: `${type}.us-east-1${zone}`,
										type,
										region: 'us-east-1',
										az: `us-east-1${zone}`,
										spotMicros,
									})),
									onDemandMicros: null,
									currentMicros: null,
									mode: null,
									currentPoolId: null,
									type,
									region: 'us-east-1',
									observedAt: NOW + minutes * MINUTE,
								},
							}),
						),
					);
				}
				const rows = await test.store.read.selectFrom('price_clean').selectAll().where('pool_id', 'like', `${type}.%`).execute();
				const found = rows.map((row) => [`${row.pool_id} ${row.bucket}`, row.spot_micros, row.source, row.priority, row.confidence]);
				expect(found.sort()).toEqual(
					[...wanted].map(([key, { spot: price, source }]) => [key, price, source, PRIORITY[source], CONFIDENCE[source]]).sort(),
				);
			}),
			{ numRuns: 25 },
		);
		await writer.idle();
	});
});
