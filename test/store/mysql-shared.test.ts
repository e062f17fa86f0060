import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/deps.ts';
import { SpotError } from '../../src/errors.ts';
import { StaleRow } from '../../src/store/dialect.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { type Db, statement, together } from '../../src/store/statement.ts';
import { createDatabase, sharedMariadb, type TestDatabase } from '../helpers/mariadb.ts';

const lock = statement<{ id: number }>()((db, v) =>
	db
		.selectFrom('t' as never)
		.selectAll()
		.where('id' as never, '=', v('id') as never)
		.modifyEnd(sql`for update`),
);
const raise = statement<{ id: number }>()((db, v) =>
	db
		.updateTable('t' as never)
		.set({ n: sql`n + 1` } as never)
		.where('id' as never, '=', v('id') as never),
);
const insert = statement<{ id: number }>()((db, v) => db.insertInto('t' as never).values({ id: v('id'), n: 0 } as never));

describe.skipIf('missing' in sharedMariadb())('a transaction of several callers on MariaDB', () => {
	let database: TestDatabase;
	let store: Store;
	const packets: string[] = [];
	beforeEach(async () => {
		database = await createDatabase();
		store = await openStore({ url: database.url, poolSize: 3, clock: systemClock, watch: (text) => void packets.push(text) });
		await sql`create table t (id integer primary key, n integer not null) engine = InnoDB`.execute(store.ddl);
		await sql`insert into t values (1, 0), (2, 0), (3, 0)`.execute(store.ddl);
		packets.length = 0;
	});
	afterEach(async () => {
		await store.close();
		await database.drop();
	});
	const share = <T>(works: ReadonlyArray<(tx: Db) => Promise<T>>, last: (tx: Db) => Promise<void> = async () => undefined) => {
		if (store.transactShared === null) throw new Error('not on this database');
		return store.transactShared(works, (tx) => last(tx));
	};
	const counted = async () => (await sql<{ n: number }>`select n from t order by id`.execute(store.read)).rows.map(({ n }) => n);
	const raised = (id: number) => async (tx: Db) => {
		const [row] = await lock.all(tx, { id });
		await raise.must(tx, { id });
		return (row as unknown as { id: number }).id;
	};

	it('answers each with his own rows, and begins and commits once', async () => {
		expect(await share([raised(3), raised(1), raised(2)])).toEqual([{ value: 3 }, { value: 1 }, { value: 2 }]);
		expect(await counted()).toEqual([1, 1, 1]);
		expect(packets.filter((text) => text === 'start transaction' || text === 'commit')).toEqual(['start transaction', 'commit']);
	});

	it('goes on without whoever failed before he wrote, and tells which', async () => {
		const refused = async (tx: Db): Promise<number> => {
			await lock.all(tx, { id: 2 });
			throw new Error('404');
		};
		expect(await share([raised(1), refused, raised(3)])).toEqual([{ value: 1 }, null, { value: 3 }]);
		expect(await counted()).toEqual([1, 0, 1]);
	});

	it('is lost for all when one fails who had written, whatever he had only handed over', async () => {
		const failing = async (tx: Db): Promise<number> => {
			await raise.later(tx, { id: 2 });
			throw new Error('after a write');
		};
		await expect(share([raised(1), failing, raised(3)])).rejects.toThrow('after a write');
		expect(await counted()).toEqual([0, 0, 0]);
	});

	it('is lost for all when one statement fails, also one that the last packet carries', async () => {
		const doubled = async (tx: Db): Promise<number> => {
			await insert.later(tx, { id: 1 });
			return 0;
		};
		const error = await share([raised(1), doubled, raised(3)]).catch((found: unknown) => found);
		expect(store.dialect.isDuplicate(error)).toBe(true);
		expect(await counted()).toEqual([0, 0, 0]);
		// What waited behind the failure is not sent by whoever gets the connection next.
		expect(await share([raised(1), raised(2)])).toEqual([{ value: 1 }, { value: 2 }]);
		expect(await counted()).toEqual([1, 1, 0]);
	});

	it('refuses the second of two who lock the same row: a lock keeps out others, not each other', async () => {
		const [first, second, other] = await share([raised(2), raised(2), raised(3)]);
		expect([first, second, other]).toEqual([{ value: 2 }, null, { value: 3 }]);
		expect(await counted()).toEqual([0, 1, 1]);
	});

	it('refuses him as out of date also where he has written, and then all of it is lost', async () => {
		const late = async (tx: Db): Promise<number> => {
			await raise.later(tx, { id: 3 });
			await lock.all(tx, { id: 2 });
			return 0;
		};
		await expect(share([raised(2), late])).rejects.toBeInstanceOf(StaleRow);
		expect(await counted()).toEqual([0, 0, 0]);
	});

	it('does not take the row that another has changed for the one that an update had to match', async () => {
		const missing = async (tx: Db): Promise<number> => {
			await raise.must(tx, { id: 99 });
			return 0;
		};
		for (const works of [
			[raised(1), missing],
			[missing, raised(1)],
			[raised(1), missing, raised(2)],
		]) {
			const error = await share(works).catch((found: unknown) => found);
			expect(store.dialect.isStale(error)).toBe(true);
		}
		expect(await counted()).toEqual([0, 0, 0]);
	});

	it('writes what is said at its end with what the members wrote, or none of it', async () => {
		await share([raised(1)], async (tx) => insert.later(tx, { id: 4 }));
		await expect(share([raised(1)], async (tx) => insert.later(tx, { id: 4 }))).rejects.toMatchObject({ errno: 1062 });
		expect(await counted()).toEqual([1, 0, 0, 0]);
	});

	it('does not wait long for a row that somebody else holds', async () => {
		let letGo: () => void = () => undefined;
		const held = new Promise<void>((done) => {
			letGo = done;
		});
		let isLocked: () => void = () => undefined;
		const locked = new Promise<void>((done) => {
			isLocked = done;
		});
		const holder = store.transact(async (tx) => {
			await lock.all(tx, { id: 2 });
			isLocked();
			await held;
		});
		await locked;
		const error = await share([raised(1), raised(2)]).catch((found: unknown) => found);
		expect(store.dialect.isBusy(error)).toBe(true);
		letGo();
		await holder;
		expect(await counted()).toEqual([0, 0, 0]);
	});

	it('also answers statements that many ask for at once, each with his own rows, a few commits for all', async () => {
		// A row for each: two packets that meet on one go apart.
		const ids = Array.from({ length: 40 }, (_, index) => index + 10);
		for (const id of ids) await store.transact((tx) => insert.run(tx, { id }));
		packets.length = 0;
		const answers = await Promise.all(ids.map((id) => store.transactTogether([raise.of({ id }), lock.of({ id })])));
		expect(answers.map(([, rows]) => rows as unknown)).toEqual(ids.map((id) => [{ id, n: 1 }]));
		expect(await counted()).toEqual([0, 0, 0, ...ids.map(() => 1)]);
		expect(packets.filter((text) => text === 'commit').length).toBeLessThan(20);
	});

	it('also where they ask for the same rows: each is done once', async () => {
		await Promise.all(Array.from({ length: 40 }, (_, index) => store.transactTogether([raise.of({ id: (index % 3) + 1 })])));
		expect(await counted()).toEqual([14, 13, 13]);
	});

	it('loses no statement of the others when one of those asked for at once is refused', async () => {
		const outcomes = await Promise.allSettled([
			store.transactTogether([raise.of({ id: 1 })]),
			...[1, 2, 3].map(() => store.transactTogether([raise.of({ id: 2 })])),
			store.transactTogether([raise.of({ id: 3 }), insert.of({ id: 1 })]),
			store.transactTogether([raise.of({ id: 1 })]),
		]);
		expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
		expect(await counted()).toEqual([2, 3, 0]);
	});

	it('says that all of it was undone when its connection is cut before the commit, and the next works', async () => {
		const cut = async (tx: Db): Promise<number> => {
			const { rows } = await sql<{ id: number }>`select connection_id() as id`.execute(tx);
			await sql.raw(`kill ${rows[0]?.id}`).execute(store.read);
			await raise.run(tx, { id: 2 });
			return 0;
		};
		const error = await share([raised(1), cut]).catch((found: unknown) => found);
		expect([store.dialect.isUnavailable(error), error instanceof SpotError]).toEqual([true, false]);
		expect(await counted()).toEqual([0, 0, 0]);
		expect(await share([raised(1), raised(2)])).toEqual([{ value: 1 }, { value: 2 }]);
		expect(await counted()).toEqual([1, 1, 0]);
	});

	it('says so also where nobody had written yet', async () => {
		const cut = async (tx: Db): Promise<number> => {
			const { rows } = await sql<{ id: number }>`select connection_id() as id`.execute(tx);
			await sql.raw(`kill ${rows[0]?.id}`).execute(store.read);
			return (await lock.all(tx, { id: 2 })).length;
		};
		const error = await share([cut, cut]).catch((found: unknown) => found);
		expect([store.dialect.isUnavailable(error), error instanceof SpotError]).toEqual([true, false]);
	});

	it('answers 503 when it is cut at its commit, which may have arrived', async () => {
		let id = 0;
		const named = async (tx: Db): Promise<number> => {
			id = (await sql<{ id: number }>`select connection_id() as id`.execute(tx)).rows[0]?.id ?? 0;
			return raised(2)(tx);
		};
		const last = async (): Promise<void> => {
			await sql.raw(`kill ${id}`).execute(store.read);
		};
		await expect(share([raised(1), named], last)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', status: 503 });
	});

	it('reads several things of each member in one packet with those of the others', async () => {
		const both = (id: number) => async (tx: Db) => {
			const [rows, again] = await together(tx, [lock.of({ id }), lock.of({ id })]);
			return rows.length + again.length;
		};
		expect(await share([both(1), both(2), both(3)])).toEqual([{ value: 2 }, { value: 2 }, { value: 2 }]);
	});
});
