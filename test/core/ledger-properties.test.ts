import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Context } from '../../src/core/context.ts';
import { keepLedger } from '../../src/core/ledger.ts';
import { keptUntil, machineOf, midnightOf, rowOf, totalsOf } from '../../src/core/ledger-book.ts';
import { bookAll, type Machine, valuation } from '../../src/core/segments.ts';
import { GAP_MS } from '../../src/core/silence.ts';
import { systemClock } from '../../src/deps.ts';
import { factsOf } from '../../src/store/ledger.ts';
import { markAlive, noteGap } from '../../src/store/liveness.ts';
import type { Store } from '../../src/store/open.ts';
import { SUMS } from '../../src/store/savings.ts';
import type { Mode, Role } from '../../src/store/schema.ts';
import { together } from '../../src/store/statement.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { runsOf } from '../helpers/invariants.ts';
import { CORE_SETTINGS } from '../helpers/settings.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, makeAgent } from './agent-scene.ts';
import { HOUR, MINUTE, SECOND } from './ledger-scene.ts';

/** Machines by number. */
const MACHINES = [0, 1, 2] as const;
const POOLS = ['c5.large.us-east-1a', 'c5.large.us-east-1b'] as const;
const ROLES: readonly (Role | 'left')[] = ['primary', 'primary', 'replica', 'candidate', 'zombie', 'named', 'terminated', 'left'];

const who = fc.constantFrom(...MACHINES);
/** How long ago something was that is said now: mostly now, seldom days. */
const ago = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(20 * MINUTE) }, fc.nat(48 * HOUR));
const micros = fc.integer({ min: 30_000, max: 34_000 });

