import { expect, it } from 'vitest';
import type { Context } from '../../src/core/context.ts';
import { keepLedger } from '../../src/core/ledger.ts';
import { type Clock, systemClock } from '../../src/deps.ts';
import { addFacts, factsOf } from '../../src/store/ledger.ts';
import type { Db } from '../../src/store/statement.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { CORE_SETTINGS } from '../helpers/settings.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, joinAgent, makeAgent, orderSwitch } from './agent-scene.ts';
import { booksOf, MINUTE, SECOND } from './ledger-scene.ts';

/** Fourteen pages of them. */
const REPORTS = 5_500;

describeEachDatabase('a backlog of the books', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const { alive, costs, settle, summary, recomputed, micros } = booksOf(world);

	/** Writes so many reports of a machine between two times, each of another price than the one before. */
	const reported = async ({ client, id }: AgentScene, count: number, from: number, until: number): Promise<void> => {
		const every = Math.floor((until - from) / count);
		const report = (index: number) => {
			const at = from + index * every;
			const prices = { ondemand_micros: 85_000, current_micros: 40_000 + (index % 2), points: '{}' };
			return {
				...{ client_id: client.id, handle: id, source: 'primary' as const, instance_type: 'c5.large' },
				...{ ...prices, observed_at: at, arrived_at: at },
			};
		};
		await world.store.transact(async (tx) => {
			for (let index = 0; index < count; index += 500) {
				const rows = Array.from({ length: Math.min(500, count - index) }, (_, offset) => report(index + offset));
				await tx.insertInto('price_report').values(rows).execute();
			}
		});
	};

	/** An agent with a thousand reports that a paused ledger has not read. */
	const behind = async (): Promise<AgentScene> => {
		const agent = await makeAgent(world);
		await settle();
		expect((await world.admin.call('pauseJob', { name: 'ledger' })).status).toBe(200);
		const from = world.now();
		await alive(10 * MINUTE, agent.client, [agent.id]);
		await reported(agent, 1_000, from + 500, world.now() - MINUTE);
		return agent;
	};

	/** A run of the ledger alone, by a clock on which every transaction takes so long, ms; returns how long it rested after each. */
	const restsOf = async (
		tookMs: number,
		leave: AbortSignal | null = null,
		rested: (times: number) => void = () => undefined,
	): Promise<number[]> => {
		const rests: number[] = [];
		let elapsed = 0;
		const clock: Clock = {
			...systemClock,
			now: world.now,
			elapsed: () => {
				elapsed += tookMs;
				return elapsed;
			},
			sleep: async (ms) => {
				rests.push(ms);
				rested(rests.length);
			},
		};
		const unit = <T>(_: unknown, work: (tx: Db) => Promise<T>) => world.store.transact(work);
		await keepLedger({
			clock,
			store: world.store,
			settings: CORE_SETTINGS,
			unit,
			...(leave === null ? {} : { signal: leave }),
		} as unknown as Context);
		return rests;
	};

	it('leaves four fifths of the time to others, in transactions that get smaller where they take long', async () => {
		const agent = await behind();
		const rests = await restsOf(40);
		// Each reading of this clock is 40 ms later: those of the statements lie within those of the transaction.
		expect(new Set(rests)).toEqual(new Set([4 * 120]));
		// 200 rows at first, then 60 and 20, as many as may take 12 ms.
		expect(rests.length).toBeGreaterThan(36);
		expect((await world.admin.call('resumeJob', { name: 'ledger' })).status).toBe(200);
		await settle();
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('is left between two transactions when the daemon stops, and gone on with by the next run', async () => {
		const agent = await behind();
		const stop = new AbortController();
		const rests = await restsOf(40, stop.signal, (times) => {
			if (times === 3) stop.abort();
		});
		expect(rests.length).toBe(3);
		expect((await world.admin.call('resumeJob', { name: 'ledger' })).status).toBe(200);
		await settle();
		const { n } = await world.store.read
			.selectFrom('ledger_fact')
			.select((eb) => eb.fn.countAll<number>().as('n'))
			.where('handle', '=', agent.id)
			.where('kind', '=', 'price')
			.executeTakeFirstOrThrow();
		expect(Number(n)).toBe(1_000);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('leaves what is booked of a machine as it is but for the part that a late word changes', async () => {
		const agent = await makeAgent(world);
		await settle();
		const from = world.now();
		await alive(10 * MINUTE, agent.client, [agent.id]);
		await reported(agent, 600, from + 500, world.now() - MINUTE);
		await settle();
		const segments = () =>
			world.store.read.selectFrom('cost_segment').select(['id', 'start_at']).where('handle', '=', agent.id).orderBy('start_at').execute();
		const before = await segments();
		expect(before.length).toBeGreaterThan(590);
		const late = before[300]?.start_at ?? 0;
		const [fact] = (await factsOf(world.store.read, [agent.id])).get(agent.id) ?? [];
		if (fact === undefined) throw new Error('no fact');
		const { id: _, ...known } = fact;
		const word = { ...known, kind: 'price' as const, at: late + 100, spot_micros: 50_000, ondemand_micros: null, pending: 1 as const };
		await world.store.transact((tx) => addFacts(tx, [word]));
		await settle();
		const kept = new Set((await segments()).map(({ id }) => id));
		const gone = before.filter(({ id }) => !kept.has(id));
		expect(gone.map(({ start_at }) => start_at)).toEqual([late]);
		expect(kept.size).toBe(before.length + 1);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('holds up no new agent, which is in the books at once; what a switch changes is booked together, fifteen seconds later', async () => {
		const agent = await makeAgent(world);
		const primaries = async () =>
			(await world.store.read.selectFrom('ledger_host').select(['handle', 'line']).where('agent_id', '=', agent.id).execute()).flatMap(
				({ handle, line }) => (line === 'primary' ? [handle] : []),
			);
		await world.advance(11 * SECOND, SECOND);
		expect(await primaries()).toEqual([agent.id]);
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		await world.advance(11 * SECOND, SECOND);
		expect(await primaries()).toEqual([agent.id]);
		await world.advance(16 * SECOND, SECOND);
		expect(await primaries()).toEqual([next.handle]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('is booked in the order of its times: a switch at its end makes no page of reports before it late', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.poll(agent.id);
		await settle();
		expect((await world.admin.call('pauseJob', { name: 'ledger' })).status).toBe(200);
		const from = world.now();
		await alive(10 * MINUTE, agent.client, [agent.id]);
		await reported(agent, REPORTS, from + 500, world.now() - 500);
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
