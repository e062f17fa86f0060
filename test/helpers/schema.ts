import { sql } from 'kysely';
import { migrate, schemaState } from '../../src/store/migrate.ts';
import type { Store } from '../../src/store/open.ts';

/** What makes the newest schema at once, by database: read from the first that this process has migrated step by step. */
const templates = new Map<string, { readonly ddl: readonly string[]; readonly names: readonly string[] }>();

const names = async ({ read }: Store): Promise<string[]> =>
	(await sql<{ name: string }>`select name from spotctl_migration order by name`.execute(read)).rows.map(({ name }) => name);

const definitions = async (store: Store): Promise<string[]> => {
	if (store.dialect.name === 'sqlite') {
		const { rows } = await sql<{ sql: string }>`select sql from sqlite_master where sql is not null and name not like 'sqlite_%'
			order by case type when 'table' then 0 else 1 end, name`.execute(store.read);
		return rows.map((row) => row.sql);
	}
	const found: string[] = [];
	for (const { name } of await store.read.introspection.getTables({ withInternalKyselyTables: true })) {
		const { rows } = await sql<Record<string, string>>`show create table ${sql.table(name)}`.execute(store.read);
		found.push(String(rows[0]?.['Create Table']));
	}
	return found;
};

/**
 * Brings a database to the newest schema as `migrate` does; one that is empty gets at once what the first of this process got step by step:
 * two hundred steps took a second of most tests. How steps run is tested in test/store/migrate.test.ts.
 */
export const prepare = async (store: Store): Promise<void> => {
	const template = templates.get(store.dialect.name);
	const empty = (await schemaState(store)).state === 'empty';
	if (!empty || template === undefined) {
		await migrate(store);
		if (empty) templates.set(store.dialect.name, { ddl: await definitions(store), names: await names(store) });
		return;
	}
	const rows = sql.join(template.names.map((name) => sql`(${name}, ${'2026-01-01T00:00:00.000Z'})`));
	const lock = sql`insert into spotctl_migration_lock (id, is_locked) values ('migration_lock', 0)`;
	await store.ddl.connection().execute(async (connection) => {
		const sqlite = store.dialect.name === 'sqlite';
		await sql.raw(sqlite ? 'begin immediate' : 'set foreign_key_checks = 0').execute(connection);
		for (const text of template.ddl) await sql.raw(text).execute(connection);
		await sql`insert into spotctl_migration (name, timestamp) values ${rows}`.execute(connection);
		await lock.execute(connection);
		await sql.raw(sqlite ? 'commit' : 'set foreign_key_checks = 1').execute(connection);
	});
};
