import { resolve } from 'node:path';
import { Command } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { type Line as BillLine, billLines } from './bill.ts';

type Options = { readonly client?: string };
type Line = Output<'reconcileSavings'>['lines'][number];

const AT_ONCE = 1000;

const CAUSES: Readonly<Record<Line['cause'], string>> = {
	agrees: 'the books agree',
	price: 'the same time at another price',
	estimated: 'part of the time is estimated (a zombie, or no price for long)',
	'unknown-time': 'part of the time nobody vouched for, or no price was known',
	'not-booked': 'no agent ever spoke of this machine',
	'first-hour': 'booked at nothing: AWS took it back in its first hour',
	'before-books': 'it ran before anybody spoke of it',
	'after-books': 'it ran after it was said to have ended',
	duplicate: 'the bill holds this very line before',
};

export const reconcileSavingsCommand = (context: Context, run = runReconcile): Command =>
	new Command('reconcile')
		.description('Set a bill of AWS against the books, and name the cause of each difference')
		.argument('<bill>', 'a CSV file: instance_id,start,end,cost, or an AWS Cost and Usage Report; - reads it from stdin')
		.option('--client <client>', 'the client whose bill it is (name or id)')
		.addHelpText('after', '\nExample:\n  $ spotctl savings reconcile bill.csv --client acme -o csv\n\nNothing is changed.')
		.action(async (bill: string, options: Options) => run(context, bill, options));

/** The rows of a CSV file, as they are read. Errors: BAD_BILL for a file that cannot be read or is no CSV. */
const rowsOf = async (context: Context, file: string): Promise<AsyncIterable<string[]>> => {
	const [{ parse }, { createReadStream }] = await Promise.all([import('csv-parse'), import('node:fs')]);
	const parser = parse({ relax_column_count: true, skip_empty_lines: true, bom: true });
	// Whoever reads it hears of its errors; until somebody does, they must not end the process.
	parser.on('error', () => undefined);
	const source = file === '-' ? context.host.stdin : createReadStream(resolve(context.host.cwd, file));
	source.on('error', (error: Error) => void parser.destroy(error));
	source.pipe(parser);
	return rows(parser, file);
};

const rows = async function* (parser: AsyncIterable<string[]>, file: string): AsyncGenerator<string[]> {
	try {
		yield* parser;
	} catch (error) {
		if (error instanceof SpotError) throw error;
		const { code = '', message } = error as { code?: string; message: string };
		const unread = /^E[A-Z]+$/.test(code);
		throw new SpotError('invalid', 'BAD_BILL', unread ? `cannot read ${file}: ${code}` : `${file} is no CSV: ${message}`, {
			hint: unread ? 'give the path of a CSV file, or - for stdin' : 'export it again, as comma-separated values with a header',
		});
	}
};

const inParts = async function* (lines: AsyncIterable<BillLine>): AsyncGenerator<BillLine[]> {
	let part: BillLine[] = [];
	for await (const line of lines) {
		part.push(line);
		if (part.length === AT_ONCE) {
			yield part;
			part = [];
		}
	}
	if (part.length > 0) yield part;
};

const runReconcile = async (context: Context, file: string, { client }: Options): Promise<void> => {
	let others = 0;
	const lines = billLines(await rowsOf(context, file), () => {
		others += 1;
	});
	const api = await context.api();
	const clientId = client === undefined ? undefined : (await findClient(context, client)).id;
	const byCause = new Map<Line['cause'], { lines: number; difference: number }>();
	let [billed, booked] = [0, 0];
	const compared = async function* (): AsyncGenerator<readonly Line[]> {
		for await (const some of inParts(lines)) {
			const page = await api.reconcileSavings({ client_id: clientId, lines: some });
			billed += page.billed;
			booked += page.booked;
			for (const { cause, difference } of page.lines) {
				const sum = byCause.get(cause) ?? { lines: 0, difference: 0 };
				byCause.set(cause, { lines: sum.lines + 1, difference: sum.difference + difference });
			}
			yield page.lines;
		}
	};
	await context.print.list({
		pages: compared(),
		columns: [
			{ title: 'Instance', value: ({ instanceId }) => instanceId },
			{ title: 'Billed', value: (line) => line.billed, as: 'usd' },
			{ title: 'Booked', value: (line) => line.booked, as: 'usd' },
			{ title: 'Difference', value: ({ difference }) => difference, as: 'usd' },
			{ title: 'Billed seconds', value: ({ billedSeconds }) => billedSeconds },
			{ title: 'Booked seconds', value: ({ bookedSeconds }) => bookedSeconds },
			{ title: 'Cause', value: ({ cause }) => cause },
		],
		id: ({ instanceId }) => instanceId,
		empty: 'the bill names no machine',
	});
	for (const [cause, sum] of byCause) context.note(`${sum.lines} × ${cause} (${CAUSES[cause]}): ${sum.difference.toFixed(6)} USD`);
	context.note(
		`billed ${billed.toFixed(6)} USD, booked ${booked.toFixed(6)} USD, difference ${(billed - booked).toFixed(6)} USD${others > 0 ? `; ${others} lines are not about machines` : ''}`,
	);
};
