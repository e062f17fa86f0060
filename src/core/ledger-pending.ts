import { newcomers, pendingFacts } from '../store/ledger.ts';
import type { Db } from '../store/statement.ts';
import { bookStored, groups } from './ledger-book.ts';
import { type Page, pages, type Run } from './ledger-run.ts';

/** Books what transactions have written, up to a time. Returns how many machines it booked. */
export const pending = (context: Run, until: number): Promise<number> =>
	pages(context, pendingFacts.first(context.store.read, { until }), (the, tx) => bookPending(the, tx, until));

/** What transactions have written since: of each machine one fact at a time, since what it costs by others' word is looked up as of each. */
const bookPending = async (context: Run, tx: Db, until: number): Promise<Page> => {
	const due = await pendingFacts.all(tx, { until });
	const rows = due.slice(0, context.pace.size);
	const first = [...groups(rows).values()].flatMap(([fact]) => fact ?? []);
	const booked = await bookStored(tx, first);
	return { booked, more: due.length === 500 || first.length < due.length };
};

/**
 * Books the first machines of agents that have none in the books, whatever their time: nothing that is yet to be read can be older, so they
 * need not wait. Returns how many.
 */
export const newAgents = (context: Run): Promise<number> => pages(context, newcomers.first(context.store.read, {}), bookNewcomers);

const bookNewcomers = async (context: Run, tx: Db): Promise<Page> => {
	const rows = await newcomers.all(tx, {});
	const due = [...new Map([...rows].reverse().map((fact) => [fact.agent_id, fact])).values()].reverse().slice(0, context.pace.size);
	const booked = await bookStored(tx, due);
	return { booked, more: due.length > 0 };
};
