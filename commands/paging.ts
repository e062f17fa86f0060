import { SpotError } from '../src/errors.ts';
import type { Context } from './context.ts';

/** Which part of a list is wanted: the first 1000 rows unless it says otherwise. */
export type Extent = { readonly limit?: number; readonly all?: boolean };

type Page<Row> = { readonly items: readonly Row[]; readonly nextCursor: string | null };

const UNASKED = 1000;
const MOST_PER_PAGE = 500;

/** Follows a list's cursors, a page at a time, and says so on stderr when it stops before the end without having been told to. */
export const pages = async function* <Row>(
	context: Context,
	{ limit, all }: Extent,
	fetch: (page: { limit: number; cursor?: string }) => Promise<Page<Row>>,
): AsyncGenerator<readonly Row[]> {
	let left = all ? Number.POSITIVE_INFINITY : (limit ?? UNASKED);
	let cursor: string | undefined;
	for (;;) {
		const { items, nextCursor } = await fetch({ limit: Math.min(MOST_PER_PAGE, left), ...(cursor === undefined ? {} : { cursor }) });
		const taken = items.slice(0, left);
		yield taken;
		left -= taken.length;
		if (left <= 0) {
			if (limit === undefined && (nextCursor !== null || taken.length < items.length)) context.note(`showing ${UNASKED}; use --all`);
			return;
		}
		if (nextCursor === null) return;
		if (nextCursor === cursor)
			throw new SpotError('bug', 'CURSOR_STUCK', 'the daemon sent the same page again', { hint: 'report this; until then use --limit' });
		cursor = nextCursor;
	}
};
