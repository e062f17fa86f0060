import { Kysely, MysqlAdapter, MysqlDialect, type MysqlPoolConnection, MysqlQueryCompiler } from 'kysely';
import type { Tables } from './schema.ts';
import { type Db, LATER, type Ran, runDirectly } from './statement.ts';

export type Done = (error: unknown, result: unknown) => void;

/** Takes a statement and says what came of it: rows, or a header; one marked {@link LATER} at once. */
export type Run = (text: string, values: readonly unknown[], done: Done) => void;

type Header = { readonly affectedRows?: number };

/** A compiler keeps nothing from one statement to the next, and compiles without a pause: one serves all (a new one a view was a 20th of what a switch allocates). */
const compiler = new MysqlQueryCompiler();
const adapter = new MysqlAdapter();

class ViewDialect extends MysqlDialect {
	override createQueryCompiler(): MysqlQueryCompiler {
		return compiler;
	}
	override createAdapter(): MysqlAdapter {
		return adapter;
	}
}

/** Kysely's face for what runs statements; its declared statements take the short way. */
export const viewThrough = (run: Run): Db => {
	const facade: MysqlPoolConnection = {
		query: ((text: string, values: unknown[], done: Done) => run(text, values, done)) as MysqlPoolConnection['query'],
		release: () => undefined,
	};
	const pool = {
		getConnection: (give: (error: unknown, given: MysqlPoolConnection) => void) => give(null, facade),
		end: () => undefined,
	};
	const db: Db = new Kysely<Tables>({ dialect: new ViewDialect({ pool }) });
	runDirectly(db, ({ sql, parameters }) => {
		if (sql.startsWith(LATER)) {
			let refused: unknown = null;
			run(sql, parameters, (error) => {
				refused = error;
			});
			if (refused !== null) throw refused;
			return { rows: [] };
		}
		return new Promise<Ran<unknown>>((accept, reject) =>
			run(sql, parameters, (error, result) => {
				if (error !== null) reject(error);
				else if (Array.isArray(result)) accept({ rows: result });
				else accept({ rows: [], numAffectedRows: BigInt((result as Header).affectedRows ?? 0) });
			}),
		);
	});
	return db;
};
