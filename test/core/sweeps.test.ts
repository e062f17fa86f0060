import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Context } from '../../src/core/context.ts';
import type { Journal } from '../../src/core/journal.ts';
import { sweep } from '../../src/core/sweeps.ts';
import type { Db } from '../../src/store/statement.ts';

/** A sweep over invented rows: no database, but a check that it serves; what the units do is the test's. */
const world = () => {
	const logged: unknown[] = [];
	let underWay = 0;
	let most = 0;
	const unit = async (_: unknown, work: (tx: Db, journal: Journal) => Promise<unknown>) => {
		most = Math.max(most, ++underWay);
		try {
			await turn();
			return await work({} as Db, {} as Journal);
		} finally {
			underWay--;
		}
	};
	const context = {
		unit,
		store: { ping: async () => undefined, writes: () => 'ok' },
		log: { error: (about: unknown) => void logged.push(about) },
	} as unknown as Pick<Context, 'store' | 'log' | 'unit'>;
	return { context, logged, most: () => most, underWay: () => underWay };
};

const rows = (count: number) => Array.from({ length: count }, (_, at) => ({ key: `k${at}`, agentId: `a${at}` }));

describe('a sweep', () => {
	it('works on five agents side by side, on each once: judged one by one, five thousand that fell silent were told of half a minute late', async () => {
		const { context, most } = world();
		const worked: string[] = [];
		const done = await sweep(
			context,
			async () => rows(23),
			(row) => row,
			async (_tx, _journal, { key }) => {
				worked.push(key);
				return key !== 'k7';
			},
		);
		expect({ done, most: most() }).toEqual({ done: 22, most: 5 });
		expect([...worked].sort()).toEqual(
			rows(23)
				.map(({ key }) => key)
				.sort(),
		);
	});

	it('goes on where one agent cannot be decided, and looks again while there is more than a page, at nothing twice', async () => {
		const { context, logged } = world();
		const left = rows(450);
		const done = await sweep(
			context,
			async () => left.slice(0, 200),
			(row) => row,
			async (_tx, _journal, row) => {
				if (row.key === 'k3') throw new Error('broken rows');
				left.splice(left.indexOf(row), 1);
				return true;
			},
		);
		expect({ done, left: left.map(({ key }) => key), logged }).toMatchObject({ done: 449, left: ['k3'], logged: [{ agent_id: 'a3' }] });
	});
});
