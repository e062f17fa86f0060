import fc from 'fast-check';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { pricingReport } from '../../src/contract/prices.ts';
import { NOT_PLAIN, quick } from '../../src/contract/quick.ts';

const QUICK = '../../src/contract/quick.ts';

/** The fields as they are, or as zod alone reads them: modules of their own, where `quick` gives the schema back. */
const fieldsOf = async (how: 'quick' | 'slow') => {
	vi.resetModules();
	if (how === 'slow') vi.doMock(QUICK, () => ({ NOT_PLAIN, quick: (schema: z.ZodType) => schema }));
	else vi.doUnmock(QUICK);
	const { instant, optionalPrice, optionalText, price, words } = await import('../../src/contract/fields.ts');
	const { machineText, modeField } = await import('../../src/contract/hosts.ts');
	return {
		'text that may be missing': optionalText(12),
		'text about a machine': machineText(12),
		'words of an agent': words(12),
		'a mode': modeField,
		'a time': instant,
		'a price': price,
		'a price that may be missing': optionalPrice,
	} as Readonly<Record<string, z.ZodType>>;
};

const NAMES = [
	'text that may be missing',
	'text about a machine',
	'words of an agent',
	'a mode',
	'a time',
	'a price',
	'a price that may be missing',
];

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

describe('a field that is read quickly', () => {
	let fields: Readonly<Record<string, z.ZodType>> = {};
	let slow: Readonly<Record<string, z.ZodType>> = {};
	beforeAll(async () => {
		slow = await fieldsOf('slow');
		fields = await fieldsOf('quick');
	});
	const agree = (one: z.ZodType | undefined, other: z.ZodType | undefined, value: unknown): void => {
		const [read, expected] = [one?.safeParse(value), other?.safeParse(value)];
		expect(read?.data).toStrictEqual(expected?.data);
		expect(read?.error?.issues).toEqual(expected?.error?.issues);
	};
	const body = (field: z.ZodType = z.never()) => z.object({ field, list: z.array(field.nullish()).optional() });

	it.each(NAMES)('says of any value what zod says: %s', (name) => {
		fc.assert(
			fc.property(anything, (value) => {
				agree(fields[name], slow[name], value);
				agree(body(fields[name]), body(slow[name]), { field: value, list: [value] });
			}),
			{ numRuns: 500 },
		);
	});

	it.each(NAMES)('reads a key that is missing as zod does: %s', (name) => agree(body(fields[name]), body(slow[name]), {}));

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
