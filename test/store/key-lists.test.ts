import { describe, expect, it } from 'vitest';
import { existingHandles } from '../../src/store/hosts.ts';
import { changesAfter } from '../../src/store/journal.ts';
import { factsOf, ledgerHosts, markBooked } from '../../src/store/ledger.ts';
import { makeAgent } from '../core/agent-scene.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';

describe('a query for a list of keys', () => {
	describeEachDatabase('in the database', ({ freshUrl }) => {
		const world = shareWorld(freshUrl, { jobs: [] });

		it('has one text, however many there are', async () => {
			const { read } = world.store;
			const queries: ReadonlyArray<(keys: string[], ids: number[]) => Promise<unknown>> = [
				(keys) => ledgerHosts(read, keys),
				(keys) => factsOf(read, keys),
				(keys) => existingHandles(read, keys),
				(_, ids) => changesAfter(read, 0, ids),
				(_, ids) => world.store.transact((tx) => markBooked(tx, ids)),
			];
			for (const query of queries) {
				const texts = await world.statements(async () => {
					for (const count of [1, 2, 5, 40]) {
						const ids = Array.from({ length: count }, (_, index) => -1 - index);
						await query(ids.map(String), ids);
					}
				});
				const of = texts.filter((text) => / in \(/.test(text));
				expect(of).toHaveLength(4);
				expect(new Set(of).size).toBe(1);
			}
		});

		it('finds exactly those', async () => {
			const made = [await makeAgent(world), await makeAgent(world), await makeAgent(world)];
			const [first = '', second = '', third = ''] = made.map(({ id }) => id);
			const { read } = world.store;
			expect(await existingHandles(read, [first, third, "it's ?", ''])).toEqual(new Set([first, third]));
			const facts = await factsOf(read, [first, second]);
			expect([...facts.keys()].sort()).toEqual([first, second].sort());
			const ids = [...facts.values()].flat().map(({ id }) => Number(id));
			const pending = async (): Promise<number[]> =>
				(await read.selectFrom('ledger_fact').select('id').where('pending', '=', 1).orderBy('id').execute()).map(({ id }) => Number(id));
			const before = await pending();
			expect(before).toEqual(expect.arrayContaining(ids));
			await world.store.transact((tx) => markBooked(tx, ids));
			expect(await pending()).toEqual(before.filter((id) => !ids.includes(id)));
		});
	});
});
