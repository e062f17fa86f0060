import { Command } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { type Bill, type Line as BillLine, readBill } from './bill.ts';
import { rowsOf } from './bill-file.ts';

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

const inParts = function* (lines: Iterable<BillLine>): Generator<BillLine[]> {
	let part: BillLine[] = [];
	for (const line of lines) {
		part.push(line);
		if (part.length === AT_ONCE) {
			yield part;
			part = [];
		}
	}
	if (part.length > 0) yield part;
};

type Page = Output<'reconcileSavings'>;

/** Asks for lines, and for half of them where their time is too long for one answer. */
const asked = async function* (ask: (lines: BillLine[]) => Promise<Page>, lines: BillLine[]): AsyncGenerator<Page> {
	let page: Page;
	try {
		page = await ask(lines);
	} catch (error) {
		if (!(error instanceof SpotError) || error.kind !== 'too_large' || lines.length < 2) throw error;
		const half = Math.ceil(lines.length / 2);
		yield* asked(ask, lines.slice(0, half));
		yield* asked(ask, lines.slice(half));
		return;
	}
	yield page;
};

const count = (lines: number): string => `${lines} ${lines === 1 ? 'line' : 'lines'}`;

const noteApart = (context: Context, { apart }: Bill): void => {
	if (apart.size === 0) return;
	const all = [...apart].sort(([, a], [, b]) => Math.abs(b.usd) - Math.abs(a.usd) || b.lines - a.lines);
	const total = all.reduce((sum, [, { lines, usd }]) => ({ lines: sum.lines + lines, usd: sum.usd + usd }), { lines: 0, usd: 0 });
	context.note(`set against nothing, as no time of a machine: ${count(total.lines)}, ${total.usd.toFixed(6)} USD`);
	for (const [type, { lines, usd, unread }] of all)
		context.note(`  ${lines} × ${type}: ${usd.toFixed(6)} USD${unread > 0 ? ` (${unread} without an amount that can be read)` : ''}`);
};

const runReconcile = async (context: Context, file: string, { client }: Options): Promise<void> => {
	const api = await context.api();
	const clientId = client === undefined ? undefined : (await findClient(context, client)).id;
	const bill = await readBill(rowsOf(context, file));
	const byCause = new Map<Line['cause'], { lines: number; difference: number }>();
	let [rows, billed, booked] = [0, 0, 0];
	const seconds = { measured: 0, estimated: 0, unknown: 0, all: 0 };
	const compared = async function* (): AsyncGenerator<readonly Line[]> {
		for (const part of inParts(bill.lines())) {
			for await (const page of asked((lines) => api.reconcileSavings({ client_id: clientId, lines }, context.signal), part)) {
				rows += page.lines.length;
				billed += page.billed;
				booked += page.booked;
				for (const quality of ['measured', 'estimated', 'unknown'] as const)
					seconds[quality] += (page.shares[quality] * page.shares.seconds) / 100;
				seconds.all += page.shares.seconds;
				for (const { cause, difference } of page.lines) {
					const sum = byCause.get(cause) ?? { lines: 0, difference: 0 };
					byCause.set(cause, { lines: sum.lines + 1, difference: sum.difference + difference });
				}
				yield page.lines;
			}
		}
	};
	const share = (part: number): number => (seconds.all === 0 ? 0 : Math.round((part / seconds.all) * 10_000) / 100);
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
			{ title: 'Measured', value: ({ shares }) => shares.measured, as: 'percent' },
			{ title: 'Estimated', value: ({ shares }) => shares.estimated, as: 'percent' },
			{ title: 'Unknown', value: ({ shares }) => shares.unknown, as: 'percent' },
		],
		id: ({ instanceId }) => instanceId,
		empty: 'the bill names no machine',
	});
	for (const [cause, sum] of byCause) context.note(`${sum.lines} × ${cause} (${CAUSES[cause]}): ${sum.difference.toFixed(6)} USD`);
	if (rows < bill.machineRows)
		context.note(`${count(bill.machineRows)} about machines, ${rows} after those of one machine and time were added up`);
	noteApart(context, bill);
	context.note(
		bill.machineRows === 0 && bill.apart.size === 0
			? 'the bill has a header and no lines'
			: `billed ${billed.toFixed(6)} USD, booked ${booked.toFixed(6)} USD, difference ${(billed - booked).toFixed(6)} USD${seconds.all === 0 ? '' : `; booked time: ${share(seconds.measured)} % measured, ${share(seconds.estimated)} % estimated, ${share(seconds.unknown)} % unknown`}`,
	);
};
