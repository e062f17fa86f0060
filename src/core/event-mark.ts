import type { IdRange } from '../store/events.ts';

/**
 * Where a reader of the event log is: it has every event up to `position` but those whose ids lie in `holes`, whose transactions had not
 * committed by then. Ids of an auto-increment commit out of order, so a position alone would skip what commits late.
 */
export type Mark = { readonly position: number; readonly holes: readonly IdRange[] };

/** More holes than this are not written out; the mark then goes back before the first, and some events are sent twice rather than one never. */
const MOST_HOLES = 64;

const FORM = /^\d{1,15}(?:\.\d{1,15}(?:-\d{1,15})?){0,64}$/;

/** A mark as an event id: the position, then each hole as `.id` or `.from-to`. */
export const writeMark = ({ position, holes }: Mark): string => {
	const [first] = holes;
	if (first !== undefined && holes.length > MOST_HOLES) return String(first[0] - 1);
	return [position, ...holes.map(([from, to]) => (from === to ? from : `${from}-${to}`))].join('.');
};

/** Reads an event id that a stream has sent; null when it is none. */
export const readMark = (text: string): Mark | null => {
	if (!FORM.test(text)) return null;
	const [position = 0, ...holes] = text.split('.').map((part, index) => (index === 0 ? Number(part) : part)) as [number, ...string[]];
	const ranges: IdRange[] = [];
	let last = 0;
	for (const hole of holes) {
		const [from = 0, to = from] = hole.split('-').map(Number);
		if (from <= last || to < from || to > position) return null;
		ranges.push([from, to]);
		last = to;
	}
	return { position, holes: ranges };
};

/** The ids of `ranges` that are in none of `others`; both ascending and without overlap. */
export const without = (ranges: readonly IdRange[], others: readonly IdRange[]): IdRange[] =>
	others.reduce<IdRange[]>(
		(left, [from, to]) =>
			left.flatMap((range): IdRange[] => {
				const [first, last] = range;
				if (to < first || from > last) return [range];
				return [...(first < from ? [[first, from - 1] as const] : []), ...(last > to ? [[to + 1, last] as const] : [])];
			}),
		[...ranges],
	);

/** The holes up to an id. */
export const upTo = (holes: readonly IdRange[], id: number): IdRange[] =>
	holes.flatMap(([from, to]): IdRange[] => (from > id ? [] : [[from, Math.min(to, id)]]));

/** Whether an id lies in a hole. */
export const isIn = (holes: readonly IdRange[], id: number): boolean => holes.some(([from, to]) => id >= from && id <= to);

/** The ids that are missing between `after` and the last of `ids`, which are ascending. */
export const missing = (ids: readonly number[], after: number): IdRange[] => {
	const holes: IdRange[] = [];
	let last = after;
	for (const id of ids) {
		if (id > last + 1) holes.push([last + 1, id - 1]);
		last = id;
	}
	return holes;
};
