import { type Host, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { lastReplicasOf, type Replica, saveReplica } from '../store/replicas.ts';
import { failuresInARow, nameOf } from './replica-rules.ts';
import { aboutOf, type Work } from './work.ts';

/** The live replica ends: its slot is free, its machine goes, or stays a candidate where nothing says that it must go. */
export const endReplica = async (
	work: Work,
	end: {
		readonly status: 'failed' | 'terminated';
		readonly why: string;
		readonly machine: 'ended' | 'candidate';
		readonly holdUntil?: number;
		readonly confirmed?: boolean;
	},
): Promise<void> => {
	const { tx, journal, replica, replicaHost, agent, now } = work;
	if (replica === null) return;
	const ended: Replica = {
		...replica,
		live_of: null,
		status: end.status,
		ended_at: now,
		error_message: end.why,
		confirmed_at: end.confirmed === true ? now : null,
	};
	await saveReplica.must(tx, { ...ended, seen_status: replica.status });
	if (replicaHost !== null && replicaHost.role === 'replica') {
		const role = end.confirmed === true ? 'terminated' : end.machine;
		const left: Host = {
			...replicaHost,
			role,
			zombie_at: role === 'ended' ? now : replicaHost.zombie_at,
			hold_until: end.holdUntil ?? replicaHost.hold_until,
			// Should it call again, it can stand by again.
			tentative_replica_id: role === 'candidate' ? replica.id : null,
			terminated_at: role === 'terminated' ? now : null,
		};
		await saveHost.later(tx, left);
		journal.book(left);
		await setWatch.later(tx, { handle: replicaHost.handle, watch_at: null });
	}
	const about = { ...aboutOf(work), instanceId: replica.instance_id };
	const failed = end.status === 'failed';
	journal.event(
		failed ? 'replica_failed' : 'replica_terminated',
		`the replica ${nameOf(replica)} of ${agent.logical_agent_id} ended: ${end.why}`,
		about,
		{
			severity: failed ? 'warning' : 'info',
			metadata: { replica_id: replica.id },
		},
	);
	// Once in a row of failures.
	const before = failed
		? failuresInARow(
				(await lastReplicasOf.all(tx, { agent_id: agent.id })).filter(({ id }) => id !== replica.id),
				now,
			)
		: [];
	if (failed && before.length === 0)
		journal.notify('replica_failed', 'Replica failed', `${agent.logical_agent_id}: ${end.why}`, about, 'warning');
	journal.changed('agent', agent.id);
	work.replica = null;
	work.replicaHost = null;
	work.replicaHeardAt = null;
	work.replicaSilent = false;
};
