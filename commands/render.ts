import type { Format } from './formats.ts';
import type { ListSpec, OneSpec } from './print.ts';
import { cellText, type Painter, painter, plainText, tableSink, tsvSink } from './table.ts';
import { pad, safe, UNSAFE, widthOf } from './text.ts';

export type Cell = string | number | boolean | null | undefined | readonly string[];
export type Tone = 'good' | 'bad' | 'warn' | 'dim';

/** One column of a table, or one line of a single answer. */
export type Column<Row> = {
	/** Its heading; in CSV, in lower case with underscores. */
	readonly title: string;
	readonly value: (row: Row) => Cell;
	/** How a terminal shows it, `now` being UTC milliseconds; elsewhere it is the value itself. */
	readonly as?: 'time' | 'usd' | 'percent' | 'seconds' | 'prose' | ((cell: NonNullable<Cell>, now: number, row: Row) => string);
	/** Only with `-o wide`, and in CSV. */
	readonly wide?: boolean;
	readonly tone?: (row: Row) => Tone | undefined;
};

/** What belongs to one row of a section: indented below it on a terminal, `title: text: text`; lines of their own when piped. */
export type Under<Row> = { readonly title: string; readonly lines: (row: Row) => readonly (readonly string[])[] };

/** A list inside a single answer, shown below it. */
export type Section = {
	readonly title: string;
	readonly columns: readonly Column<never>[];
	readonly rows: readonly unknown[];
	readonly under?: Under<never> | undefined;
};

/** A section whose columns fit its rows. */
export const section = <Row>(title: string, rows: readonly Row[], columns: readonly Column<Row>[], under?: Under<Row>): Section => ({
	title,
	columns,
	rows,
	under,
});

/** What decides how things are printed. */
export type View = {
	readonly format: Format;
	readonly idsOnly: boolean;
	readonly tty: boolean;
	readonly color: boolean;
	/** UTC milliseconds, for relative times. */
	readonly now: number;
	readonly write: (text: string) => Promise<void>;
};

/** Takes rows as they come; nothing is held longer than a page, so that a list of any length can be printed. */
export type Sink<Row> = { rows(rows: readonly Row[]): string; end(): string };

// JSON leaves some of these as they are; a terminal may obey them.
const ascii = (json: string): string => json.replace(UNSAFE, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);

const toJson = (value: unknown, indent?: number): string => ascii(JSON.stringify(value, null, indent) ?? 'null');

const jsonSink = <Row>(): Sink<Row> => {
	let any = false;
	return {
		rows: (rows) =>
			rows
				.map((row) => {
					const text = `${any ? ',' : '['}\n${toJson(row, 2).replace(/^/gm, '  ')}`;
					any = true;
					return text;
				})
				.join(''),
		end: () => (any ? '\n]\n' : '[]\n'),
	};
};

const jsonlSink = <Row>(): Sink<Row> => ({ rows: (rows) => rows.map((row) => `${toJson(row)}\n`).join(''), end: () => '' });

const idSink = <Row>(id: (row: Row) => string): Sink<Row> => ({
	rows: (rows) => rows.map((row) => `${safe(id(row))}\n`).join(''),
	end: () => '',
});

/** How a value, and how an item of a list, is written in YAML. */
const yamlWriter = async (): Promise<{ whole(value: unknown): string; item(value: unknown): string }> => {
	const { stringify } = await import('yaml');
	const written = (value: unknown, json: (text: string) => string): string => {
		const text = stringify(value, { lineWidth: 0 });
		// What the YAML writer lets through raw, JSON, which is YAML as well, escapes.
		return text.search(UNSAFE) === -1 ? text : `${json(toJson(value))}\n`;
	};
	return { whole: (value) => written(value, (text) => text), item: (value) => written([value], (text) => `- ${text.slice(1, -1)}`) };
};

const yamlSink = async <Row>(): Promise<Sink<Row>> => {
	const { item } = await yamlWriter();
	let any = false;
	return {
		rows: (rows) => {
			any ||= rows.length > 0;
			return rows.map(item).join('');
		},
		end: () => (any ? '' : '[]\n'),
	};
};

const nameOf = (title: string): string => title.toLowerCase().replaceAll(' ', '_');

/** A spreadsheet takes what begins like this for a formula; the apostrophe makes it text. Numbers stay numbers. */
const neutral = (cell: Cell): string => {
	const text = plainText(cell);
	return typeof cell !== 'number' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
};

