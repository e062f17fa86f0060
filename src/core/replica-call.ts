import { SpotError } from '../errors.ts';
import type { Host } from '../store/hosts.ts';
import { type Replica, replicaById } from '../store/replicas.ts';
import type { Caller } from './caller.ts';
import { callingHostWith, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { StaleRow } from './unit.ts';
import { lockedWork, type Work } from './work.ts';

/** 404: the agent has no such replica. */
export const noReplica = (id: string): SpotError =>
	new SpotError('missing', 'NOT_FOUND', `no replica "${id.slice(0, 80)}" of this agent`, { hint: 'see: spotctl replicas list' });

/** One call about a replica in its transaction: the caller's host, the replica as it is under the lock, the agent's situation. */
export type ReplicaCall = { readonly host: Host; readonly replica: Replica; readonly work: Work; readonly caller: Caller };

/** What a call came to: an answer, or an error that is told although what it led to is committed. */
export type Outcome<T> = { readonly answer: T } | { readonly refusal: SpotError };

/** Runs a call about a replica in one transaction. Errors: 404 when it is no replica of the caller's agent, and what the outcome refuses. */
export const onReplica = async <T>(
	context: Context,
	caller: Caller,
	ids: { readonly agent_id: string; readonly replica_id: string },
	run: (call: ReplicaCall) => Promise<Outcome<T>>,
): Promise<T> => {
	const outcome = await context.sharedUnit(caller, async (tx, journal) => {
		const { calling, also } = await callingHostWith(tx, ids.agent_id, caller, [replicaById.of({ id: ids.replica_id })]);
		const { agent, host } = calling;
		const replica = also[0][0];
		if (replica === undefined || replica.agent_id !== agent.id) throw noReplica(ids.replica_id);
		const work = await lockedWork(context, tx, journal, agent.id);
		if (work === null) throw new StaleRow();
		return { host, agent, result: await run({ host, replica: work.replica?.id === replica.id ? work.replica : replica, work, caller }) };
	});
	if (!speaksForAgent(caller)) context.liveness.seen(outcome.host.handle, outcome.host.client_id, 'other');
	if ('refusal' in outcome.result) throw outcome.result.refusal;
	return outcome.result.answer;
};

/** Whether a call of this host can still change a replica (identity.md section 5); else only an end can be confirmed. */
export const counts = ({ host, work }: Pick<ReplicaCall, 'host' | 'work'>): boolean =>
	work.agent.status !== 'deleted' && (host.role === 'primary' || host.role === 'replica' || host.role === 'candidate');

/** 409 with the replica as it stands. */
export const conflict = (code: string, message: string, replica: Replica, hint?: string): SpotError =>
	new SpotError('conflict', code, message, {
		hint: hint ?? `see: spotctl replicas show ${replica.id}`,
		extras: { replica_id: replica.id, replica_status: replica.status, instance_id: replica.instance_id },
	});

/** Audits what was asked of a replica, with what it was before. */
export const audit = ({ work, replica }: Pick<ReplicaCall, 'work' | 'replica'>, action: string, after: unknown): void =>
	work.journal.audit(
		action,
		'replica',
		replica.id,
		work.agent.client_id,
		{ status: replica.status, instance_id: replica.instance_id },
		after,
	);
