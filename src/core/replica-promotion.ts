import type { Host } from '../store/hosts.ts';
import { addReplica, type Replica } from '../store/replicas.ts';
import { changeEmergency } from './emergency-book.ts';
import { spotPriceOf } from './pool-choice.ts';
import { promote } from './promotion.ts';
import { blankReplica } from './replica-order.ts';
import type { Work } from './work.ts';

/** T6 and the silence rule: the replica becomes the primary, by the one promotion. */
export const promoteReplica = async (
	work: Work,
	replica: Replica,
	how:
		| { readonly reason: 'notice' | 'silence'; readonly demote: false }
		| { readonly reason: 'operator'; readonly demote: boolean; readonly calledAt: number },
): Promise<void> => {
	const { context, tx, journal, agent, primary, replicaHost, emergency, now } = work;
	if (replicaHost === null) throw new Error(`replica ${replica.id} has no machine`);
	const { agent: promoted, host } = await promote(context, tx, journal, {
		agent,
		from: primary,
		to: replicaHost,
		reason: how.reason,
		old: {
			role: how.demote ? 'replica' : 'zombie',
			hold: how.reason === 'silence',
			terminatedAt: null,
		},
		command: null,
		calledAt: how.reason === 'operator' ? how.calledAt : emergency?.promoted_at === null ? emergency.received_at : null,
		prices: work.prices,
		record: {},
		emergency,
		asStored: true,
		gather: work.sets?.promotions,
	});
	journal.count('emergency_promotion_attempts_total', how.reason === 'operator' ? 0 : 1);
	work.agent = promoted;
	work.replica = null;
	work.replicaHost = null;
	work.replicaHeardAt = null;
	work.replicaSilent = false;
	work.primary = host;
	work.canLaunch = work.replicaCanLaunch;
	work.primarySilent = false;
	work.silentSince = null;
	changeEmergency(work, {
		new_handle: host.handle,
		new_instance_id: host.instance_id,
		promoted_at: emergency?.promoted_at ?? now,
		step: 'confirm',
		step_at: now,
	});
	if (how.demote) await demoted(work, primary);
};

/** The old primary stays as the replica of the new one, keeping its handle: its machine runs, so it is ready. */
const demoted = async (work: Work, old: Host): Promise<void> => {
	const { tx, now } = work;
	const row: Replica = {
		...blankReplica(work, 'manual', 'promotion', 'it was the primary, and was demoted to a standby'),
		status: 'ready',
		handle: old.handle,
		instance_id: old.instance_id,
		pool_id: old.pool_id,
		az: old.az,
		mode: old.mode ?? 'spot',
		sync_status: 'synced',
		state_transfer_progress: 100,
		hourly_micros: await spotPriceOf(tx, old, now),
		launched_at: now,
		sync_started_at: now,
		ready_at: now,
	};
	await addReplica.later(tx, row);
	work.replica = row;
	work.replicaHost = { ...old, role: 'replica', primary_of: null };
	work.replicaHeardAt = now;
};
