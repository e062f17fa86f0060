import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { instant, optionalPrice, optionalText, price, words } from '../../src/contract/fields.ts';
import { machineText, modeField } from '../../src/contract/hosts.ts';
import { pricingReport } from '../../src/contract/prices.ts';
import { NOT_PLAIN, quick } from '../../src/contract/quick.ts';

/** A copy of a schema has no quick way (see quick.ts): it is what the quick one must agree with. */
const slow = <S extends z.ZodType>(schema: S): S => schema.clone();

const text = fc.oneof(
	fc.string({ maxLength: 24 }),
	fc.string({ unit: 'grapheme', maxLength: 24 }),
	fc.stringMatching(/^[!-~]{1,24}$/),
	fc.constantFrom(
		'',
		' ',
		'unknown',
		' unknown ',
		'spot',
		'ondemand',
		'on-demand',
		'Spot',
		' spot',
		'x\u0000',
		'\ud800',
		'2021-03-04T05:06:07Z',
	),
);
const time = fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
const number = fc.oneof(
	fc.double(),
	fc.integer(),
	fc.constantFrom(0, -0, 1000, 1000.0000001, 5e-324, Number.NaN, Number.POSITIVE_INFINITY),
);
const anything = fc.oneof(text, time, number, fc.constantFrom(null, undefined, true), fc.anything());

const FIELDS = {
	'text that may be missing': optionalText(12),
	'text about a machine': machineText(12),
	'words of an agent': words(12),
	'a mode': modeField,
	'a time': instant,
	'a price': price,
	'a price that may be missing': optionalPrice,
} as const;

describe('a field that is read quickly', () => {
	it.each(Object.entries(FIELDS))('says of any value what zod says: %s', (_, field) => {
		const schema: z.ZodType = field;
		fc.assert(
			fc.property(anything, (value) => {
				const [one, other] = [schema.safeParse(value), slow(schema).safeParse(value)];
				expect(one.data).toStrictEqual(other.data);
				expect(one.error?.issues).toEqual(other.error?.issues);
				const inside = z.object({ field: schema, list: z.array(schema.nullish()) }).safeParse({ field: value, list: [value] });
				const beside = z.object({ field: slow(schema), list: z.array(slow(schema).nullish()) }).safeParse({ field: value, list: [value] });
				expect(inside.data).toStrictEqual(beside.data);
				expect(inside.error?.issues).toEqual(beside.error?.issues);
			}),
			{ numRuns: 500 },
		);
	});

	it('reads a key that is missing as zod does', () => {
		for (const field of Object.values(FIELDS)) {
			const [one, other] = [z.object({ field }), z.object({ field: slow(field as z.ZodType) })].map((schema) => schema.safeParse({}));
			expect(one?.data).toStrictEqual(other?.data);
			expect(one?.error?.issues).toEqual(other?.error?.issues);
		}
	});

	it('is not asked for what is not plain, and zod not for what is', () => {
		const asked: unknown[] = [];
		const field = quick(
			z.string().transform((value) => {
				asked.push(value);
				return value.trim();
			}),
			(value) => (value === 'plain' ? 'plain' : NOT_PLAIN),
		);
		expect([field.parse('plain'), field.parse(' not ')]).toEqual(['plain', 'not']);
		expect(asked).toEqual([' not ']);
	});

	it('is declared as before', () => {
		const shape = z.toJSONSchema(pricingReport.input, { io: 'input', unrepresentable: 'any' }) as { properties: Record<string, unknown> };
		expect(shape.properties['current_spot_price']).toEqual({
			anyOf: [{ type: 'number', exclusiveMinimum: 0, maximum: 1000 }, { type: 'null' }],
		});
	});
});
