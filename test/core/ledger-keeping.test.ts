import { beforeEach, describe, expect, it } from 'vitest';
import type { Context } from '../../src/core/context.ts';
import { keepLedger } from '../../src/core/ledger.ts';
import { machineOf } from '../../src/core/ledger-book.ts';
import { GAP_MS } from '../../src/core/silence.ts';
import { systemClock } from '../../src/deps.ts';
import { markAlive, noteGap } from '../../src/store/liveness.ts';
import { type Db, together } from '../../src/store/statement.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { CORE_SETTINGS } from '../helpers/settings.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, makeAgent } from './agent-scene.ts';
import { HOUR, MINUTE, SECOND } from './ledger-scene.ts';

const POOL = 'c5.large.us-east-1a';

type Report = { readonly at: number; readonly arrived?: number; readonly spot: number | null; readonly onDemand?: number | null };

describeEachDatabase('runs of the ledger, looked at one by one', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { jobs: [] });
	let now = 0;
	let begun = 0;
	let agent: AgentScene;
	/** What happens while a run rests for the first time. */
	let meanwhile: (() => Promise<void>) | null = null;
	let rests: number[] = [];

	const run = async (waitsMs = 0): Promise<void> => {
		let elapsed = 0;
		await keepLedger({
			clock: {
				...systemClock,
				now: () => now,
				elapsed: () => (elapsed += 1),
				sleep: async (ms: number) => {
					rests.push(ms);
					const work = meanwhile;
					meanwhile = null;
					await work?.();
				},
			},
			store: world.store,
			settings: CORE_SETTINGS,
			unit: <T>(_: unknown, work: (tx: Db) => Promise<T>) => {
				elapsed += waitsMs;
				return world.store.transact(work);
			},
		} as unknown as Context);
	};

	beforeEach(async () => {
		begun = Date.UTC(2026, 0, 10, 2);
		now = begun;
		meanwhile = null;
		rests = [];
		agent = await makeAgent(world);
		await world.store.transact(async (tx) => {
			for (const table of ['cost_segment', 'ledger_fact', 'ledger_host', 'ledger_total', 'ledger_state'] as const)
				await tx.deleteFrom(table).execute();
			for (const table of ['price_report', 'price_clean', 'ondemand_price', 'service_clock', 'service_gap'] as const)
				await tx.deleteFrom(table).execute();
			await tx.deleteFrom('host_liveness').where('handle', '<>', agent.id).execute();
			await tx.deleteFrom('host').where('handle', '<>', agent.id).execute();
		});
		await serves(now);
		await run();
		await world.store.transact((tx) => tx.deleteFrom('ledger_fact').execute());
		await world.store.transact((tx) => tx.deleteFrom('ledger_host').execute());
	});

	/** A daemon gives a sign of life then. */
	const serves = async (at: number): Promise<void> => {
		now = at;
		await world.store.transact(
			async (tx) => void (await together(tx, [noteGap.of({ now, gap: GAP_MS }), markAlive.of({ now, gap: GAP_MS })])),
		);
	};
	/** A daemon went on giving signs of life until then, and the machine calls. */
	const servedUntil = async (at: number): Promise<void> => {
		now = at;
		await world.store.transact((tx) => tx.updateTable('service_clock').set({ alive_at: at }).execute());
		await calls(at);
	};
	const calls = (at: number) =>
		world.store.transact((tx) =>
			tx.updateTable('host_liveness').set({ seen_at: at, watch_at: at }).where('handle', '=', agent.id).execute(),
		);
	const fact = (at: number, more: object = {}, of: AgentScene = agent) =>
		world.store.transact((tx) =>
			tx
				.insertInto('ledger_fact')
				.values({
					...{ client_id: of.client.id, agent_id: of.id, handle: of.id, at, kind: 'state', pending: 1, instance_id: of.instanceId },
					...{ role: 'primary', registered: 1, mode: 'spot', pool_id: POOL, instance_type: 'c5.large', region: 'us-east-1' },
					...{ spot_micros: null, ondemand_micros: null, ...more },
				} as never)
				.execute(),
		);
	const reports = async (rows: readonly Report[], of: AgentScene = agent): Promise<void> => {
		await world.store.transact(async (tx) => {
			for (let from = 0; from < rows.length; from += 500)
				await tx
					.insertInto('price_report')
					.values(
						rows.slice(from, from + 500).map(({ at, arrived = at, spot, onDemand = 85_000 }) => ({
							...{ client_id: of.client.id, handle: of.id, source: 'primary' as const, instance_type: 'c5.large' },
							...{ ondemand_micros: onDemand, current_micros: spot, points: '{}', observed_at: at, arrived_at: arrived },
						})),
					)
					.execute();
		});
	};
	const everyFiveMinutes = (from: number, until: number, spot: number | null = 40_000): Report[] =>
		Array.from({ length: Math.floor((until - from) / (5 * MINUTE)) }, (_, index) => ({ at: from + (index + 1) * 5 * MINUTE, spot }));

	const open = async () => {
		const row = await world.store.read.selectFrom('ledger_host').selectAll().where('handle', '=', agent.id).executeTakeFirstOrThrow();
		return { ...row, machine: machineOf(row) };
	};
	const segments = () =>
		world.store.read.selectFrom('cost_segment').selectAll().where('handle', '=', agent.id).orderBy('start_at').execute();
	const booked = (kind: 'price' | 'stale' | 'silent' | 'heard') =>
		world.store.read.selectFrom('ledger_fact').selectAll().where('handle', '=', agent.id).where('kind', '=', kind).orderBy('at').execute();
	const minutesOf = async (quality: string): Promise<number> =>
		(await segments()).reduce((sum, each) => sum + (each.quality === quality ? each.end_at - each.start_at : 0), 0) / MINUTE;

	describe('price reports', () => {
		it.each([
			['within a day', 3 * HOUR],
			['over a midnight', 30 * HOUR],
		])('of a backlog %s are added to what is booked, page after page, not booked anew', async (_, after) => {
			const from = begun + 20 * HOUR;
			await fact(from);
			await reports(Array.from({ length: 4_000 }, (__, index) => ({ at: from + MINUTE + index * 2_500, spot: 40_000 + (index % 2) })));
			await servedUntil(from + after);
			const statements = await world.statements(() => run());
			const anew = statements.filter((text) => /^(\/\*later\*\/)?select.*from .cost_segment. where .handle/.test(text));
			expect(anew.length).toBeLessThanOrEqual(2);
			expect(await segments()).not.toEqual([]);
		});

		it('of one price before and after a change of pool in one page are both booked: a price belongs to a pool', async () => {
			await fact(begun, { mode: null, pool_id: null });
			await reports([{ at: begun + MINUTE, spot: 40_000 }]);
			await servedUntil(begun + 2 * MINUTE);
			await run();
			await fact(begun + 10 * MINUTE);
			await reports([5, 9, 15, 20].map((minutes) => ({ at: begun + minutes * MINUTE, spot: 40_000 })));
			await servedUntil(begun + 21 * MINUTE);
			await run();
			expect(await open()).toMatchObject({ quality: 'measured', price_micros: 40_000, start_at: begun + 15 * MINUTE });
		});

		it('count in the order of their times, whatever came in between', async () => {
			await fact(begun);
			await reports([
				{ at: begun + 60 * SECOND, spot: 31_000 },
				{ at: begun + 30 * SECOND, arrived: begun + 61 * SECOND, spot: 30_000 },
				{ at: begun + 90 * SECOND, spot: 30_000 },
			]);
			await servedUntil(begun + 2 * MINUTE);
			await run();
			expect(await open()).toMatchObject({ price_micros: 30_000, start_at: begun + 90 * SECOND });
		});

		it.each([1, 60, 600])('of a machine whose clock is %s s behind are its own word from the time it is known', async (behind) => {
			await fact(begun);
			await reports(
				Array.from({ length: 12 }, (_, index) => ({
					at: begun + index * 5 * MINUTE + SECOND - behind * SECOND,
					arrived: begun + index * 5 * MINUTE + SECOND,
					spot: 40_000,
				})),
			);
			await servedUntil(begun + HOUR);
			await run();
			expect(await open()).toMatchObject({ quality: 'measured', price_micros: 40_000 });
			expect((await open()).machine).toMatchObject({ launched: begun, spot: { own: true } });
		});

		it('through a daemon whose clock is behind are read although others came later before', async () => {
			await fact(begun);
			await reports([{ at: begun + 100 * SECOND, arrived: begun + 120 * SECOND, spot: 40_000 }]);
			await servedUntil(begun + 136 * SECOND);
			await run();
			await reports([{ at: begun + 117 * SECOND, spot: 50_000 }]);
			await servedUntil(begun + HOUR);
			await run();
			expect((await open()).price_micros).toBe(50_000);
		});

		it('do not wait for ever behind one that a daemon dated hours ahead', async () => {
			await fact(begun);
			await reports([
				{ at: begun + MINUTE, arrived: begun + 9 * HOUR, spot: 40_000 },
				{ at: begun + 2 * MINUTE, spot: 50_000 },
			]);
			await servedUntil(begun + 10 * MINUTE);
			await run();
			expect((await open()).price_micros).toBe(50_000);
		});

		it('of one price are one fact once a price is said again after it had lapsed', async () => {
			await fact(begun);
			await reports([{ at: begun + MINUTE, spot: 40_000 }]);
			await servedUntil(begun + 2 * MINUTE);
			await run();
			await servedUntil(begun + 4 * HOUR);
			await run();
			await reports(Array.from({ length: 150 }, (_, index) => ({ at: now + index * 5 * SECOND, spot: 40_000 })));
			await servedUntil(begun + 5 * HOUR);
			await run();
			expect(await booked('stale')).toHaveLength(1);
			expect(await booked('price')).toHaveLength(2);
			expect((await open()).quality).toBe('measured');
		});

		it('of the on-demand price alone keep no spot price fresh, and do not make a lapsed one measured again', async () => {
			await fact(begun);
			await reports([{ at: begun + MINUTE, spot: 40_000 }]);
			for (let minutes = 20; minutes <= 6 * 60; minutes += 20) {
				await reports([{ at: begun + (minutes - 1) * MINUTE, spot: null, onDemand: 85_000 + minutes }]);
				await servedUntil(begun + minutes * MINUTE);
				await run();
			}
			expect(await open()).toMatchObject({ quality: 'estimated', price_micros: 40_000 });
			expect(await minutesOf('measured')).toBe(120);
		});

		it('are believed for two hours by the time a run began, however long it lasts', async () => {
			const other = await makeAgent(world);
			await fact(begun);
			await fact(begun, {}, other);
			await reports([{ at: begun + MINUTE, spot: 50_000 }], other);
			await reports(everyFiveMinutes(begun, begun + 3 * HOUR));
			await servedUntil(begun + 3 * HOUR + MINUTE);
			meanwhile = async () => {
				await reports(everyFiveMinutes(begun + 3 * HOUR, begun + 6 * HOUR));
				await servedUntil(begun + 6 * HOUR + MINUTE);
			};
			await run();
			await run();
			expect(await booked('stale')).toEqual([]);
			expect(await minutesOf('estimated')).toBe(0);
		});
	});

	describe('the first hour of a machine that AWS takes back', () => {
		const reclaimed = async (at: number): Promise<void> => {
			await fact(at, { kind: 'reclaimed', role: null });
			await fact(at + 2 * MINUTE, { role: 'terminated' });
		};
		const cost = async (): Promise<number> => (await segments()).reduce((sum, { cost_micros }) => sum + cost_micros, 0);

		it.each([0, 10])('is free also where its clock is %s minutes behind', async (behind) => {
			await fact(begun);
			await reports([
				{ at: begun - behind * MINUTE + 1, arrived: begun + 5 * SECOND, spot: 40_000 },
				{ at: begun + 5 * MINUTE, spot: 41_000 },
			]);
			await reclaimed(begun + 52 * MINUTE);
			await servedUntil(begun + HOUR);
			await run();
			expect(await segments()).not.toEqual([]);
			expect(await cost()).toBe(0);
		});

		it('is not known of one that was there when the books began, whatever it said with a clock that is behind', async () => {
			await fact(begun, { kind: 'entered' });
			await reports([
				{ at: begun - 2 * SECOND, arrived: begun + 3 * SECOND, spot: 40_000 },
				{ at: begun + 5 * MINUTE, spot: 40_001 },
			]);
			await reclaimed(begun + 30 * MINUTE);
			await servedUntil(begun + HOUR);
			await run();
			expect(await cost()).toBeGreaterThan(0);
		});
	});

	describe('a time without any daemon', () => {
		it('is heard of by a machine that registered while the books were behind', async () => {
			await fact(begun + 30 * MINUTE);
			await reports([{ at: begun + 31 * MINUTE, spot: 40_000 }]);
			await servedUntil(begun + HOUR);
			await serves(begun + 8 * HOUR);
			await servedUntil(begun + 8 * HOUR + 30 * SECOND);
			await run();
			await run();
			expect(await booked('silent')).toMatchObject([{ at: begun + HOUR + 2 * MINUTE }]);
			expect((await minutesOf('measured')) + (await minutesOf('estimated'))).toBeLessThan(32);
		});

		it('of six seconds takes nothing from hours that were served while the books were behind', async () => {
			await fact(begun);
			await servedUntil(begun + 30 * SECOND);
			await run();
			await reports(everyFiveMinutes(begun, begun + 3 * HOUR));
			await servedUntil(begun + 3 * HOUR - 6 * SECOND);
			await serves(begun + 3 * HOUR);
			await servedUntil(begun + 3 * HOUR + 30 * SECOND);
			await run();
			expect(await booked('silent')).toEqual([]);
			expect(await minutesOf('unknown')).toBeLessThan(6);
		});

		it('is unknown also where another one had ended just before, and nobody booked in between that the machine called', async () => {
			await fact(begun);
			await reports(everyFiveMinutes(begun, begun + HOUR));
			await servedUntil(begun + HOUR);
			await run();
			await serves(begun + 2 * HOUR);
			await servedUntil(begun + 2 * HOUR + 20 * SECOND);
			await serves(begun + 5 * HOUR);
			await run();
			await reports(everyFiveMinutes(begun + 5 * HOUR, begun + 6 * HOUR));
			await servedUntil(begun + 6 * HOUR);
			await run();
			expect(await minutesOf('unknown')).toBeGreaterThanOrEqual(58 + 178);
		});

		it('is unknown each time, also where two lie in what the books have not come to', async () => {
			await fact(begun);
			await reports(everyFiveMinutes(begun - 5 * MINUTE, begun + 10 * HOUR));
			await servedUntil(begun + HOUR);
			await serves(begun + 2 * HOUR);
			await fact(begun + 2 * HOUR + SECOND, { kind: 'heard', role: null });
			await servedUntil(begun + 4 * HOUR);
			await serves(begun + 5 * HOUR);
			await fact(begun + 5 * HOUR + SECOND, { kind: 'heard', role: null });
			await servedUntil(begun + 10 * HOUR + MINUTE);
			await run();
			await run();
			expect((await booked('silent')).map(({ at }) => (at - begun) / MINUTE)).toEqual([62, 242]);
			expect(Math.round(await minutesOf('unknown'))).toBe(116);
			expect(await world.store.read.selectFrom('service_gap').selectAll().execute()).toEqual([]);
		});
	});

	describe.each([
		['as it happens', true],
		['late, all in one run', false],
	])('booked %s', (_, timely) => {
		const go = async (at: number): Promise<void> => {
			await servedUntil(at);
			if (timely) await run();
		};

		it('a price that has lapsed before the end of its machine is an estimate from then on', async () => {
			await fact(begun);
			await reports([{ at: begun + MINUTE, spot: 40_000 }]);
			await go(begun + 2 * MINUTE);
			await go(begun + 5 * HOUR);
			await fact(begun + 6 * HOUR, { role: 'terminated' });
			await servedUntil(begun + 6 * HOUR + MINUTE);
			await run();
			expect(await minutesOf('measured')).toBe(120);
			expect(await minutesOf('estimated')).toBe(239);
		});

		it('a price that is said again in another pool counts there, whatever comes after', async () => {
			const other = { pool_id: 'c5.large.us-east-1b' };
			await fact(begun);
			await reports([{ at: begun + MINUTE, spot: 40_000 }]);
			await go(begun + 5 * MINUTE);
			await fact(begun + 10 * MINUTE, other);
			await go(begun + 12 * MINUTE);
			await reports([{ at: begun + 15 * MINUTE, spot: 40_000 }]);
			await go(begun + 17 * MINUTE);
			await fact(begun + 20 * MINUTE, { ...other, role: 'replica' });
			await go(begun + 25 * MINUTE);
			await reports([{ at: begun + 75 * MINUTE, spot: 40_000 }]);
			await go(begun + 80 * MINUTE);
			await fact(now, { role: 'terminated' });
			await servedUntil(now + MINUTE);
			await run();
			expect(await minutesOf('unknown')).toBe(6);
		});

		it('on-demand prices keep no spot price fresh, whatever the machine is billed by later', async () => {
			await fact(begun);
			await reports([{ at: begun + MINUTE, spot: 40_000 }]);
			for (let minutes = 20; minutes <= 6 * 60; minutes += 20) {
				await reports([{ at: begun + (minutes - 1) * MINUTE, spot: null }]);
				await go(begun + minutes * MINUTE);
			}
			await fact(begun + 6 * HOUR + MINUTE, { mode: 'ondemand', pool_id: null });
			await reports([{ at: begun + 6 * HOUR + 90 * SECOND, spot: null }]);
			await servedUntil(begun + 6 * HOUR + 2 * MINUTE);
			await run();
			expect(await minutesOf('measured')).toBe(120);
		});
	});

	it('keeps no quoted spot price measured while the machine says its on-demand price, and that changes', async () => {
		await world.store.transact(async (tx) => {
			const clean = { pool_id: POOL, bucket: begun, spot_micros: 40_000, ondemand_micros: null, source: 'primary' as const, priority: 3 };
			await tx
				.insertInto('price_clean')
				.values({ ...clean, confidence: 1, data_source: 'measured', observed_at: begun - 1 })
				.execute();
			const listed = { instance_type: 'c5.large', region: 'us-east-1', micros: 85_000, observed_at: begun - 1 };
			await tx.insertInto('ondemand_price').values(listed).execute();
		});
		await fact(begun);
		await servedUntil(begun + MINUTE);
		await run();
		expect(await open()).toMatchObject({ quality: 'measured', price_micros: 40_000 });
		for (let minutes = 20; minutes <= 5 * 60; minutes += 20) {
			await reports([{ at: begun + (minutes - 1) * MINUTE, spot: null, onDemand: 85_000 + Math.floor(minutes / 60) }]);
			await servedUntil(begun + minutes * MINUTE);
			await run();
		}
		expect((await open()).quality).toBe('estimated');
		expect(await minutesOf('measured')).toBe(120);
	});

	it('looks at most five seconds away after a transaction that waited for somebody', async () => {
		await fact(begun);
		await servedUntil(begun + MINUTE);
		await run(30_000);
		expect(Math.max(...rests)).toBe(5_000);
	});

	it('takes an on-demand price that was said an hour later for that of before, not one said ten hours later', async () => {
		const listed = (at: number) =>
			world.store.transact(async (tx) => {
				await tx.deleteFrom('ondemand_price').execute();
				await tx
					.insertInto('ondemand_price')
					.values({ instance_type: 'c5.large', region: 'us-east-1', micros: 90_000, observed_at: at })
					.execute();
			});
		await fact(begun, { mode: 'ondemand', pool_id: null });
		await listed(begun + 10 * HOUR);
		await servedUntil(begun + 10 * HOUR + MINUTE);
		await run();
		expect(await open()).toMatchObject({ quality: 'unknown', price_micros: null });
		await fact(now, { mode: 'ondemand', pool_id: null, role: 'replica' });
		await listed(now + 30 * MINUTE);
		await servedUntil(now + 31 * MINUTE);
		await run();
		expect(await open()).toMatchObject({ price_micros: 90_000 });
	});

	it('enters a new agent at once, however much is to be booked of others', async () => {
		const young = await makeAgent(world);
		await world.store.transact((tx) => tx.deleteFrom('ledger_fact').execute());
		await fact(begun);
		await servedUntil(begun + MINUTE);
		await run();
		await world.store.transact(async (tx) => {
			const of = { client_id: agent.client.id, agent_id: agent.id, handle: agent.id };
			const heard = {
				...of,
				at: now - SECOND,
				kind: 'heard' as const,
				pending: 1 as const,
				instance_id: null,
				role: null,
				registered: null,
			};
			const nothing = { mode: null, pool_id: null, instance_type: null, region: null, spot_micros: null, ondemand_micros: null };
			await tx
				.insertInto('ledger_fact')
				.values(Array.from({ length: 600 }, () => ({ ...heard, ...nothing })))
				.execute();
		});
		await fact(now, {}, young);
		await run();
		expect(await world.store.read.selectFrom('ledger_host').select('handle').where('handle', '=', young.id).execute()).toHaveLength(1);
	});
});
