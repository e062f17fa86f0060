import { SpotError } from '../errors.ts';

/** What a list says of a cursor that is none of its own. */
export const invalidCursor = (): SpotError =>
	new SpotError('invalid', 'INVALID_CURSOR', 'the cursor is not one that a list has answered', {
		hint: 'leave it out to begin at the first page',
	});

/** Reads a cursor of an earlier page, which is the id its last row had; null for the first. Errors: 400 INVALID_CURSOR. */
export const readCursor = (cursor: string | undefined): string | null => {
	if (cursor === undefined || cursor === '') return null;
	const id = Buffer.from(cursor, 'base64url').toString('utf8');
	if (!/^[\x21-\x7e]{1,64}$/.test(id) || cursorAfter(id) !== cursor) {
		throw invalidCursor();
	}
	return id;
};

/** The cursor that continues after a row. */
const cursorAfter = (id: string): string => Buffer.from(id, 'utf8').toString('base64url');

/** Makes a page of rows that were read with one more than `limit`. */
export const pageOf = <R, T>(
	rows: readonly R[],
	limit: number,
	show: (row: R) => T,
	id: (row: R) => string,
): { items: T[]; nextCursor: string | null } => {
	const shown = rows.slice(0, limit);
	const last = shown.at(-1);
	return { items: shown.map(show), nextCursor: rows.length > limit && last !== undefined ? cursorAfter(id(last)) : null };
};

const invalid = (): SpotError =>
	new SpotError('invalid', 'INVALID_CURSOR', 'the cursor is not one that this list has answered', {
		hint: 'leave it out to begin at the first page',
	});

/** As {@link readCursor}, of a list whose rows have numbers for ids. */
export const readNumber = (cursor: string | undefined): number | null => {
	const id = readCursor(cursor);
	if (id === null) return null;
	if (!/^\d{1,15}$/.test(id)) throw invalid();
	return Number(id);
};

/** As {@link readCursor}, of a list that is sorted by a number before the id: the last row's id was `number:id`. */
export const readPair = (cursor: string | undefined): { readonly first: number; readonly id: string } | null => {
	const given = readCursor(cursor);
	if (given === null) return null;
	const [, first, id] = /^(\d{1,15}):(.+)$/.exec(given) ?? [];
	if (first === undefined || id === undefined) throw invalid();
	return { first: Number(first), id };
};
