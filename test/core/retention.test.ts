import fc from 'fast-check';
import { type RawBuilder, sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';
import { JOBS } from '../../src/core/jobs.ts';
import { nextSize } from '../../src/core/pace.ts';
import { retain, SIZES } from '../../src/core/retention-job.ts';
import type { Job } from '../../src/core/scheduler.ts';
import { checkStore } from '../../src/store/check.ts';
import { ownTables } from '../../src/store/migrate.ts';
import { countDue, endRows, oldRows, RETENTION, RULES, type RuleName } from '../../src/store/retention.ts';
import type { Tables } from '../../src/store/schema.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { CORE_SETTINGS } from '../helpers/settings.ts';
import { type ClientActor, openWorld, type Reply, type World, type WorldOptions } from '../helpers/world.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;

describe('the plan of retention', () => {
	it('says of every table what becomes of its rows', () => {
		const tables = [...ownTables].filter((name) => !name.startsWith('spotctl_')).sort();
		expect(Object.keys(RETENTION).sort()).toEqual(tables);
		for (const entry of Object.values(RETENTION)) expect('kept' in entry ? entry.kept : entry.summary).toMatch(/^\w.{5,}/);
	});

	it('tries as many rows as take its time, within bounds, whatever a transaction took', () => {
		fc.assert(
			fc.property(fc.integer({ min: 50, max: 5000 }), fc.double({ min: 0, max: 60_000, noNaN: true }), (size, ms) => {
				const next = nextSize(size, ms, SIZES);
				expect(next).toBeGreaterThanOrEqual(50);
				expect(next).toBeLessThanOrEqual(5000);
				expect(next).toBeLessThanOrEqual(Math.max(50, Math.round(size * 1.5)));
				if (ms > 24) expect(next).toBeLessThanOrEqual(Math.max(50, size));
			}),
		);
		const next = (size: number, ms: number): number => nextSize(size, ms, SIZES);
		expect([next(500, 1), next(5000, 1), next(1000, 120), next(60, 500)]).toEqual([750, 5000, 67, 50]);
	});
});

describeEachDatabase('retention', ({ kind, freshUrl }) => {
	let world: World;
	/** How much later it is for retention than for everybody else. */
	let ahead = 0;
	afterEach(() => world.close());

	const later: readonly Job[] = JOBS.map((job) => {
		if (job.name !== 'retention') return job;
		const run: Job['run'] = (context) => {
			const { clock } = context;
			return retain({ ...context, clock: { ...clock, now: () => clock.now() + ahead } });
		};
		return { ...job, run };
	});
	const open = async (options: WorldOptions = {}): Promise<World> => {
		ahead = 0;
		world = await openWorld(await freshUrl(), { direct: true, jobs: later, ...options });
		// The first run, which every daemon begins with, is over.
		await world.advance(6_000);
		return world;
	};
	const count = async (table: keyof Tables | 'price_raw'): Promise<number> =>
		Number((await sql<{ n: number }>`select count(*) as n from ${sql.table(table)}`.execute(world.store.read)).rows[0]?.n);
	const put = (statement: RawBuilder<unknown>) => statement.execute(world.store.ddl);
	const jobRow = async () => (await world.admin.call('listJobs', {})).body.items.find(({ name }) => name === 'retention');
	/** A run from its request to its end. */
	const run = async (only: string | null = null): Promise<void> => {
		const runs = (await jobRow())?.runs ?? 0;
		expect((await world.admin.call('runRetention', { only })).status).toBe(200);
		for (let tries = 0; tries < 400 && ((await jobRow())?.runs ?? 0) === runs; tries++) await world.advance(1000, 50);
		expect(await jobRow()).toMatchObject({ last_result: 'ok', last_error: null, runs: runs + 1 });
	};
	const rule = async (name: RuleName) => {
		const found = (await world.admin.call('showRetention', {})).body.rules.find((each) => each.rule === name);
		if (found === undefined) throw new Error(`no rule ${name}`);
		return found;
	};
	const events = async (many: number, at: number): Promise<void> => {
		for (let from = 0; from < many; from += 500) {
			const rows = Array.from({ length: Math.min(500, many - from) }, () => ({
				type: 'old',
				severity: 'info' as const,
				message: 'm',
				created_at: at,
			}));
			await world.store.transact((tx) => tx.insertInto('event').values(rows).execute());
		}
	};
	const oldEvents = async (): Promise<number> =>
		(await world.store.read.selectFrom('event').select('id').where('type', '=', 'old').execute()).length;

	/** Two rows of every simple kind, one a day younger than the limit of its rule and one a day older. */
	const pairs = async (client: ClientActor, handle: string, agent: string): Promise<void> => {
		const at = (days: number, more: number) => world.now() - (days + more) * DAY;
		const { ddl } = world.store;
		for (const more of [-1, 1]) {
			await events(1, at(90, more));
			await ddl
				.insertInto('audit')
				.values({
					at: at(180, more),
					actor: 'a',
					action: 'old',
					entity: 'e',
					entity_id: 'i',
					client_id: null,
					before_json: null,
					after_json: null,
					request_id: null,
				})
				.execute();
			for (const is_read of [0, 1] as const)
				await ddl
					.insertInto('notification')
					.values({
						id: `n${more}${is_read}`,
						client_id: client.id,
						agent_id: null,
						type: 't',
						title: 't',
						message: 'm',
						severity: 'info',
						is_read,
						count: 1,
						created_at: 1,
						last_at: at(30, more),
					})
					.execute();
			await ddl
				.insertInto('cleanup_log')
				.values({
					client_id: client.id,
					agent_id: agent,
					handle,
					deleted_snapshots: 0,
					deleted_amis: 0,
					failed: 0,
					reported_at: at(30, more),
				})
				.execute();
			await ddl
				.insertInto('price_report')
				.values({ client_id: client.id, handle, source: 'primary', points: '{}', observed_at: world.now(), arrived_at: at(30, more) })
				.execute();
			await put(sql`insert into price_raw (pool_id, client_id, handle, source, spot_micros, observed_at, arrived_at)
				values ('c5.large.us-east-1a', ${client.id}, 'h', 'primary', 1, 1, ${at(30, more)})`);
			await ddl
				.insertInto('price_clean')
				.values({
					pool_id: 'c5.large.us-east-1a',
					bucket: at(400, more),
					spot_micros: 1,
					source: 'primary',
					priority: 4,
					confidence: 1,
					data_source: 'measured',
					observed_at: 1,
				})
				.execute();
		}
	};

	it('deletes of each kind what is older than its days, and nothing else', async () => {
		await open();
		const client = await world.client();
		const { body } = await client.register('i-00000000000000001');
		await pairs(client, body.agent_id, body.agent_id);
		await world.advance(20_000);
		const simple = ['event', 'audit', 'notification', 'cleanup_log', 'price_report', 'price_raw', 'price_clean'] as const;
		for (const name of simple) expect([name, await rule(name)]).toEqual([name, expect.objectContaining({ due: 1, due_complete: true })]);
		const before = new Map<string, number>();
		for (const name of simple) before.set(name, await count(name));
		await run();
		for (const name of simple) {
			expect([name, await rule(name)]).toEqual([
				name,
				expect.objectContaining({ due: 0, last_deleted: 1, last_complete: true, total_deleted: 1, requested_at: null }),
			]);
		}
		// The run itself, and the request for it, are an event and an audit entry.
		const made = { event: 1, audit: 1 } as Readonly<Record<string, number>>;
		for (const name of simple) expect([name, await count(name)]).toEqual([name, (before.get(name) ?? 0) - 1 + (made[name] ?? 0)]);
		expect((await jobRow())?.last_changed).toBe(simple.length);
		const told = await world.store.read.selectFrom('event').select('metadata').where('type', '=', 'retention_run').execute();
		expect(JSON.parse(told[0]?.metadata ?? '{}')).toMatchObject({ deleted: 7, complete: true, counts: { event: 1, price_clean: 1 } });
		const unread = await world.store.read.selectFrom('notification').select('id').where('id', 'like', 'n%').orderBy('id').execute();
		expect(unread.map(({ id }) => id)).toEqual(['n-10', 'n-11', 'n10']);
	});

	it('goes by when a row arrived and not by the clock of who sent it', async () => {
		await open();
		const client = await world.client();
		const { body } = await client.register('i-00000000000000001');
		const report = (arrived_at: number, observed_at: number) =>
			world.store.ddl
				.insertInto('price_report')
				.values({ client_id: client.id, handle: body.agent_id, source: 'primary', points: '{}', observed_at, arrived_at })
				.execute();
		await report(world.now(), 1);
		await report(world.now() - 31 * DAY, world.now() + 365 * DAY);
		await world.advance(20_000);
		await run('price_report');
		expect(await world.store.read.selectFrom('price_report').select('observed_at').execute()).toEqual([{ observed_at: 1 }]);
	});

	it('waits with price reports for the books to have read them', async () => {
		await open();
		const client = await world.client();
		const { body } = await client.register('i-00000000000000001');
		await world.store.ddl
			.insertInto('price_report')
			.values({
				client_id: client.id,
				handle: body.agent_id,
				source: 'primary',
				points: '{}',
				observed_at: 1,
				arrived_at: world.now() - 31 * DAY,
			})
			.execute();
		await world.admin.call('pauseJob', { name: 'ledger' });
		await put(sql`update ledger_state set reports_at = ${world.now() - 32 * DAY}`);
		await run('price_report');
		expect(await count('price_report')).toBe(1);
		await put(sql`update ledger_state set reports_at = ${world.now()}`);
		await run('price_report');
		expect(await count('price_report')).toBe(0);
	});

	it('keeps for ever what its setting is 0 for', async () => {
		await open({ settings: { retention: { ...CORE_SETTINGS.retention, events: 0 } } });
		await events(3, 1);
		expect(await rule('event')).toMatchObject({ days: 0, before: null, due: 0, due_complete: true });
		await run();
		expect(await oldEvents()).toBe(3);
	});

	it('goes on after a kill in the middle, and has counted every row once', async () => {
		await open();
		await events(4000, 1);
		expect((await world.admin.call('runRetention', { only: ['event'] })).status).toBe(200);
		for (let tries = 0; tries < 500 && (await oldEvents()) === 4000; tries++) await world.advance(100, 1);
		const left = await oldEvents();
		expect(left).toBeGreaterThan(0);
		expect(left).toBeLessThan(4000);
		await world.stop(0, 'kill');
		expect(await world.store.read.selectFrom('retention_rule').select(['total', 'ended_at']).where('name', '=', 'event').execute()).toEqual(
			[{ total: 4000 - (await oldEvents()), ended_at: null }],
		);
		await world.restart(0, 'kill');
		await world.advance(20_000, 50);
		// Nobody answered the request before: the run is the one that was asked for.
		if ((await oldEvents()) > 0) await world.advance(HOUR, 1000);
		expect(await oldEvents()).toBe(0);
		expect(await rule('event')).toMatchObject({ total_deleted: 4000, last_complete: true, requested_at: null });
	});

	it('ends early when its daemon stops, and lets the next one go on', async () => {
		await open();
		await events(4000, 1);
		await world.admin.call('runRetention', { only: 'event' });
		for (let tries = 0; tries < 500 && (await oldEvents()) === 4000; tries++) await world.advance(100, 1);
		await world.stop(0, 'stop');
		expect(await oldEvents()).toBeGreaterThan(0);
		const [row] = await world.store.read.selectFrom('retention_rule').selectAll().where('name', '=', 'event').execute();
		expect(row).toMatchObject({ complete: 0, requested_at: expect.any(Number), total: 4000 - (await oldEvents()) });
		await world.restart(0, 'stop');
	});

	it('deletes no more than it was given, whole buckets of prices and parts of a large one', async () => {
		await open();
		const pools = ['a', 'b', 'c', 'd'].map((zone) => `c5.large.us-east-1${zone}`);
		for (const bucket of [1, 2, 3])
			for (const pool_id of pools)
				await world.store.ddl
					.insertInto('price_clean')
					.values({
						pool_id,
						bucket,
						spot_micros: 1,
						source: 'primary',
						priority: 4,
						confidence: 1,
						data_source: 'measured',
						observed_at: 1,
					})
					.execute();
		const batch = async (limit: number) => {
			const old = await oldRows(world.store.read, 'price_clean', 3, null, limit);
			return (await world.store.transact((tx) => endRows(tx, 'price_clean', 3, null, old, limit))).deleted;
		};
		expect(await batch(3)).toBe(3);
		expect(await batch(3)).toBe(1);
		expect(await batch(3)).toBe(3);
		expect(await batch(100)).toBe(1);
		expect(await batch(100)).toBe(0);
		expect(await count('price_clean')).toBe(4);
	});

	it('says when it stopped counting', async () => {
		await open();
		await events(30, 1);
		expect(await countDue(world.store.read, 'event', 2, 10)).toEqual({ due: 10, complete: false });
		expect(await countDue(world.store.read, 'event', 2, 30)).toEqual({ due: 30, complete: true });
		expect(await countDue(world.store.read, 'event', 1, 30)).toEqual({ due: 0, complete: true });
	});

	it('deletes nothing in a dry run, which is audited, as is every other, and costs the same statements for any number of rows', async () => {
		await open();
		const before = await world.statements(() => world.admin.call('showRetention', {}));
		await events(2000, 1);
		const after = await world.statements(() => world.admin.call('showRetention', {}));
		expect(after.length).toBe(before.length);
		expect(after.length).toBeLessThanOrEqual(RULES.size + 3);
		const { status, body } = await world.admin.call('runRetention', { dry_run: true, only: 'event,audit' });
		expect([status, body.dry_run, body.message]).toEqual([200, true, '2000 rows would be deleted; nothing was']);
		expect(body.rules.map(({ rule, due }) => [rule, due])).toEqual([
			['event', 2000],
			['audit', 0],
		]);
		await world.advance(10_000);
		expect(await oldEvents()).toBe(2000);
		expect((await jobRow())?.requested_at).toBeNull();
		expect(await world.store.read.selectFrom('audit').select('after_json').where('action', '=', 'retention.run').execute()).toHaveLength(1);
	});

	it('runs only the rules that were asked for, and all when all were asked for since', async () => {
		await open();
		await events(2, 1);
		await world.store.ddl
			.insertInto('audit')
			.values({
				at: 1,
				actor: 'a',
				action: 'old',
				entity: 'e',
				entity_id: 'i',
				client_id: null,
				before_json: null,
				after_json: null,
				request_id: null,
			})
			.execute();
		await run('audit');
		expect([await rule('audit'), await rule('event')]).toMatchObject([{ last_deleted: 1 }, { due: 2, last_deleted: 0 }]);
		await world.admin.call('runRetention', { only: 'audit' });
		await run();
		expect(await rule('event')).toMatchObject({ due: 0, last_deleted: 2 });
	});

	it('answers 400 to rules that are none, and takes nulls and keys that it does not know', async () => {
		await open();
		const foreign = ['nonsense', ['event', 'client'], 'event; drop table event', '__proto__', ['', 'host ', 'hos']].map((only) => ({
			only,
		}));
		const answers: unknown[] = [];
		for (const input of [...foreign, { only: null, dry_run: null }, { only: '', more: { deep: [] } }]) {
			const { status, body } = await world.admin.call('runRetention', input as never);
			answers.push([status, body.code]);
		}
		expect(await oldEvents()).toBe(0);
		expect(answers.slice(0, 5)).toEqual(Array(5).fill([400, 'UNKNOWN_RULE']));
		expect(answers.slice(5)).toEqual(Array(2).fill([200, undefined]));
	});

	it('is refused while its job is paused, but counts', async () => {
		await open();
		await world.admin.call('pauseJob', { name: 'retention' });
		expect(await world.admin.call('runRetention', {})).toMatchObject({ status: 409, body: { code: 'JOB_PAUSED' } });
		expect((await world.admin.call('runRetention', { dry_run: true })).status).toBe(200);
		expect(await count('retention_rule')).toBeGreaterThan(0);
		expect((await rule('event')).requested_at).toBeNull();
	});

	/** An agent that switched: its old machine is ended, its order done. */
	const switched = async (client: ClientActor) => {
		const first = await client.register('i-00000000000000001', { logical_agent_id: 'one' });
		const old = first.body.agent_id;
		await client.force('i-00000000000000001', 'b');
		const [command] = (await client.poll(old)).body.commands;
		await client.report(old, 'i-00000000000000002', { command_id: command?.id });
		await client.ack(old, command?.id ?? '');
		const next = await client.register('i-00000000000000002', { logical_agent_id: 'one', az: 'us-east-1b' });
		await world.advance(400_000, 20_000);
		await client.heartbeat(next.body.agent_id);
		await client.terminated(next.body.agent_id, 'i-00000000000000001');
		await world.advance(20_000);
		return { old, next: next.body.agent_id, command: command?.id ?? '' };
	};
	const hosts = async (): Promise<Map<string, string>> =>
		new Map((await world.store.read.selectFrom('host').select(['handle', 'role']).execute()).map(({ handle, role }) => [handle, role]));

	it('ends an order after a week, and its machine with its books after 400 days; the switch, the sums and the primary stay', async () => {
		await open();
		const client = await world.client();
		const { old, next } = await switched(client);
		expect(await hosts()).toEqual(
			new Map([
				[old, 'terminated'],
				[next, 'primary'],
			]),
		);
		expect(await world.store.read.selectFrom('cost_segment').select('id').where('handle', '=', old).execute()).not.toEqual([]);
		const totals = await world.store.read.selectFrom('ledger_total').selectAll().orderBy('period').execute();
		ahead = 8 * DAY;
		await run();
		expect([await count('command'), await count('host')]).toEqual([0, 2]);
		ahead = 401 * DAY;
		await run();
		// The first machine of an agent stays: its handle is the agent's id, by which it is asked for.
		expect(await hosts()).toEqual(
			new Map([
				[old, 'terminated'],
				[next, 'primary'],
			]),
		);
		expect(await count('switch_record')).toBe(1);
		for (const table of ['cost_segment', 'ledger_fact'] as const)
			expect(await world.store.read.selectFrom(table).select('id').where('handle', '=', old).execute()).toEqual([]);
		expect(await world.store.read.selectFrom('ledger_fact').select('id').where('handle', '=', next).execute()).not.toEqual([]);
		expect(await world.store.read.selectFrom('ledger_total').selectAll().orderBy('period').execute()).toEqual(totals);
		// For a recomputation those days are not 400 days ago: as if the setting had been less when their segments ended.
		for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
			const again: Reply<'recomputeSavings'> = await world.admin.call('recomputeSavings', { cursor });
			expect(again.body).toMatchObject({ changed: 0, totals: [] });
			cursor = again.body.next_cursor;
		}
		const explained = await world.admin.call('explainSavings', { agent_id: old });
		const pruned = Date.parse(explained.body.countsFrom ?? '');
		expect(Math.abs(pruned - (world.now() + DAY))).toBeLessThan(DAY);
		expect(await world.store.read.selectFrom('ledger_total').selectAll().orderBy('period').execute()).toEqual(totals);
		expect((await client.heartbeat(next)).status).toBe(200);
		expect((await client.probe(old)).status).toBe(200);
	});

	it.each([
		['a machine that still calls', sql`update host_liveness set seen_at = seen_at + ${500 * DAY}`],
		[
			'a machine that a notice was about',
			sql`insert into emergency (id, client_id, agent_id, kind, handle, instance_id, notice_key, reports, repeats, step, step_at,
			told, plan, signal_at, received_at, last_report_at, ended_at, outcome) select 'e', client_id, agent_id, 'termination', handle, instance_id, 'k', 1, 0, 'ended', 1,
			0, '[]', 1, 1, 1, 1, 'told' from host where role = 'terminated'`,
		],
		[
			'a machine that a live replica copies',
			sql`insert into replica (id, client_id, agent_id, live_of, status, type, created_by, generation, mode, guess,
			parent_instance_id, served_count, awaits_machine, void, sync_status, state_transfer_progress, created_at)
			select 'r', client_id, agent_id, agent_id, 'syncing', 'manual', 'me', 1, 'spot', 0, instance_id, 0, 0, 0, 'syncing', 0, 1 from host where role = 'terminated'`,
		],
		[
			'a machine of an agent in an emergency',
			sql`insert into emergency (id, client_id, agent_id, open_of, kind, handle, instance_id, notice_key, reports, repeats, step,
			step_at, told, plan, signal_at, received_at, last_report_at) select 'e', client_id, agent_id, agent_id, 'rebalance', handle, instance_id, 'k', 1, 0, 'stand-by', 1,
			0, '[]', 1, 1, 1 from host where role = 'primary'`,
		],
	])('never ends %s', async (_, need) => {
		await open();
		const client = await world.client();
		const { old } = await switched(client);
		for (const name of ['coordinator', 'emergencies', 'offline']) await world.admin.call('pauseJob', { name });
		await put(need);
		ahead = 450 * DAY;
		await run();
		expect((await hosts()).get(old)).toBe('terminated');
	});

	it('ends nothing that anybody needs, whatever was done: the invariants hold before and after', async () => {
		const step = fc.oneof(
			fc.record({ do: fc.constant('register' as const), machine: fc.nat({ max: 5 }) }),
			fc.record({
				do: fc.constantFrom('switch' as const, 'order' as const, 'end' as const, 'lose' as const, 'price' as const, 'call' as const),
				machine: fc.nat({ max: 5 }),
			}),
			fc.record({ do: fc.constant('wait' as const), machine: fc.constantFrom(15, 70, 400) }),
		);
		const idOf = (machine: number) => `i-0000000000000010${machine}`;
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 24, size: 'max' }), async (steps) => {
				await open();
				try {
					const client = await world.client();
					for (const { do: what, machine } of steps) {
						const at = world.given[machine % Math.max(1, world.given.length)];
						if (what === 'register')
							await client.register(idOf(machine), { logical_agent_id: `agent-${machine % 2}`, az: `us-east-1${'abcd'[machine % 4]}` });
						if (what === 'wait') await world.advance(machine * 1000, 4000);
						if (at === undefined) continue;
						if (what === 'order') await client.force(at.instanceId, 'b');
						if (what === 'switch') {
							const [command] = (await client.poll(at.handle)).body.commands ?? [];
							await client.report(at.handle, idOf(machine), { command_id: command?.id ?? null });
						}
						if (what === 'end') await client.terminated(at.handle, idOf(machine));
						if (what === 'lose') await client.call('terminationImminent', { agent_id: at.handle, termination_time: null } as never);
						if (what === 'price') await client.prices(at.handle, { 'us-east-1a': 0.03 });
						if (what === 'call') await client.heartbeat(at.handle);
					}
					await world.advance(10_000, 2000);
					const [daemon] = world.daemons;
					if (daemon === undefined) throw new Error('no daemon');
					const broken = async () => [...(await brokenInvariants(world, daemon)), ...(await brokenStandbys(world, daemon))];
					expect(await broken()).toEqual([]);
					const before = await hosts();
					const [switches, emergencies, agents] = [await count('switch_record'), await count('emergency'), await count('agent')];
					const live = await world.store.read.selectFrom('command').select('id').where('open_switch_of', 'is not', null).execute();
					const standing = await world.store.read.selectFrom('replica').select('id').where('live_of', 'is not', null).execute();
					ahead = 900 * DAY;
					await run();
					const after = await hosts();
					const needed = [...before].filter(([, role]) => role !== 'terminated').map(([handle]) => handle);
					expect(needed.filter((handle) => !after.has(handle))).toEqual([]);
					expect([await count('switch_record'), await count('emergency'), await count('agent')]).toEqual([switches, emergencies, agents]);
					const commands = new Set((await world.store.read.selectFrom('command').select('id').execute()).map(({ id }) => id));
					const replicas = new Set((await world.store.read.selectFrom('replica').select('id').execute()).map(({ id }) => id));
					expect(live.filter(({ id }) => !commands.has(id))).toEqual([]);
					expect(standing.filter(({ id }) => !replicas.has(id))).toEqual([]);
					const kept = world.given.filter(({ handle }) => after.has(handle));
					world.given.splice(0, world.given.length, ...kept);
					expect(await broken()).toEqual([]);
					const found = await checkStore(world.store, new Set(['host', 'agent', 'command', 'replica', 'emergency']));
					expect(found.flatMap(({ problems }) => problems)).toEqual([]);
				} finally {
					await world.close();
				}
			}),
			{ numRuns: Number(process.env['SPOTCTL_TEST_RUNS'] ?? (kind === 'sqlite' ? 4 : 1)) },
		);
		await open();
	}, 180_000);
});
