import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Row, readBill } from '../../commands/savings/bill.ts';
import type { Api } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { cli } from './cli.ts';
import { client } from './fixtures.ts';

const figures = {
	savings: -0.25,
	baseline: 1.5,
	actual: 1.75,
	primaryCost: 1,
	replicaCost: 0.375,
	overlapCost: 0.125,
	zombieCost: 0.25,
	shares: { measured: 96, estimated: 3, unknown: 1, seconds: 3600 },
};
const lists = { listClients: () => ({ items: [client()], nextCursor: null }) };

describe('savings show', () => {
	test('prints every line of a figure with how sure it is, and a loss as one', async () => {
		const script = {
			...lists,
			showSavings: () => ({ ...figures, clientId: 'c-1', clientName: 'acme', month: '2026-11', until: '2026-11-23T12:00:00.000Z' }),
		};
		const { code, out: stdout } = await cli('savings show --client acme --month 2026-11', { script });
		expect(code).toBe(0);
		for (const text of ['-0.25', '1.75', '0.375', '0.125', '96', '3', '2026-11']) expect(stdout).toContain(text);
	});

	test('refuses what is no month', async () => {
		const { code, err: stderr } = await cli('savings show --month 2026-13', { script: {} });
		expect([code, stderr]).toEqual([2, expect.stringContaining('YYYY-MM')]);
	});
});

describe('savings recompute', () => {
	test('follows the pages to the end and counts what differs', async () => {
		const asked: unknown[] = [];
		const script: Partial<Api> = {
			recomputeSavings: async (input) => {
				asked.push(input);
				const last = asked.length === 2;
				const difference = { instanceId: 'i-1', agentId: 'a', costBefore: 1, costAfter: 2, baselineBefore: 3, baselineAfter: 3 };
				return {
					machines: 100,
					changed: last ? 1 : 0,
					dry_run: true,
					totals: [],
					differences: last ? [difference] : [],
					next_cursor: last ? null : 'more',
				};
			},
		};
		const { code, out: stdout, err: stderr } = await cli('savings recompute --dry-run', { script });
		expect([code, stdout]).toEqual([0, expect.stringContaining('i-1')]);
		expect(stderr).toContain('booked 200 machines anew: 1 differs; nothing was changed');
		expect(asked).toEqual([
			expect.objectContaining({ dry_run: true, cursor: null }),
			expect.objectContaining({ dry_run: true, cursor: 'more' }),
		]);
	});
});

