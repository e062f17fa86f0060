import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/deps.ts';
import { migrate, schemaState } from '../../src/store/migrate.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { type Db, together } from '../../src/store/statement.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { lockFile } from '../helpers/lock.ts';

const url = (file: string) => `sqlite:${file}`;
const add = (tx: Db, v: string) => sql`insert into t (v) values (${v})`.execute(tx);
const all = async (store: Store): Promise<string[]> =>
	(await sql<{ v: string }>`select v from t order by id`.execute(store.read)).rows.map(({ v }) => v);

/** A clock that lets a wait pass at once and says how long it has waited. */
const hasty = () => {
	let waited = 0;
	const asleep: (() => void)[] = [];
	return {
		clock: {
			...systemClock,
			elapsed: () => waited,
			sleep: (ms: number) =>
				new Promise<void>((done) => {
					waited += ms;
					for (const look of asleep) look();
					setImmediate(done);
				}),
		},
		waited: () => waited,
		whileWaiting: (look: () => void) => void asleep.push(look),
	};
};

describe('a SQLite file that another process has locked', () => {
	let file = '';
	let store: Store;
	let time: ReturnType<typeof hasty>;
	let unlock: (() => Promise<void>) | undefined;

	beforeEach(async () => {
		file = join(temporaryFolder('locked'), 'test.db');
		time = hasty();
		store = await openStore({ url: url(file), poolSize: 1, clock: time.clock });
		await sql`create table t (id integer primary key, v text unique)`.execute(store.ddl);
		await store.transact((tx) => add(tx, 'before'));
	});
	afterEach(async () => {
		await unlock?.();
		unlock = undefined;
		await store.close();
	});
	const lock = async () => {
		unlock = await lockFile(file);
	};
	const free = async () => {
		await unlock?.();
		unlock = undefined;
	};
	const refused = { kind: 'unavailable', code: 'DATABASE_UNAVAILABLE', message: 'another process has locked the database' };

	it('never stops the thread: what is read is answered while transactions wait', async () => {
		await lock();
		const since = performance.now();
		const longest = { ms: 0, at: since };
		const watch = setInterval(() => {
			longest.ms = Math.max(longest.ms, performance.now() - longest.at);
			longest.at = performance.now();
		}, 5);
		const waiting = store.transact((tx) => add(tx, 'late')).catch((error: unknown) => error);
		expect(await all(store)).toEqual(['before']);
		await store.ping();
		expect(await waiting).toMatchObject(refused);
		clearInterval(watch);
		expect(performance.now() - since).toBeLessThan(3000);
		expect(longest.ms).toBeLessThan(1000);
	});

	it('makes transactions wait five seconds, all of them together, and is refused at once from then on', async () => {
		await lock();
		const first = await Promise.allSettled(
			Array.from({ length: 600 }, (_, at) => store.transact((tx) => add(tx, `w${at}`), at % 2 === 0 ? 'urgent' : 'routine')),
		);
		expect(first.filter(({ status }) => status === 'fulfilled')).toEqual([]);
		const waited = time.waited();
		expect(waited).toBeGreaterThanOrEqual(5000);
		expect(waited).toBeLessThan(5100);
		for (let at = 0; at < 50; at++) await expect(store.transact((tx) => add(tx, `x${at}`))).rejects.toMatchObject(refused);
		await expect(store.transactTogether([])).rejects.toMatchObject({ extras: { retry_after_seconds: 2 } });
		expect(time.waited()).toBe(waited);
		expect([store.writes(), await all(store)]).toEqual(['locked', ['before']]);
		await free();
		await store.transact((tx) => add(tx, 'after'));
		expect([store.writes(), await all(store)]).toEqual(['ok', ['before', 'after']]);
		// The next lock is a new one, with patience of its own.
		await lock();
		await expect(store.transact((tx) => add(tx, 'again'))).rejects.toMatchObject(refused);
		expect(time.waited()).toBeGreaterThanOrEqual(waited + 5000);
	});

	it('keeps everything that was answered, in its order, when it is free in time', async () => {
		const other = new Database(file);
		other.exec('begin immediate');
		time.whileWaiting(() => {
			if (time.waited() < 2000) return;
			if (other.inTransaction) other.exec('rollback');
		});
		let asked = 0;
		const late: Promise<unknown>[] = [];
		time.whileWaiting(() => {
			if (asked < 300) late.push(store.transact((tx) => add(tx, `l${asked++}`)));
		});
		const early = Array.from({ length: 300 }, (_, at) => store.transact((tx) => add(tx, `e${at}`)));
		await Promise.all(early);
		await Promise.all(late);
		expect(late.length).toBeGreaterThan(10);
		expect(await all(store)).toEqual(['before', ...early.map((_, at) => `e${at}`), ...late.map((_, at) => `l${at}`)]);
		expect(store.writes()).toBe('ok');
		other.close();
	});

	it('is told apart from one that cannot be written to', async () => {
		await sql`pragma query_only = on`.execute(store.ddl);
		await expect(store.transact((tx) => add(tx, 'no'))).rejects.toMatchObject({ message: 'the database does not answer' });
		expect(store.writes()).toBe('failing');
		await sql`pragma query_only = off`.execute(store.ddl);
		await store.transact((tx) => together(tx, []));
		expect(store.writes()).toBe('ok');
	});

	it('is no longer called locked when it refuses to begin for another reason', async () => {
		await lock();
		await expect(store.transact((tx) => add(tx, 'no'))).rejects.toMatchObject(refused);
		expect(store.writes()).toBe('locked');
		await sql`pragma query_only = on`.execute(store.ddl);
		await expect(store.transact((tx) => add(tx, 'no'))).rejects.toMatchObject({ message: 'the database does not answer' });
		expect(store.writes()).toBe('failing');
	});

	it('does not hold up its closing', async () => {
		await lock();
		await expect(store.transact((tx) => add(tx, 'no'))).rejects.toMatchObject(refused);
		const waited = time.waited();
		await store.close();
		expect(time.waited()).toBe(waited);
		store = await openStore({ url: url(file), poolSize: 1, clock: time.clock });
		expect(await all(store)).toEqual(['before']);
	});
});

