import { createHash } from 'node:crypto';
import { type Input, parseInstant } from '../../src/contract/index.ts';
import { BILL_LINE_USD } from '../../src/contract/savings.ts';
import { SpotError } from '../../src/errors.ts';

export type Line = Input<'reconcileSavings'>['lines'][number];

/** A row of the file, and the line of the file it ends at. */
export type Row = { readonly cells: readonly string[]; readonly line: number };

/** Lines of one type that are set against nothing: how many, their sum in USD, and how many of them have no amount that can be read. */
export type Apart = { lines: number; usd: number; unread: number };

/** A bill that was read to its end. */
export type Bill = {
	/** Its lines about the time of machines, those of one machine and time added up; the same line again is marked as a duplicate. */
	readonly lines: () => Generator<Line>;
	/** What is no time of a machine, by type. */
	readonly apart: ReadonlyMap<string, Apart>;
	/** Rows about the time of machines. */
	readonly machineRows: number;
};

/** Rows about machines that one bill may have: some 40 bytes each are kept. */
const MOST_ROWS = 2_000_000;
/** Types that are listed by name; a file with more of them is told the rest in one sum. */
const MOST_TYPES = 40;

/**
 * What a column may be called: our own short names, those of an AWS Cost and Usage Report (CUR) and of its newer export, CUR 2.0 (AWS Billing
 * user guide, "Line item columns").
 */
const NAMES = {
	instance_id: ['instance_id', 'instance id', 'resourceid', 'lineitem/resourceid', 'line_item_resource_id'],
	start: ['start', 'usagestartdate', 'lineitem/usagestartdate', 'line_item_usage_start_date'],
	end: ['end', 'usageenddate', 'lineitem/usageenddate', 'line_item_usage_end_date'],
	cost: ['cost', 'unblendedcost', 'lineitem/unblendedcost', 'line_item_unblended_cost'],
} as const;

/** Columns that say what kind of line it is, where the file has them. */
const KINDS = {
	lineType: ['line_type', 'lineitemtype', 'lineitem/lineitemtype', 'line_item_line_item_type'],
	usageType: ['usage_type', 'usagetype', 'lineitem/usagetype', 'line_item_usage_type'],
	operation: ['operation', 'lineitem/operation', 'line_item_operation'],
	currency: ['currency', 'currencycode', 'lineitem/currencycode', 'line_item_currency_code'],
} as const;

type Key = keyof typeof NAMES;
type Kind = keyof typeof KINDS;
type Columns = Record<Key, number> & Record<Kind, number>;

const bad = (message: string, hint?: string): SpotError =>
	new SpotError('invalid', 'BAD_BILL', message, {
		hint: hint ?? 'the file needs a header with the columns instance_id,start,end,cost, or those of an AWS Cost and Usage Report',
	});

const placesOf = <K extends string>(header: readonly string[], names: Readonly<Record<K, readonly string[]>>): Record<K, number> =>
	Object.fromEntries(
		Object.entries<readonly string[]>(names).map(([key, known]) => [key, header.findIndex((name) => known.includes(name))]),
	) as Record<K, number>;

/** Where the columns are, -1 for a kind that is not there. Errors: 400 BAD_BILL with the names that are missing. */
const columnsOf = (cells: readonly string[]): Columns => {
	const header = cells.map((name) =>
		name
			.replace(/^\uFEFF/, '')
			.trim()
			.toLowerCase(),
	);
	const needed = placesOf(header, NAMES);
	const missing = Object.entries(needed).flatMap(([key, place]) => (place < 0 ? [key] : []));
	if (missing.length > 0) throw bad(`the bill has no column for: ${missing.join(', ')}`);
	const twice = Object.values(needed).find((place) => header.indexOf(header[place] ?? '', place + 1) >= 0);
	if (twice !== undefined) throw bad(`the bill has two columns ${header[twice]}`, 'take out the one that does not count');
	return { ...needed, ...placesOf(header, KINDS) };
};

/** Types whose amount is for usage. SavingsPlanNegation, Credit, Refund, Tax, Fee, RIFee, discounts … are not. */
const USAGE = new Set(['usage', 'discountedusage', 'savingsplancoveredusage']);

/** Usage types that are the time of an instance: `BoxUsage:c5.large`, `USE1-SpotUsage:c5.large`; not its traffic, volumes or CPU credits. */
const MACHINE_TIME = /(?:^|-)(?:BoxUsage|SpotUsage|HeavyUsage|SchedUsage|DedicatedUsage|HostBoxUsage)(?::|$)/i;

const REGION = /^[A-Z]{2,4}\d{0,2}-(?=.)/;

/** Why a line is set apart: its type; null for the time of a machine. */
const apartAs = (cell: (kind: Kind) => string): string | null => {
	const [type, usage, operation] = [cell('lineType'), cell('usageType'), cell('operation')];
	if (type !== '' && !USAGE.has(type.toLowerCase())) return type;
	const of = (what: string): string => `${type === '' ? 'Usage' : type} ${what.replace(REGION, '')}`;
	if (usage !== '') return MACHINE_TIME.test(usage) ? null : of(usage);
	return operation === '' || /^RunInstances/i.test(operation) ? null : of(operation);
};

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i;

/** An amount as AWS writes it (`0.0400000000`, `1.2E-4`); null for anything else. */
const amountOf = (text: string): number | null => {
	const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
	return Number.isFinite(value) ? value : null;
};

