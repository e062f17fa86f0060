import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/deps.ts';
import { createFlights } from '../../src/flights.ts';
import { turn } from '../../src/turns.ts';

const settle = async (): Promise<void> => {
	for (let turns = 0; turns < 10; turns++) await turn();
};

/** Flights whose batches are landed by the test, on a clock whose timers run when it says. */
const held = (limits: { most: number; flights: number }) => {
	let passed = 0;
	const late: number[] = [];
	const timers = new Set<() => void>();
	const clock = {
		elapsed: () => systemClock.elapsed() + passed,
		after: (_ms: number, run: () => void) => {
			timers.add(run);
			return () => void timers.delete(run);
		},
	};
	const under = new Map<readonly number[], () => void>();
	const seen: Array<readonly number[]> = [];
	const add = createFlights<number>(clock, { ...limits, late: (item) => void late.push(item) }, (batch) => {
		seen.push(batch);
		return new Promise((done) => under.set(batch, done));
	});
	return {
		add,
		seen,
		under,
		late,
		pass: (ms: number) => {
			passed += ms;
		},
		land: (batch: readonly number[] | undefined) => {
			if (batch === undefined) return;
			under.get(batch)?.();
			under.delete(batch);
		},
		expire: () => {
			for (const run of [...timers]) run();
		},
	};
};

describe('flights', () => {
	it('carry each item once and in order, at most so many together, and at most so many batches at once', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.integer({ min: 1, max: 5 }),
				fc.integer({ min: 1, max: 3 }),
				fc.array(fc.oneof(fc.constant('land' as const), fc.integer({ min: 1, max: 7 })), { maxLength: 12 }),
				async (most, flights, steps) => {
					const { add, seen, under, land } = held({ most, flights });
					let next = 0;
					for (const step of steps) {
						if (step === 'land') land([...under.keys()][0]);
						else for (let count = 0; count < step; count++) add(next++);
						await settle();
						expect(under.size).toBeLessThanOrEqual(flights);
					}
					while (under.size > 0) {
						land([...under.keys()][0]);
						await settle();
					}
					expect(seen.flat()).toEqual(Array.from({ length: next }, (_, index) => index));
					expect(Math.max(0, ...seen.map(({ length }) => length))).toBeLessThanOrEqual(most);
				},
			),
			{ numRuns: 30 },
		);
	});

	it('let the next go when one is held up by something of its own, and count it no more when it lands', async () => {
		const { add, seen, under, land, expire } = held({ most: 1, flights: 1 });
		for (const item of [1, 2, 3, 4]) add(item);
		await settle();
		expect(seen).toEqual([[1]]);
		expire();
		await settle();
		expect(seen).toEqual([[1], [2]]);
		land(seen[0]);
		await settle();
		expect(seen).toEqual([[1], [2]]);
		land(seen[1]);
		await settle();
		expect(seen).toEqual([[1], [2], [3]]);
		expect(under.size).toBe(1);
	});

	it('tell whoever has waited for five seconds that it is late, and carry the others', async () => {
		const { add, seen, late, pass, land } = held({ most: 2, flights: 1 });
		for (const item of [1, 2, 3]) add(item);
		await settle();
		pass(4_000);
		for (const item of [4, 5]) add(item);
		pass(1_500);
		land(seen[0]);
		await settle();
		expect([seen, late]).toEqual([
			[
				[1, 2],
				[4, 5],
			],
			[3],
		]);
	});
});
