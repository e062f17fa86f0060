import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { billLines } from '../../commands/savings/bill.ts';
import type { Api } from '../../src/contract/index.ts';
import { cli } from './cli.ts';
import { client } from './fixtures.ts';

const figures = {
	savings: -0.25,
	baseline: 1.5,
	actual: 1.75,
	primaryCost: 1,
	replicaCost: 0.5,
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
		for (const text of ['-0.25', '1.75', '0.5', '96', '3', '2026-11']) expect(stdout).toContain(text);
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
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-bill-'));
	const file = (name: string, text: string): string => {
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
				cause: 'before-books' as const,
			})),
			billed: lines.reduce((sum, { cost }) => sum + cost, 0),
			booked: lines.reduce((sum, { cost }) => sum + cost / 2, 0),
			difference: 0,
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
		expect(stderr).toContain('billed 0.040000 USD, booked 0.020000 USD, difference 0.020000 USD; 1 lines are not about machines');
	});

	test.each([
		['no columns', 'a,b\n1,2\n', 'no column for: instance_id, start, end, cost'],
		['an empty file', '', 'the bill is empty'],
		[
			'a line that ends before it begins',
			'instance_id,start,end,cost\ni-1,2026-11-02,2026-11-01,1\n',
			'line 2, i-1: it ends before it begins',
		],
		['a cost that is none', 'instance_id,start,end,cost\ni-1,2026-11-01,2026-11-02,-1\n', 'line 2, i-1: the cost is no amount'],
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

	test('reads any number of lines a part at a time', async () => {
		const rows = async function* () {
			yield ['instance_id', 'start', 'end', 'cost'];
			for (let index = 0; index < 5000; index++) yield [`i-${index.toString(16)}`, '2026-11-01', '2026-11-02', '1.5'];
		};
		let count = 0;
		for await (const line of billLines(rows(), () => undefined)) count += line.cost;
		expect(count).toBe(7500);
	});
});
