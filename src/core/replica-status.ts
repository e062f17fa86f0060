import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { type Host, hostByHandle, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { confirmEnd, type Replica, replicaById, saveReplica } from '../store/replicas.ts';
import type { Db } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import { speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { note as notePlan } from './emergency-book.ts';
import type { Journal } from './journal.ts';
import { reconcile } from './reconcile.ts';
import { audit, conflict, counts, onReplica, type ReplicaCall } from './replica-call.ts';
import { endReplica } from './replica-end.ts';
import { becomeReady, saveLive } from './replica-machine.ts';
import { mayBecome, REPLICA_STATES } from './replica-rules.ts';
import { StaleRow } from './unit.ts';
import type { Work } from './work.ts';

const STATUS_ALIASES: Readonly<Record<string, Replica['status']>> = { error: 'failed' };

/** #63: what the launcher says about a replica; transitions as in spec section 2 "Ours", final states final. */
export const replicaStatus =
	(context: Context) =>
	(input: Valid<'replicaStatus'>, caller: Caller): Promise<Output<'replicaStatus'>> => {
		const wanted = statusOf(input.status);
		return onReplica(context, caller, input, async (call) => {
			if (speaksForAgent(caller)) audit(call, 'replicas.status', { status: wanted });
			const refusal = await move(call, wanted, input.error_message ?? input.message, input.sync_completed_at);
			if (refusal !== null) return { refusal };
			return { answer: { success: true, replica_id: call.replica.id, status: wanted } };
		});
	};

const statusOf = (given: string | null): Replica['status'] => {
	const name = given?.toLowerCase() ?? '';
	const status = STATUS_ALIASES[name] ?? REPLICA_STATES.find((state) => state === name);
	if (status !== undefined) return status;
	throw new SpotError(
		'invalid',
		'VALIDATION_ERROR',
		given === null ? 'no status was given' : `"${given.slice(0, 40)}" is no state of a replica: ${REPLICA_STATES.join(', ')}`,
		{ extras: { details: { status: [`must be one of ${REPLICA_STATES.join(', ')}`] } } },
	);
};

/** Moves a replica to a state and sees what follows from it; answers what stands against it. */
const move = async (
	call: ReplicaCall,
	wanted: Replica['status'],
	message: string | null,
	syncedAt: number | null,
): Promise<SpotError | null> => {
	const { work, replica } = call;
	if (wanted === 'terminated') return confirmed(call);
	const illegal = (why: string) => conflict('ILLEGAL_TRANSITION', why, replica);
	if (!counts(call)) return illegal(`the replica is ${replica.status}, and ${call.host.instance_id} is ${call.host.role}: nothing moved`);
	if (replica.status === wanted) return null;
	if (wanted === 'promoted')
		return conflict(
			'ILLEGAL_TRANSITION',
			'a replica is promoted by promoting it, not by its status',
			replica,
			`see: spotctl replicas promote ${replica.id}`,
		);
	if (!mayBecome(replica.status, wanted)) return illegal(`a replica that is ${replica.status} cannot become ${wanted}`);
	if (wanted === 'failed') {
		const why = message ?? 'the agent could not launch it';
		if (work.emergency?.promoted_at === null) notePlan(work, { step: 'replica', choice: `give up ${replica.pool_id}`, why, rejected: [] });
		await endReplica(work, { status: 'failed', why, machine: 'ended' });
	} else {
		if (replica.handle === null) return illegal(`no machine was named for this replica: PUT its instance_id first`);
		if (wanted === 'ready') await becomeReady(work, syncedAt);
		else await saveLive(work, { status: 'syncing', sync_status: 'syncing', sync_started_at: work.now, ready_at: null });
		work.journal.changed('agent', work.agent.id);
	}
	await reconcile(work);
	return null;
};

/** Somebody says that the machine of a replica is gone. */
const confirmed = async (call: ReplicaCall): Promise<SpotError | null> => {
	const { work, replica } = call;
	if (replica.status === 'promoted')
		return conflict('ILLEGAL_TRANSITION', `${replica.instance_id} was promoted: its end is reported as that of a primary`, replica);
	if (replica.live_of !== null && !counts(call) && replica.handle !== call.host.handle)
		return conflict('ILLEGAL_TRANSITION', `${call.host.instance_id} is ${call.host.role}: it cannot end the live replica`, replica);
	if (replica.live_of !== null) {
		await endReplica(work, { status: 'terminated', why: 'its end was reported', machine: 'ended', confirmed: replica.handle !== null });
		await reconcile(work);
		return null;
	}
	await confirmEnded(work, replica);
	return null;
};

/** Books the end of an ended replica's machine. */
const confirmEnded = async (work: Work, replica: Replica): Promise<void> => {
	const { tx, journal, agent, now } = work;
	if (replica.confirmed_at === null) await saveReplica.must(tx, { ...replica, confirmed_at: now, seen_status: replica.status });
	const host = replica.handle === null ? undefined : await hostByHandle.first(tx, { handle: replica.handle });
	const serves = host === undefined || host.role === 'primary' || host.handle === work.replica?.handle;
	if (host !== undefined && !serves && host.role !== 'terminated' && host.agent_id === agent.id) await endHost(tx, journal, host, now);
	// A machine may be booked twice: whichever row the agent names, both are done.
	if (host !== undefined && !serves) await confirmEnd.later(tx, { handle: host.handle, now });
	journal.event('replica_end_confirmed', `the replica ${replica.instance_id ?? replica.id} of ${agent.logical_agent_id} is gone`, {
		clientId: agent.client_id,
		agentId: agent.id,
		instanceId: replica.instance_id,
	});
	journal.changed('agent', agent.id);
};

const endHost = async (tx: Db, journal: Journal, host: Host, now: number): Promise<void> => {
	const gone: Host = { ...host, role: 'terminated', terminated_at: now, takes_back: 0 };
	await saveHost.later(tx, gone);
	journal.book(gone);
	await setWatch.later(tx, { handle: host.handle, watch_at: null });
};

/** #64 */
export const replicaSync =
	(context: Context) =>
	(input: Valid<'replicaSync'>, caller: Caller): Promise<Output<'replicaSync'>> => {
		const wanted = input.status === null ? null : statusOf(input.status);
		const said = (input.sync_status ?? input.sync_state)?.toLowerCase() ?? null;
		const sync = said === null ? null : (SYNC_STATES.find((state) => state === said) ?? null);
		if (said !== null && sync === null)
			throw new SpotError('invalid', 'VALIDATION_ERROR', `"${said.slice(0, 40)}" is no sync state: ${SYNC_STATES.join(', ')}`, {
				extras: { details: { sync_status: [`must be one of ${SYNC_STATES.join(', ')}`] } },
			});
		return onReplica(context, caller, input, async (call) => {
			const { work, host, replica } = call;
			const own = host.role === 'primary' || replica.handle === host.handle;
			if (!counts(call) || !own || replica.live_of === null)
				return {
					refusal: conflict('ILLEGAL_TRANSITION', `the replica is ${replica.status}: its sync is not of interest any more`, replica),
				};
			if (speaksForAgent(caller))
				audit(call, 'replicas.sync', { sync_status: sync, progress: input.state_transfer_progress ?? input.sync_progress });
			const progress = input.state_transfer_progress ?? input.sync_progress ?? null;
			await saveLive(work, {
				sync_status: sync ?? replica.sync_status,
				sync_latency_ms: input.sync_latency_ms == null ? replica.sync_latency_ms : Math.round(input.sync_latency_ms),
				state_transfer_progress: progress === null ? replica.state_transfer_progress : Math.min(100, progress),
				last_sync_at: work.now,
			});
			const reached = wanted ?? (progress !== null && progress >= 100 && replica.status === 'syncing' ? 'ready' : null);
			const current: ReplicaCall = { ...call, replica: work.replica ?? replica };
			const refusal = reached === null ? null : await move(current, reached, null, null);
			if (refusal !== null) return { refusal };
			work.journal.changed('agent', work.agent.id);
			return { answer: { success: true, message: 'sync state recorded', status: await statusNow(work, replica.id) } };
		});
	};

/** The state a replica is in by now: it may have been promoted or ended, and another one ordered in its place. */
const statusNow = async ({ tx, replica }: Work, id: string): Promise<Replica['status']> => {
	const found = replica?.id === id ? replica : await replicaById.first(tx, { id });
	if (found === undefined) throw new StaleRow();
	return found.status;
};

const SYNC_STATES = ['initializing', 'syncing', 'synced', 'out-of-sync'] as const;
