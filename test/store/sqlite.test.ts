import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/deps.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { holdForDaemon, sqliteFile } from '../../src/store/sqlite.ts';
import { OWN_PAGES } from '../../src/store/sqlite-checkpoints.ts';
import type { Db } from '../../src/store/statement.ts';
import { startDaemon, stopDaemons } from '../helpers/daemon.ts';

let folder = '';
let url = '';
let store: Store;
let told: string[] = [];

beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), 'spotctl-store-'));
	url = `sqlite:${join(folder, 'test.db')}`;
	told = [];
	store = await openStore({ url, poolSize: 1, clock: systemClock, tell: (what) => told.push(what) });
	await sql`create table t (id integer primary key, v text unique)`.execute(store.ddl);
});
afterEach(async () => {
	await store.close();
	await stopDaemons();
	rmSync(folder, { recursive: true, force: true });
});

const add = (tx: Db, v: string) => sql`insert into t (v) values (${v})`.execute(tx);
const all = async (from = store): Promise<string[]> =>
	(await sql<{ v: string }>`select v from t order by id`.execute(from.read)).rows.map(({ v }) => v);
const turn = () => new Promise((done) => setImmediate(done));

describe('the write-ahead log', () => {
	it('is copied back while commits go on, before the writer would have to do it, and nothing is lost', async () => {
		await sql`create table page (id integer primary key, v blob not null)`.execute(store.ddl);
		const log = async (): Promise<number> => (await sql<{ log: number }>`pragma wal_checkpoint(noop)`.execute(store.ddl)).rows[0]?.log ?? 0;
		let pages = 0;
		const addPages = async (): Promise<void> => {
			await store.transact((tx) =>
				sql`insert into page (v) select randomblob(4000) from (with recursive n(i) as (select 1 union all select i + 1 from n where i < 30) select i from n)`.execute(
					tx,
				),
			);
			pages += 30;
			await turn();
		};
		// 12,000 pages, and the writer itself copies back at OWN_PAGES. The log may have begun anew before the last of them: on to where it must.
		expect(OWN_PAGES).toBeGreaterThan(12_000);
		while (pages < 12_000 || (await log()) < 5_000) await addPages();
		// Once it is all copied back the next commit begins it anew; until the thread has done so, each one makes it a few pages longer. On a busy
		// machine the thread gets its turn late, and its disk: the commits wait for it a little longer each time, a minute in all.
		let longest = await log();
		for (let commit = 0; commit < 350 && (await log()) > 1_000; commit++) {
			await store.transact((tx) => add(tx, `${commit}`));
			longest = Math.max(longest, await log());
			await delay(commit);
		}
		expect({ told, length: await log(), longest }).toEqual({
			told: [],
			length: expect.toSatisfy((now) => now <= 1_000),
			longest: expect.toSatisfy((now) => now < OWN_PAGES),
		});
		const other = await openStore({ url, poolSize: 1, clock: systemClock });
		const { rows } = await sql<{
			count: number;
			sound: string;
		}>`select count(*) as count, (select * from pragma_integrity_check) as sound from page`.execute(other.read);
		await other.close();
		expect(rows).toEqual([{ count: pages, sound: 'ok' }]);
	});
});

