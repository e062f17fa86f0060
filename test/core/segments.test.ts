import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { totalsOf } from '../../src/core/ledger-book.ts';
import {
	amount,
	apply,
	bookAll,
	DAY_MS,
	type Fact,
	type Machine,
	rewrites,
	type Segment,
	turnDay,
	valuation,
} from '../../src/core/segments.ts';

const START = Date.UTC(2026, 0, 31, 22);
const HOUR = 3_600_000;
const MINUTE = 60_000;

let ids = 0;
const fact = (at: number, kind: Fact['kind'], more: Partial<Fact> = {}): Fact => ({
	id: ++ids,
	client_id: 'acme',
	agent_id: 'agent',
	handle: 'host',
	at,
	kind,
	instance_id: kind === 'state' ? 'i-1' : null,
	role: null,
	registered: kind === 'state' ? 1 : null,
	mode: kind === 'state' ? 'spot' : null,
	pool_id: kind === 'state' ? 'c5.large.us-east-1a' : null,
	instance_type: null,
	region: null,
	spot_micros: null,
	ondemand_micros: null,
	overlap_until: null,
	...more,
});
const state = (at: number, role: Fact['role'], more: Partial<Fact> = {}): Fact => fact(at, 'state', { role, ...more });
const price = (at: number, spot: number | null, onDemand: number | null): Fact =>
	fact(at, 'price', { spot_micros: spot, ondemand_micros: onDemand });
const booked = (facts: readonly Fact[], until = START): Segment[] => bookAll(facts, until)?.segments ?? [];
const short = (segments: readonly Segment[]) =>
	segments.map(({ line, quality, start_at, end_at, cost_micros, baseline_micros, closed_by }) => [
		line,
		quality,
		(start_at - START) / MINUTE,
		(end_at - START) / MINUTE,
		cost_micros,
		baseline_micros,
		closed_by,
	]);