/** What may happen to the books, and `run`, in which they are brought up to date. */
const step = fc.oneof(
	{
		weight: 5,
		arbitrary: fc.record({
			do: fc.constant('state' as const),
			who,
			ago,
			role: fc.constantFrom(...ROLES),
			registered: fc.constantFrom(0, 1),
			mode: fc.constantFrom<Mode | null>('spot', 'spot', 'ondemand', null),
			pool: fc.constantFrom(...POOLS),
		}),
	},
	{ weight: 2, arbitrary: fc.record({ do: fc.constantFrom('silent' as const, 'heard' as const, 'reclaimed' as const), who, ago }) },
	{
		weight: 4,
		arbitrary: fc.record({ do: fc.constant('report' as const), who, ago, spot: fc.option(micros), onDemand: fc.option(micros) }),
	},
	{ weight: 3, arbitrary: fc.record({ do: fc.constant('clean' as const), pool: fc.constantFrom(...POOLS), ago, spot: micros }) },
	fc.record({ do: fc.constant('listed' as const), onDemand: micros }),
	fc.record({ do: fc.constant('call' as const), who }),
	{
		weight: 6,
		arbitrary: fc.record({
			do: fc.constant('wait' as const),
			ms: fc.oneof(
				fc.integer({ min: 1, max: 30 * SECOND }),
				fc.integer({ min: MINUTE, max: 10 * HOUR }),
				fc.integer({ min: HOUR, max: 60 * HOUR }),
			),
			served: fc.boolean(),
		}),
	},
	{ weight: 5, arbitrary: fc.record({ do: fc.constant('run' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

describeEachDatabase('the books, whatever happens in whatever order', ({ kind, freshUrl }) => {
	// Without jobs: the property says when the books are looked at.
	const world = shareWorld(freshUrl, { jobs: [] });

	it('hold each second of a machine once, agree with a recomputation and with their sums, and come to rest', async () => {
		const first = await makeAgent(world);
		const agents = [first, await makeAgent(world, first.client), await makeAgent(world, first.client)];
		await fc.assert(
			fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => play(world.store, agents, steps)),
			{ numRuns: runsOf(kind === 'sqlite' ? 25 : 4) },
		);
	});
});

type Tx = Parameters<Parameters<Store['transact']>[0]>[0];

/** Plays the steps from empty books on, and looks at the books after every run of them. */
const play = async (store: Store, agents: readonly AgentScene[], steps: readonly Step[]): Promise<void> => {
	let now = Date.UTC(2026, 0, 30, 20, 0, 0, 123);
	const context = {
		clock: { ...systemClock, now: () => now },
		store,
		settings: CORE_SETTINGS,
		unit: <T>(_: unknown, work: (tx: Tx) => Promise<T>) => store.transact(work),
	} as unknown as Context;
	await store.transact(async (tx) => {
		for (const table of [...LEDGER, ...PRICES, 'service_clock'] as const) await tx.deleteFrom(table).execute();
		await tx.insertInto('service_clock').values({ id: 1, serving_since: now, alive_at: now }).execute();
		await tx.updateTable('host_liveness').set({ seen_at: now, watch_at: now }).execute();
	});
	const counted = async () => (await store.read.selectFrom('ledger_fact').select('id').execute()).length;
	await keepLedger(context);
	for (const each of [...steps, { do: 'run' } as const]) {
		// Of what happens in one millisecond the order is not defined: it only decides what is said to have ended a segment.
		now += 1;
		if (each.do === 'wait') {
			now += each.ms;
			// Served: in marks that follow each other; else in one after a gap.
			await store.transact(async (tx) => {
				if (each.served) await tx.updateTable('service_clock').set({ alive_at: now }).execute();
				else await together(tx, [noteGap.of({ now, gap: GAP_MS }), markAlive.of({ now, gap: GAP_MS })]);
			});
		} else if (each.do === 'run') {
			await keepLedger(context);
			await look(store, agents, now);
			// What a look has found may be found wanting by the next; then nothing is left to be found.
			for (let again = 0; again < 2; again++) await keepLedger(context);
			const before = await counted();
			await keepLedger(context);
			expect(await counted()).toBe(before);
			await look(store, agents, now);
		} else await store.transact((tx) => say(tx, agents, each, now));
	}
};

/** Writes what a step says. */
const say = async (tx: Tx, agents: readonly AgentScene[], each: Exclude<Step, { do: 'wait' | 'run' }>, now: number): Promise<void> => {
	const at = 'ago' in each ? now - each.ago : now;
	if (each.do === 'clean') {
		const bucket = Math.floor(at / (5 * MINUTE)) * 5 * MINUTE;
		const row = { pool_id: each.pool, bucket, spot_micros: each.spot, ondemand_micros: null, source: 'primary', priority: 4 } as const;
		await tx.deleteFrom('price_clean').where('pool_id', '=', each.pool).where('bucket', '=', bucket).execute();
		await tx
			.insertInto('price_clean')
			.values({ ...row, confidence: 1, data_source: 'measured', observed_at: at })
			.execute();
		return;
	}
	if (each.do === 'listed') {
		await tx.deleteFrom('ondemand_price').execute();
		await tx
			.insertInto('ondemand_price')
			.values({ instance_type: 'c5.large', region: 'us-east-1', micros: each.onDemand, observed_at: now })
			.execute();
		return;
	}
	const agent = agents[each.who];
	if (agent === undefined) throw new Error('no such machine');
	const of = { client_id: agent.client.id, handle: agent.id };
	if (each.do === 'call')
		await tx.updateTable('host_liveness').set({ seen_at: now, watch_at: now }).where('handle', '=', of.handle).execute();
	else if (each.do === 'report') {
		const prices = { ondemand_micros: each.onDemand, current_micros: each.spot, points: '{}' };
		await tx
			.insertInto('price_report')
			.values({ ...of, ...prices, source: 'primary', instance_type: 'c5.large', observed_at: at, arrived_at: now })
			.execute();
	} else {
		const fact = { ...of, agent_id: agent.id, at, kind: each.do, spot_micros: null, ondemand_micros: null, pending: 1 } as const;
		const is =
			each.do === 'state'
				? {
						...{ instance_id: agent.instanceId, role: each.role, registered: each.registered as 0 | 1, mode: each.mode },
						...{ pool_id: each.mode === 'spot' ? each.pool : null, instance_type: 'c5.large', region: 'us-east-1' },
					}
				: { instance_id: null, role: null, registered: null, mode: null, pool_id: null, instance_type: null, region: null };
		await tx
			.insertInto('ledger_fact')
			.values({ ...fact, ...is })
			.execute();
	}
};

const LEDGER = ['cost_segment', 'ledger_fact', 'ledger_host', 'ledger_total', 'ledger_state', 'service_gap'] as const;

const PRICES = ['price_report', 'price_clean', 'ondemand_price'] as const;

/** Where a machine stands; a fact had no id yet when it was booked in the transaction that wrote it. */
const stands = (machine: Machine) => rowOf({ ...machine, lastId: 0 }, null);

/** The books as they are, against their facts and their sums. */
const look = async (store: Store, agents: readonly AgentScene[], now: number): Promise<void> => {
	const segments = (await store.read.selectFrom('cost_segment').selectAll().orderBy('handle').orderBy('start_at').execute()).map(
		({ id: _, ...segment }) => segment,
	);
	const open = new Map((await store.read.selectFrom('ledger_host').selectAll().execute()).map((row) => [row.handle, row]));
	for (const [handle, facts] of await factsOf(
		store.read,
		agents.map(({ id }) => id),
	)) {
		const own = segments.filter((segment) => segment.handle === handle);
		const row = open.get(handle);
		const ends = [...own, ...(row === undefined ? [] : [row])];
		for (const [index, { start_at }] of ends.entries()) {
			const before = own[index - 1];
			if (before !== undefined) expect(start_at).toBeGreaterThanOrEqual(before.end_at);
		}
		const anew = bookAll(
			facts.filter(({ pending }) => pending === null),
			midnightOf(keptUntil(now)),
		);
		if (anew === null) continue;
		expect(own).toEqual(anew.segments);
		const isOpen = valuation(anew.machine).line !== null;
		expect(row === undefined ? null : stands(machineOf(row))).toEqual(isOpen ? stands(anew.machine) : null);
	}
	const named = (rows: readonly Readonly<Record<string, unknown>>[]) =>
		rows
			.map((row) => [`${row['client_id']} ${row['period']}`, ...SUMS.map((key) => Number(row[key]))] as const)
			.filter(([, ...sums]) => sums.some((sum) => sum !== 0))
			.sort(([a], [b]) => (a < b ? -1 : 1));
	expect(named(await store.read.selectFrom('ledger_total').selectAll().execute())).toEqual(named(totalsOf(segments, [])));
};
