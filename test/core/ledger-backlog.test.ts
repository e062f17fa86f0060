import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { joinAgent, makeAgent, orderSwitch } from './agent-scene.ts';
import { booksOf, MINUTE } from './ledger-scene.ts';

/** Fourteen pages of them. */
const REPORTS = 5_500;

describeEachDatabase('a backlog of the books', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const { alive, costs, settle, summary, recomputed, micros } = booksOf(world);

	it('is booked in the order of its times: a switch at its end makes no page of reports before it late', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.poll(agent.id);
		await settle();
		expect((await world.admin.call('pauseJob', { name: 'ledger' })).status).toBe(200);
		const from = world.now();
		await alive(10 * MINUTE, agent.client, [agent.id]);
		const every = Math.floor((world.now() - from - 1000) / REPORTS);
		const report = (index: number) => {
			const at = from + 500 + index * every;
			const prices = { ondemand_micros: 85_000, current_micros: 40_000 + (index % 2), points: '{}' };
			return {
				...{ client_id: agent.client.id, handle: agent.id, source: 'primary' as const, instance_type: 'c5.large' },
				...{ ...prices, observed_at: at, arrived_at: at },
			};
		};
		await world.store.transact(async (tx) => {
			for (let index = 0; index < REPORTS; index += 500) {
				const rows = Array.from({ length: Math.min(500, REPORTS - index) }, (_, offset) => report(index + offset));
				await tx.insertInto('price_report').values(rows).execute();
			}
		});
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		await costs(agent, next.handle, 'b', 0.031);
		await alive(2 * MINUTE, agent.client, [next.handle]);
		expect((await world.admin.call('resumeJob', { name: 'ledger' })).status).toBe(200);
		const statements = await world.statements(settle);
		const anew = statements.filter((text) => /^(?:\/\*later\*\/)?delete from .cost_segment/.test(text));
		// Where something happened while they were written: the switch in the last page, and what looks like an outage to a clock of long steps.
		expect(anew.length).toBeLessThanOrEqual(5);
		const open = await world.store.read.selectFrom('ledger_host').selectAll().where('agent_id', '=', agent.id).execute();
		expect(open.find(({ handle }) => handle === next.handle)).toMatchObject({ line: 'primary', quality: 'measured', price_micros: 31_000 });
		const { changed, machines } = await recomputed(agent.client);
		expect([changed, machines]).toEqual([0, 2]);
		const booked = await world.store.read
			.selectFrom('cost_segment')
			.select((eb) => eb.fn.countAll<number>().as('n'))
			.where('handle', '=', agent.id)
			.executeTakeFirstOrThrow();
		expect(Number(booked.n)).toBeGreaterThanOrEqual(REPORTS - 1);
		expect(micros((await summary(agent.client)).actual)).toBeGreaterThan(0);
	});
});
