import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { createPool } from 'mysql2/promise';
import { sqliteFile } from '../src/store/sqlite.ts';
import type { BenchDatabase } from './servers.ts';

/** The database alone: what a promotion writes at the least, in one transaction on the same driver, with nothing around it. */
export type Raw = {
	/** Moves the primary of agent number `index` to another host, and waits for the commit. */
	promote(index: number): Promise<void>;
	close(): Promise<void>;
};

/** As many connections as one daemon has. */
const CONNECTIONS = 10;
const DEADLOCK = 1213;
const TABLES = [
	'create table raw_agent (id varchar(64) not null primary key, generation integer not null, version integer not null)',
	'create table raw_host (handle varchar(64) not null primary key, agent_id varchar(64) not null, primary_of varchar(64) unique, role varchar(16) not null)',
];
const MOVE_AGENT = 'update raw_agent set generation = generation + 1, version = version + 1 where id = ?';
const LEAVE = "update raw_host set role = 'zombie', primary_of = null where handle = ?";
const TAKE = "update raw_host set role = 'primary', primary_of = ? where handle = ?";

const agentOf = (index: number): string => `agent-${index}`;
const hostOf = (index: number, turn: number): string => `host-${index}-${turn}`;

const rows = (agents: number): Array<[sql: string, values: Array<string | null>]> =>
	Array.from(
		{ length: agents },
		(_, index): Array<[string, Array<string | null>]> => [
			['insert into raw_agent values (?, 1, 1)', [agentOf(index)]],
			["insert into raw_host values (?, ?, ?, 'primary')", [hostOf(index, 0), agentOf(index), agentOf(index)]],
			["insert into raw_host values (?, ?, null, 'replica')", [hostOf(index, 1), agentOf(index)]],
		],
	).flat();

/** Each agent goes back and forth between its two hosts. */
const createTurns = (): ((index: number) => readonly [from: string, to: string]) => {
	const turns = new Map<number, number>();
	return (index) => {
		const turn = turns.get(index) ?? 0;
		turns.set(index, 1 - turn);
		return [hostOf(index, turn), hostOf(index, 1 - turn)];
	};
};

const openSqlite = (url: string, agents: number): Raw => {
	const database = new Database(join(dirname(sqliteFile(url)), 'raw.db'));
	database.pragma('journal_mode = wal');
	database.pragma('synchronous = full');
	for (const table of TABLES) database.exec(table);
	database.transaction(() => {
		for (const [sql, values] of rows(agents)) database.prepare(sql).run(...values);
	})();
	const [agent, leave, take] = [database.prepare(MOVE_AGENT), database.prepare(LEAVE), database.prepare(TAKE)];
	const turn = createTurns();
	const promote = database.transaction((index: number) => {
		const [from, to] = turn(index);
		agent.run(agentOf(index));
		leave.run(from);
		take.run(agentOf(index), to);
	});
	return {
		promote: async (index) => promote.immediate(index),
		close: async () => void database.close(),
	};
};

const openMariadb = async (url: string, agents: number): Promise<Raw> => {
	const name = `${new URL(url).pathname.slice(1)}_raw`;
	const own = new URL(url);
	own.pathname = `/${name}`;
	const setup = createPool({ uri: url, connectionLimit: 1 });
	await setup.query(`create database ${name}`);
	await setup.end();
	const pool = createPool({ uri: own.href, connectionLimit: CONNECTIONS });
	pool.on('connection', (connection) => void connection.query('set session transaction isolation level read committed'));
	for (const table of TABLES) await pool.query(table);
	const connection = await pool.getConnection();
	await connection.beginTransaction();
	for (const [sql, values] of rows(agents)) await connection.execute(sql, values);
	await connection.commit();
	connection.release();
	const turn = createTurns();
	return {
		promote: async (index) => {
			const [from, to] = turn(index);
			const one = await pool.getConnection();
			for (let isDone = false; !isDone; ) {
				try {
					await one.beginTransaction();
					await one.execute(MOVE_AGENT, [agentOf(index)]);
					await one.execute(LEAVE, [from]);
					await one.execute(TAKE, [agentOf(index), to]);
					await one.commit();
					isDone = true;
				} catch (error) {
					// The check of a unique key locks its neighbours, also under read committed.
					if ((error as { errno?: number }).errno !== DEADLOCK) throw error;
					await one.rollback();
				}
			}
			one.release();
		},
		close: () => pool.end(),
	};
};

/** Beside the daemon's database: in a file, or a database of the same server. */
export const openRaw = async ({ name, url }: BenchDatabase, agents: number): Promise<Raw> =>
	name === 'sqlite' ? openSqlite(url, agents) : openMariadb(url, agents);
