import { type RawBuilder, sql } from 'kysely';
import type { Store } from './open.ts';
import type { Db } from './statement.ts';

/** One thing that was looked at; `problems` is empty where it is as it should be. */
export type Finding = { readonly check: string; readonly problems: readonly string[] };

type Check = { readonly name: string; find(store: Store): Promise<readonly string[]> };

const MOST = 20;

const shortened = (problems: readonly string[]): readonly string[] =>
	problems.length <= MOST ? problems : [...problems.slice(0, MOST), `and ${problems.length - MOST} more`];

/** What must hold whatever was done, as queries for the ids of those for whom it does not. */
const INVARIANTS: ReadonlyArray<readonly [string, RawBuilder<{ id: string }>]> = [
	[
		'every live agent has exactly one primary',
		sql`select a.id as id from agent a where a.deleted_at is null and (select count(*) from host h where h.primary_of = a.id) <> 1`,
	],
	[
		'a primary is the primary of its own agent',
		sql`select handle as id from host where (role = 'primary' and (primary_of is null or primary_of <> agent_id)) or (role <> 'primary' and primary_of is not null)`,
	],
	[
		'a machine belongs to the client of its agent',
		sql`select h.handle as id from host h join agent a on a.id = h.agent_id where a.client_id <> h.client_id`,
	],
	['auto switch and manual replica exclude each other', sql`select id from agent where auto_switch_enabled + manual_replica_enabled > 1`],
	[
		'an agent has one open switch, and closed ones are closed',
		sql`select id from command where (command_type = 'switch' and status in ('pending', 'claimed') and (open_switch_of is null or open_switch_of <> agent_id))
			or (status not in ('pending', 'claimed') and open_switch_of is not null)`,
	],
	[
		"a live replica is the one of its agent, and an ended one is nobody's",
		sql`select id from replica where (status in ('launching', 'syncing', 'ready') and (live_of is null or live_of <> agent_id))
			or (status not in ('launching', 'syncing', 'ready') and live_of is not null)`,
	],
	[
		'an open emergency is the one of its agent, and something is due for it',
		sql`select e.id as id from emergency e join agent a on a.id = e.agent_id where (e.open_of is not null and (e.open_of <> e.agent_id or a.attention_at is null))
			or (e.open_of is null and e.outcome is null)`,
	],
	[
		'the machine of a live replica is a replica of its agent',
		sql`select r.id as id from replica r join host h on h.handle = r.handle where r.live_of is not null and (h.role <> 'replica' or h.agent_id <> r.agent_id)`,
	],
	['a switch to spot names its pool', sql`select id from command where target_mode = 'spot' and target_pool_id is null`],
];

const invariants: readonly Check[] = INVARIANTS.map(([name, query]) => ({
	name,
	find: async ({ read }) => (await query.execute(read)).rows.map(({ id }) => String(id)),
}));

const sqliteChecks: readonly Check[] = [
	{
		name: 'the file is sound',
		// On a connection that can only read, SQLite leaves the CHECK constraints out (seen with 3.53).
		find: async ({ ddl }) =>
			(await sql<{ integrity_check: string }>`pragma integrity_check`.execute(ddl)).rows
				.map((row) => row.integrity_check)
				.filter((text) => text !== 'ok'),
	},
	{
		name: 'what is referred to exists',
		find: async ({ read }) =>
			(await sql<{ table: string; rowid: number; parent: string }>`pragma foreign_key_check`.execute(read)).rows.map(
				({ table, rowid, parent }) => `row ${rowid} of ${table} refers to a missing ${parent}`,
			),
	},
];

type Reference = { child: string; child_column: string; parent: string; parent_column: string };

const references = async (db: Db): Promise<readonly Reference[]> =>
	(
		await sql<Reference>`select table_name as child, column_name as child_column, referenced_table_name as parent, referenced_column_name as parent_column
			from information_schema.key_column_usage where table_schema = database() and referenced_table_name is not null`.execute(db)
	).rows;

const mysqlChecks = (tables: ReadonlySet<string>): readonly Check[] => [
	{
		name: 'the tables are sound',
		find: async ({ read }) => {
			const names = sql.join([...tables].map((table) => sql.table(table)));
			const { rows } = await sql<{ Table: string; Msg_type: string; Msg_text: string }>`check table ${names}`.execute(read);
			return rows
				.filter((row) => row.Msg_type === 'error' || (row.Msg_type === 'status' && row.Msg_text !== 'OK'))
				.map((row) => `${row.Table}: ${row.Msg_text}`);
		},
	},
	{
		name: 'what is referred to exists',
		find: async ({ read }) => {
			const problems: string[] = [];
			for (const { child, child_column, parent, parent_column } of await references(read)) {
				const [from, to] = [sql.ref(`c.${child_column}`), sql.ref(`p.${parent_column}`)];
				const { rows } = await sql<{
					n: number | string;
				}>`select count(*) as n from ${sql.table(child)} c left join ${sql.table(parent)} p on ${to} = ${from}
					where ${from} is not null and ${to} is null`.execute(read);
				const missing = Number(rows[0]?.n ?? 0);
				if (missing > 0) problems.push(`${missing} rows of ${child} refer to a missing ${parent}`);
			}
			return problems;
		},
	},
];

const isDamage = (error: unknown): error is Error =>
	error instanceof Error && 'code' in error && /^SQLITE_(CORRUPT|NOTADB)/.test(String(error.code));

/** Looks at everything that can be wrong inside a database of the current schema; changes nothing. */
export const checkStore = async (store: Store, tables: ReadonlySet<string>): Promise<Finding[]> => {
	const findings: Finding[] = [];
	for (const { name, find } of [...(store.dialect.name === 'sqlite' ? sqliteChecks : mysqlChecks(tables)), ...invariants]) {
		try {
			findings.push({ check: name, problems: shortened(await find(store)) });
		} catch (error) {
			if (!isDamage(error)) throw error;
			findings.push({ check: name, problems: [`cannot be looked at: ${error.message}`] });
		}
	}
	return findings;
};
