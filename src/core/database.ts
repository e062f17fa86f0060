import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import { checkStore, type Finding } from '../store/check.ts';
import { migrate, ownTables, pendingDdl, refuse, type SchemaState, schemaState } from '../store/migrate.ts';
import { openStore, type Store } from '../store/open.ts';
import { holdForDaemon, sqliteFile } from '../store/sqlite.ts';
import { atOpening } from './opening.ts';

const withStore = async <T>(url: string, clock: Clock, work: (store: Store) => Promise<T>): Promise<T> => {
	const store = await openStore({ url, poolSize: 2, clock });
	try {
		return await work(store);
	} catch (error) {
		throw atOpening(store, url, error);
	} finally {
		await store.close();
	}
};

/** The SQLite file that a URL names and that is not there; undefined where it is, and for a server. */
export const missingFile = (url: string): string | undefined => {
	const file = url.startsWith('sqlite:') ? sqliteFile(url) : undefined;
	return file === undefined || existsSync(file) ? undefined : file;
};

/** Looks without creating: where there is no SQLite file yet, at an empty one that is thrown away. */
const look = async <T>(url: string, clock: Clock, work: (store: Store) => Promise<T>): Promise<T> => {
	if (missingFile(url) === undefined) return withStore(url, clock, work);
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-'));
	try {
		return await withStore(`sqlite:${join(folder, 'empty.db')}`, clock, work);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
};

/** What the schema of a database is, compared with what this program needs. Changes nothing. Errors: DATABASE_UNAVAILABLE. */
export const databaseState = (url: string, clock: Clock): Promise<SchemaState> => look(url, clock, schemaState);

/** The statements a migration would run. Errors: as of {@link migrateDatabase}. */
export const plannedMigration = (url: string, clock: Clock): Promise<string[]> =>
	look(url, clock, async (store) => {
		refuse(await schemaState(store), 'migrate');
		return pendingDdl(store);
	});

/**
 * Brings a database to the newest schema and answers the steps it took. Errors: DATABASE_NOT_OURS, SCHEMA_NEWER, MIGRATION_RUNNING, and
 * DATABASE_IN_USE while a daemon works on the SQLite file.
 */
export const migrateDatabase = (url: string, clock: Clock): Promise<string[]> =>
	withStore(url, clock, async (store) => {
		const found = await schemaState(store);
		refuse(found, 'migrate');
		if (found.pending.length === 0) return [];
		const release = holdForDaemon(url);
		try {
			return await migrate(store);
		} finally {
			release();
		}
	});

const isDamage = (error: unknown): error is Error =>
	error instanceof Error && 'code' in error && /^SQLITE_(CORRUPT|NOTADB)/.test(String(error.code));

/** The integrity of a database: of its file or tables, of its references, and of what the product promises. Changes nothing. */
export const checkDatabase = async (url: string, clock: Clock): Promise<Finding[]> => {
	const file = missingFile(url);
	if (file !== undefined) {
		throw new SpotError('missing', 'DATABASE_MISSING', `there is no database "${file}"`, { hint: 'create it: spotctl db migrate' });
	}
	try {
		return await withStore(url, clock, async (store) => {
			refuse(await schemaState(store), 'use');
			return checkStore(store, ownTables);
		});
	} catch (error) {
		const cause = error instanceof SpotError ? error.cause : error;
		if (!isDamage(cause)) throw error;
		return [{ check: 'the file is sound', problems: [cause.message] }];
	}
};