describe('transactions that arrive together', () => {
	it('share a commit, in the order they came, and each is answered after it', async () => {
		const commits: string[] = [];
		const watched = await openStore({ url, poolSize: 1, clock: systemClock });
		const order: number[] = [];
		const seen: number[] = [];
		await Promise.all(
			Array.from({ length: 300 }, (_, at) =>
				watched
					.transact(async (tx) => {
						order.push(at);
						await add(tx, `v${at}`);
						// Nobody else may see it before it is durable.
						if (at % 50 === 0) commits.push(...(await all()).filter((v) => v === `v${at}`));
					})
					.then(() => seen.push(at)),
			),
		);
		expect(order).toEqual([...order].sort((a, b) => a - b));
		expect(seen).toEqual(order);
		expect(commits).toEqual([]);
		expect(await all()).toEqual(Array.from({ length: 300 }, (_, at) => `v${at}`));
		await watched.close();
	});

	it('do not suffer from one that fails: only its own rows are taken back', async () => {
		const results = await Promise.allSettled(
			Array.from({ length: 30 }, (_, at) =>
				store.transact(async (tx) => {
					await add(tx, `a${at}`);
					await turn();
					if (at % 3 === 1) throw new Error(`no ${at}`);
					if (at % 3 === 2) await add(tx, 'a0');
					await add(tx, `b${at}`);
					return at;
				}),
			),
		);
		for (const [at, result] of results.entries()) {
			if (at % 3 === 0) expect(result).toEqual({ status: 'fulfilled', value: at });
			else if (at % 3 === 1) expect(result).toMatchObject({ status: 'rejected', reason: { message: `no ${at}` } });
			else expect(store.dialect.isDuplicate((result as PromiseRejectedResult).reason)).toBe(true);
		}
		expect(await all()).toEqual(Array.from({ length: 10 }, (_, at) => [`a${at * 3}`, `b${at * 3}`]).flat());
		expect(await store.transact((tx) => add(tx, 'later').then(() => 'done'))).toBe('done');
	});

	it('have a commit of their own where they are large, with what undoes them in a file: it is in memory for the others', async () => {
		const lanes = ['routine', 'routine', 'large', 'urgent', 'routine'] as const;
		const seen: string[] = [];
		const keeps = async (lane: string): Promise<void> => {
			const { rows } = await sql<{ temp_store: number }>`pragma temp_store`.execute(store.ddl);
			seen.push(`${lane} ${rows[0]?.temp_store === 2 ? 'memory' : 'file'}`);
		};
		await keeps('migration');
		await Promise.all(lanes.map((lane, at) => store.transact((tx) => keeps(lane).then(() => add(tx, `l${at}`)), lane)));
		expect(seen).toEqual(['migration file', 'urgent memory', 'routine memory', 'routine memory', 'large file', 'routine memory']);
		expect((await all()).sort()).toEqual(['l0', 'l1', 'l2', 'l3', 'l4']);
	});

	it('read what they wrote themselves, and what came before them', async () => {
		const counts = await Promise.all(
			['x', 'y', 'z'].map((v) =>
				store.transact(async (tx) => {
					await add(tx, v);
					return (await sql<{ n: number }>`select count(*) as n from t`.execute(tx)).rows[0]?.n;
				}),
			),
		);
		expect(counts).toEqual([1, 2, 3]);
	});

	it('are finished before the file is closed, and refused afterwards', async () => {
		const running = [1, 2, 3].map((at) => store.transact(async (tx) => turn().then(() => add(tx, `r${at}`))));
		await store.close();
		await Promise.all(running);
		await expect(store.transact((tx) => add(tx, 'late'))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
		store = await openStore({ url, poolSize: 1, clock: systemClock });
		expect(await all()).toEqual(['r1', 'r2', 'r3']);
	});
});

describe('rows', () => {
	it('have the columns of the table as it is since its last change, on both connections', async () => {
		await store.transact((tx) =>
			sql`create table s (a integer, b integer)`.execute(tx).then(() => sql`insert into s values (1, 2)`.execute(tx)),
		);
		const rows = async () =>
			(await Promise.all([store.read, store.ddl].map((db) => sql`select * from s`.execute(db)))).map((result) => result.rows);
		expect(await rows()).toEqual([[{ a: 1, b: 2 }], [{ a: 1, b: 2 }]]);
		await sql`alter table s rename column a to z`.execute(store.ddl);
		expect(await rows()).toEqual([[{ z: 1, b: 2 }], [{ z: 1, b: 2 }]]);
	});
});

describe('the file', () => {
	it('is for its owner alone, is flushed at every commit, and checks foreign keys', async () => {
		expect(statSync(join(folder, 'test.db')).mode & 0o777).toBe(0o600);
		const settings = await Promise.all(
			['journal_mode', 'synchronous', 'foreign_keys'].map(
				async (name) => Object.values((await sql.raw(`pragma ${name}`).execute(store.ddl)).rows[0] ?? {})[0],
			),
		);
		expect(settings).toEqual(['wal', 2, 1]);
		await expect(sql`insert into t (v) values ('x')`.execute(store.read)).rejects.toMatchObject({ code: 'SQLITE_READONLY' });
	});

	it('that is none, or none of ours, is refused in words', async () => {
		const garbage = join(folder, 'garbage.db');
		writeFileSync(garbage, 'this is no database, but it is long enough to look like one'.repeat(100));
		chmodSync(garbage, 0o600);
		await expect(openStore({ url: `sqlite:${garbage}`, poolSize: 1, clock: systemClock })).rejects.toMatchObject({
			kind: 'unavailable',
			code: 'DATABASE_UNAVAILABLE',
		});
		await expect(openStore({ url: `sqlite:${folder}`, poolSize: 1, clock: systemClock })).rejects.toMatchObject({
			code: 'DATABASE_UNAVAILABLE',
		});
		for (const none of ['sqlite:', 'sqlite::memory:', 'sqlite:/a%00b'])
			await expect(openStore({ url: none, poolSize: 1, clock: systemClock })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
		await expect(openStore({ url: 'postgres://x', poolSize: 1, clock: systemClock })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
		expect(sqliteFile('sqlite:///a%20b/c.db')).toBe('/a b/c.db');
	});

	it('keeps every row that was answered when the process is killed', async () => {
		for (const after of [60, 400]) {
			const file = join(folder, `killed-${after}.db`);
			const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'writer.ts'), `sqlite:${file}`], {
				stdio: ['ignore', 'pipe', 'inherit'],
			});
			let said = '';
			const ended = new Promise<void>((done) => child.once('close', () => done()));
			const enough = new Promise<void>((done) => {
				child.stdout.setEncoding('utf8').on('data', (text: string) => {
					said += text;
					if (said.split('\n').length > after) done();
				});
			});
			await Promise.race([enough, ended]);
			child.kill('SIGKILL');
			await ended;
			const answered = said.split('\n').slice(0, -1);
			expect(answered.length).toBeGreaterThanOrEqual(after);
			const again = await openStore({ url: `sqlite:${file}`, poolSize: 1, clock: systemClock });
			expect(await migrate(again)).toEqual([]);
			const kept = new Set((await again.read.selectFrom('client').select('id').execute()).map(({ id }) => id));
			expect(answered.filter((id) => !kept.has(id))).toEqual([]);
			expect((await sql<{ integrity_check: string }>`pragma integrity_check`.execute(again.ddl)).rows).toEqual([{ integrity_check: 'ok' }]);
			await again.close();
		}
	});

	it('is worked on by one daemon at a time; the second is told, and may when the first has ended', async () => {
		const own = `sqlite:${join(folder, 'own.db')}`;
		const first = await startDaemon(own);
		await expect(startDaemon(own)).rejects.toMatchObject({ kind: 'conflict', code: 'DATABASE_IN_USE', exitCode: 6 });
		// The refused start has harmed neither the first nor the lock.
		await expect(startDaemon(own)).rejects.toMatchObject({ code: 'DATABASE_IN_USE' });
		expect((await first.send({ path: '/readyz' })).status).toBe(200);
		await first.stop();
		const second = await startDaemon(own);
		expect((await second.send({ path: '/readyz' })).status).toBe(200);
		expect(() => holdForDaemon(own)).toThrow(/another spotctl daemon/);
	});

	it('is let go of by a process that was killed', async () => {
		const own = `sqlite:${join(folder, 'held.db')}`;
		const script = `import('${join(import.meta.dirname, '../../src/store/sqlite.ts')}').then(({ holdForDaemon }) => { globalThis.release = holdForDaemon('${own}'); console.log('held'); setInterval(() => {}, 1000); });`;
		const child = spawn(process.execPath, ['--import', 'tsx', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
		try {
			await new Promise((done) => child.stdout.once('data', done));
			expect(() => holdForDaemon(own)).toThrow(/another spotctl daemon/);
		} finally {
			child.kill('SIGKILL');
			await new Promise((done) => child.once('close', done));
		}
		const release = holdForDaemon(own);
		release();
		expect(existsSync(join(folder, 'held.db'))).toBe(false);
	});
});
