import type { Input, Output } from '../../src/contract/index.ts';
import { WRITTEN_MS } from '../../src/event-delay.ts';
import { isPassing } from '../commands/follow.ts';
import type { Context } from '../context.ts';

type Row = Output<'listActivity'>['items'][number];
type Filter = Omit<Input<'listActivity'>, 'limit' | 'cursor'>;

const EVERY = 2000;
const PER_PAGE = 1000;
/** What is shown of before, where no time is given. */
const BEFORE = 20;

/**
 * What happened, then what happens, each event once, the oldest first; until it is interrupted. A daemon that does not answer for a while is
 * waited for, and what happened meanwhile is shown.
 */
export const followActivity = async function* (context: Context, filter: Filter): AsyncGenerator<readonly Row[]> {
	const { clock, signal } = context;
	const api = await context.api();
	const seen = new Map<number, number>();
	let since = filter.since ?? null;
	let lost = false;

	const fetched = async (): Promise<Row[]> => {
		const rows: Row[] = [];
		for (let cursor: string | undefined; ; ) {
			const limit = since === null ? BEFORE : PER_PAGE;
			const page = await api.listActivity({ ...filter, since, limit, ...(cursor === undefined ? {} : { cursor }) }, signal);
			rows.push(...page.items);
			if (since === null || page.nextCursor === null) return rows;
			cursor = page.nextCursor;
		}
	};

	let newest = since === null ? 0 : Date.parse(String(since));
	for (;;) {
		try {
			const rows = await fetched();
			if (lost) context.note('the daemon answers again');
			lost = false;
			const fresh = rows.filter(({ id }) => !seen.has(id)).sort((a, b) => a.id - b.id);
			for (const { id, time } of rows) {
				const at = Date.parse(time);
				seen.set(id, at);
				newest = Math.max(newest, at);
			}
			// What is written late is not missed: so much is asked for again each time.
			if (newest > 0) since = new Date(newest - WRITTEN_MS).toISOString();
			for (const [id, at] of seen) if (at < newest - WRITTEN_MS) seen.delete(id);
			if (fresh.length > 0) yield fresh;
		} catch (error) {
			if (!isPassing(error)) throw error;
			if (!lost) context.note(`${error.message}; trying again`);
			lost = true;
		}
		await clock.sleep(EVERY, signal);
	}
};
