import {
	beginRule,
	countDeleted,
	endRows,
	endRule,
	oldRows,
	type Position,
	RULES,
	type RuleName,
	reportsRead,
	ruleRows,
} from '../store/retention.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import type { JobContext } from './lease.ts';
import { nextSize, rest, type Sizes } from './pace.ts';

const DAY = 86_400_000;

/** How long a run goes on at most; the next one, an hour later, goes on where it stopped. */
export const RUN_MS = 10 * 60_000;
/** Rows of a transaction. */
export const SIZES: Sizes = { first: 500, least: 50, most: 5_000 };
/** A run rests for so many times what a transaction took, so that most of the time is everybody else's. */
const REST = 3;
const REST_MS = 5;

/**
 * Rows older than this may end; null: none, the setting keeps them for ever. What the books have not read yet is not old.
 */
export const cutoffOf = (context: Pick<Context, 'clock' | 'settings'>, name: RuleName, read: number): number | null => {
	const days = context.settings.retention[RULES.get(name)?.setting ?? 'ledger'];
	if (days === 0) return null;
	const before = context.clock.now() - days * DAY;
	return name === 'price_report' ? Math.min(before, read) : before;
};

type Ran = { readonly deleted: number; readonly complete: boolean };

/**
 * A run of retention: rule by rule, those that an operator asked for or else all, in batches that each are a transaction under the lease.
 * It keeps nothing but its position: killed, the next run begins with what is old then. Returns how many rows it deleted.
 */
export const retain = async (context: JobContext): Promise<number> => {
	const { clock, log, store } = context;
	const until = clock.elapsed() + RUN_MS;
	const requests = new Map((await ruleRows.all(store.read, {})).map(({ name, requested_at }) => [name, requested_at]));
	const asked = [...RULES.keys()].filter((name) => requests.get(name) != null);
	const counts: Partial<Record<RuleName, number>> = {};
	let complete = true;
	for (const name of asked.length > 0 ? asked : RULES.keys()) {
		if (context.signal.aborted) {
			complete = false;
			break;
		}
		const ran = await runRule(context, name, requests.get(name) ?? null, until);
		if (ran.deleted > 0) counts[name] = ran.deleted;
		complete &&= ran.complete;
	}
	const deleted = Object.values(counts).reduce((sum, count) => sum + count, 0);
	if (deleted > 0 || !complete) {
		const rest = complete ? '' : '; the rest is left to the next run';
		log.info({ deleted, ...counts, complete }, 'old rows were deleted');
		await context.unit(null, async (_, journal) =>
			journal.event('retention_run', `retention deleted ${deleted} old rows${rest}`, null, { metadata: { deleted, counts, complete } }),
		);
	}
	return deleted;
};

const runRule = async (context: JobContext, name: RuleName, requested: number | null, until: number): Promise<Ran> => {
	const { clock, store, signal } = context;
	const before = cutoffOf(context, name, name === 'price_report' ? await reportsRead(store.read) : 0);
	const end = (tx: Db, complete: boolean): Promise<void> =>
		endRule.later(tx, { name, at: clock.now(), complete: complete ? 1 : 0, requested: complete ? requested : null });
	const goesOn = (): boolean => !signal.aborted && clock.elapsed() < until;
	let [deleted, size, begun] = [0, SIZES.first, false];
	let position: Position | null = null;
	const begin = (tx: Db): Promise<void> | undefined => (begun ? undefined : beginRule(tx, name, clock.now()));
	while (before !== null && goesOn()) {
		const from = clock.elapsed();
		const old = await oldRows(store.read, name, before, position, size);
		if (old.length === 0) break;
		let took = 0;
		const batch = await context.unit(null, async (tx, journal) => {
			const started = clock.elapsed();
			await begin(tx);
			const ended = await endRows(tx, name, before, position, old, size);
			if (ended.deleted > 0) await countDeleted.later(tx, { name, deleted: ended.deleted });
			journal.count('retention_rows_deleted_total', ended.deleted);
			for (const agent of ended.agents) journal.changed('agent', agent);
			took = clock.elapsed() - started;
			return ended;
		});
		context.counters.addRows(name, batch.deleted);
		begun = true;
		deleted += batch.deleted;
		position = batch.position;
		if (old.length < size && position?.key === old.at(-1)?.key) break;
		size = nextSize(size, took, SIZES);
		await rest(context, REST_MS + REST * (clock.elapsed() - from));
	}
	const complete = before === null || goesOn();
	await context.unit(null, async (tx) => {
		await begin(tx);
		await end(tx, complete);
	});
	return { deleted, complete };
};
