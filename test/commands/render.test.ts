import { describe, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { Format } from '../../commands/formats.ts';
import { type Column, renderList, renderOne, type View } from '../../commands/render.ts';
import { clip, pad, relative, widthOf } from '../../commands/text.ts';

type Row = { id: string; note: string | null; n: number };

const columns: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'The note', value: ({ note }) => note },
	{ title: 'N', value: ({ n }) => n },
];

const print = async (format: Format, rows: readonly Row[], over: Partial<View> = {}): Promise<string> => {
	const parts: string[] = [];
	const view: View = { format, idsOnly: false, tty: false, color: false, now: 0, write: async (part) => void parts.push(part), ...over };
	await renderList(view, { pages: [rows.slice(0, 2), rows.slice(2)], columns, id: ({ id }) => id, empty: '' });
	return parts.join('');
};

/** A reader of RFC 4180, as strict as a spreadsheet. */
const readCsv = (text: string): string[][] => {
	const records: string[][] = [];
	let rest = text;
	while (rest !== '') {
		const record: string[] = [];
		for (;;) {
			const match = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/.exec(rest);
			if (match === null) throw new Error(`not CSV at ${JSON.stringify(rest.slice(0, 40))}`);
			record.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
			rest = rest.slice(match[0].length);
			if (match[3] !== ',') break;
		}
		records.push(record);
	}
	return records;
};

/** What a terminal would obey. Tabs and ends of lines are ours. */
const OBEYED = /(?![\n\t])[\p{Cc}\u2028\u202e]/u;

const HOSTILE = [
	'plain',
	'a,b',
	'say "hi"',
	'two\nlines',
	'cr\ronly',
	'a\r\nb',
	'tab\there',
	'\0nul',
	'\x1b[31mred',
	'\u009b2J',
	'🙂👨‍👩‍👧',
	'/../..',
	'x'.repeat(10_000),
	'\u202eright to left',
	'é',
	'line\u2028sep',
	' ',
	'',
];
const FORMULAS = ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1'];
const hostile: readonly Row[] = [...HOSTILE, ...FORMULAS].map((note, n) => ({ id: `i-${n}`, note, n: -1 - n }));

