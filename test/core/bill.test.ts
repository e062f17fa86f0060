import fc from 'fast-check';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { type BillLine, type Booked, type Compared, compareMachine } from '../../src/core/bill.ts';
import { reconcileSavings } from '../../src/core/bill-routes.ts';
import type { Caller } from '../../src/core/caller.ts';
import type { Context } from '../../src/core/context.ts';
import { amount } from '../../src/core/segments.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent } from './agent-scene.ts';

const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('lines of a bill about one machine', () => {
	const plainly = (line: BillLine, stretches: readonly Booked[]): [micros: number, ms: Compared['booked']] => {
		let micros = 0;
		const ms = { measuredMs: 0, estimatedMs: 0, unknownMs: 0 };
		for (const { start, end, quality, priceMicros } of stretches) {
			const overlap = Math.min(end, line.end) - Math.max(start, line.start);
			if (overlap <= 0) continue;
			ms[`${quality}Ms`] += overlap;
			if (quality !== 'unknown') micros += amount(priceMicros ?? 0, overlap);
		}
		return [micros, ms];
	};
	const instant = fc.integer({ min: 0, max: 40 });
	const stretch = fc.record({
		start: instant,
		length: instant,
		priceMicros: fc.integer({ min: 0, max: 9_999_999_999 }),
		quality: fc.constantFrom('measured' as const, 'estimated' as const, 'unknown' as const),
	});
	const line = fc.record({ start: instant, length: fc.integer({ min: 1, max: 40 }) });

	it('are booked at the sum of what overlaps them, to the micro-dollar, however lines and stretches lie', () => {
		fc.assert(
			fc.property(fc.array(stretch, { maxLength: 12 }), fc.array(line, { maxLength: 8 }), (someStretches, someLines) => {
				const stretches = someStretches
					.map(({ length, ...rest }) => ({ ...rest, end: rest.start + length, source: 'own' }))
					.sort((a, b) => a.start - b.start);
				const lines = someLines.map(({ start, length }) => ({ instanceId: 'i-1', start, end: start + length, costMicros: 1 }));
				const comparison = compareMachine(lines);
				for (const each of stretches) comparison.take(each);
				expect(comparison.compared(0).map(({ bookedMicros, booked: of }) => [bookedMicros, of])).toEqual(
					lines.map((each) => plainly(each, stretches)),
				);
			}),
		);
	});

	const MINUTE = 60 * SECOND;
	const booked = (start: number, end: number, more: Partial<Booked> = {}): Booked => ({
		start: start * MINUTE,
		end: end * MINUTE,
		priceMicros: 60_000,
		quality: 'measured',
		source: 'own',
		...more,
	});
	const UNKNOWN = { quality: 'unknown', priceMicros: null } as const;
	const causes: Array<[string, number, Booked[], number | null]> = [
		['not-booked', 900, [], null],
		['not-booked', 60_000, [], null],
		['agrees', 60_000, [booked(0, 60)], 0],
		['agrees', 60_040, [booked(0, 60)], 0],
		['agrees', 59_970, [booked(0, 60, { priceMicros: 60_001 })], 0],
		['price', 1_200, [booked(0, 60, { priceMicros: 300 })], 0],
		['price', 1_000_000, [booked(1, 60)], MINUTE],
		['price', 50_000, [booked(0, 60)], 0],
		['price', 30_000, [booked(0, 30), booked(30, 32, UNKNOWN), booked(32, 60)], 0],
		['before-books', 60_000, [booked(30, 60)], 30 * MINUTE],
		['after-books', 60_000, [booked(0, 30)], 0],
		['unknown-time', 60_000, [booked(0, 30), booked(30, 60, UNKNOWN)], 0],
		['first-hour', 60_000, [booked(0, 60, { priceMicros: 0, source: 'aws-first-hour' })], 0],
		['estimated', 30_000, [booked(0, 30), booked(30, 60, { quality: 'estimated' })], 0],
	];

	it.each(causes)(
		'are said to differ by %s only where that makes the difference: %d micro-dollars',
		(cause, costMicros, books, firstKnownAt) => {
			const comparison = compareMachine([{ instanceId: 'i-1', start: 0, end: HOUR, costMicros }]);
			for (const each of books) comparison.take(each);
			expect(comparison.compared(firstKnownAt)[0]?.cause).toBe(cause);
		},
	);
});