describe('savings reconcile', () => {
	const folder = temporaryFolder('bill');
	const file = (name: string, text: string | Buffer): string => {
		const path = join(folder, name);
		writeFileSync(path, text);
		return path;
	};
	const script: Partial<Api> = {
		reconcileSavings: async ({ lines }) => ({
			lines: lines.map(({ instance_id: instanceId, cost }) => ({
				instanceId,
				billed: cost,
				booked: cost / 2,
				difference: cost / 2,
				billedSeconds: 3600,
				bookedSeconds: 1800,
				shares: { measured: 75, estimated: 25, unknown: 0, seconds: 1800 },
				cause: 'before-books' as const,
			})),
			billed: lines.reduce((sum, { cost }) => sum + cost, 0),
			booked: lines.reduce((sum, { cost }) => sum + cost / 2, 0),
			difference: 0,
			shares: { measured: 75, estimated: 25, unknown: 0, seconds: 1800 * lines.length },
			byCause: [],
		}),
	};

	test('reads a Cost and Usage Report, names causes, and leaves other resources out', async () => {
		const bill = file(
			'cur.csv',
			'lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/ResourceId,lineItem/UnblendedCost\n2026-11-01T00:00:00Z,2026-11-01T01:00:00Z,i-0abc,0.0400000000\n2026-11-01T00:00:00Z,2026-11-01T01:00:00Z,vol-1,0.01\n',
		);
		const { code, out: stdout, err: stderr } = await cli(`savings reconcile ${bill}`, { script });
		expect([code, stdout]).toEqual([0, expect.stringContaining('before-books')]);
		expect(stderr).toContain('1 × before-books (it ran before anybody spoke of it): 0.020000 USD');
		expect(stderr).toContain(
			'billed 0.040000 USD, booked 0.020000 USD, difference 0.020000 USD; booked time: 75 % measured, 25 % estimated, 0 % unknown',
		);
		expect(stderr).toContain('set against nothing, as no time of a machine: 1 line, 0.010000 USD\n  1 × not about a machine: 0.010000 USD');
	});

	test.each([
		['no columns', 'a,b\n1,2\n', 'no column for: instance_id, start, end, cost'],
		['an empty file', '', 'the bill is empty'],
		['a sum with a comma', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,1,234.50\n', 'has 5 cells, its header 4'],
		['a line cut short', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02\n', 'has 3 cells, its header 4'],
		['a column twice', 'instance_id,start,end,cost,Cost\ni-1,2026-11-01,2026-11-02,1,2\n', 'two columns cost'],
		[
			'a line that ends before it begins',
			'instance_id,start,end,cost\ni-1,2026-11-02,2026-11-01,1\n',
			'line 2, i-1: it ends before it begins',
		],
		['a negative cost of no type', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,-1\n', 'line 2, i-1: the cost is negative'],
		['a hexadecimal cost', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,0x10\n', 'line 2, i-1: the cost is no amount: "0x10"'],
		['no cost', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,\n', 'line 2, i-1: the cost is no amount'],
		['an infinite cost', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,1e999\n', 'line 2, i-1: the cost is no amount'],
		['an absurd cost', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,1e9\n', 'line 2, i-1: the cost is more than'],
		['another currency', 'instance_id,start,end,cost,currency\ni-1,2026-11-01,2026-11-02,1,CNY\n', 'line 2, i-1: it is in CNY'],
		['a row without end', `instance_id,start,end,cost\n"${'i-1,\n'.repeat(300_000)}`, 'is no CSV'],
		['gzip', gzipSync('instance_id,start,end,cost\n'), 'is compressed with gzip, not CSV'],
		['a zip', Buffer.from('PK\u0003\u0004....'), 'is a zip archive, not CSV'],
		['Parquet', Buffer.from('PAR1....'), 'is Parquet, not CSV'],
		['UTF-16', Buffer.from('\ufeffinstance_id,start,end,cost\n', 'utf16le'), 'is UTF-16, not CSV'],
		['times that are none', 'instance_id,start,end,cost\ni-1,soon,later,1\n', 'line 2, i-1: start and end are not times'],
		['quotes that do not close', 'instance_id,start,end,cost\n"i-1,2026-11-01,2026-11-02,1\n', 'is no CSV'],
	])('refuses %s with the line and what to type next', async (name, text, message) => {
		const { code, err: stderr } = await cli(`savings reconcile ${file(`${name.replaceAll(' ', '-')}.csv`, text)}`, { script });
		expect(code).toBe(2);
		expect(stderr).toContain(message);
		expect(stderr).not.toMatch(/\n\s+at /);
	});

	test('says so when the file is not there', async () => {
		const { code, err: stderr } = await cli(`savings reconcile ${join(folder, 'nowhere.csv')}`, { script });
		expect([code, stderr]).toEqual([2, expect.stringContaining('ENOENT')]);
	});

	test('says so when the file is a folder', async () => {
		const { code, err: stderr } = await cli(`savings reconcile ${folder}`, { script });
		expect([code, stderr]).toEqual([2, expect.stringContaining('it is a folder (EISDIR)')]);
	});

	/** What is sent of a bill, and what is said of it. */
	const sent = async (name: string, text: string | Buffer) => {
		const { code, err: stderr, calls } = await cli(['savings', 'reconcile', file(name, text)], { script });
		const lines = calls.flatMap(({ input }) => (input as { lines: { instance_id: string; cost: number; duplicate?: boolean }[] }).lines);
		return {
			code,
			stderr,
			lines: lines.map(({ instance_id, cost, duplicate }) => [instance_id, cost, ...(duplicate ? ['duplicate'] : [])]),
		};
	};
	const HOUR = '2026-11-01T00:00:00Z,2026-11-01T01:00:00Z';

	test.each([
		[
			'CUR',
			'lineItem/ResourceId,lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/UnblendedCost,lineItem/LineItemType,lineItem/UsageType,lineItem/Operation',
		],
		[
			'CUR 2.0',
			'line_item_resource_id,line_item_usage_start_date,line_item_usage_end_date,line_item_unblended_cost,line_item_line_item_type,line_item_usage_type,line_item_operation',
		],
	])('of a %s sets only the time of machines against the books, and lists the rest by type', async (name, header) => {
		const bill = [
			header,
			`i-0abc,${HOUR},0.04,Usage,USE1-SpotUsage:c5.large,RunInstances:SV002`,
			`i-0abc,${HOUR},0.02,Usage,USE1-DataTransfer-Out-Bytes,RunInstances`,
			`i-0abc,${HOUR},0.01,Usage,CPUCredits:t3,T3CPUCredits`,
			`i-0def,${HOUR},0.085,SavingsPlanCoveredUsage,BoxUsage:c5.large,RunInstances`,
			`i-0def,${HOUR},-0.085,SavingsPlanNegation,BoxUsage:c5.large,RunInstances`,
			`i-0abc,${HOUR},-1.5,Credit,USE1-SpotUsage:c5.large,RunInstances:SV002`,
			`i-0abc,${HOUR},-0.5,Usage,USE1-SpotUsage:c5.large,RunInstances:SV002`,
			`vol-1,${HOUR},0.3,Usage,EBS:VolumeUsage.gp3,CreateVolume-Gp3`,
			',,,7,Tax,,',
			',,,n/a,Fee,,',
		].join('\n');
		const { code, stderr, lines } = await sent(`${name}.csv`, bill);
		expect([code, lines]).toEqual([
			0,
			[
				['i-0abc', 0.04],
				['i-0def', 0.085],
			],
		]);
		expect(stderr).toContain(
			[
				'set against nothing, as no time of a machine: 8 lines, 5.245000 USD',
				'  1 × Tax: 7.000000 USD',
				'  1 × Credit: -1.500000 USD',
				'  1 × negative Usage: -0.500000 USD',
				'  1 × Usage EBS:VolumeUsage.gp3: 0.300000 USD',
				'  1 × SavingsPlanNegation: -0.085000 USD',
				'  1 × Usage DataTransfer-Out-Bytes: 0.020000 USD',
				'  1 × Usage CPUCredits:t3: 0.010000 USD',
				'  1 × Fee: 0.000000 USD (1 without an amount that can be read)',
			].join('\n'),
		);
	});

	test('adds lines of one machine and time up, and marks the very same line as a duplicate', async () => {
		const header = 'instance_id,start,end,cost,usage_type';
		const { lines, stderr } = await sent(
			'twice.csv',
			[
				header,
				`i-0abc,${HOUR},0.25,BoxUsage:c5.large`,
				`I-0ABC,${HOUR},0.5,SpotUsage:c5.large`,
				`arn:aws:ec2:us-east-1:1:instance/i-0abc,2026-11-01T01:00:00Z,2026-11-01T02:00:00Z,1.2E-4,SpotUsage:c5.large`,
				`i-0abc,${HOUR},0.25,BoxUsage:c5.large`,
			].join('\n'),
		);
		expect(lines).toEqual([
			['i-0abc', 0.75],
			['i-0abc', 0.25, 'duplicate'],
			['i-0abc', 0.00012],
		]);
		expect(stderr).toContain('4 lines about machines, 3 after those of one machine and time were added up');
	});

	test('takes a byte-order mark, CRLF, quotes and line breaks in fields, and knows the line of the file', async () => {
		const text = `\ufeff"instance_id","start","end","cost","note"\r\n"i-0abc",${HOUR.replace(',', '","').replace(/^|$/g, '"')},"0.5","a ""b"",\nc"\r\n\r\n`;
		expect((await sent('quoted.csv', text)).lines).toEqual([['i-0abc', 0.5]]);
		expect((await sent('quoted-bad.csv', `${text}i-0abc,${HOUR},soon,\r\n`)).stderr).toContain('line 5, i-0abc: the cost is no amount');
	});

	test('says that there is a header and nothing else', async () => {
		expect(await sent('header.csv', 'instance_id,start,end,cost\n')).toMatchObject({
			code: 0,
			stderr: 'the bill has a header and no lines\n',
			lines: [],
		});
	});

	test('reads stdin', async () => {
		const { code, calls } = await cli('savings reconcile -', { script, input: `instance_id,start,end,cost\ni-1,${HOUR},1\n` });
		expect([code, calls.length]).toEqual([0, 1]);
	});

	test('sends a thousand lines at once, and half of them where their time is too long for one answer', async () => {
		const text = ['instance_id,start,end,cost', ...Array.from({ length: 1500 }, (_, n) => `i-${n.toString(16)},${HOUR},1`)].join('\n');
		const asked: number[] = [];
		const small: Partial<Api> = {
			reconcileSavings: async (input) => {
				asked.push(input.lines.length);
				if (input.lines.length > 500) throw new SpotError('too_large', 'BILL_TOO_LARGE', 'too many segments');
				return script.reconcileSavings?.(input) as never;
			},
		};
		const { code, out: stdout } = await cli(`savings reconcile ${file('many.csv', text)}`, { script: small });
		expect([code, asked, stdout.trimEnd().split('\n').length]).toEqual([0, [1000, 500, 500, 500], 1500]);
	});

	const many = async function* (count: number): AsyncGenerator<Row> {
		yield { cells: ['instance_id', 'start', 'end', 'cost'], line: 1 };
		for (let n = 0; n < count; n++) yield { cells: [`i-${(n % 50).toString(16)}`, '2026-11-01', '2026-11-02', String(n)], line: n + 2 };
	};

	test('reads any number of lines up to a bound, and says what to do beyond it', async () => {
		const bill = await readBill(many(5000), 5000);
		expect([bill.machineRows, [...bill.lines()].reduce((sum, { cost }) => sum + cost, 0)]).toEqual([5000, 12_497_500]);
		await expect(readBill(many(5001), 5000)).rejects.toMatchObject({
			code: 'BILL_TOO_LARGE',
			exitCode: 2,
			hint: expect.stringContaining('split it'),
		});
	});
});
