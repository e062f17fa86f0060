import { stringify } from 'csv-stringify/sync';
import { turn } from '../turns.ts';
import type { Download } from './operation.ts';

/** A value of a CSV row. Numbers, also as text, stand as they are; text that a spreadsheet would take for a formula gets an apostrophe before it. */
export type CsvCell = string | number;

const FORMULA = /^[=+\-@\t\r]/;

const NUMBER = /^-?\d+(?:\.\d+)?$/;

const neutral = (cell: CsvCell): string =>
	typeof cell === 'string' && FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : String(cell);

/** Rows as RFC 4180 text: CRLF ends each line, quotes only where they are needed, formula characters neutralised (D-50). */
export const csvLines = (rows: readonly (readonly CsvCell[])[]): string =>
	stringify(
		rows.map((row) => row.map(neutral)),
		{ record_delimiter: '\r\n', quoted_match: /[\r\n]/ },
	);

const SLUG = 80;

/** A part of a file name that means nothing to any shell, browser or file system: letters, digits, `-` and `_`, never empty. */
export const slug = (text: string): string =>
	text
		.replace(/[^A-Za-z0-9_-]+/g, '-')
		.replace(/^-+|-+$/g, '')
		.slice(0, SLUG) || 'export';

/**
 * A CSV answer: the header row, then the rows of each page as they are asked for. The first page is read before anything is sent, so that
 * an error of it is still an error answer. `fileName` is made of {@link slug}s.
 */
export const csvDownload = (
	fileName: string,
	header: readonly string[],
	pages: AsyncIterable<readonly (readonly CsvCell[])[]>,
): Download => ({
	fileName,
	chunks: (async function* () {
		let head = csvLines([header]);
		for await (const rows of pages) {
			yield head + csvLines(rows);
			head = '';
			// A reader as fast as we are would otherwise keep the daemon to itself.
			await turn();
		}
		if (head !== '') yield head;
	})(),
});
