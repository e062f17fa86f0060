import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { operations } from '../../src/contract/index.ts';
import { checkInput } from '../../src/contract/invalid-input.ts';
import type { Operation } from '../../src/contract/operation.ts';
import { SpotError } from '../../src/errors.ts';

const refusal = (input: z.ZodObject, value: unknown): SpotError => {
	try {
		checkInput(input, value);
	} catch (error) {
		if (error instanceof SpotError) return error;
		throw error;
	}
	throw new Error('it was not refused');
};

const LONG = 'x'.repeat(100_000);
const WRONG: readonly unknown[] = [
	undefined,
	null,
	'',
	' ',
	LONG,
	'a\u0000b',
	0,
	-1,
	1.5,
	1e308,
	true,
	[],
	{},
	[{}],
	[1],
	Array(20_000).fill(1),
	{ price: 'x' },
];

describe('what is said of an input that cannot be', () => {
	it('is in words of ours for every key of every operation, never in those of the library', () => {
		const said = new Set<string>();
		for (const operation of Object.values(operations) as unknown as Operation[]) {
			for (const key of Object.keys(operation.input.shape)) {
				for (const value of WRONG) {
					try {
						checkInput(operation.input, { [key]: value });
					} catch (error) {
						expect(error).toBeInstanceOf(SpotError);
						const { code, message, extras } = error as SpotError;
						said.add(message);
						// Where nothing but the cursor is wrong, there is no form of one to describe.
						if (code === 'INVALID_CURSOR') {
							expect(key).toBe('cursor');
							continue;
						}
						for (const each of Object.values(extras['details'] as Record<string, string[]>).flat()) said.add(each);
					}
				}
			}
		}
		expect(said.size).toBeGreaterThan(50);
		expect([...said].filter((each) => /Invalid|Too (small|big)|[Ee]xpected|received|undefined|\bNaN\b|>=|<=/.test(each))).toEqual([]);
	});

	it.each([
		['a: is required', z.object({ a: z.string() }), {}],
		['a: must be text', z.object({ a: z.string() }), { a: null }],
		['a: must not be empty', z.object({ a: z.string().min(1) }), { a: '' }],
		['a: must have at least 8 characters', z.object({ a: z.string().min(8) }), { a: 'x' }],
		['a: must have at most 3 characters', z.object({ a: z.string().max(3) }), { a: 'four' }],
		['a: must be at least 1', z.object({ a: z.number().int().min(1) }), { a: 0 }],
		['a: must be a whole number', z.object({ a: z.number().int() }), { a: 1.5 }],
		['a: must be more than 0', z.object({ a: z.number().positive() }), { a: 0 }],
		['a: must be at most 5', z.object({ a: z.number().max(5) }), { a: 6 }],
		['a: must be a number', z.object({ a: z.coerce.number() }), { a: 'x' }],
		['a: must have at most one element', z.object({ a: z.array(z.number()).max(1) }), { a: [1, 2] }],
		['a: must be x or y', z.object({ a: z.enum(['x', 'y']) }), { a: 'z' }],
		['a: must be true or false', z.object({ a: z.union([z.boolean(), z.stringbool()]) }), { a: 'perhaps' }],
		['a: must be text or a number', z.object({ a: z.union([z.string(), z.number()]) }), { a: [] }],
		['a: must be an e-mail address', z.object({ a: z.email() }), { a: 'x' }],
		['a.b: must be true or false', z.object({ a: z.object({ b: z.boolean() }) }), { a: { b: 1 } }],
		['a: is not an instance id', z.object({ a: z.string().regex(/^i-/, 'is not an instance id') }), { a: 'x' }],
		['a: is required (and 1 more)', z.object({ a: z.string(), b: z.string() }), {}],
	])('%s', (message, input, value) => {
		expect(refusal(input, value)).toMatchObject({ code: 'VALIDATION_ERROR', status: 400, message });
	});
});