/** Rows of one machine, in arrays of numbers: a bill may have millions. */
type Machine = { readonly start: number[]; readonly end: number[]; readonly cost: number[]; readonly print: number[] };

/** What tells rows apart that are about the same machine and time. */
const printOf = (cells: readonly string[]): number => createHash('sha1').update(cells.join('\u001f')).digest().readUIntBE(0, 6);

const labelOf = (type: string): string => type.replace(/\s+/g, ' ').slice(0, 80);

/** Adds to what is set apart. */
const setApart = (apart: Map<string, Apart>, type: string, text: string): void => {
	const label = apart.has(labelOf(type)) || apart.size < MOST_TYPES ? labelOf(type) : 'further types';
	const sum = apart.get(label) ?? { lines: 0, usd: 0, unread: 0 };
	const usd = text === '' ? 0 : amountOf(text);
	apart.set(label, { lines: sum.lines + 1, usd: sum.usd + (usd ?? 0), unread: sum.unread + (usd === null ? 1 : 0) });
};

/** The lines of one machine, oldest first. Errors: 400 BAD_BILL for a sum beyond what a line may come to. */
const linesOf = function* (id: string, { start, end, cost, print }: Machine): Generator<Line> {
	const at = (list: readonly number[], index: number): number => list[index] ?? 0;
	const order = [...start.keys()].sort((a, b) => at(start, a) - at(start, b) || at(end, a) - at(end, b) || a - b);
	for (let next = 0; next < order.length; ) {
		const first = order[next] ?? 0;
		const time = { start: at(start, first), end: at(end, first) };
		const seen = new Set<number>();
		let sum = 0;
		const again: number[] = [];
		for (; next < order.length; next += 1) {
			const index = order[next] ?? 0;
			if (at(start, index) !== time.start || at(end, index) !== time.end) break;
			if (seen.has(at(print, index))) again.push(at(cost, index));
			else sum += at(cost, index);
			seen.add(at(print, index));
		}
		if (sum > BILL_LINE_USD) throw bad(`${id}: its lines of one time come to more than ${BILL_LINE_USD} USD`);
		yield { instance_id: id, ...time, cost: sum };
		for (const each of again) yield { instance_id: id, ...time, cost: each, duplicate: true };
	}
};

/**
 * Reads a bill to its end. What is not the time of a machine (credits, taxes, negations, traffic, volumes) is counted by its type and never
 * refused. Errors: 400 BAD_BILL with the line; 413 BILL_TOO_LARGE for more rows about machines than `most`.
 */
export const readBill = async (rows: AsyncIterable<Row>, most = MOST_ROWS): Promise<Bill> => {
	const machines = new Map<string, Machine>();
	const apart = new Map<string, Apart>();
	let columns: Columns | null = null;
	let machineRows = 0;
	for await (const { cells, line } of rows) {
		if (columns === null) {
			columns = columnsOf(cells);
			continue;
		}
		const at = columns;
		const cell = (key: Key | Kind): string => (cells[at[key]] ?? '').trim();
		const id = /(?:^|\/)(i-[0-9a-z]+)$/i.exec(cell('instance_id'))?.[1]?.toLowerCase();
		const type = apartAs(cell) ?? (id === undefined ? 'not about a machine' : null);
		if (type !== null || id === undefined) {
			setApart(apart, type ?? '', cell('cost'));
			continue;
		}
		const where = `line ${line}, ${id}`;
		const [start, end, cost] = [parseInstant(cell('start')), parseInstant(cell('end')), amountOf(cell('cost'))];
		if (cost === null)
			throw bad(`${where}: the cost is no amount: "${cell('cost').slice(0, 40)}"`, 'an amount is a decimal number, such as 0.04 or 1.2E-4');
		if (cost < 0 && at.lineType >= 0) {
			setApart(apart, `negative ${cell('lineType')}`, cell('cost'));
			continue;
		}
		if (cost < 0)
			throw bad(`${where}: the cost is negative, and nothing says that the line is a credit`, 'add the column lineItem/LineItemType');
		if (cost > BILL_LINE_USD) throw bad(`${where}: the cost is more than ${BILL_LINE_USD} USD`);
		if (start === null || end === null || start < 0) throw bad(`${where}: start and end are not times`);
		if (end <= start) throw bad(`${where}: it ends before it begins`);
		const currency = cell('currency');
		if (currency !== '' && currency.toUpperCase() !== 'USD')
			throw bad(`${where}: it is in ${currency.slice(0, 10)}, and the books are in USD`, 'export the bill in USD');
		machineRows += 1;
		if (machineRows > most)
			throw new SpotError('too_large', 'BILL_TOO_LARGE', `the bill has more than ${most} lines about machines`, {
				hint: 'split it by month, or by client, and reconcile each file',
			});
		const machine = machines.get(id) ?? { start: [], end: [], cost: [], print: [] };
		machine.start.push(start);
		machine.end.push(end);
		machine.cost.push(cost);
		machine.print.push(printOf(cells));
		machines.set(id, machine);
	}
	if (columns === null) throw bad('the bill is empty');
	return {
		lines: function* () {
			for (const [id, machine] of machines) yield* linesOf(id, machine);
		},
		apart,
		machineRows,
	};
};
