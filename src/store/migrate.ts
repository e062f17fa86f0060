import { type Migration, Migrator, sql } from 'kysely';
import { SpotError } from '../errors.ts';
import { spine } from './migrations/0001-spine.ts';
import { failover } from './migrations/0002-failover.ts';
import { settings } from './migrations/0003-settings.ts';
import { priceReports } from './migrations/0004-price-reports.ts';
import { ledger } from './migrations/0005-ledger.ts';
import { notifications } from './migrations/0006-notifications.ts';
import { overview } from './migrations/0008-overview.ts';
import { alerts } from './migrations/0009-alerts.ts';
import { retention } from './migrations/0010-retention.ts';
import { leanIndexes } from './migrations/0011-lean-indexes.ts';
import { books } from './migrations/0012-books.ts';
import { switchFailures } from './migrations/0013-switch-failures.ts';
import { bookOrder } from './migrations/0014-book-order.ts';
import { leanNotifications } from './migrations/0015-lean-notifications.ts';
import { serviceGaps } from './migrations/0016-service-gaps.ts';
import { overlap } from './migrations/0017-overlap.ts';
import { ledgerPruned } from './migrations/0018-ledger-pruned.ts';
import type { Store } from './open.ts';
import type { Db } from './statement.ts';

/** How the same table is spelled on each database. */
export type Spelling = {
	readonly autoId: string;
	readonly longText: string;
	readonly end: string;
	quote(name: string): string;
	dropIndex(table: string, index: string): string;
};

/**
 * One DDL statement, or one that brings rows into a new form: MySQL commits each by itself, so a step is also what a kill can leave behind, and every step can be run again.
 * Text keys are binary and unpadded on MySQL and MariaDB, as they are on SQLite (../shared/style/guide.md section 6).
 */
export type Step = { readonly name: string; ddl(spelling: Spelling): string };

const releases: ReadonlyArray<readonly [string, readonly Step[]]> = [
	['0001', spine],
	['0002', failover],
	['0003', settings],
	['0004', priceReports],
	['0005', ledger],
	['0006', notifications],
	['0008', overview],
	['0009', alerts],
	['0010', retention],
	['0011', leanIndexes],
	['0012', books],
	['0013', switchFailures],
	['0014', bookOrder],
	['0015', leanNotifications],
	['0016', serviceGaps],
	['0017', overlap],
	['0018', ledgerPruned],
];

const steps: ReadonlyArray<readonly [string, Step]> = releases.flatMap(([release, list]) =>
	list.map((step, index) => [`${release}-${String(index + 1).padStart(3, '0')}-${step.name}`, step] as const),
);

const MIGRATION_TABLE = 'spotctl_migration';
const LOCK_TABLE = 'spotctl_migration_lock';

const createdBy = (ddl: string): string | undefined => /^create table if not exists (\w+)/.exec(ddl.trim())?.[1];

const plain: Spelling = { autoId: '', longText: 'text', end: '', quote: (name) => name, dropIndex: (_, index) => `drop index ${index}` };

/** The tables of the newest schema, our own bookkeeping included. */
export const ownTables: ReadonlySet<string> = new Set([
	MIGRATION_TABLE,
	LOCK_TABLE,
	...steps.flatMap(([, step]) => createdBy(step.ddl(plain)) ?? []),
]);

/** What a database holds, compared with what this program knows. */
export type SchemaState = {
	readonly state: 'empty' | 'older' | 'current' | 'newer' | 'foreign';
	readonly applied: readonly string[];
	readonly pending: readonly string[];
	/** Steps in the database that this program does not know. */
	readonly unknown: readonly string[];
	/** Tables that are not ours. */
	readonly foreign: readonly string[];
};

const tableNames = async (db: Db): Promise<string[]> =>
	(await db.introspection.getTables({ withInternalKyselyTables: true })).map((table) => table.name);

