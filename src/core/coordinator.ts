import { SpotError } from '../errors.ts';
import { ATTENTION, agentsNeedingAttention, lockSituations } from '../store/situations.ts';
import type { Context } from './context.ts';
import type { JobContext } from './lease.ts';
import { reconcile, workOn } from './reconcile.ts';
import { servingSince } from './silence.ts';

/** How many agents share a transaction. */
const SET = 40;

/**
 * Brings every agent for which something is due to where nothing more is to be done for the moment: overrun steps, countdowns, replicas to
 * retire or to order, failovers to confirm. Reads one index; its work grows with what is due, not with the fleet. Returns how many agents.
 */
export const coordinate = async (context: JobContext): Promise<number> => {
	let done = 0;
	for (;;) {
		const due = await agentsNeedingAttention.all(context.store.read, { now: context.clock.now() });
		const ids = due.map(({ id }) => id);
		for (let start = 0; start < ids.length; start += SET) done += await together(context, ids.slice(start, start + SET));
		if (ids.length < ATTENTION) return done;
	}
};

/** A set of agents in one transaction; should it fail, one by one, so that one that cannot be decided holds up no other. */
const together = async (context: JobContext, ids: readonly string[]): Promise<number> => {
	try {
		return await decide(context, ids);
	} catch (error) {
		if (ids.length === 1 || (error instanceof SpotError && error.kind === 'unavailable') || !context.store.dialect.isStale(error))
			throw error;
		let done = 0;
		for (const id of ids) done += await decide(context, [id]);
		return done;
	}
};

const decide = (context: Context, ids: readonly string[]): Promise<number> =>
	context.units(
		ids.map(() => null),
		true,
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