describe('the books of a machine', () => {
	it('count the time of a primary at its price, beside its on-demand price, and a zombie at the last price as an estimate', () => {
		const facts = [
			state(START, 'primary'),
			price(START, 36_000, 85_000),
			price(START + 30 * MINUTE, 48_000, 85_000),
			state(START + HOUR, 'zombie'),
			state(START + HOUR + 5 * MINUTE, 'terminated'),
		];
		expect(short(booked(facts))).toEqual([
			['primary', 'measured', 0, 30, 18_000, 42_500, 'price'],
			['primary', 'measured', 30, 60, 24_000, 42_500, 'switch'],
			['zombie', 'estimated', 60, 65, 4_000, 0, 'end'],
		]);
	});

	it('count an old primary as overlap until its planned end, and as a zombie from then on, each as an estimate', () => {
		const due = START + HOUR + 5 * MINUTE;
		const facts = [
			state(START, 'primary'),
			price(START, 36_000, 85_000),
			state(START + HOUR, 'zombie', { overlap_until: due }),
			// Something else is learned of it: what is planned stays so.
			state(START + HOUR + 2 * MINUTE, 'zombie', { registered: 0 }),
			fact(due, 'overdue'),
			state(START + HOUR + 15 * MINUTE, 'terminated'),
		];
		expect(short(booked(facts))).toEqual([
			['primary', 'measured', 0, 60, 36_000, 85_000, 'switch'],
			['overlap', 'estimated', 60, 65, 3_000, 0, 'overdue'],
			['zombie', 'estimated', 65, 75, 6_000, 0, 'end'],
		]);
		// The same where it ended before the job that writes what is overdue had looked.
		expect(short(booked(facts.toSpliced(4, 1)))).toEqual(short(booked(facts)));
		expect(short(booked(facts.toSpliced(4, 1).slice(0, -1), START + DAY_MS)).slice(1, 3)).toEqual([
			['overlap', 'estimated', 60, 65, 3_000, 0, 'overdue'],
			['zombie', 'estimated', 65, 120, 33_000, 0, 'midnight'],
		]);
	});

	it('end an overlap where nothing is planned any more, and name that as the reason', () => {
		const facts = [
			state(START, 'primary'),
			price(START, 60_000, 85_000),
			state(START + 10 * MINUTE, 'zombie', { overlap_until: START + HOUR }),
			state(START + 20 * MINUTE, 'zombie', { overlap_until: 0 }),
			// Said once more, and of something else: it stays so.
			state(START + 25 * MINUTE, 'zombie', { overlap_until: 0 }),
			state(START + 30 * MINUTE, 'zombie', { registered: 0 }),
			state(START + 40 * MINUTE, 'terminated'),
		];
		expect(short(booked(facts)).slice(1)).toEqual([
			['overlap', 'estimated', 10, 20, 10_000, 0, 'kept'],
			['zombie', 'estimated', 20, 40, 20_000, 0, 'end'],
		]);
	});

	it('plan nothing anew for a machine that is needed again and left again without a plan', () => {
		const facts = [
			state(START, 'primary'),
			price(START, 60_000, 85_000),
			state(START + 10 * MINUTE, 'zombie', { overlap_until: START + HOUR }),
			state(START + 20 * MINUTE, 'primary'),
			state(START + 30 * MINUTE, 'zombie'),
			state(START + 40 * MINUTE, 'terminated'),
		];
		expect(booked(facts).map(({ line }) => line)).toEqual(['primary', 'overlap', 'primary', 'zombie']);
	});

	it('hold the second of two overlaps to its own end, though the end of the first was written meanwhile', () => {
		const facts = [
			state(START, 'primary'),
			price(START, 60_000, 85_000),
			state(START + 10 * MINUTE, 'zombie', { overlap_until: START + 15 * MINUTE }),
			state(START + 11 * MINUTE, 'primary'),
			state(START + 12 * MINUTE, 'zombie', { overlap_until: START + 17 * MINUTE }),
			fact(START + 15 * MINUTE, 'overdue'),
			state(START + 20 * MINUTE, 'terminated'),
		];
		expect(short(booked(facts)).map(([line, , from, to]) => [line, from, to])).toEqual([
			['primary', 0, 10],
			['overlap', 10, 11],
			['primary', 11, 12],
			['overlap', 12, 17],
			['zombie', 17, 20],
		]);
	});

	it('leave time unpriced before the first price, and while nobody vouches for the machine (D-36)', () => {
		const facts = [
			state(START, 'primary'),
			price(START + 5 * MINUTE, 36_000, 85_000),
			fact(START + 20 * MINUTE, 'silent'),
			fact(START + 40 * MINUTE, 'heard'),
			state(START + 60 * MINUTE, 'left'),
		];
		expect(short(booked(facts))).toEqual([
			['primary', 'unknown', 0, 5, 0, 0, 'price'],
			['primary', 'measured', 5, 20, 9_000, 21_250, 'silence'],
			['primary', 'unknown', 20, 40, 0, 0, 'heard'],
			['primary', 'measured', 40, 60, 12_000, 28_333, 'end'],
		]);
	});

	it('cut at UTC midnight, so that days and months are sums of whole segments', () => {
		const facts = [state(START, 'primary', { mode: 'ondemand', pool_id: null }), price(START, null, 85_000)];
		expect(short(booked(facts, START + 2 * HOUR + DAY_MS))).toEqual([
			['primary', 'measured', 0, 120, 170_000, 170_000, 'midnight'],
			['primary', 'measured', 120, 1560, 2_040_000, 2_040_000, 'midnight'],
		]);
	});

	it('cost nothing where AWS took the machine back in its first hour, unless it lived on', () => {
		const facts = [
			state(START, 'primary'),
			price(START, 36_000, 85_000),
			fact(START + 30 * MINUTE, 'reclaimed'),
			state(START + 31 * MINUTE, 'zombie'),
			state(START + 45 * MINUTE, 'terminated'),
		];
		// The end of a zombie is a guess until it is confirmed, also of one that costs nothing.
		expect(booked(facts).map(({ cost_micros, price_source, quality }) => [cost_micros, price_source, quality])).toEqual([
			[0, 'aws-first-hour', 'measured'],
			[0, 'aws-first-hour', 'estimated'],
		]);
		const lived = [...facts.slice(0, 3), price(START + 50 * MINUTE, 37_000, 85_000), state(START + HOUR, 'terminated')];
		expect(booked(lived).map(({ cost_micros }) => cost_micros)).toEqual([30_000, 6_167]);
	});

	it('go by the word of a machine rather than by that of others, also where it was read after theirs', () => {
		const quote = fact(START + 5 * MINUTE, 'quote', { spot_micros: 40_000, ondemand_micros: 90_000 });
		const facts = [state(START, 'primary'), price(START, 36_000, 85_000), quote, state(START + 60 * MINUTE, 'terminated')];
		expect(short(booked(facts))).toEqual([['primary', 'measured', 0, 60, 36_000, 85_000, 'end']]);
	});

	it('believe nothing that a machine said before its agent was deleted, once it is back', () => {
		const facts = [
			state(START, 'primary'),
			price(START, 36_000, 85_000),
			state(START + 10 * MINUTE, 'left'),
			state(START + 30 * MINUTE, 'primary'),
			price(START + 40 * MINUTE, 36_000, 85_000),
			state(START + 60 * MINUTE, 'terminated'),
		];
		expect(short(booked(facts))).toEqual([
			['primary', 'measured', 0, 10, 6_000, 14_167, 'end'],
			['primary', 'unknown', 30, 40, 0, 0, 'price'],
			['primary', 'measured', 40, 60, 12_000, 28_333, 'end'],
		]);
	});

	it('earn nothing by a switch there and back (D-34)', () => {
		const stay = [state(START, 'primary'), price(START, 36_000, 85_000), state(START + HOUR, 'left')];
		const [a, b] = [
			[state(START, 'primary'), price(START, 36_000, 85_000), state(START + 20 * MINUTE, 'terminated')],
			[
				state(START + 20 * MINUTE, 'primary', { handle: 'other' }),
				fact(START + 20 * MINUTE, 'price', { handle: 'other', spot_micros: 36_000, ondemand_micros: 85_000 }),
				state(START + HOUR, 'left', { handle: 'other' }),
			],
		];
		const saved = (segments: readonly Segment[]) => segments.reduce((sum, one) => sum + one.baseline_micros - one.cost_micros, 0);
		expect(saved([...booked(a), ...booked(b)])).toBe(saved(booked(stay)));
	});

	it('round once, half up, whatever the size', () => {
		expect(amount(1, 1_800_000)).toBe(1);
		expect(amount(1, 1_799_999)).toBe(0);
		expect(amount(1_000_000_000, DAY_MS)).toBe(24_000_000_000);
	});
});

