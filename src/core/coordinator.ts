import { checkServing } from '../store/open.ts';
import { ATTENTION, agentsNeedingAttention, lockSituations, postpone } from '../store/situations.ts';
import { alone } from './alone.ts';
import type { Context } from './context.ts';
import { type JobContext, LeaseLost } from './lease.ts';
import { reconcile } from './reconcile.ts';
import { servingSince } from './silence.ts';
import { workOn } from './work.ts';

/** How many agents share a transaction. On SQLite a notice waits for the set under way, at about a millisecond an agent. */
const SET = 5;

/** A run gives way to notices for so long, all its waits together: in a storm of 1,000 its sets between theirs made it three times as long. */
const GIVE_WAY_MS = 1_000;
/** How often it looks whether they are answered. */
const LOOK_MS = 20;

/**
 * Brings every agent for which something is due to where nothing more is to be done for the moment: overrun steps, countdowns, replicas to
 * retire or to order, failovers to confirm. Reads one index; its work grows with what is due, not with the fleet. While this daemon takes notices it waits, at most {@link GIVE_WAY_MS} in a run. Returns
 * how many agents.
 */
export const coordinate = async (context: JobContext): Promise<number> => {
	let done = 0;
	const seen = new Set<string>();
	const giveWay = politely(context);
	for (;;) {
		const due = await agentsNeedingAttention.all(context.store.read, { now: context.clock.now() });
		// Whoever could not be put off is not tried twice in one run.
		const ids = due.map(({ id }) => id).filter((id) => !seen.has(id));
		for (const id of ids) seen.add(id);
		for (let start = 0; start < ids.length; start += SET) {
			await giveWay();
			done += await together(context, ids.slice(start, start + SET));
		}
		if (due.length < ATTENTION || ids.length === 0) return done;
	}
};

/** Waits while notices are under way, as long as this run may. */
const politely = ({ clock, notices }: Pick<Context, 'clock' | 'notices'>): (() => Promise<void>) => {
	let left = GIVE_WAY_MS;
	return async () => {
		while (notices.underWay > 0 && left > 0) {
			const from = clock.elapsed();
			await clock.sleep(Math.min(LOOK_MS, left));
			left -= Math.max(LOOK_MS, clock.elapsed() - from);
		}
	};
};

/** How long an agent that cannot be decided is left alone. */
const PAUSE_MS = 60_000;

/** A set of agents in one transaction; should it fail, one by one, so that one that cannot be decided holds up no other. */
const together = async (context: JobContext, ids: readonly string[]): Promise<number> => {
	try {
		return await decide(context, ids);
	} catch (error) {
		if (error instanceof LeaseLost) throw error;
		await checkServing(context.store);
		let done = 0;
		for (const id of ids) done += await apart(context, id);
		return done;
	}
};

const apart = async (context: JobContext, id: string): Promise<number> => {
	const decided = await alone(context, id, () => decide(context, [id]));
	// It may be locked by somebody who sleeps: then this fails as well, and is as good.
	if (decided === null)
		await context.store.transact((tx) => postpone.later(tx, { id, at: context.clock.now() + PAUSE_MS }), 'urgent').catch(() => undefined);
	return decided ?? 0;
};

const decide = (context: Context, ids: readonly string[]): Promise<number> =>
	context.units(
		ids.map(() => null),
		'urgent',
		async (tx, journals) => {
			const now = context.clock.now();
			const { rows } = await lockSituations(tx, ids);
			const since = await servingSince(tx, now);
			let done = 0;
			for (const [index, id] of ids.entries()) {
				const found = rows.get(id);
				const journal = journals[index];
				// Somebody else has looked at it meanwhile.
				if (found === undefined || journal === undefined || found.agent.attention_at === null || found.agent.attention_at > now) continue;
				await reconcile(workOn(context, tx, journal, found, since));
				done += 1;
			}
			return done;
		},
	);