/** Reads the state of the schema without changing anything. */
export const schemaState = async (store: Store): Promise<SchemaState> => {
	const tables = await tableNames(store.read);
	const foreign = tables.filter((name) => !ownTables.has(name)).sort();
	const applied = tables.includes(MIGRATION_TABLE)
		? (await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)} order by name`.execute(store.read)).rows.map(
				(row) => row.name,
			)
		: [];
	const known = new Set(steps.map(([name]) => name));
	const unknown = applied.filter((name) => !known.has(name));
	const pending = steps.map(([name]) => name).filter((name) => !applied.includes(name));
	// The table of records without a record: a first migration that runs at this moment, or was killed before its first record.
	const ours = applied.length > 0 || tables.length === 0 || (foreign.length === 0 && tables.includes(MIGRATION_TABLE));
	const state =
		unknown.length > 0
			? 'newer'
			: foreign.length > 0 || !ours
				? 'foreign'
				: applied.length === 0
					? 'empty'
					: pending.length > 0
						? 'older'
						: 'current';
	return { state, applied, pending, unknown, foreign: ours ? foreign : tables.sort() };
};

/** Throws what stands in the way of using, or of migrating, a database in this state. */
export const refuse = (found: SchemaState, wanted: 'use' | 'migrate'): void => {
	if (found.state === 'newer') {
		throw new SpotError(
			'schema',
			'SCHEMA_NEWER',
			`the database is newer than this spotctl: it holds ${found.unknown.slice(0, 3).join(', ')}`,
			{
				hint: 'run the newer spotctl',
			},
		);
	}
	if (found.state === 'foreign' && (wanted === 'migrate' || found.applied.length === 0)) {
		throw new SpotError(
			'schema',
			'DATABASE_NOT_OURS',
			`the database holds tables that are not spotctl's: ${found.foreign.slice(0, 12).join(', ')}${found.foreign.length > 12 ? ` and ${found.foreign.length - 12} more` : ''}`,
			{
				hint: 'give spotctl a database of its own: spotctl serve --database mysql://user:password@host:port/name',
				extras: { tables: found.foreign },
			},
		);
	}
	if (wanted === 'use' && found.pending.length > 0) {
		throw new SpotError(
			'schema',
			'SCHEMA_OLDER',
			found.state === 'empty'
				? 'the database is empty: it holds nothing of spotctl yet'
				: `the database schema is older than this spotctl: ${found.pending.length === 1 ? 'one step is' : `${found.pending.length} steps are`} missing`,
			{
				hint: 'run: spotctl db migrate   (or start with: spotctl serve --migrate)',
			},
		);
	}
};

const migrations = (spelling: Spelling): Record<string, Migration> =>
	Object.fromEntries(
		steps.map(([name, step]) => [
			name,
			{
				up: async (db) => {
					try {
						await sql.raw(step.ddl(spelling)).execute(db);
					} catch (error) {
						// The index, or the column, is there already, or gone: an earlier run was killed between the statement and its record.
						const { errno } = error as { errno?: unknown };
						if (errno === 1061 || errno === 1060 || errno === 1091 || /index \w+ already exists|duplicate column name/.test(String(error)))
							return;
						throw error;
					}
				},
			} satisfies Migration,
		]),
	);

/** The statements that a migration would run, in order. */
export const pendingDdl = async (store: Store): Promise<string[]> => {
	const [found, spelling] = [await schemaState(store), await spellingOf(store)];
	return steps.filter(([name]) => found.pending.includes(name)).map(([, step]) => step.ddl(spelling));
};

const spellingOf = async (store: Store): Promise<Spelling> => {
	if (store.dialect.name === 'sqlite')
		return {
			autoId: 'integer not null primary key autoincrement',
			longText: 'text',
			end: '',
			quote: (name) => `"${name}"`,
			dropIndex: (_, index) => `drop index if exists ${index}`,
		};
	const version = (await sql<{ version: string }>`select version() as version`.execute(store.read)).rows[0]?.version ?? '';
	const collation = /mariadb/i.test(version) ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';
	return {
		autoId: 'bigint not null auto_increment primary key',
		longText: 'mediumtext',
		end: ` engine = InnoDB default character set utf8mb4 collate ${collation}`,
		quote: (name) => `\`${name}\``,
		dropIndex: (table, index) => `drop index ${index} on ${table}`,
	};
};

const holding = async <T>(store: Store, work: (db: Db) => Promise<T>): Promise<T> => {
	if (store.dialect.name === 'sqlite') return work(store.read);
	return store.read.connection().execute(async (connection) => {
		const got = (await sql<{ got: number | null }>`select get_lock('spotctl migrate', 15) as got`.execute(connection)).rows[0]?.got;
		if (Number(got) !== 1)
			throw new SpotError('conflict', 'MIGRATION_RUNNING', 'somebody else is migrating this database', {
				hint: 'try again when it is done: spotctl db status',
			});
		try {
			return await work(connection);
		} finally {
			await sql`select release_lock('spotctl migrate')`.execute(connection);
		}
	});
};

/** Brings the schema to the newest; safe to repeat and to kill. Returns the names of the steps it ran. */
export const migrate = async (store: Store): Promise<string[]> =>
	holding(store, async () => {
		const found = await schemaState(store);
		refuse(found, 'migrate');
		if (found.pending.length === 0) return [];
		const all = migrations(await spellingOf(store));
		const migrator = new Migrator({
			db: store.ddl,
			provider: { getMigrations: async () => all },
			migrationTableName: MIGRATION_TABLE,
			migrationLockTableName: LOCK_TABLE,
		});
		const done: string[] = [];
		await store.patiently(async (moved) => {
			const { error, results = [] } = await migrator.migrateToLatest();
			const names = results.filter(({ status }) => status === 'Success').map(({ migrationName }) => migrationName);
			done.push(...names);
			if (names.length > 0) moved();
			if (error !== undefined) throw error;
		});
		return done;
	});
