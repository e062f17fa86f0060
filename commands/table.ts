import type { Cell, Column, Sink, Tone } from './render.ts';
import { clip, pad, relative, safe, widthOf } from './text.ts';

/** Gives a text the colour of a tone, or leaves it as it is. */
export type Painter = (tone: Tone | undefined, text: string) => string;

/** The painter of this run; chalk does not know NO_COLOR, so the level is decided by the caller. */
export const painter = async (color: boolean): Promise<Painter> => {
	if (!color) return (_, text) => text;
	const { Chalk } = await import('chalk');
	const chalk = new Chalk({ level: 1 });
	const tones = { good: chalk.green, bad: chalk.red, warn: chalk.yellow, dim: chalk.dim };
	return (tone, text) => (tone === undefined ? text : tones[tone](text));
};

/** A value as scripts read it: nothing for what is not known. */
export const plainText = (cell: Cell): string => {
	if (cell === null || cell === undefined) return '';
	return Array.isArray(cell) ? cell.join(',') : String(cell);
};

const MOST_COLUMNS = 60;

/** A value as a person reads it. */
export const cellText = <Row>({ value, as }: Column<Row>, row: Row, now: number): string => {
	const cell = value(row);
	if (cell === null || cell === undefined || cell === '') return '-';
	if (typeof as === 'function') return safe(as(cell, now, row));
	if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
	if (as === 'time' && typeof cell === 'string') return relative(safe(cell), now);
	if (as === 'usd' && typeof cell === 'number') return `$${cell.toFixed(4)}`;
	if (as === 'percent' && typeof cell === 'number') return `${Number(cell.toFixed(1))} %`;
	if (as === 'seconds' && typeof cell === 'number') return `${cell} s`;
	return safe(Array.isArray(cell) ? cell.join(', ') || '-' : String(cell));
};

/** Rows before a table on a terminal is drawn: its columns are as wide as what these hold. */
const AT_ONCE = 1000;

const cellsOf = <Row>(columns: readonly Column<Row>[], row: Row, now: number): string[] =>
	columns.map((column) => {
		const text = cellText(column, row, now);
		return column.as === 'prose' ? clip(text, MOST_COLUMNS) : text;
	});

/** Whether a column holds numbers only, which stand to the right. */
const isNumeric = <Row>({ value }: Column<Row>, rows: readonly Row[]): boolean => {
	const known = rows.map(value).filter((cell) => cell !== null && cell !== undefined);
	return known.length > 0 && known.every((cell) => typeof cell === 'number');
};

/**
 * An aligned table with a heading, for a terminal; what `under` says of a row is indented below it. Long lists are drawn in pieces, each
 * at least as wide as the one before.
 */
export const tableSink = <Row>(
	columns: readonly Column<Row>[],
	now: number,
	paint: Painter,
	under: (row: Row) => readonly string[] = () => [],
): Sink<Row> => {
	let waiting: Row[] = [];
	let heading = [columns.map((column) => column.title.toUpperCase())];
	const widths = columns.map(() => 0);

	const draw = (): string => {
		if (waiting.length === 0) return '';
		const cells = waiting.map((row) => cellsOf(columns, row, now));
		const numeric = columns.map((column) => isNumeric(column, waiting));
		for (const texts of [...heading, ...cells]) {
			for (const [at, text] of texts.entries()) widths[at] = Math.max(widths[at] ?? 0, widthOf(text));
		}
		const line = (texts: readonly string[], toneAt: (at: number) => Tone | undefined): string => {
			const filled = texts.map((text, at) => {
				const right = numeric[at] ?? false;
				// Nothing follows the last column, so it needs no spaces after it.
				return paint(toneAt(at), at === columns.length - 1 && !right ? text : pad(text, widths[at] ?? 0, right));
			});
			return `${filled.join('  ')}\n`;
		};
		const head = heading.map((titles) => line(titles, () => 'dim'));
		const body = waiting.flatMap((row, index) => [
			line(cells[index] ?? [], (at) => columns[at]?.tone?.(row)),
			...under(row).map((text) => `    ${paint('dim', text)}\n`),
		]);
		waiting = [];
		heading = [];
		return [...head, ...body].join('');
	};

	return {
		rows: (rows) => {
			waiting.push(...rows);
			return waiting.length >= AT_ONCE ? draw() : '';
		},
		end: draw,
	};
};

/** One line a row, tabs between the values, no heading: what `cut` and `awk` take. */
export const tsvSink = <Row>(columns: readonly Column<Row>[]): Sink<Row> => ({
	rows: (rows) => rows.map((row) => `${columns.map((column) => safe(plainText(column.value(row)))).join('\t')}\n`).join(''),
	end: () => '',
});
