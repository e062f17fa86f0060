import { expect, it } from 'vitest';
import type { Output } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Reply } from '../helpers/world.ts';
import { makeAgent } from './agent-scene.ts';
import { booksOf, HOUR, MINUTE } from './ledger-scene.ts';

describeEachDatabase('the books, asked whether they are right', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const { alive, costs, settle, explained, recomputed, micros } = booksOf(world);

	it('are mended by a recomputation where somebody changed them by hand, totals too', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(10 * MINUTE, agent.client, [agent.id]);
		await costs(agent, agent.id, 'a', 0.05);
		await settle();
		const right = await explained(agent.id);
		await world.store.transact((tx) => tx.updateTable('cost_segment').set({ cost_micros: 1 }).where('agent_id', '=', agent.id).execute());
		const found = (await world.admin.call('recomputeSavings', { agent_id: agent.id, dry_run: true })).body;
		expect(found).toMatchObject({ machines: 1, changed: 1, dry_run: true, differences: [{ instanceId: agent.instanceId }] });
		expect((await world.admin.call('recomputeSavings', { agent_id: agent.id })).body).toMatchObject({ changed: 1, dry_run: false });
		expect((await explained(agent.id)).segments.map(({ cost }) => cost).slice(0, -1)).toEqual(
			right.segments.map(({ cost }) => cost).slice(0, -1),
		);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	/** Every page of a recomputation of a client. */
	const mended = async (client: { readonly id: string }, dry_run: boolean) => {
		const pages: Output<'recomputeSavings'>[] = [];
		for (let cursor: string | null = null; ; ) {
			const answer: Reply<'recomputeSavings'> = await world.admin.call('recomputeSavings', { client_id: client.id, dry_run, cursor });
			expect(answer.status).toBe(200);
			pages.push(answer.body);
			cursor = answer.body.next_cursor;
			if (cursor === null) return pages;
		}
	};

	it.each(['cost_segment', 'ledger_total'] as const)('are added up anew where somebody changed %s by hand', async (table) => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(10 * MINUTE, agent.client, [agent.id]);
		await costs(agent, agent.id, 'a', 0.05);
		await settle();
		const stored = () =>
			world.store.read.selectFrom('ledger_total').selectAll().where('client_id', '=', agent.client.id).orderBy('period').execute();
		const right = await stored();
		expect(right).toHaveLength(3);
		await world.store.transact((tx) =>
			table === 'cost_segment'
				? tx.updateTable('cost_segment').set({ cost_micros: 1 }).where('agent_id', '=', agent.id).execute()
				: tx.updateTable('ledger_total').set({ primary_micros: 1, unknown_ms: 7 }).where('client_id', '=', agent.client.id).execute(),
		);
		const changed = (pages: readonly Output<'recomputeSavings'>[]) => pages.reduce((sum, page) => sum + page.changed, 0);
		const found = changed(await mended(agent.client, true));
		expect(found).toBeGreaterThan(0);
		expect(changed(await mended(agent.client, true))).toBe(found);
		await mended(agent.client, false);
		expect(await stored()).toEqual(right);
		expect(changed(await mended(agent.client, true))).toBe(0);
		await world.admin.call('recomputeSavings', {});
		const one = await mended((await makeAgent(world)).client, false);
		expect(one.at(-1)).toMatchObject({ machines: 0, next_cursor: null });
	});

	it('are set against a bill, each difference with its cause', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		const from = world.now();
		await alive(HOUR, agent.client, [agent.id]);
		await costs(agent, agent.id, 'a', 0.05);
		await settle();
		const bill = (cost: number, more: object = {}) => ({ instance_id: agent.instanceId, start: from, end: from + HOUR, cost, ...more });
		const lines = [
			bill(0.04),
			bill(0.06, { start: from + HOUR / 2 }),
			bill(0.08, { start: from - HOUR }),
			{ instance_id: 'i-0stranger', start: from, end: from + HOUR, cost: 0.01 },
		];
		expect((await agent.client.call('reconcileSavings', { lines })).status).toBe(403);
		const { body } = await world.admin.call('reconcileSavings', { client_id: agent.client.id, lines });
		expect(body.lines.map(({ cause }) => cause)).toEqual(['agrees', 'price', 'before-books', 'not-booked']);
		expect(micros(body.difference)).toBe(micros(body.billed) - micros(body.booked));
		expect(body.byCause.map(({ cause }) => cause)).toEqual(['agrees', 'price', 'before-books', 'not-booked']);
	});
});