const roles = fc.constantFrom<Fact['role'][]>('primary', 'replica', 'zombie', 'candidate', 'named', 'ended', 'terminated', 'left');
const someFacts = fc
	.array(
		fc.record({
			gap: fc.oneof(fc.integer({ min: 0, max: 3 * HOUR }), fc.integer({ min: 0, max: 3 * DAY_MS }), fc.constant(0)),
			what: fc.oneof(
				fc.record({
					kind: fc.constant('state' as const),
					role: roles,
					registered: fc.constantFrom(0 as const, 1 as const),
					zone: fc.constantFrom('a', 'b'),
					overlap_until: fc.option(fc.constantFrom(0, START + 3 * DAY_MS)),
				}),
				fc.record({
					kind: fc.constantFrom('price' as const, 'quote' as const),
					spot_micros: fc.option(fc.integer({ min: 1, max: 5_000_000 })),
					ondemand_micros: fc.option(fc.integer({ min: 1, max: 5_000_000 })),
				}),
				fc.record({
					kind: fc.constantFrom('silent' as const, 'heard' as const, 'stale' as const, 'reclaimed' as const, 'overdue' as const),
				}),
			),
		}),
		{ minLength: 1, maxLength: 30 },
	)
	.map((list) => {
		let at = START;
		return list.map(({ gap, what }, index) => {
			at += gap;
			const { zone, ...more } = { zone: 'a', ...what };
			return fact(at, index === 0 ? 'state' : what.kind, {
				...more,
				...(index === 0 || what.kind === 'state'
					? { instance_id: 'i-1', mode: 'spot' as const, pool_id: `c5.large.us-east-1${zone}` }
					: {}),
				...(index === 0 ? { role: 'primary' as const, registered: 1 as const } : {}),
			});
		});
	});

/** The first of the reports of an end that no other state follows. */
const trailing = (facts: readonly Fact[]): Fact | undefined => {
	const states = facts.filter(({ kind }) => kind === 'state');
	return states[states.findLastIndex(({ role }) => role !== 'terminated') + 1];
};

