import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/deps.ts';
import { addLogicalId, agentOfLogicalId } from '../../src/store/agents.ts';
import { addClient, type Client, clientById } from '../../src/store/clients.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { type Db, mayFail, statement, together } from '../../src/store/statement.ts';
import { createDatabase, sharedMariadb, type TestDatabase } from '../helpers/mariadb.ts';

const shared = sharedMariadb();

describe.skipIf('missing' in shared)('MariaDB', () => {
	let database: TestDatabase;
	const opened: Store[] = [];
	beforeEach(async () => {
		database = await createDatabase();
	});
	afterEach(async () => {
		for (const store of opened.splice(0)) await store.close();
		await database.drop();
	});
	const open = async (poolSize = 4, clock: Clock = systemClock, url = database.url): Promise<Store> => {
		const store = await openStore({ url, poolSize, clock });
		opened.push(store);
		return store;
	};
	const table = async (): Promise<Store> => {
		const store = await open();
		await sql`create table t (id integer primary key, n integer not null) engine = InnoDB`.execute(store.ddl);
		await sql`insert into t values (1, 0), (2, 0)`.execute(store.ddl);
		return store;
	};
	const raise = (tx: Db, id: number) => sql`update t set n = n + 1 where id = ${id}`.execute(tx);
	const counted = async (store: Store) =>
		(await sql<{ n: number }>`select n from t order by id`.execute(store.read)).rows.map(({ n }) => n);

	it('is spoken to in READ COMMITTED and strict mode, on every connection', async () => {
		const store = await open(3);
		const modes = await Promise.all(
			Array.from({ length: 6 }, async () => {
				const { rows } = await sql<{ i: string; m: string }>`select @@tx_isolation as i, @@sql_mode as m`.execute(store.read);
				return [rows[0]?.i, rows[0]?.m];
			}),
		);
		for (const [isolation, mode] of modes)
			expect([isolation, mode]).toEqual(['READ-COMMITTED', 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION']);
	});

	it('begins a transaction again that lost a deadlock, and both come through', async () => {
		const store = await table();
		let attempts = 0;
		let arrived = 0;
		let both: () => void = () => undefined;
		const met = new Promise<void>((done) => {
			both = done;
		});
		const cross = (first: number, second: number) =>
			store.transact(async (tx) => {
				attempts++;
				await raise(tx, first);
				if (++arrived === 2) both();
				await met;
				await raise(tx, second);
			});
		await Promise.all([cross(1, 2), cross(2, 1)]);
		expect(attempts).toBe(3);
		expect(await counted(store)).toEqual([2, 2]);
	});

	it('gives a transaction up that loses again and again, as 503 and not as a bug', async () => {
		const store = await table();
		let attempts = 0;
		const lost = store.transact(async (tx) => {
			attempts++;
			await raise(tx, 1);
			throw Object.assign(new Error('Deadlock found'), { errno: 1213 });
		});
		await expect(lost).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', status: 503 });
		expect([attempts, await counted(store)]).toEqual([4, [0, 0]]);
	});

	it('keeps nothing of a transaction that fails, and the connection is good for the next', async () => {
		const store = await open(1);
		await sql`create table t (id integer primary key, n integer not null) engine = InnoDB`.execute(store.ddl);
		await sql`insert into t values (1, 0), (2, 0)`.execute(store.ddl);
		for (const fail of [
			async (tx: Db) => sql`insert into t values (1, 1)`.execute(tx),
			async (tx: Db) => sql`select * from nowhere`.execute(tx),
			async () => Promise.reject(new Error('own')),
		]) {
			await expect(
				store.transact(async (tx) => {
					await raise(tx, 1);
					await fail(tx);
				}),
			).rejects.toThrow();
		}
		await store.transact((tx) => raise(tx, 2));
		expect(await counted(store)).toEqual([0, 1]);
	});

	it('hears at the commit of a write that was sent with it, and rolls back', async () => {
		const store = await open(2);
		await migrate(store);
		const client: Client = {
			id: 'c',
			name: 'c',
			email: null,
			status: 'active',
			max_agents: null,
			max_instances: null,
			test_client: 0,
			last_sync_at: null,
			created_at: 1,
		};
		await store.transact((tx) => addClient(tx, client));
		const orphan = store.transact(async (tx) => {
			await addClient(tx, { ...client, id: 'd', name: 'd' });
			await addLogicalId.later(tx, { client_id: 'c', logical_id: 'x', agent_id: 'nobody' });
		});
		const error = await orphan.catch((found: unknown) => found);
		expect(store.dialect.isOrphan(error)).toBe(true);
		expect(await clientById.first(store.read, { id: 'd' })).toBeUndefined();
		// What was left unsent by a transaction that failed by itself is never sent by anybody.
		await expect(
			store.transact(async (tx) => {
				await addLogicalId.later(tx, { client_id: 'c', logical_id: 'y', agent_id: 'nobody' });
				throw new Error('own');
			}),
		).rejects.toThrow('own');
		await store.transact((tx) => clientById.first(tx, { id: 'c' }));
		expect(await agentOfLogicalId.first(store.read, { client_id: 'c', logical_id: 'y' })).toBeUndefined();
	});

	it('keeps what a transaction writes when a read may fail and does, and what waited before it is there', async () => {
		const store = await table();
		const missing = statement<{ id: number }>()((db, v) =>
			db
				.selectFrom('nowhere' as never)
				.selectAll()
				.where('id' as never, '=', v('id') as never),
		);
		const raiseLater = statement<{ id: number }>()((db, v) =>
			db
				.updateTable('t' as never)
				.set({ n: sql`n + 1` } as never)
				.where('id' as never, '=', v('id') as never),
		);
		const found = await store.transact(async (tx) => {
			await raiseLater.later(tx, { id: 1 });
			const error = await together(mayFail(tx), [missing.of({ id: 1 }), missing.of({ id: 2 })]).catch((caught: unknown) => caught);
			await raiseLater.later(tx, { id: 2 });
			return error;
		});
		expect(found).toMatchObject({ errno: 1146 });
		expect(await counted(store)).toEqual([1, 1]);
		// What is written through that view is no read: it travels, and fails, as any other.
		await store.transact(async (tx) => {
			await raiseLater.later(mayFail(tx), { id: 1 });
		});
		expect(await counted(store)).toEqual([2, 1]);
		const lost = store.transact(async (tx) => {
			await missing.later(mayFail(tx), { id: 1 });
		});
		await expect(lost).rejects.toMatchObject({ errno: 1146 });
		// A read that must not fail takes the transaction with it, whoever swallows its error.
		const swallowed = store.transact(async (tx) => {
			await raiseLater.later(tx, { id: 1 });
			await missing.all(tx, { id: 1 }).catch(() => undefined);
		});
		await expect(swallowed).rejects.toMatchObject({ errno: 1146 });
		expect(await counted(store)).toEqual([2, 1]);
	});

	it('gets every text as it is, alone and in a packet with others', async () => {
		const store = await open(2);
		await sql`create table words (id integer auto_increment primary key, w text not null) engine = InnoDB character set utf8mb4 collate utf8mb4_nopad_bin`.execute(
			store.ddl,
		);
		const texts = [
			"'",
			'"',
			'\\',
			"\\'",
			'?',
			'??',
			':name',
			';',
			"'; drop table words; --",
			'/*later*/',
			'\u0000',
			'\u001a',
			'\n\r\t',
			'🙂',
			'%',
			'_',
			'`',
			'{}',
			'x'.repeat(9000),
			'',
		];
		const insert = statement<{ w: string }>()((db, v) => db.insertInto('words' as never).values({ w: v('w') } as never));
		const find = statement<{ w: string }>()((db, v) =>
			db
				.selectFrom('words' as never)
				.selectAll()
				.where('w' as never, '=', v('w') as never),
		);
		await store.transact(async (tx) => {
			for (const w of texts) await insert.later(tx, { w });
		});
		for (const w of texts) await store.transact(async (tx) => insert.run(tx, { w }));
		const found = (await sql<{ w: string }>`select w from words order by id`.execute(store.read)).rows.map((row) => row.w);
		expect(found).toEqual([...texts, ...texts]);
		for (const w of texts) {
			const [twice, none] = await together(store.read, [find.of({ w }), find.of({ w: `${w} ` })]);
			expect([w.slice(0, 30), twice.length, none.length]).toEqual([w.slice(0, 30), 2, 0]);
		}
	});

	it('makes a request wait for a connection a bounded time, then says 503', async () => {
		const waits: Array<{ ms: number; run: () => void }> = [];
		const clock: Clock = {
			...systemClock,
			after: (ms, run) => {
				const wait = { ms, run };
				waits.push(wait);
				return () => void waits.splice(waits.indexOf(wait), 1);
			},
		};
		const store = await open(2, clock);
		let letGo: () => void = () => undefined;
		const held = new Promise<void>((done) => {
			letGo = done;
		});
		let holding = 0;
		const holders = [1, 2].map(() =>
			store.transact(async (tx) => {
				await sql`select 1`.execute(tx);
				holding++;
				await held;
			}),
		);
		await expect.poll(() => holding).toBe(2);
		const late = sql`select 1`.execute(store.read).catch((error: unknown) => error);
		const patient = sql<{ one: number }>`select 1 as one`.execute(store.read);
		await expect.poll(() => waits.length).toBe(2);
		expect(waits.map(({ ms }) => ms)).toEqual([5000, 5000]);
		waits[0]?.run();
		expect(await late).toMatchObject({ code: 'DATABASE_UNAVAILABLE', status: 503, extras: { retry_after_seconds: 2 } });
		letGo();
		await Promise.all(holders);
		expect((await patient).rows).toEqual([{ one: 1 }]);
		// The connection that came too late for the first went back to the pool.
		await Promise.all([1, 2, 3, 4].map(() => sql`select 1`.execute(store.read)));
	});

	it('that cuts a connection off in a transaction is 503, nothing of it stays, and the next works', async () => {
		const store = await table();
		const other = await open(1);
		const cut = store.transact(async (tx) => {
			await raise(tx, 1);
			const { rows } = await sql<{ id: number }>`select connection_id() as id`.execute(tx);
			await sql.raw(`kill ${rows[0]?.id}`).execute(other.read);
			await raise(tx, 2);
		});
		await expect(cut).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
		await store.transact((tx) => raise(tx, 1));
		expect(await counted(store)).toEqual([1, 0]);
	});

	it('that refuses the password, or knows no such database, is unavailable and keeps its words to itself', async () => {
		const wrong = new URL(database.url);
		wrong.password = 'wrong';
		const nowhere = new URL(database.url);
		nowhere.pathname = '/no_such_database';
		for (const url of [wrong.href, nowhere.href, 'mysql://root@127.0.0.1:1/x']) {
			const store = await open(1, systemClock, url);
			const error = await store.ping().catch((found: unknown) => found);
			expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', message: 'the database does not answer' });
			await expect(store.transact((tx) => sql`select 1`.execute(tx))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
		}
	});

	it('is not asked for by a URL that names no database', async () => {
		for (const url of ['mysql://root@127.0.0.1:3306', 'mysql://root@127.0.0.1:3306/', 'mysql:///name', 'mysql:name'])
			await expect(openStore({ url, poolSize: 1, clock: systemClock })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
	});
});