describe('a new SQLite file that another process has locked', () => {
	const lockedUntil = (file: string, ms: number) => {
		const time = hasty();
		const other = new Database(file);
		other.exec('begin exclusive');
		time.whileWaiting(() => {
			if (time.waited() >= ms && other.open) other.close();
		});
		return { ...time, end: () => other.close() };
	};

	it('is opened and migrated when it is free in time, without stopping the thread', async () => {
		const file = join(temporaryFolder('locked'), 'test.db');
		const opening = lockedUntil(file, 3000);
		const since = performance.now();
		const store = await openStore({ url: url(file), poolSize: 1, clock: opening.clock });
		expect(opening.waited()).toBeGreaterThanOrEqual(3000);
		const other = new Database(file);
		other.exec('begin immediate');
		const from = opening.waited();
		opening.whileWaiting(() => {
			if (opening.waited() >= from + 3000 && other.open) other.close();
		});
		expect((await migrate(store)).length).toBeGreaterThan(10);
		expect(opening.waited()).toBeGreaterThanOrEqual(from + 3000);
		expect((await schemaState(store)).state).toBe('current');
		expect(performance.now() - since).toBeLessThan(4000);
		await store.close();
	});

	it('is migrated through every lock of less than five seconds, however long the migration is, and each step is named once', async () => {
		const file = join(temporaryFolder('locked'), 'test.db');
		const time = hasty();
		let other: Database.Database | undefined;
		let made = 0;
		let until = 0;
		time.whileWaiting(() => {
			if (time.waited() >= until) other?.close();
		});
		const watch = (text: string) => {
			if (other?.open || !/^create table if not exists/.test(text.trim()) || ++made % 7 !== 0) return;
			until = time.waited() + 3000;
			other = new Database(file);
			other.exec('begin immediate');
		};
		const store = await openStore({ url: url(file), poolSize: 1, clock: time.clock, watch });
		const { pending } = await schemaState(store);
		expect(await migrate(store)).toEqual(pending);
		expect(time.waited()).toBeGreaterThan(6000);
		expect((await schemaState(store)).state).toBe('current');
		await store.close();
	});

	it('is not migrated when the lock lasts five seconds, counted from when it was met', async () => {
		const file = join(temporaryFolder('locked'), 'test.db');
		const time = hasty();
		const store = await openStore({ url: url(file), poolSize: 1, clock: time.clock });
		const other = new Database(file);
		other.exec('begin immediate');
		await expect(migrate(store)).rejects.toMatchObject({ code: 'SQLITE_BUSY' });
		expect(time.waited()).toBeGreaterThanOrEqual(5000);
		expect(time.waited()).toBeLessThan(5100);
		other.close();
		await store.close();
	});

	it('is refused after five seconds, in words, with nothing left open', async () => {
		const file = join(temporaryFolder('locked'), 'test.db');
		const held = lockedUntil(file, 60_000);
		await expect(openStore({ url: url(file), poolSize: 1, clock: held.clock })).rejects.toMatchObject({
			code: 'DATABASE_UNAVAILABLE',
			message: `cannot open the database file "${file}": another process has locked it`,
			hint: `see who has it open: fuser -v "${file}"`,
		});
		expect(held.waited()).toBeLessThan(5200);
		held.end();
	});
});

describe('a SQLite file on a file system without shared memory', () => {
	it('is refused, in words: readers and writer would lock each other out', async () => {
		const file = join(temporaryFolder('locked'), 'test.db');
		// What SQLite answers there; no such file system is at hand.
		const pragma = vi
			.spyOn(Database.prototype, 'pragma')
			.mockImplementation((text) => (text === 'journal_mode = WAL' ? 'delete' : undefined));
		try {
			await expect(openStore({ url: url(file), poolSize: 1, clock: systemClock })).rejects.toMatchObject({
				code: 'DATABASE_UNAVAILABLE',
				message: `cannot open the database file "${file}": its file system has no shared memory, which spotctl needs (journal mode "delete" instead of "wal")`,
				hint: 'put it on a disk of this machine: --database sqlite:/path/file.db',
			});
		} finally {
			pragma.mockRestore();
		}
		await (await openStore({ url: url(file), poolSize: 1, clock: systemClock })).close();
	});
});
