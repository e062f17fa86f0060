import Database from 'better-sqlite3';
import { Kysely, MysqlDialect, SqliteDialect } from 'kysely';
import { createPool } from 'mysql2';
import type { Tables } from '../../src/store/schema.ts';
import { sqliteFile } from '../../src/store/sqlite.ts';
import type { Db } from '../../src/store/statement.ts';

/** A second pair of eyes on a daemon's database: a connection of its own that only reads, with none of the product's code in between. */
export type Eyes = { readonly db: Db; close(): Promise<void> };

export const openEyes = (url: string): Eyes => {
	if (url.startsWith('sqlite:')) {
		const database = new Database(sqliteFile(url), { readonly: true, fileMustExist: true });
		database.pragma('busy_timeout = 5000');
		const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
		return { db, close: () => db.destroy() };
	}
	const pool = createPool({ uri: url, connectionLimit: 1, supportBigNumbers: true });
	const db = new Kysely<Tables>({ dialect: new MysqlDialect({ pool }) });
	return { db, close: () => db.destroy() };
};
