import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { iso, parseInstant } from '../../src/contract/instant.ts';
import { runsOf } from '../helpers/invariants.ts';

const DAY_MS = 86_400_000;

describe('an instant', () => {
	it('is written as Date writes it, of any age and with days that share a place in its memory', () => {
		const whole = fc.integer({ min: -8.64e15, max: 8.64e15 });
		const likely = fc.integer({ min: 0, max: 2_000 * DAY_MS });
		const edges = fc.constantFrom(0, -1, DAY_MS - 1, DAY_MS, 256 * DAY_MS, 253_402_300_799_999, 253_402_300_800_000, 1.5);
		fc.assert(
			fc.property(fc.array(fc.oneof(whole, likely, edges), { minLength: 1, maxLength: 20 }), (instants) => {
				for (const at of [...instants, ...instants.map((each) => each + 256 * DAY_MS), ...instants])
					if (Math.abs(at) <= 8.64e15) expect(iso(at)).toBe(new Date(at).toISOString());
			}),
			{ numRuns: runsOf(500) },
		);
	});

	it('is read as it was written', () => {
		fc.assert(fc.property(fc.integer({ min: 0, max: 4e12 }), (at) => parseInstant(iso(at)) === at));
	});

	it('that is none is an error, as for Date', () => {
		for (const at of [Number.NaN, Number.POSITIVE_INFINITY, 8.64e15 + 1]) expect(() => iso(at)).toThrow(RangeError);
	});
});
