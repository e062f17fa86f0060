import { type Input, parseInstant } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';

export type Line = Input<'reconcileSavings'>['lines'][number];

/**
 * What a column may be called: our own short names, those of an AWS Cost and Usage Report (CUR) and of its newer export (AWS Billing user
 * guide, "Line item columns").
 */
const NAMES = {
	instance_id: ['instance_id', 'instance id', 'resourceid', 'lineitem/resourceid', 'line_item_resource_id'],
	start: ['start', 'usagestartdate', 'lineitem/usagestartdate', 'line_item_usage_start_date'],
	end: ['end', 'usageenddate', 'lineitem/usageenddate', 'line_item_usage_end_date'],
	cost: ['cost', 'unblendedcost', 'lineitem/unblendedcost', 'line_item_unblended_cost'],
} as const;

type Key = keyof typeof NAMES;

const bad = (message: string): SpotError =>
	new SpotError('invalid', 'BAD_BILL', message, {
		hint: 'the file needs a header with the columns instance_id,start,end,cost, or those of an AWS Cost and Usage Report',
	});

/** Where the columns are. Errors: 400 BAD_BILL with the names that are missing. */
const columnsOf = (header: readonly string[]): Record<Key, number> => {
	const names = header.map((name) =>
		name
			.replace(/^\uFEFF/, '')
			.trim()
			.toLowerCase(),
	);
	const found = Object.fromEntries(
		(Object.keys(NAMES) as Key[]).map((key) => [key, names.findIndex((name) => (NAMES[key] as readonly string[]).includes(name))]),
	) as Record<Key, number>;
	const missing = (Object.keys(NAMES) as Key[]).filter((key) => found[key] < 0);
	if (missing.length > 0) throw bad(`the bill has no column for: ${missing.join(', ')}`);
	return found;
};

/**
 * A bill as lines about machines, read as it comes; `skip` hears of each line that is about another resource (a volume, an address).
 * Errors: 400 BAD_BILL with the line.
 */
export const billLines = async function* (rows: AsyncIterable<readonly string[]>, skip: () => void): AsyncGenerator<Line> {
	let at: Record<Key, number> | null = null;
	let number = 0;
	for await (const row of rows) {
		number += 1;
		if (at === null) {
			at = columnsOf(row);
			continue;
		}
		const id = /(?:^|\/)(i-[0-9a-z]+)$/.exec((row[at.instance_id] ?? '').trim())?.[1];
		if (id === undefined) {
			skip();
			continue;
		}
		const where = `line ${number}, ${id}`;
		const [start, end, cost] = [parseInstant(row[at.start] ?? ''), parseInstant(row[at.end] ?? ''), Number(row[at.cost])];
		if (start === null || end === null) throw bad(`${where}: start and end are not times`);
		if (end <= start) throw bad(`${where}: it ends before it begins`);
		if ((row[at.cost] ?? '').trim() === '' || !Number.isFinite(cost) || cost < 0) throw bad(`${where}: the cost is no amount`);
		yield { instance_id: id, start, end, cost };
	}
	if (at === null) throw bad('the bill is empty');
};