describeEachDatabase('a bill against books of many segments', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { jobs: [] });
	const BEGIN = Date.UTC(2026, 9, 1);
	const LENGTH = 100 * SECOND;

	/** Books a machine from `BEGIN` on in `count` segments of 100 seconds, at one dollar an hour. */
	const book = async (instanceId: string, clientId: string, count: number): Promise<void> => {
		const digits = sql.raw([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `select ${n} as d`).join(' union all '));
		const powers = [1, 10, 100, 1000, 10_000];
		const number = sql.raw(powers.map((power) => `d${power}.d * ${power}`).join(' + '));
		const tables = sql.join(powers.map((power) => sql`(${digits}) ${sql.raw(`d${power}`)}`));
		await sql`insert into cost_segment (client_id, agent_id, handle, instance_id, line, role, mode, start_at, end_at, price_micros, price_source,
				quality, cost_micros, baseline_micros, closed_by)
			select ${clientId}, 'agent', ${`handle ${instanceId}`}, ${instanceId}, 'primary', 'primary', 'spot', ${sql.lit(BEGIN)} + n * 100000,
				${sql.lit(BEGIN)} + n * 100000 + 100000, 1000000, 'own', 'measured', 27778, 0, 'price'
			from (select ${number} as n from ${tables}) numbers where n < ${sql.lit(count)}`.execute(world.store.ddl);
	};
	const line = (instance_id: string, from: number, to: number, cost: number) => ({ instance_id, start: from, end: to, cost });

	it('holds nobody up, and knows the machine that comes last in the alphabet as well', async () => {
		const { client } = await makeAgent(world);
		const many = 20_000;
		await book('i-0aaa', client.id, many);
		await book('i-0bbb', client.id, 36);
		let [turns, longest, over] = [0, 0, false];
		const watch = (before: number): void => {
			const now = performance.now();
			longest = Math.max(longest, now - before);
			turns += 1;
			if (!over) setImmediate(watch, now);
		};
		setImmediate(watch, performance.now());
		const { status, body } = await world.admin.call('reconcileSavings', {
			client_id: client.id,
			lines: [line('i-0aaa', BEGIN, BEGIN + many * LENGTH, many * 0.027778), line('i-0bbb', BEGIN, BEGIN + HOUR, 1)],
		});
		over = true;
		expect(status).toBe(200);
		expect(body.lines).toMatchObject([
			{ instanceId: 'i-0aaa', bookedSeconds: many * 100, booked: 555.56, cause: 'agrees' },
			{ instanceId: 'i-0bbb', bookedSeconds: 3600, booked: 1.000008, cause: 'agrees' },
		]);
		expect(body.shares).toMatchObject({ seconds: many * 100 + 3600 });
		expect(body.shares.measured + body.shares.estimated + body.shares.unknown).toBeCloseTo(100, 1);
		expect(turns).toBeGreaterThan(many / 500);
		// It is a few milliseconds on a quiet machine; this one is shared.
		expect(longest).toBeLessThan(400);
	});

	it('is refused where it needs more segments than one call may read, instead of answered in part', async () => {
		const { client } = await makeAgent(world);
		await book('i-0ccc', client.id, 1001);
		const caller: Caller = {
			principal: { kind: 'admin', scope: 'read', tokenId: null, name: 'test' },
			requestId: 'test',
			idempotencyKey: null,
			gone: () => false,
		};
		const reconcile = reconcileSavings({ store: world.store, clock: { now: world.now } } as Context, 1000);
		const asked = async (segments: number) => reconcile({ lines: [line('i-0ccc', BEGIN, BEGIN + segments * LENGTH, 1)] }, caller);
		await expect(asked(1001)).rejects.toMatchObject({
			status: 413,
			code: 'BILL_TOO_LARGE',
			message: expect.stringContaining('more than 1000'),
		});
		expect((await asked(1000)).lines[0]?.bookedSeconds).toBe(100_000);
	});

	it('reads of each machine only the time of its own lines', async () => {
		const { client } = await makeAgent(world);
		await book('i-0ddd', client.id, 8640);
		await book('i-0eee', client.id, 8640);
		const sent = await world.statements(async () => {
			const { body } = await world.admin.call('reconcileSavings', {
				client_id: client.id,
				lines: [
					line('i-0ddd', BEGIN, BEGIN + LENGTH, 0.02),
					line('i-0ddd', BEGIN + 9 * DAY, BEGIN + 9 * DAY + LENGTH, 0.02),
					line('i-0eee', BEGIN + 5 * DAY, BEGIN + 5 * DAY + LENGTH, 0.02),
				],
			});
			expect(body.lines.map(({ bookedSeconds }) => bookedSeconds)).toEqual([100, 100, 100]);
		});
		// A segment may be a day long: 865 have to be read to know what was running, in two pages.
		expect(sent.filter((text) => text.includes('cost_segment')).length).toBeLessThanOrEqual(6);
	});

	it('takes lines of one machine and time together, and the same line again as a duplicate that is not booked twice', async () => {
		const { client } = await makeAgent(world);
		await book('i-0fff', client.id, 72);
		const [first, second] = [
			[BEGIN, BEGIN + HOUR],
			[BEGIN + HOUR, BEGIN + 2 * HOUR],
		] as const;
		const { body } = await world.admin.call('reconcileSavings', {
			client_id: client.id,
			lines: [
				line('i-0fff', ...first, 0.4),
				line('I-0FFF', ...first, 0.6),
				line('i-0fff', ...first, 0.4),
				line('i-0fff', ...second, 1),
				{ ...line('i-0fff', ...second, 1.1), duplicate: true },
			],
		});
		expect(body.lines.map(({ billed, booked, cause }) => [billed, booked, cause])).toEqual([
			[1, 1.000008, 'agrees'],
			[1, 1.000008, 'agrees'],
			[0.4, 0, 'duplicate'],
			[1.1, 0, 'duplicate'],
		]);
		expect([body.billed, body.booked, body.difference]).toEqual([3.5, 2.000016, 1.499984]);
		expect(body.byCause).toContainEqual({ cause: 'duplicate', lines: 2, difference: 1.5 });
	});
});
