import { invalidCursor } from '../contract/invalid-input.ts';
import type { SpotError } from '../errors.ts';

/** A part of a list as its operation answers it. */
type Part<T> = { readonly items: T[]; readonly nextCursor: string | null };

/** The pages of one list. Its cursors are read by it alone: each says which list it is of, and the id that the last row of its page had. */
export type Pages = {
	/** Reads a cursor of an earlier page; null for the first. Errors: 400 INVALID_CURSOR. */
	after(cursor: string | null | undefined): string | null;
	/** As {@link Pages.after}, of a list whose rows have numbers for ids. */
	afterNumber(cursor: string | undefined): number | null;
	/** As {@link Pages.after}, of a list that is sorted by a number before the id: the last row's id was `number:id`. */
	afterPair(cursor: string | undefined): { readonly first: number; readonly id: string } | null;
	/** The cursor of a page that ended with this id. */
	cursor(id: string): string;
	/** What somebody hears whose cursor is not of this list. */
	invalid(): SpotError;
	/**
	 * Makes a page of rows that were read with one more than `limit`. `order` is how its rows are shown, where that changes while somebody
	 * goes from page to page: they are still read by what does not, which is what the cursor says, so that no row is ever missed.
	 */
	page<R, T>(rows: readonly R[], limit: number, show: (row: R) => T, id: (row: R) => string, order?: (a: R, b: R) => number): Part<T>;
};

/** How the pages of a list are asked for, by a name that no other list has: its operation's id. */
export const pagesOf = (list: string): Pages => {
	const cursorAfter = (id: string): string => Buffer.from(`${list} ${id}`, 'utf8').toString('base64url');

	const after = (cursor: string | null | undefined): string | null => {
		if (cursor === undefined || cursor === null || cursor === '') return null;
		const [name, id = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ', 2);
		if (name !== list || !/^[\x21-\x7e]{1,160}$/.test(id) || cursorAfter(id) !== cursor) throw invalidCursor();
		return id;
	};

	return {
		cursor: cursorAfter,
		invalid: invalidCursor,
		after,
		afterNumber: (cursor) => {
			const id = after(cursor);
			if (id === null) return null;
			if (!/^\d{1,15}$/.test(id)) throw invalidCursor();
			return Number(id);
		},
		afterPair: (cursor) => {
			const given = after(cursor);
			if (given === null) return null;
			const [, first, id] = /^(\d{1,15}):(.+)$/.exec(given) ?? [];
			if (first === undefined || id === undefined) throw invalidCursor();
			return { first: Number(first), id };
		},
		page: (rows, limit, show, id, order) => {
			const read = rows.slice(0, limit);
			const last = read.at(-1);
			const shown = order === undefined ? read : [...read].sort(order);
			return { items: shown.map(show), nextCursor: rows.length > limit && last !== undefined ? cursorAfter(id(last)) : null };
		},
	};
};
