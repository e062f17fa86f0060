import { CompiledQuery } from 'kysely';
import type { Db } from './statement.ts';

const CHUNK = 256;

/**
 * A statement for any number of rows at once: `before (?,?),(?,?) after`. Rows are taken in chunks of powers of two, so that there are
 * at most nine texts to prepare however many rows come. Each row holds its values in the order of `columns`.
 */
export const multiRow = (table: string, columns: readonly string[], after: string) => {
	const texts = new Map<number, string>();
	const tuple = `(${columns.map(() => '?').join(',')})`;
	const textFor = (rows: number): string => {
		let text = texts.get(rows);
		if (text === undefined) {
			text = `insert into ${table} (${columns.join(',')}) values ${Array.from({ length: rows }, () => tuple).join(',')} ${after}`;
			texts.set(rows, text);
		}
		return text;
	};
	return async (db: Db, rows: ReadonlyArray<readonly unknown[]>): Promise<void> => {
		for (let start = 0; start < rows.length; ) {
			let size = CHUNK;
			while (size > rows.length - start) size /= 2;
			await db.executeQuery(CompiledQuery.raw(textFor(size), rows.slice(start, start + size).flat()));
			start += size;
		}
	};
};
