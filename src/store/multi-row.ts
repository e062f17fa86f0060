import { CompiledQuery } from 'kysely';
import { dialectOf } from './dialect.ts';
import { type Db, LATER } from './statement.ts';

/** Bounds the size of a packet; what one host reports is shorter. */
const MOST = 1000;

/**
 * Inserts any number of rows by one statement, and by a further one for each thousand more, inside a transaction: on MySQL it travels with
 * what follows. Each row holds its values in the order of `columns`; `after` is what stands behind the rows (an upsert's assignments).
 */
export const multiRow = (table: string, columns: readonly string[], after: string) => {
	return async (tx: Db, rows: ReadonlyArray<readonly unknown[]>): Promise<void> => {
		const { manyRows, defers, quote } = dialectOf(tx);
		const text = `${defers ? LATER : ''}insert into ${table} (${columns.map(quote).join(',')}) ${manyRows.from(columns.length)} ${after}`;
		for (let start = 0; start < rows.length; start += MOST) {
			await tx.executeQuery(CompiledQuery.raw(text, [manyRows.bind(rows.slice(start, start + MOST))]));
		}
	};
};