describe('the books of any machine', () => {
	it('tile its time: no gap, no overlap, every segment within a day', () => {
		fc.assert(
			fc.property(someFacts, (facts) => {
				const until = Math.floor((facts.at(-1)?.at ?? START) / DAY_MS) * DAY_MS + DAY_MS;
				const result = bookAll(facts, until);
				const segments = result?.segments ?? [];
				let before: Segment | undefined;
				for (const segment of segments) {
					expect(segment.end_at).toBeGreaterThan(segment.start_at);
					expect(Math.floor(segment.start_at / DAY_MS)).toBe(Math.floor((segment.end_at - 1) / DAY_MS));
					expect(segment.start_at).toBeGreaterThanOrEqual(before?.end_at ?? START);
					before = segment;
				}
				// An end that a later fact disproves is none, and after an end there is nothing.
				const ends = facts.filter(({ role }) => role === 'terminated');
				const end = ends.length > 0 && facts.filter(({ kind }) => kind === 'state').at(-1)?.role === 'terminated' ? trailing(facts) : null;
				const states = facts.filter((fact) => fact.kind === 'state' && (fact === end || fact.role !== 'terminated'));
				const lasted = states.map(({ role, at }, index) =>
					role === 'left' || role === 'terminated' ? 0 : (states[index + 1]?.at ?? until) - at,
				);
				const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
				expect(sum(segments.map(({ start_at, end_at }) => end_at - start_at))).toBe(sum(lasted));
			}),
			{ numRuns: Number(process.env['SPOTCTL_TEST_RUNS'] ?? 300) },
		);
	});

	it('are the same when they are kept fact by fact and day by day as when they are booked anew', () => {
		fc.assert(
			fc.property(someFacts, (facts) => {
				const until = Math.floor((facts.at(-1)?.at ?? START) / DAY_MS) * DAY_MS + DAY_MS;
				let machine: Machine | null = null;
				let live: Segment[] = [];
				let day = Math.floor(START / DAY_MS) * DAY_MS;
				for (const [index, one] of facts.entries()) {
					while (machine !== null && day + DAY_MS <= one.at) {
						day += DAY_MS;
						const turned = turnDay(machine, day);
						machine = turned.machine;
						live.push(...turned.segments);
					}
					if (machine === null || rewrites(machine, one)) {
						const anew = bookAll(facts.slice(0, index + 1), Math.floor(one.at / DAY_MS) * DAY_MS);
						machine = anew?.machine ?? null;
						live = anew?.segments ?? [];
					} else {
						const applied = apply(machine, one);
						machine = applied.machine;
						live.push(...applied.segments);
					}
				}
				if (machine !== null) live.push(...turnDay(machine, until).segments);
				const anew = booked(facts, until);
				expect(live).toEqual(anew);
				expect(totalsOf(live, anew)).toEqual([]);
				const all = totalsOf(anew, []).find(({ period }) => period === 'all');
				const sum = (of: (segment: Segment) => number) => anew.reduce((total, segment) => total + of(segment), 0);
				expect(all?.baseline_micros ?? 0).toBe(sum((segment) => segment.baseline_micros));
				expect((all?.primary_micros ?? 0) + (all?.replica_micros ?? 0) + (all?.overlap_micros ?? 0) + (all?.zombie_micros ?? 0)).toBe(
					sum((segment) => segment.cost_micros),
				);
				for (const size of [7, 10]) {
					const parts = totalsOf(anew, []).filter(({ period }) => period.length === size);
					expect(parts.reduce((total, part) => total + part.baseline_micros, 0)).toBe(all?.baseline_micros ?? 0);
				}
			}),
			{ numRuns: Number(process.env['SPOTCTL_TEST_RUNS'] ?? 300) },
		);
	});

	it('count no amount for time whose price nobody knows', () => {
		fc.assert(
			fc.property(someFacts, (facts) => {
				for (const segment of booked(facts, START + 100 * DAY_MS))
					if (segment.quality === 'unknown') expect([segment.cost_micros, segment.baseline_micros]).toEqual([0, 0]);
				const machine = bookAll(facts, START)?.machine;
				if (machine !== undefined)
					expect(valuation(machine).line === null || ['measured', 'estimated', 'unknown'].includes(valuation(machine).quality)).toBe(true);
			}),
		);
	});
});