describe('csv', () => {
	test('is RFC 4180, with a heading and nothing for null', async ({ expect }) => {
		const rows = [
			{ id: 'a', note: null, n: 1.5 },
			{ id: 'b', note: 'x, "y"\nz', n: -2 },
		];
		expect(await print('csv', rows)).toBe('id,the_note,n\r\na,,1.5\r\nb,"x, ""y""\nz",-2\r\n');
	});

	test('survives hostile text', async ({ expect }) => {
		const [head, ...records] = readCsv(await print('csv', hostile));
		expect(head).toEqual(['id', 'the_note', 'n']);
		expect(records.map(([, note]) => note)).toEqual([...HOSTILE, ...FORMULAS.map((note) => `'${note}`)]);
	});

	test('makes text of what a spreadsheet would compute, and leaves numbers alone', async ({ expect }) => {
		const records = readCsv(await print('csv', hostile)).slice(-FORMULAS.length);
		for (const [, note = '', n = ''] of records) {
			expect(note).toMatch(/^'[=+\-@\t\r]/);
			expect(n).toMatch(/^-\d+$/);
		}
	});
});

describe('json, jsonl and yaml', () => {
	test('give back what went in', async ({ expect }) => {
		expect(JSON.parse(await print('json', hostile))).toEqual(hostile);
		expect(
			(await print('jsonl', hostile))
				.trimEnd()
				.split('\n')
				.map((line) => JSON.parse(line)),
		).toEqual(hostile);
		expect(parseYaml(await print('yaml', hostile))).toEqual(hostile);
		expect(parseYaml(await print('yaml', []))).toEqual([]);
	});

	test('hold nothing that a terminal obeys', async ({ expect }) => {
		for (const format of ['json', 'jsonl', 'yaml'] as const) expect(await print(format, hostile)).not.toMatch(OBEYED);
	});

	test('json is one document over several pages', async ({ expect }) => {
		expect(await print('json', [{ id: 'a', note: null, n: 1 }])).toBe('[\n  {\n    "id": "a",\n    "note": null,\n    "n": 1\n  }\n]\n');
	});
});

describe('table', () => {
	const rows = [
		{ id: 'a', note: '日本語', n: 5 },
		{ id: 'bb', note: 'e\u0301', n: 10 },
		{ id: 'c', note: '👨‍👩‍👧', n: 100 },
	];

	test('is aligned on a terminal by what is seen', async ({ expect }) => {
		expect(await print('table', rows, { tty: true })).toBe(
			['ID  THE NOTE    N', 'a   日本語      5', 'bb  e\u0301          10', 'c   👨‍👩‍👧        100', ''].join('\n'),
		);
	});

	test('is one line a row with tabs between when piped', async ({ expect }) => {
		expect(await print('table', rows)).toBe('a\t日本語\t5\nbb\te\u0301\t10\nc\t👨‍👩‍👧\t100\n');
		const lines = (await print('table', hostile)).trimEnd().split('\n');
		expect(lines.length).toBe(hostile.length);
		for (const line of lines) expect(line.split('\t').length).toBe(3);
	});

	test('cannot be made to steer the terminal', async ({ expect }) => {
		for (const tty of [true, false]) expect(await print('table', hostile, { tty })).not.toMatch(OBEYED);
	});

	test('ids alone are one a line whatever is in them', async ({ expect }) => {
		expect(await print('json', [{ id: 'a\nb\x1b', note: null, n: 1 }], { idsOnly: true })).toBe('a b\uFFFD\n');
	});

	test('a single answer in every format', async ({ expect }) => {
		const one = async (format: Format, tty: boolean): Promise<string> => {
			const parts: string[] = [];
			const view: View = { format, idsOnly: false, tty, color: false, now: 0, write: async (part) => void parts.push(part) };
			await renderOne(view, { data: { id: 'a', note: null, n: 2 } as Row, id: 'a', fields: columns });
			return parts.join('');
		};
		expect(await one('table', true)).toBe('ID:       a\nThe note: -\nN:        2\n');
		expect(await one('table', false)).toBe('id\ta\nthe_note\t\nn\t2\n');
		expect(await one('csv', true)).toBe('id,the_note,n\r\na,,2\r\n');
		expect(await one('jsonl', true)).toBe('{"id":"a","note":null,"n":2}\n');
		expect(await one('yaml', true)).toBe('id: a\nnote: null\nn: 2\n');
	});
});

describe('text', () => {
	test.for([
		['', 0],
		['abc', 3],
		['日本', 4],
		['한글', 4],
		['ＡＢ', 4],
		['é', 1],
		['e\u0301', 1],
		['\u200b', 0],
		['🙂', 2],
		['👨‍👩‍👧', 2],
		['🇩🇪', 2],
		['❤️', 2],
		['→…', 2],
	] as const)('%j is %i columns wide', ([text, width], { expect }) => {
		expect(widthOf(text)).toBe(width);
		expect(widthOf(pad(text, 9))).toBe(9);
		expect(widthOf(clip(`${text}${text}${text}${text}`, 5))).toBeLessThanOrEqual(5);
	});

	test.for([
		[0, 'now'],
		[-999, 'now'],
		[1000, '1s ago'],
		[59_999, '59s ago'],
		[60_000, '1m ago'],
		[7_199_999, '119m ago'],
		[7_200_000, '2h ago'],
		[172_799_999, '47h ago'],
		[172_800_000, '2d ago'],
		[-61_000, 'in 1m'],
	] as const)('%i ms ago reads %s', ([distance, text], { expect }) => {
		expect(relative(new Date(1e12 - distance).toISOString(), 1e12)).toBe(text);
		expect(relative('unknown', 1e12)).toBe('unknown');
	});
});
