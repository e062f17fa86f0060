import { z } from 'zod';
import { SpotError } from '../errors.ts';

/** Where a page begins: after the row with this time and id. */
export type After = readonly [at: number, id: string];

const shape = z.tuple([z.number(), z.string().max(255)]);

/** Reads a cursor of an earlier page; null for the first. Errors: 400 INVALID_CURSOR. */
export const readCursor = (cursor: string | undefined): After | null => {
	if (cursor === undefined || cursor === '') return null;
	try {
		return shape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
	} catch {
		throw new SpotError('invalid', 'INVALID_CURSOR', 'the cursor is not one that a list has answered', {
			hint: 'leave it out to begin at the first page',
		});
	}
};

/** The cursor that continues after a row. */
export const cursorAfter = (after: After): string => Buffer.from(JSON.stringify(after), 'utf8').toString('base64url');

/** Makes a page of rows that were read with one more than `limit`. */
export const pageOf = <R, T>(
	rows: readonly R[],
	limit: number,
	show: (row: R) => T,
	key: (row: R) => After,
): { items: T[]; nextCursor: string | null } => {
	const shown = rows.slice(0, limit);
	const last = shown.at(-1);
	return { items: shown.map(show), nextCursor: rows.length > limit && last !== undefined ? cursorAfter(key(last)) : null };
};
