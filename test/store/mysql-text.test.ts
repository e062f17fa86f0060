import fc from 'fast-check';
import { escape as escapeValue, format } from 'mysql2';
import { describe, expect, it } from 'vitest';
import { withValues } from '../../src/store/mysql-text.ts';
import { LATER } from '../../src/store/statement.ts';

/** As a connection of ours writes: `escape` would spread an object over columns, `format` makes a text of it. */
const writer = {
	escape: (value: unknown) => escapeValue(value as never, false, 'Z'),
	format: (text: string, values: unknown) => format(text, values as never[], true, 'Z'),
};

const value = fc.oneof(
	fc.string({ unit: 'binary' }),
	fc.constantFrom("'", '\\', '?', '\0', "\\'", '--', '/*', 'x\u0000?', ''),
	fc.integer(),
	fc.double(),
	fc.bigInt(),
	fc.constant(null),
	fc.boolean(),
	fc.date(),
	fc.constant(undefined),
	fc.uint8Array().map((bytes) => Buffer.from(bytes)),
	fc.array(fc.oneof(fc.string(), fc.integer()), { minLength: 1 }),
	fc.array(fc.array(fc.oneof(fc.string(), fc.integer()), { minLength: 1 }), { minLength: 1 }),
	fc.record({ id: fc.string() }, { noNullPrototype: true }),
);

const part = fc.constantFrom('select ', 'a = ?', "'?'", '"?"', '`?`', '/* ? */', ' and ', "'it''s ?'", '\0', '-- ?\n', 'x'.repeat(5_000));

describe('a statement with its values', () => {
	it('is what mysql2 makes of it, whatever the values hold, the first time and every other time', () => {
		fc.assert(
			fc.property(
				fc.array(part, { maxLength: 8 }),
				fc.array(value, { maxLength: 8 }),
				fc.array(value, { maxLength: 8 }),
				(parts, ...given) => {
					const text = parts.join('');
					const count = parts.filter((each) => each === 'a = ?').length;
					for (const values of given) {
						const fitting = Array.from({ length: count }, (_, index) => values[index] ?? null);
						const expected = count === 0 ? text : writer.format(text, fitting);
						expect(withValues(writer, text, fitting)).toBe(expected);
						expect(withValues(writer, `${LATER}${text}`, fitting)).toBe(expected);
					}
				},
			),
			{ numRuns: 500 },
		);
	});

	it('never lets a value into the text of another statement', () => {
		const evil = ["'; drop table host; --", '?', "\\'; --"];
		expect(withValues(writer, 'update host set a = ?, b = ? where c = ?', evil)).toBe(
			"update host set a = '\\'; drop table host; --', b = '?' where c = '\\\\\\'; --'",
		);
		expect(withValues(writer, 'update host set a = ?, b = ? where c = ?', [1, null, 'x'])).toBe(
			"update host set a = 1, b = NULL where c = 'x'",
		);
	});
});
