import fc from 'fast-check';
import { describe, test } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts';

describe('durations', () => {
	test.for([
		[45, 45_000],
		['45', 45_000],
		[0.5, 500],
		['500ms', 500],
		['45s', 45_000],
		['1.5h', 5_400_000],
		['1.1s', 1100],
		['10m', 600_000],
		['24h', 86_400_000],
		[' 7d ', 604_800_000],
		['7 d', 604_800_000],
		[0, 0],
	] as const)('%j is %i ms', ([input, ms], { expect }) => {
		expect(parseDuration(input)).toBe(ms);
	});

	test.for(['', 'NaN', 'Infinity', '-1', '-5s', '1e3', '0x10', '10M', '10 minutes', '1h30m', '0.1ms', '9'.repeat(400), '1,5s', '５s'])(
		'%j is not a duration',
		(input, { expect }) => {
			expect(parseDuration(input)).toBeUndefined();
		},
	);

	test.for([Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300, 0.0001, null, true, [5], { s: 5 }, undefined])(
		'%j of another type is not a duration',
		(input, { expect }) => {
			expect(parseDuration(input)).toBeUndefined();
		},
	);

	test('every whole number of milliseconds survives being written and read', ({ expect }) => {
		fc.assert(
			fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (ms) => {
				expect(parseDuration(formatDuration(ms))).toBe(ms);
			}),
		);
	});

	test('a number of seconds, its text, and the text with "s" are the same', ({ expect }) => {
		fc.assert(
			fc.property(fc.integer({ min: 0, max: 10 ** 9 }), fc.integer({ min: 0, max: 999 }), (seconds, ms) => {
				const text = `${seconds}.${String(ms).padStart(3, '0')}`;
				expect([parseDuration(Number(text)), parseDuration(text), parseDuration(`${text}s`)]).toEqual(Array(3).fill(seconds * 1000 + ms));
			}),
		);
	});

	test('no text makes it throw, and what it accepts is a whole number that is not negative', ({ expect }) => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,12} ?(ms|s|m|h|d)?$/)), (text) => {
				const ms = parseDuration(text);
				expect(ms === undefined || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true);
			}),
		);
	});
});

describe('sizes', () => {
	test.for([
		[1024, 1024],
		['1024', 1024],
		['12b', 12],
		['512kb', 524_288],
		['1mb', 1_048_576],
		['1 MiB', 1_048_576],
		['1.5GB', 1_610_612_736],
	] as const)('%j is %i bytes', ([input, bytes], { expect }) => {
		expect(parseSize(input)).toBe(bytes);
	});

	test.for(['', 'mb', '1tb', '-1', '1.5', '0.3kb', 'NaN', 1.5, -1, null, [1]])('%j is not a size', (input, { expect }) => {
		expect(parseSize(input)).toBeUndefined();
	});

	test('every whole number of bytes survives being written and read', ({ expect }) => {
		fc.assert(
			fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (bytes) => {
				expect(parseSize(formatSize(bytes))).toBe(bytes);
			}),
		);
	});
});
