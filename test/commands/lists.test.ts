import { Writable } from 'node:stream';
import { describe, test } from 'vitest';
import { cli } from './cli.ts';
import { client } from './fixtures.ts';

describe('lists', () => {
	const many = (total: number) => {
		const rows = Array.from({ length: total }, (_, at) => client({ id: `c-${at}` }));
		return {
			listClients: ({ limit, cursor }: { limit?: unknown; cursor?: string | undefined }) => {
				const from = Number(cursor ?? 0);
				const to = from + Number(limit);
				return { items: rows.slice(from, to), nextCursor: to < total ? String(to) : null };
			},
		};
	};
	const limits = (calls: readonly { input: unknown }[]) => calls.map(({ input }) => (input as { limit: number }).limit);

	test('show 1000 rows and say so', async ({ expect }) => {
		const { code, out, err, calls } = await cli('clients list -o jsonl', { script: many(2600) });
		expect([code, out.split('\n').length - 1, err, limits(calls)]).toEqual([0, 1000, 'showing 1000; use --all\n', [500, 500]]);
		expect((await cli('clients list -q', { script: many(2600) })).err).toBe('');
	});

	test('say nothing when 1000 rows are all there are', async ({ expect }) => {
		expect((await cli('clients list', { script: many(1000) })).err).toBe('');
	});

	test('--limit stops where it says, without a remark', async ({ expect }) => {
		const { out, err, calls } = await cli('clients list --limit 1203 -q -o jsonl', { script: many(2600) });
		expect([out.split('\n').length - 1, err, limits(calls)]).toEqual([1203, '', [500, 500, 203]]);
	});

	test.for(['json', 'jsonl', 'yaml', 'csv', 'table'])('--all prints every page as %s', async (format, { expect }) => {
		const { out, calls } = await cli(`clients list --all -o ${format}`, { script: many(2600), tty: true });
		expect(limits(calls)).toEqual([500, 500, 500, 500, 500, 500]);
		expect([...out.matchAll(/\bc-\d+\b/g)].length).toBe(2600);
		if (format === 'json') expect(JSON.parse(out).length).toBe(2600);
		if (format === 'table') expect(out.match(/CREATED/g)?.length).toBe(1);
	});

	test('a page that comes twice ends it', async ({ expect }) => {
		const script = { listClients: () => ({ items: [client()], nextCursor: 'same' }) };
		expect((await cli('clients list --all', { script })).code).toBe(1);
	});

	test('end quietly when nobody reads any more', async ({ expect }) => {
		const closed = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) });
		const { code, err, calls } = await cli('clients list --all -o jsonl', { script: many(2600), stdout: closed });
		expect([code, err, calls.length]).toEqual([0, '', 1]);
	});
});
