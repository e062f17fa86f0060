import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { EventType } from '../../src/contract/event-log.ts';
import { JOBS } from '../../src/core/jobs.ts';
import { fence, type JobContext, LeaseLost } from '../../src/core/lease.ts';
import { type Job, LEASE_MS, TICK_MS } from '../../src/core/scheduler.ts';
import { systemClock } from '../../src/deps.ts';
import { SpotError } from '../../src/errors.ts';
import { addJob, jobRow, type Lease, takeLeases } from '../../src/store/jobs.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { prepare } from '../helpers/schema.ts';
import { asAdmin, openWorld, type World, type WorldOptions } from '../helpers/world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

type Ran = { readonly job: string; readonly by: string; readonly token: number; readonly at: number };

/** A job that says when and where it ran, and does `work`. */
const recorded = (name: string, ran: Ran[], more: Partial<Job> = {}): Job => ({
	name,
	summary: `Does ${name}`,
	everyMs: TICK_MS,
	...more,
	run: async (context) => {
		ran.push({ job: name, by: context.origin, token: context.lease.token, at: context.clock.now() });
		return more.run?.(context) ?? 0;
	},
});

/** Leaves a mark that says under which lease it was made. */
const mark = (context: JobContext): Promise<void> =>
	context.unit(null, async (_, journal) => journal.event('mark' as EventType, `${context.lease.token} ${context.origin}`, null));

const marks = async (store: Store): Promise<string[]> =>
	(await store.read.selectFrom('event').select('message').where('type', '=', 'mark').orderBy('id').execute()).map(({ message }) => message);

const gate = () => {
	let open: () => void = () => undefined;
	const opened = new Promise<void>((done) => {
		open = done;
	});
	return { opened, open };
};