const csvSink = async <Row>(columns: readonly Column<Row>[]): Promise<Sink<Row>> => {
	const { stringify } = await import('csv-stringify/sync');
	const lines = (records: readonly (readonly string[])[]): string =>
		stringify(
			records.map((record) => [...record]),
			{ record_delimiter: '\r\n', quoted_match: /[\r\n]/ },
		);
	let header = lines([columns.map((column) => nameOf(column.title))]);
	const take = (): string => {
		const text = header;
		header = '';
		return text;
	};
	return { rows: (rows) => take() + lines(rows.map((row) => columns.map((column) => neutral(column.value(row))))), end: take };
};

const sinkOf = async <Row>(view: View, spec: ListSpec<Row>): Promise<Sink<Row>> => {
	const { format } = view;
	if (view.idsOnly) return idSink(spec.id);
	if (format === 'json') return jsonSink();
	if (format === 'jsonl') return jsonlSink();
	if (format === 'yaml') return yamlSink();
	if (format === 'csv') return csvSink(spec.columns);
	const columns = spec.columns.filter((column) => format === 'wide' || !column.wide);
	return view.tty ? tableSink(columns, view.now, await painter(view.color)) : tsvSink(columns);
};

/** Prints a list page by page. Answers how many rows there were. */
export const renderList = async <Row>(view: View, spec: ListSpec<Row>): Promise<number> => {
	if (spec.output !== undefined && !view.idsOnly && (view.format === 'json' || view.format === 'yaml')) {
		await view.write(view.format === 'json' ? `${toJson(spec.output, 2)}\n` : (await yamlWriter()).whole(spec.output));
		return 1;
	}
	const sink = await sinkOf(view, spec);
	let count = 0;
	for await (const rows of spec.pages) {
		count += rows.length;
		const text = sink.rows(rows);
		if (text !== '') await view.write(text);
	}
	const end = sink.end();
	if (end !== '') await view.write(end);
	return count;
};

const linesFor = <Data>(fields: readonly Column<Data>[], data: Data, now: number, paint: Painter): string => {
	const width = Math.max(...fields.map((field) => widthOf(field.title))) + 1;
	return fields
		.map((field) => `${paint('dim', pad(`${field.title}:`, width))} ${paint(field.tone?.(data), cellText(field, data, now))}\n`)
		.join('');
};

const underOf = ({ under }: Section, row: unknown): string[][] =>
	under === undefined ? [] : (under as Under<unknown>).lines(row).map((texts) => [under.title, ...texts]);

const drawn = <Data>(view: View, { data, fields, sections = [] }: OneSpec<Data>, paint: Painter): string => {
	const shown = fields.filter((field) => view.format === 'wide' || !field.wide);
	const head = shown.length === 0 ? '' : linesFor(shown, data, view.now, paint);
	const below = sections.map((each) => {
		if (each.rows.length === 0) return '';
		const sink = tableSink(each.columns as readonly Column<unknown>[], view.now, paint, (row) =>
			underOf(each, row).map((texts) => safe(texts.join(': '))),
		);
		return `\n${paint('dim', `${each.title}:`)}\n${sink.rows(each.rows)}${sink.end()}`;
	});
	return head + below.join('');
};

const piped = <Data>(view: View, { data, fields, sections = [] }: OneSpec<Data>): string => {
	const shown = fields.filter((field) => view.format === 'wide' || !field.wide);
	const head = shown.map((field) => `${nameOf(field.title)}\t${safe(plainText(field.value(data)))}\n`).join('');
	const below = sections.flatMap((each) =>
		each.rows.flatMap((row) => [
			[nameOf(each.title), ...each.columns.map((column) => plainText((column as Column<unknown>).value(row)))],
			...underOf(each, row).map(([what, ...texts]) => [nameOf(`${each.title} ${what}`), ...texts]),
		]),
	);
	return head + below.map((texts) => `${texts.map(safe).join('\t')}\n`).join('');
};

const oneText = async <Data>(view: View, spec: OneSpec<Data>): Promise<string> => {
	const { format } = view;
	if (view.idsOnly) return `${safe(spec.id)}\n`;
	if (format === 'json') return `${toJson(spec.data, 2)}\n`;
	if (format === 'jsonl') return `${toJson(spec.data)}\n`;
	if (format === 'yaml') return (await yamlWriter()).whole(spec.data);
	if (format === 'csv') {
		if (spec.fields.length === 0) return '';
		const sink = await csvSink(spec.fields);
		return sink.rows([spec.data]) + sink.end();
	}
	return view.tty ? drawn(view, spec, await painter(view.color)) : piped(view, spec);
};

/** Prints a single answer. */
export const renderOne = async <Data>(view: View, spec: OneSpec<Data>): Promise<void> => {
	const text = await oneText(view, spec);
	if (text !== '') await view.write(text);
};
