import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { endEmergency, note, openSilence, settle, store, tell } from './emergency-book.ts';
import { type Move, nextMove } from './failover-plan.ts';
import type { Journal } from './journal.ts';
import { endReplica } from './replica-end.ts';
import { order } from './replica-order.ts';
import { promoteReplica } from './replica-promotion.ts';
import { nameOf } from './replica-rules.ts';
import { attend, lockedWork, type Work } from './work.ts';

/** An open emergency that waits for nothing in particular is looked at this often. */
const OPEN_MS = 10 * 60_000;

/** More moves than any situation takes: a decision that does not settle is a bug, and must not spin. */
const MOST_MOVES = 12;

/**
 * Brings an agent to where nothing more is to be done for the moment, one move after the other in the caller's transaction, and notes when
 * it must be looked at again. The agent is locked. Safe to repeat: with nothing to do it writes nothing.
 */
export const reconcile = async (work: Work): Promise<void> => {
	await settleMoves(work);
	await store(work);
};

const settleMoves = async (work: Work): Promise<void> => {
	for (let moves = 0; ; moves++) {
		const move = nextMove(work, work.now, work.context.settings.failover);
		if (move.do === 'wait' || moves === MOST_MOVES) {
			const due = move.do === 'wait' ? move.until : work.now + 60_000;
			// What is open is looked at again even if nothing is known to come.
			const until = due ?? (work.emergency === null ? null : work.now + OPEN_MS);
			if (move.do === 'wait') settle(work, move);
			await attend(work, until);
			return;
		}
		if ((await carryOut(work, move)) === 'later') return;
	}
};

/** Locks an agent and brings it to where nothing more is to be done for the moment. */
export const reconcileAgent = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agentId: string,
	since: number | null = null,
): Promise<void> => {
	const work = await lockedWork(context, tx, journal, agentId, since);
	if (work !== null) await reconcile(work);
};

const carryOut = async (work: Work, move: Exclude<Move, { do: 'wait' }>): Promise<'on' | 'later'> => {
	switch (move.do) {
		case 'promote':
			note(work, { step: 'promote', choice: work.replicaHost?.instance_id ?? move.replica.id, why: move.why, rejected: [] });
			await promoteReplica(work, move.replica, { reason: move.reason, demote: false });
			// Whoever waits for the promotion hears of it now; the next replica, if one is wanted, is the coordinator's (its attention is due).
			return 'later';
		case 'order':
			return order(work, move);
		case 'fail':
			note(work, { step: 'replica', choice: `give up ${nameOf(move.replica)}`, why: move.why, rejected: [] });
			await endReplica(work, { status: 'failed', why: move.why, machine: move.machine });
			return 'on';
		case 'retire':
			note(work, { step: 'replica', choice: `retire ${nameOf(move.replica)}`, why: move.why, rejected: [] });
			await endReplica(work, { status: 'terminated', why: move.why, machine: 'ended' });
			return 'on';
		case 'watch-silence':
			await openSilence(work, move.why);
			return 'on';
		case 'tell':
			note(work, { step: 'tell', choice: 'tell a person', why: move.why, rejected: [] }, { told: 1, message: move.why });
			tell(work, 'failover_needs_person', move.title, move.why, 'critical');
			return 'on';
		case 'end':
			await endEmergency(work, move.outcome, move.why, move.tell);
			return 'on';
	}
};