describeEachDatabase('background jobs', ({ kind, freshUrl }) => {
	let world: World;
	afterEach(() => world.close());

	const open = async (jobs: readonly Job[], daemons = 1, options: WorldOptions = {}): Promise<World> => {
		world = await openWorld(await freshUrl(), { direct: true, jobs, ...options });
		for (let count = 1; count < daemons; count++) await world.addDaemon();
		return world;
	};
	const job = async (name: string) => {
		const daemon = world.daemons.at(-1);
		if (daemon === undefined) throw new Error('no daemon');
		const row = (await asAdmin(daemon, 'listJobs', {})).items.find((each) => each.name === name);
		if (row === undefined) throw new Error(`no job ${name}`);
		return row;
	};

	it.each([2, 3])('have one runner each with %i daemons', async (daemons) => {
		const ran: Ran[] = [];
		await open([recorded('one', ran), recorded('two', ran), recorded('slow', ran, { everyMs: MINUTE })], daemons);
		await world.advance(5 * MINUTE);
		for (const [name, times] of [
			['one', 150],
			['two', 150],
			['slow', 5],
		] as const) {
			const runs = ran.filter((each) => each.job === name);
			expect(new Set(runs.map(({ by }) => by)).size, name).toBe(1);
			expect(Math.abs(runs.length - times), name).toBeLessThanOrEqual(1);
		}
	});

	it.each([0, 700, 1300, 1900])('of a leader that is killed, %i ms into a tick, are taken over within ten seconds', async (into) => {
		const ran: Ran[] = [];
		await open([recorded('one', ran), recorded('slow', ran, { everyMs: MINUTE })], 3);
		await world.advance(90 * SECOND + into, 100);
		const { owner } = await job('one');
		await world.stop(0, 'kill');
		world.use(1);
		const killedAt = world.now();
		await world.advance(10 * SECOND, 100);
		const after = ran.filter(({ by }) => by !== owner);
		expect(new Set(after.map(({ by }) => by)).size).toBe(1);
		expect((after[0]?.at ?? 0) - killedAt).toBeLessThanOrEqual(LEASE_MS + TICK_MS);
		expect((await job('slow')).owner).toBe((await job('one')).owner);
		// Whoever takes a job over keeps its rhythm: the next minute is not begun early.
		expect(after.filter((each) => each.job === 'slow')).toEqual([]);
	});

	it('are handed over at once by a daemon that stops in order, after what runs has ended', async () => {
		const ran: Ran[] = [];
		const { opened, open: finish } = gate();
		let ended = false;
		const slow = recorded('slow', ran, {
			run: async (context) => {
				await (ended ? undefined : opened);
				await mark(context);
				ended = true;
				return 3;
			},
		});
		await open([slow, recorded('one', ran)], 2);
		await world.advance(TICK_MS);
		const { owner } = await job('one');
		const stopping = world.stop(0);
		await delay(50);
		expect(ended).toBe(false);
		finish();
		await stopping;
		world.use(1);
		expect(await job('slow')).toMatchObject({ state: 'waiting', owner: null, runs: 1, last_changed: 3, last_result: 'ok' });
		expect(await marks(world.store)).toHaveLength(1);
		const before = ran.length;
		await world.advance(TICK_MS, 100);
		expect(new Set(ran.slice(before).map((each) => each.job))).toEqual(new Set(['slow', 'one']));
		for (const { by } of ran.slice(before)) expect(by).not.toBe(owner);
	});

	it('that a paused daemon finds half done when it wakes late change nothing any more', async () => {
		const ran: Ran[] = [];
		const gates = [gate(), gate()];
		const outcomes: unknown[] = [];
		const slow = recorded('slow', ran, {
			run: async (context) => {
				const mine = gates[ran.length - 1];
				await mine?.opened;
				const outcome = await mark(context).catch((error: unknown) => error);
				outcomes.push(outcome);
				if (outcome instanceof Error) throw outcome;
				return 1;
			},
		});
		await open([slow], 2);
		await world.advance(TICK_MS);
		const late = await job('slow');
		expect(ran).toHaveLength(1);
		world.daemons[0]?.pause();
		gates[1]?.open();
		await world.advance(10 * SECOND);
		world.use(1);
		expect(ran.length).toBeGreaterThan(1);
		const there = await marks(world.store);
		const taken = await job('slow');
		expect(taken.owner).not.toBe(late.owner);
		expect(taken.token).toBe(late.token + 1);

		world.daemons[0]?.wake();
		gates[0]?.open();
		const runs = ran.length;
		await world.advance(1);
		await expect.poll(() => outcomes.some((each) => each instanceof LeaseLost)).toBe(true);
		await world.advance(TICK_MS);
		expect((await marks(world.store)).slice(0, there.length)).toEqual(there);
		expect(await marks(world.store)).not.toContain(`${late.token} ${late.owner}`);
		expect(ran.slice(runs).map(({ by }) => by)).not.toContain(late.owner);
		expect((await job('slow')).last_result).toBe('ok');
	});

	it('commit in the order of their tokens, whoever is killed, paused and started', async () => {
		const ran: Ran[] = [];
		let over = false;
		let seed = 7;
		const random = (below: number): number => {
			seed = (seed * 48_271) % 2_147_483_647;
			return seed % below;
		};
		const nap = recorded('nap', ran, {
			run: async (context) => {
				for (let step = 0; step < 3 && !over; step++) {
					await context.clock.sleep(random(4) * SECOND);
					await mark(context);
				}
				return 3;
			},
		});
		await open([nap], 3);
		const paused = new Set<number>();
		for (let round = 0; round < 60; round++) {
			const index = random(3);
			const daemon = world.daemons[index];
			if (paused.delete(index)) daemon?.wake();
			else if (random(2) === 0) {
				daemon?.pause();
				paused.add(index);
			} else {
				// A daemon that stops in order waits for the run under way: time must pass meanwhile.
				await Promise.all([world.restart(index, random(2) === 0 ? 'kill' : 'stop'), world.advance(10 * SECOND, 500)]);
			}
			await world.advance(random(12) * SECOND + 1, 500);
		}
		for (const index of paused) world.daemons[index]?.wake();
		over = true;
		await world.advance(MINUTE);
		const made = (await marks(world.store)).map((text) => text.split(' '));
		const tokens = made.map(([token]) => Number(token));
		expect(tokens.length).toBeGreaterThan(60);
		expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
		const owners = new Map<string, Set<string>>();
		for (const [token = '', owner = ''] of made) owners.set(token, (owners.get(token) ?? new Set()).add(owner));
		expect(owners.size).toBeGreaterThan(5);
		expect([...owners.values()].every(({ size }) => size === 1)).toBe(true);
	});

	it('stop when the lease could not be renewed for as long as it lasts, and go on afterwards', async () => {
		const ran: Ran[] = [];
		await open([recorded('one', ran)]);
		await world.advance(MINUTE);
		const { store } = world;
		const { transactTogether } = store;
		Object.assign(store, { transactTogether: () => Promise.reject(new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'away')) });
		const before = ran.length;
		await world.advance(MINUTE);
		expect(ran.length).toBe(before);
		Object.assign(store, { transactTogether });
		await world.advance(MINUTE);
		expect(ran.length - before).toBeGreaterThanOrEqual(29);
		expect((await job('one')).runs).toBe(ran.length - 1);
	});

	it('do not begin after a renewal whose answer took as long as the lease lasts', async () => {
		const ran: Ran[] = [];
		await open([recorded('one', ran)]);
		await world.advance(MINUTE);
		const { store } = world;
		const { transactTogether } = store;
		const { opened, open: answer } = gate();
		Object.assign(store, {
			transactTogether: async (calls: Parameters<typeof transactTogether>[0]) => {
				const rows = await transactTogether(calls);
				await opened;
				return rows;
			},
		});
		await world.advance(TICK_MS);
		const before = ran.length;
		await world.advance(LEASE_MS);
		answer();
		await delay(1);
		expect(ran.length).toBe(before);
		await world.advance(TICK_MS);
		expect(ran.length).toBe(before + 1);
	});

	it('that were due while nobody served run once, and soon', async () => {
		const ran: Ran[] = [];
		await open([recorded('slow', ran, { everyMs: MINUTE })]);
		await world.advance(90 * SECOND);
		expect(ran).toHaveLength(2);
		await world.restart(0, 'kill');
		await world.advance(20 * SECOND);
		expect(ran).toHaveLength(2);
		await world.stop(0, 'kill');
		await world.advance(60 * MINUTE, MINUTE);
		await world.restart(0, 'kill');
		await world.advance(10 * SECOND);
		expect(ran).toHaveLength(3);
		await world.advance(MINUTE);
		expect(ran).toHaveLength(4);
	});

	it('never overlap themselves', async () => {
		const ran: Ran[] = [];
		let over = false;
		let [running, most] = [0, 0];
		const long = recorded('long', ran, {
			run: async ({ clock }) => {
				most = Math.max(most, ++running);
				if (!over) await clock.sleep(5 * SECOND);
				running--;
				return 0;
			},
		});
		await open([long], 2);
		await world.advance(MINUTE);
		expect([most, ran.length]).toEqual([1, 10]);
		expect(await job('long')).toMatchObject({ last_duration_ms: 5000, last_result: 'ok', runs: 9 });
		over = true;
		await world.advance(10 * SECOND);
	});

	it('that fail are recorded and tried again, and their row keeps the text of a bug to itself', async () => {
		const ran: Ran[] = [];
		const failures: (Error | null)[] = [
			new TypeError('select * from secret'),
			new SpotError('unavailable', 'X', 'the price feed is away'),
			null,
		];
		await open([
			recorded('one', ran, {
				run: async () => {
					const failure = failures.shift();
					if (failure) throw failure;
					return 7;
				},
			}),
		]);
		await world.advance(2 * TICK_MS);
		expect(await job('one')).toMatchObject({
			last_result: 'failed',
			last_changed: null,
			last_error: 'an unexpected TypeError; see the log of the daemon that ran it',
			runs: 1,
		});
		await world.advance(TICK_MS);
		expect(await job('one')).toMatchObject({ last_result: 'failed', last_error: 'the price feed is away', runs: 2 });
		await world.advance(TICK_MS);
		expect(await job('one')).toMatchObject({ last_result: 'ok', last_error: null, last_changed: 7, runs: 3 });
		const counters = world.daemons[0]?.core.counters();
		expect([counters?.get('job_runs_total'), counters?.get('job_failures_total')]).toEqual([4, 2]);
	});

	it('are listed with what became of them', async () => {
		const ran: Ran[] = [];
		await open([recorded('slow', ran, { everyMs: MINUTE, run: async () => 2 })]);
		expect(await job('slow')).toMatchObject({ state: 'running', token: 1, runs: 0, last_started_at: null, next_due_at: null });
		await world.advance(2 * TICK_MS);
		expect(await job('slow')).toEqual({
			name: 'slow',
			summary: 'Does slow',
			every_seconds: 60,
			state: 'running',
			owner: ran[0]?.by,
			token: 1,
			last_started_at: '2021-03-04T00:00:02.000Z',
			last_ended_at: '2021-03-04T00:00:02.000Z',
			last_result: 'ok',
			last_changed: 2,
			last_error: null,
			last_duration_ms: 0,
			next_due_at: '2021-03-04T00:01:02.000Z',
			requested_at: null,
			runs: 1,
		});
	});

	it('run when they are asked to, within a tick, and once', async () => {
		const ran: Ran[] = [];
		await open([recorded('slow', ran, { everyMs: MINUTE })], 2);
		await world.advance(10 * SECOND + 500, 500);
		world.use(1);
		const { body } = await world.admin.call('runJob', { name: 'slow' });
		expect(body.message).toBe('job slow begins within 2 s');
		expect(body.job.requested_at).toBe('2021-03-04T00:00:10.500Z');
		const again = await world.admin.call('runJob', { name: 'slow' });
		expect(again.body.job.requested_at).toBe(body.job.requested_at);
		await world.advance(TICK_MS, 500);
		expect(ran.map(({ at }) => at - (ran[0]?.at ?? 0))).toEqual([0, 10 * SECOND]);
		await world.advance(TICK_MS);
		expect(await job('slow')).toMatchObject({ requested_at: null, runs: 2 });
		await world.advance(30 * SECOND);
		expect(ran).toHaveLength(2);
		expect((await world.store.read.selectFrom('audit').select(['actor', 'action', 'entity_id']).execute())[0]).toEqual({
			actor: 'admin:configured',
			action: 'jobs.run',
			entity_id: 'slow',
		});
	});

	it('that are asked for while they run, run again afterwards', async () => {
		const ran: Ran[] = [];
		const { opened, open: finish } = gate();
		await open([recorded('slow', ran, { everyMs: MINUTE, run: () => opened.then(() => 0) })]);
		await world.advance(2 * TICK_MS);
		expect(await job('slow')).toMatchObject({ last_started_at: '2021-03-04T00:00:02.000Z', last_ended_at: null });
		await world.admin.call('runJob', { name: 'slow' });
		await world.advance(2 * TICK_MS);
		expect(ran).toHaveLength(1);
		expect((await job('slow')).requested_at).not.toBeNull();
		finish();
		await delay(1);
		await world.advance(TICK_MS);
		expect(ran).toHaveLength(2);
		await world.advance(TICK_MS);
		expect(await job('slow')).toMatchObject({ requested_at: null, runs: 2 });
	});

	it('that are paused run nowhere until they are resumed, and a run under way commits nothing more', async () => {
		const ran: Ran[] = [];
		const { opened, open: finish } = gate();
		const outcomes: unknown[] = [];
		await open(
			[
				recorded('one', ran, {
					run: async (context) => {
						await mark(context);
						await opened;
						outcomes.push(await mark(context).catch((error: unknown) => error));
						return 0;
					},
				}),
			],
			2,
		);
		await world.advance(TICK_MS);
		const { body } = await world.admin.call('pauseJob', { name: 'one' });
		expect(body).toMatchObject({ message: 'job one is paused', job: { state: 'paused', owner: null, next_due_at: null } });
		expect((await world.admin.call('pauseJob', { name: 'one' })).body.message).toBe('job one was already paused');
		finish();
		await expect.poll(() => outcomes.length).toBe(1);
		expect(outcomes[0]).toBeInstanceOf(LeaseLost);
		expect(await world.admin.call('runJob', { name: 'one' })).toMatchObject({ status: 409, body: { code: 'JOB_PAUSED' } });
		await world.advance(MINUTE);
		expect(ran).toHaveLength(1);
		expect(await marks(world.store)).toHaveLength(1);
		const resumed = await world.admin.call('resumeJob', { name: 'one' });
		expect(resumed.body).toMatchObject({ message: 'job one is resumed', job: { state: 'waiting' } });
		expect((await world.admin.call('resumeJob', { name: 'one' })).body.message).toBe('job one was not paused');
		await world.advance(TICK_MS);
		expect(ran).toHaveLength(2);
		const audited = await world.store.read.selectFrom('audit').select('action').orderBy('id').execute();
		expect(audited.map(({ action }) => action)).toEqual(['jobs.pause', 'jobs.resume']);
	});

	it('that nobody knows are not found', async () => {
		await open([recorded('one', [])]);
		for (const name of ['runJob', 'pauseJob', 'resumeJob'] as const)
			expect(await world.admin.call(name, { name: 'nope' })).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
		expect(await world.store.read.selectFrom('job').select('name').execute()).toEqual([{ name: 'one' }]);
	});

	it('can be asked for and paused where no daemon has run any yet', async () => {
		await open([]);
		const daemon = world.daemons[0];
		if (daemon === undefined) throw new Error('no daemon');
		const { store } = daemon;
		const listed = await jobRow.first(store.read, { name: 'offline', now: store.leaseNow() });
		expect(listed).toBeUndefined();
		await world.close();
		const ran: Ran[] = [];
		await open([recorded('one', ran)]);
		await world.stop(0);
		const asked = await world.admin.call('runJob', { name: 'one' });
		expect(asked.body).toMatchObject({ message: 'job one begins when a daemon runs jobs; none does now', job: { state: 'waiting' } });
		await world.restart(0);
		await world.advance(TICK_MS);
		expect(ran).toHaveLength(1);
	});

	it('cost one transaction of few statements a tick while nothing happens', async () => {
		await open(JOBS);
		await world.advance(2 * MINUTE);
		const sent = await world.statements(() => world.advance(10 * TICK_MS));
		const count = (pattern: RegExp): number => sent.filter((text) => pattern.test(text)).length;
		expect(count(/leased_until/)).toBe(10);
		// A transaction of a job looks at the lease at its start and its end.
		expect(count(/from [`"]job[`"]/)).toBeLessThanOrEqual(10 + JOBS.length);
		const often = JOBS.filter(({ everyMs }) => everyMs === TICK_MS).length;
		expect(count(/update [`"]job[`"]/)).toBeLessThanOrEqual(10 + 10 * often + 2 * (JOBS.length - often));
	});

	it('of a file that one daemon holds are its own at once, whatever its rows say', async () => {
		if (kind !== 'sqlite') return;
		const ran: Ran[] = [];
		await open([recorded('one', ran)]);
		await world.advance(TICK_MS);
		await world.restart(0, 'kill');
		await world.advance(TICK_MS);
		expect(ran.map(({ token }) => token)).toEqual([1, 2]);
	});
});

describeEachDatabase('the lease of a job', ({ kind, freshUrl }) => {
	const stores: Store[] = [];
	afterEach(async () => {
		for (const store of stores.splice(0)) await store.close();
	});
	const connect = async (url: string, leaseClock?: { now(): number }): Promise<Store> => {
		const store = await openStore({ url, poolSize: 2, clock: systemClock, ...(leaseClock ? { leaseClock } : {}) });
		stores.push(store);
		return store;
	};
	const setUp = async (leaseClock?: { now(): number }): Promise<{ url: string; store: Store }> => {
		const url = await freshUrl();
		const store = await connect(url, leaseClock);
		await prepare(store);
		await store.transactTogether([addJob.of({ name: 'one' }), addJob.of({ name: 'other' })]);
		return { url, store };
	};
	const takeOne = takeLeases(['one']);
	const take = async (store: Store, owner: string, anyway = false): Promise<Lease | null> => {
		await store.transactTogether([takeOne.of({ owner, now: store.leaseNow(), ms: LEASE_MS, anyway: anyway ? 1 : 0 })]);
		const row = await jobRow.first(store.read, { name: 'one', now: store.leaseNow() });
		return row?.owner === owner ? { name: 'one', owner, token: row.token } : null;
	};
	const held = async (store: Store, owner: string, anyway = false): Promise<Lease> => {
		const lease = await take(store, owner, anyway);
		if (lease === null) throw new Error('not taken');
		return lease;
	};
	const insert = (store: Store, id: string, between: () => Promise<unknown> = async () => undefined) =>
		store.transact(async (tx) => {
			await tx.insertInto('change_log').values({ origin: 'x', topic: 'agent', key: id, at: 1 }).execute();
			await between();
		});
	const inserted = async (store: Store) => (await store.read.selectFrom('change_log').select('key').execute()).map(({ key }) => key);

	it('is taken by one, renewed by it alone, and free again when it has run out', async () => {
		let now = 1_000_000;
		const { store } = await setUp({ now: () => now });
		expect(await take(store, 'a')).toMatchObject({ token: 1 });
		expect(await take(store, 'b')).toBeNull();
		now += LEASE_MS - 1;
		expect(await take(store, 'b')).toBeNull();
		expect(await take(store, 'a')).toMatchObject({ token: 1 });
		now += LEASE_MS - 1;
		expect(await take(store, 'b')).toBeNull();
		now += 1;
		expect(await take(store, 'b')).toMatchObject({ token: 2 });
		expect(await take(store, 'a')).toBeNull();
		expect(await take(store, 'a', true)).toMatchObject({ token: 3 });
		expect(await jobRow.first(store.read, { name: 'other', now })).toMatchObject({ owner: null, token: 0 });
	});

	it('lets transactions commit while it stands', async () => {
		const { store } = await setUp();
		const fenced = fence(store, await held(store, 'a'), () => false);
		await insert(fenced, 'first');
		await insert(fenced, 'second');
		await take(store, 'a');
		await insert(fenced, 'third');
		expect(await inserted(store)).toEqual(['first', 'second', 'third']);
	});

	it('ends a transaction at its start when it was taken over', async () => {
		const { store } = await setUp();
		const fenced = fence(store, await held(store, 'a'), () => false);
		await held(store, 'b', true);
		let ran = false;
		await expect(
			fenced.transact(async () => {
				ran = true;
			}),
		).rejects.toBeInstanceOf(LeaseLost);
		await expect(fenced.transactTogether([addJob.of({ name: 'late' })])).rejects.toBeInstanceOf(LeaseLost);
		expect([ran, await jobRow.first(store.read, { name: 'late', now: 0 })]).toEqual([false, undefined]);
	});

	it('undoes a transaction during which it was taken over by another daemon', async () => {
		const { url, store } = await setUp();
		const fenced = fence(store, await held(store, 'a'), () => false);
		const late = fenced.transact(async (tx) => {
			await tx.insertInto('change_log').values({ origin: 'x', topic: 'agent', key: 'late', at: 1 }).execute();
			// SQLite has one writer: there the takeover can only be before the transaction, or by the same hand.
			if (kind === 'sqlite') await tx.updateTable('job').set({ owner: 'b', token: 2 }).where('name', '=', 'one').execute();
			else expect(await take(await connect(url), 'b', true)).toMatchObject({ token: 2 });
		});
		await expect(late).rejects.toBeInstanceOf(kind === 'sqlite' ? Error : LeaseLost);
		expect(await inserted(store)).toEqual([]);
	});

	it('is not taken between the last look of a transaction and its commit', async () => {
		const { url, store } = await setUp();
		const beside = await connect(url);
		let lease = await held(store, 'a');
		let both = 0;
		for (let round = 0; round < 60; round++) {
			const fenced = fence(store, lease, () => false);
			// SQLite would wait for the other connection, and with it this process.
			const wait = (ms: number) => (kind === 'sqlite' ? Promise.resolve() : delay(ms));
			const takeOver = async (): Promise<boolean> => {
				await wait(round % 3);
				await held(beside, `b${round}`, true);
				return (await inserted(beside)).includes(`${round}`);
			};
			const [late, thereAtTakeover] = await Promise.allSettled([insert(fenced, `${round}`, () => wait(round % 4)), takeOver()]);
			if (late.status === 'rejected') expect(late.reason).toBeInstanceOf(LeaseLost);
			else both++;
			expect(thereAtTakeover).toMatchObject({ value: late.status === 'fulfilled' });
			expect((await inserted(store)).includes(`${round}`)).toBe(late.status === 'fulfilled');
			lease = await held(store, 'a', true);
		}
		expect(both).toBeGreaterThan(0);
		if (kind === 'mariadb') expect(both).toBeLessThan(60);
	});

	it('runs by the clock of the database where it has one', async () => {
		const { store } = await setUp();
		expect(store.leaseNow() === null).toBe(kind === 'mariadb');
		await held(store, 'a');
		const row = await jobRow.first(store.read, { name: 'one', now: store.leaseNow() });
		expect(row?.held).toBe(1);
		expect(Math.abs((row?.leased_until ?? 0) - LEASE_MS - Date.now())).toBeLessThan(3000);
		expect(await take(store, 'b')).toBeNull();
	});

	it('stays with its transaction when the work of that fails for a reason of its own', async () => {
		const { store } = await setUp();
		const fenced = fence(store, await held(store, 'a'), () => false);
		await expect(
			insert(fenced, 'x', async () => {
				throw new Error('mine');
			}),
		).rejects.toThrow('mine');
		expect(await inserted(store)).toEqual([]);
	});

	it('is not believed without the database once it has lapsed here', async () => {
		const { store } = await setUp();
		let lapsed = false;
		const fenced = fence(store, await held(store, 'a'), () => lapsed);
		await insert(fenced, 'before');
		lapsed = true;
		await expect(insert(fenced, 'after')).rejects.toBeInstanceOf(LeaseLost);
		expect(await inserted(store)).toEqual(['before']);
	});
});

it('every job of the product is run at a multiple of the tick, under a name of its own', () => {
	for (const { everyMs } of JOBS) expect(everyMs % TICK_MS).toBe(0);
	expect(new Set(JOBS.map(({ name }) => name)).size).toBe(JOBS.length);
});
