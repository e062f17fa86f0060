import { resolve } from 'node:path';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';
import type { Row } from './bill.ts';

/** A row of a CSV file with more than this is none: a quote that never closes would take the rest of the file into memory. */
const MOST_OF_A_ROW = 1_048_576;

const bad = (message: string, hint: string): SpotError => new SpotError('invalid', 'BAD_BILL', message, { hint });

/** What a file is that begins with these bytes, and is no text. */
const MAGIC: ReadonlyArray<readonly [bytes: string, what: string, hint: (file: string) => string]> = [
	['1f8b', 'is compressed with gzip', (file) => `unpack it first: gunzip -k "${file}", or gunzip -c FILE | spotctl savings reconcile -`],
	['504b0304', 'is a zip archive', (file) => `unpack it first: unzip "${file}"`],
	['50415231', 'is Parquet', () => 'export the report again with the format text/csv'],
	['fffe', 'is UTF-16', (file) => `turn it into UTF-8 first: iconv -f UTF-16 -t UTF-8 "${file}"`],
	['feff', 'is UTF-16', (file) => `turn it into UTF-8 first: iconv -f UTF-16 -t UTF-8 "${file}"`],
];

/** The bytes of a file as they come, once it is known that they are text. Errors: 400 BAD_BILL. */
const textOf = (file: string) =>
	async function* (source: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
		let head: Buffer | null = Buffer.alloc(0);
		const checked = (bytes: Buffer): Buffer => {
			const found = MAGIC.find(([magic]) => bytes.toString('hex', 0, 4).startsWith(magic));
			if (found !== undefined) throw bad(`${file} ${found[1]}, not CSV`, found[2](file));
			return bytes;
		};
		for await (const chunk of source) {
			const bytes: Buffer = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
			if (head === null) yield bytes;
			else {
				head = Buffer.concat([head, bytes]);
				if (head.length < 4) continue;
				yield checked(head);
				head = null;
			}
		}
		if (head !== null) yield checked(head);
	};

/** The rows of a CSV file, as they are read; `-` is stdin. Errors: BAD_BILL for a file that cannot be read or is no CSV. */
export const rowsOf = async function* (context: Context, file: string): AsyncGenerator<Row> {
	const [{ parse }, { createReadStream }, { pipeline }] = await Promise.all([
		import('csv-parse'),
		import('node:fs'),
		import('node:stream'),
	]);
	const parser = parse({ relax_column_count: true, skip_empty_lines: true, bom: true, info: true, max_record_size: MOST_OF_A_ROW });
	const source = file === '-' ? context.host.stdin : createReadStream(resolve(context.host.cwd, file));
	// Whoever reads the parser hears of every error.
	pipeline(source, textOf(file), parser, () => undefined);
	let width: number | null = null;
	try {
		for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
			context.signal.throwIfAborted();
			width ??= record.length;
			if (record.length !== width)
				throw bad(`line ${info.lines} of ${file} has ${record.length} cells, its header ${width}`, 'quote every cell that holds a comma');
			yield { cells: record, line: info.lines };
		}
	} catch (error) {
		if (error instanceof SpotError) throw error;
		const { code = '', message } = error as { code?: string; message: string };
		if (code === 'EISDIR') throw bad(`cannot read ${file}: it is a folder (EISDIR)`, 'give the path of a CSV file, or - for stdin');
		if (/^E[A-Z]+$/.test(code)) throw bad(`cannot read ${file}: ${code}`, 'give the path of a CSV file, or - for stdin');
		throw bad(`${file} is no CSV: ${message}`, 'export it again, as comma-separated values with a header');
	}
};
