import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { agentById, lockRowOfHandle } from '../store/agents.ts';
import type { View } from '../store/host-view.ts';
import { type Host, hostByHandle, hostNamedBy, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import {
	addReplica,
	confirmEnd,
	endedReplicasOf,
	hastenAttention,
	listLiveReplicas,
	listReplicaRows,
	liveReplicaOf,
	type Replica,
	replicaById,
	saveReplica,
	servedLaunch,
	serveLaunch,
	undoServe,
} from '../store/replicas.ts';
import type { Db } from '../store/statement.ts';
import { agentIdOf } from './agent-id.ts';
import { actorOf, type Caller, clientScope } from './caller.ts';
import { agentDeleted, callingHostWith, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { MOST_SERVED } from './failover-plan.ts';
import { machineOfAgent } from './machines.ts';
import { zoneOf } from './orders.ts';
import { pageOf, readCursor } from './paging.ts';
import { choosePool, NO_WISHES, readMarket } from './pool-choice.ts';
import { blankReplica, endReplica, lockedWork, note as notePlan, orderIn, promoteReplica, reconcile, type Work } from './reconcile.ts';
import { attach, becomeReady, endMachine, saveLive } from './replica-machine.ts';
import { mayBecome, SERVE_MS } from './replica-rules.ts';
import { hostReplica, operatorReplica, poolOf, shownReplica } from './replica-view.ts';
import { micros, usd } from './report.ts';
import { note, withHost } from './routine.ts';
import { StaleRow } from './unit.ts';

const noReplica = (id: string): SpotError =>
	new SpotError('missing', 'NOT_FOUND', `no replica "${id.slice(0, 80)}" of this agent`, { hint: 'see: spotctl replicas list' });

/** An attempt hides a machine from the lists for this long (spec section 8). */
const ATTEMPT_MS = 5 * 60_000;
const MOST_LISTED = 1000;

/** #57 */
export const replicaConfig =
	(context: Context) =>
	(input: Valid<'replicaConfig'>, caller: Caller): Output<'replicaConfig'> | Promise<Output<'replicaConfig'>> =>
		withHost(context, input.agent_id, caller, (host) => {
			if (host.status === 'deleted') throw agentDeleted(host.agent_id);
			note(context, host, caller, 'other');
			const enabled = host.manual_replica_enabled === 1;
			return { enabled, count: enabled ? 1 : 0 };
		});

type List = Output<'listHostReplicas'>;
const EMPTY: List = { replicas: [], total: 0 };

/** #58: launch orders for the primary, ended replicas for the primary (or a deleted agent's former one), everything else for anybody. */
export const listHostReplicas =
	(context: Context) =>
	(input: Valid<'listHostReplicas'>, caller: Caller): List | Promise<List> =>
		withHost(context, input.agent_id, caller, (host) => {
			const { status } = input;
			if (host.status === 'deleted' && status !== 'launching' && status !== 'terminated') throw agentDeleted(host.agent_id);
			note(context, host, caller, status === 'launching' ? 'replicas' : 'other');
			if (status === 'launching') return launching(context, host, caller);
			if (status === 'terminated') return host.ending === 0 || host.role !== 'primary' ? EMPTY : ended(context, host);
			return everything(context, host, status, input.include_terminated === true);
		});

const launching = (context: Context, host: View, caller: Caller): List | Promise<List> => {
	if (host.role !== 'primary' || host.status === 'deleted') return EMPTY;
	const lacks = host.replica_status === null && host.manual_replica_enabled === 1 && host.enabled === 1;
	if (lacks && !speaksForAgent(caller)) return wake(context, host);
	if (host.replica_status !== 'launching' || host.replica_handle !== null) return EMPTY;
	if (speaksForAgent(caller)) return everything(context, host, 'launching', false);
	const now = context.clock.now();
	return host.replica_lease_until !== null && host.replica_lease_until > now ? EMPTY : serve(context, host, caller, now);
};

/** The first poll of a host that was thought never to fetch orders: manual mode can have its replica now. */
const wake = async (context: Context, host: View): Promise<List> => {
	const agent = await agentById.first(context.store.read, { id: host.agent_id });
	if (agent?.attention_at != null) return EMPTY;
	await context.unit(null, async (tx, journal) => {
		const work = await lockedWork(context, tx, journal, host.agent_id);
		if (work !== null) await reconcile(work);
	});
	return EMPTY;
};

const serve = async (context: Context, host: View, caller: Caller, now: number): Promise<List> => {
	const since = context.directory.cache.moment();
	const { launchMs } = context.settings.failover;
	const serveId = context.ids.uuid();
	// The agent first, as everywhere: whoever decides about it meanwhile waits, or has decided.
	const [, , , [replica]] = await context.store.transactTogether([
		lockRowOfHandle.of({ handle: host.handle }),
		serveLaunch.of({ handle: host.handle, serve_id: serveId, now, lease_until: now + SERVE_MS, most: MOST_SERVED }),
		hastenAttention.of({ handle: host.handle, at: now + launchMs }),
		servedLaunch.of({ handle: host.handle, serve_id: serveId }),
	]);
	if (context.directory.cache.get(host.handle) === host)
		context.directory.cache.put(host.handle, host.agent_id, { ...host, replica_lease_until: now + SERVE_MS }, since);
	if (replica === undefined) return EMPTY;
	if (!caller.gone()) return { replicas: [hostReplica(replica, now)], total: 1 };
	await context.unit(caller, async (tx, journal) => {
		await undoServe.later(tx, { id: replica.id, serve_id: serveId });
		journal.changed('agent', host.agent_id);
	});
	return EMPTY;
};

const ended = async (context: Context, host: View): Promise<List> => {
	const now = context.clock.now();
	const rows = await endedReplicasOf.all(context.store.read, { agent_id: host.agent_id, primary: host.handle });
	const due = rows.filter(
		(row) =>
			/^i-/.test(row.instance_id ?? '') &&
			row.hold === 0 &&
			(row.hold_until ?? 0) <= now &&
			now - (row.termination_attempted_at ?? Number.NEGATIVE_INFINITY) >= ATTEMPT_MS,
	);
	return { replicas: due.map((row) => hostReplica({ ...row, status: 'terminated' }, now)), total: due.length };
};

const everything = async (context: Context, host: View, status: string | undefined, all: boolean): Promise<List> => {
	const known = REPLICA_STATES.find((state) => state === status);
	if (status !== undefined && known === undefined) return EMPTY;
	const now = context.clock.now();
	const rows = await listReplicaRows(context.store.read, {
		clientId: null,
		agentId: host.agent_id,
		status: known ?? (all ? null : 'live'),
		limit: MOST_LISTED,
		after: null,
	});
	const replicas = rows.slice(0, MOST_LISTED).map((row) => hostReplica(row, now));
	return { replicas, total: replicas.length };
};

const REPLICA_STATES = ['launching', 'syncing', 'ready', 'promoted', 'terminated', 'failed'] as const;

/** One call about a replica in its transaction: the caller's host, the replica as it is under the lock, the agent's situation. */
type ReplicaCall = { readonly host: Host; readonly replica: Replica; readonly work: Work; readonly caller: Caller };

/** What a call came to: an answer, or an error that is told although what it led to is committed. */
type Outcome<T> = { readonly answer: T } | { readonly refusal: SpotError };

const onReplica = async <T>(
	context: Context,
	caller: Caller,
	ids: { readonly agent_id: string; readonly replica_id: string },
	run: (call: ReplicaCall) => Promise<Outcome<T>>,
): Promise<T> => {
	const outcome = await context.unit(caller, async (tx, journal) => {
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
const counts = ({ host, work }: Pick<ReplicaCall, 'host' | 'work'>): boolean =>
	work.agent.status !== 'deleted' && (host.role === 'primary' || host.role === 'replica' || host.role === 'candidate');

const conflict = (code: string, message: string, replica: Replica, hint?: string): SpotError =>
	new SpotError('conflict', code, message, {
		hint: hint ?? `see: spotctl replicas show ${replica.id}`,
		extras: { replica_id: replica.id, replica_status: replica.status, instance_id: replica.instance_id },
	});

/** #60 (T4): names the machine of a replica. What loses is put on the terminate lists, and its 409 is told after that is stored. */
export const attachReplica =
	(context: Context) =>
	(input: Valid<'attachReplica'>, caller: Caller): Promise<Output<'attachReplica'>> => {
		if (!/^i-/.test(input.instance_id))
			throw new SpotError('invalid', 'VALIDATION_ERROR', `"${input.instance_id}" is no machine: its id does not begin with i-`, {
				extras: { details: { instance_id: ['is no i-… id'] } },
			});
		return onReplica(context, caller, input, async (call) => {
			const { replica } = call;
			if (speaksForAgent(caller)) audit(call, 'replicas.attach', { instance_id: input.instance_id });
			return nameMachine(call, replica, input.instance_id);
		});
	};

const audit = ({ work, replica }: Pick<ReplicaCall, 'work' | 'replica'>, action: string, after: unknown): void =>
	work.journal.audit(
		action,
		'replica',
		replica.id,
		work.agent.client_id,
		{ status: replica.status, instance_id: replica.instance_id },
		after,
	);

const attached = (replica: Replica, instanceId: string): { answer: Output<'attachReplica'> } => ({
	answer: { success: true, replica_id: replica.id, instance_id: instanceId, status: replica.status },
});

const nameMachine = async (call: ReplicaCall, replica: Replica, instanceId: string): Promise<Outcome<Output<'attachReplica'>>> => {
	const { work, host } = call;
	const { context, tx, journal, agent } = work;
	if (replica.instance_id === instanceId && replica.handle !== null && (replica.live_of !== null || replica.status === 'promoted')) {
		// A registration had been taken for it: now its launcher says so too.
		if (replica.guess === 1 && replica.live_of !== null) await saveLive(work, { guess: 0 });
		return attached(replica, instanceId);
	}
	const named = (await hostNamedBy.all(tx, { handle: host.handle, instance_id: instanceId }))[0];
	const facts = {
		instanceId,
		type: replica.instance_type ?? host.instance_type,
		region: replica.region ?? host.region,
		az: replica.az,
		mode: null,
		poolId: replica.pool_id,
		ami: host.ami_id,
	};
	const placed = await machineOfAgent(context, tx, journal, agent, facts, counts(call), named);
	if (placed === null)
		return {
			refusal: conflict(
				'MACHINE_CONFLICT',
				`${instanceId} is a machine of another agent; nothing moved`,
				replica,
				'see: spotctl instances list',
			),
		};
	const { machine, isNew } = placed;
	const surplus = (why: string) =>
		endMachine(
			{ context, tx, journal, agent, primary: work.primary, now: work.now, replica, by: actorOf(call.caller), why },
			machine,
			isNew,
		);
	if (machine.handle === work.replica?.handle)
		return { refusal: conflict('MACHINE_TAKEN', `${instanceId} is the machine of the live replica; nothing moved`, replica) };
	if (machine.role === 'primary')
		return { refusal: conflict('MACHINE_IS_PRIMARY', `${instanceId} is the primary; nothing moved`, replica) };
	const free = machine.role === 'named' || machine.role === 'candidate' || (machine.role === 'zombie' && machine.generation === null);
	if (!counts(call) || replica.live_of === null) {
		await surplus(
			replica.live_of === null ? `its replica is ${replica.status} already` : `${host.instance_id} is not the primary any more`,
		);
		return { refusal: conflict('REPLICA_ENDED', `the replica is ${replica.status}: ${instanceId} will be terminated`, replica) };
	}
	if (replica.handle !== null && replica.guess === 0) {
		await surplus(`${replica.instance_id} was named first`);
		return {
			refusal: conflict(
				'REPLICA_TAKEN',
				`the replica is ${replica.instance_id}, which was named first; ${instanceId} will be terminated`,
				replica,
			),
		};
	}
	if (!free) return { refusal: conflict('MACHINE_TAKEN', `${instanceId} is ${machine.role} already; nothing moved`, replica) };
	if (replica.handle !== null && work.replicaHost !== null) {
		// The first PUT beats a guess.
		const guessed = work.replicaHost;
		await saveLive(work, { handle: null, instance_id: null, guess: 0 });
		await endMachine(
			{
				context,
				tx,
				journal,
				agent,
				primary: work.primary,
				now: work.now,
				replica: null,
				by: 'spotctl',
				why: `the replica is ${instanceId}, not this machine`,
			},
			guessed,
			false,
		);
		work.replicaHost = null;
	}
	await attach(work, machine, isNew, false);
	const now = work.replica;
	await reconcile(work);
	return attached(now ?? replica, instanceId);
};

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
	if (host !== undefined && !serves && host.role !== 'terminated' && host.agent_id === agent.id) await endHost(tx, host, now);
	// A machine may be booked twice: whichever row the agent names, both are done.
	if (host !== undefined && !serves) await confirmEnd.later(tx, { handle: host.handle, now });
	journal.event('replica_end_confirmed', `the replica ${replica.instance_id ?? replica.id} of ${agent.logical_agent_id} is gone`, {
		clientId: agent.client_id,
		agentId: agent.id,
		instanceId: replica.instance_id,
	});
	journal.changed('agent', agent.id);
};

const endHost = async (tx: Db, host: Host, now: number): Promise<void> => {
	await saveHost.later(tx, { ...host, role: 'terminated', terminated_at: now, takes_back: 0 });
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
			return { answer: { success: true, message: 'sync state recorded', status: work.replica?.status ?? reached ?? replica.status } };
		});
	};

const SYNC_STATES = ['initializing', 'syncing', 'synced', 'out-of-sync'] as const;

/** Operator routes take any handle of the agent but a standby's private one (identity.md section 7). */
const mustSpeakForAgent = ({ host, work }: ReplicaCall, agentId: string): void => {
	if (work.agent.status === 'deleted') throw agentDeleted(work.agent.id);
	// An admin means the agent, but not by a standby's private handle.
	if (agentId === work.primary.handle || agentId === work.agent.id) return;
	throw new SpotError('conflict', 'NOT_PRIMARY', `${host.instance_id} is not the primary of its agent (${host.role})`, {
		hint: `the primary is ${work.primary.instance_id}; name the agent: ${work.agent.id}`,
		extras: { primary: work.primary.instance_id, agent_id: work.agent.id },
	});
};

/** #61 */
export const deleteReplica =
	(context: Context) =>
	(input: Valid<'deleteReplica'>, caller: Caller): Promise<Output<'deleteReplica'>> =>
		onReplica(context, caller, input, async (call) => {
			const { work, replica } = call;
			mustSpeakForAgent(call, input.agent_id);
			if (replica.status === 'promoted')
				throw conflict(
					'REPLICA_PROMOTED',
					`${replica.instance_id} was promoted: it is not a replica any more`,
					replica,
					`see: spotctl agents show ${work.agent.id}`,
				);
			if (replica.live_of === null)
				throw new SpotError('invalid', 'REPLICA_TERMINATED', `the replica is ${replica.status} already`, {
					hint: `see: spotctl replicas show ${replica.id}`,
					extras: { terminated_at: isoOr(replica.ended_at), replica_status: replica.status },
				});
			audit(call, 'replicas.delete', { status: 'terminated' });
			await endReplica(work, { status: 'terminated', why: `${actorOf(caller)} deleted it`, machine: 'ended' });
			await reconcile(work);
			const again = work.replica === null ? '' : '; another one was ordered';
			return {
				answer: { success: true, message: `the replica was terminated${again}`, replica_id: replica.id, terminated_at: iso(work.now) },
			};
		});

/** #62 (T6). The loser of a race reads who won. */
export const promoteReplicaRoute =
	(context: Context) =>
	(input: Valid<'promoteReplica'>, caller: Caller): Promise<Output<'promoteReplica'>> =>
		onReplica(context, caller, input, async (call) => {
			const { work, replica } = call;
			mustSpeakForAgent(call, input.agent_id);
			if (replica.status === 'promoted')
				throw new SpotError(
					'conflict',
					'ALREADY_PROMOTED',
					`${replica.instance_id} was promoted already; the primary is ${work.primary.instance_id}`,
					{
						hint: `see: spotctl agents show ${work.agent.id}`,
						extras: { primary: work.primary.instance_id, new_instance_id: replica.instance_id },
					},
				);
			if (replica.live_of === null) throw noReplica(input.replica_id);
			if (replica.status !== 'ready')
				throw new SpotError('invalid', 'REPLICA_NOT_READY', `the replica is ${replica.status}, not ready`, {
					hint: `see: spotctl replicas show ${replica.id}`,
					extras: { current_status: replica.status, required_status: 'ready' },
				});
			if (!/^i-/.test(replica.instance_id ?? ''))
				throw conflict('NOT_A_MACHINE', `"${replica.instance_id}" is no machine of EC2: it cannot be promoted`, replica);
			const old = work.primary;
			const demote = input.demote_old_primary === true;
			audit(call, 'replicas.promote', { status: 'promoted', demote_old_primary: demote });
			await promoteReplica(work, replica, { reason: 'operator', demote });
			await reconcile(work);
			const primary = work.primary;
			return {
				answer: {
					success: true,
					message: `${primary.instance_id} is the primary; ${old.instance_id} is ${demote ? 'its replica' : 'a zombie'}`,
					new_instance_id: primary.instance_id,
					old_instance_id: old.instance_id,
					demoted: demote,
					switch_time: iso(work.now),
					new_primary_id: work.agent.id,
				},
			};
		});

const TYPES: readonly Replica['type'][] = ['manual', 'automatic-rebalance', 'automatic-termination'];

/** #59: with a machine it is evidence and is never refused; without one it is an operator's order. */
export const createReplica =
	(context: Context) =>
	async (input: Valid<'createReplica'>, caller: Caller): Promise<Output<'createReplica'>> => {
		const instanceId = input.instance_id !== null && /^i-[\x21-\x7e]{1,62}$/.test(input.instance_id) ? input.instance_id : null;
		const result = await context.unit(caller, async (tx, journal) => {
			const { calling } = await callingHostWith(tx, input.agent_id, caller, []);
			const { agent, host } = calling;
			const work = await lockedWork(context, tx, journal, agent.id);
			if (work === null) throw new StaleRow();
			const answer = instanceId === null ? await ordered(work, input, caller) : await reported(work, host, input, instanceId, caller);
			return { host, answer };
		});
		if (!speaksForAgent(caller)) context.liveness.seen(result.host.handle, result.host.client_id, 'other');
		return result.answer;
	};

const created = (replica: Replica, message: string): Output<'createReplica'> => ({
	success: true,
	replica_id: replica.id,
	instance_id: replica.instance_id ?? shownReplica(replica, replica.created_at).instance_id,
	pool: poolOf(replica),
	hourly_cost: usd(replica.hourly_micros),
	status: replica.status,
	message,
});

const poolWanted = (input: Valid<'createReplica'>): string | null => input.pool_id ?? input.target_pool_id ?? input.target_pool;

const ordered = async (work: Work, input: Valid<'createReplica'>, caller: Caller): Promise<Output<'createReplica'>> => {
	const { tx, agent, primary, now, journal } = work;
	const bad = (code: string, message: string, hint: string, extras: Record<string, unknown> = {}) =>
		new SpotError('invalid', code, message, { hint, extras: { hint, ...extras } });
	if (agent.status === 'deleted') throw agentDeleted(agent.id);
	if (work.primarySilent || agent.status === 'offline')
		throw new SpotError('missing', 'AGENT_OFFLINE', `${agent.logical_agent_id} is offline: nobody could launch a replica`, {
			hint: `see: spotctl agents show ${agent.id}`,
		});
	if (agent.manual_replica_enabled === 0)
		throw bad(
			'MANUAL_REPLICA_OFF',
			'manual replicas are not enabled for this agent',
			`turn them on: spotctl agents set ${agent.id} --manual-replica on`,
		);
	if (work.replica !== null)
		throw bad('REPLICA_EXISTS', 'the agent has a replica already', `see: spotctl replicas show ${work.replica.id}`, {
			current_count: 1,
			max_allowed: 1,
			note: 'promote or delete it first',
			replica_id: work.replica.id,
		});
	if (work.canLaunch === false)
		throw new SpotError(
			'conflict',
			'AGENT_NEVER_POLLS',
			`the agent on ${primary.instance_id} has never asked for launch orders: it cannot launch a replica`,
			{
				hint: 'install the classic agent on it',
			},
		);
	const wanted = poolWanted(input);
	const market = await readMarket(tx, primary, now);
	const type = wanted === null ? null : wanted.slice(0, Math.max(0, wanted.lastIndexOf('.')));
	if (wanted !== null && primary.instance_type !== null && type !== primary.instance_type)
		throw bad(
			'POOL_TYPE_MISMATCH',
			`pool "${wanted}" is not of type ${primary.instance_type}`,
			`see: spotctl instances options ${primary.instance_id}`,
			{
				agent_type: primary.instance_type,
				pool_type: type,
			},
		);
	if (wanted !== null && !market.pools.some((pool) => pool.id === wanted))
		throw new SpotError('missing', 'POOL_NOT_FOUND', `no pool "${wanted}" is known in ${primary.region}`, {
			hint: `see: spotctl instances options ${primary.instance_id}`,
		});
	const chosen = choosePool(primary, market, {
		...NO_WISHES,
		excludedZones: input.exclude_zones ?? [],
		mostMicros: micros(input.max_hourly_cost),
		poolId: wanted,
	});
	if (chosen.choice === null)
		throw bad('NO_SUITABLE_POOL', 'no pool is left for a replica', `see: spotctl instances options ${primary.instance_id}`, {
			rejected: chosen.rejected,
		});
	const by = input.created_by ?? actorOf(caller);
	const why = `${actorOf(caller)} asked for it`;
	const tags = input.tags == null ? null : JSON.stringify(input.tags);
	if (tags !== null && tags.length > 10_000) throw bad('VALIDATION_ERROR', 'the tags are longer than 10,000 characters', 'send fewer tags');
	const replica = await orderIn(work, chosen.choice, 'manual', why, chosen.rejected, by, tags);
	journal.audit('replicas.create', 'replica', replica.id, agent.client_id, null, { pool_id: replica.pool_id });
	await reconcile(work);
	return created(replica, `a replica in ${replica.pool_id} was ordered; the agent launches it with its next poll`);
};

/** Tags of a machine that runs are no reason to refuse it: those that are too long are left out. */
const keptTags = (tags: Valid<'createReplica'>['tags']): string | null => {
	const text = tags == null ? null : JSON.stringify(tags);
	return text === null || text.length > 10_000 ? null : text;
};

/** A machine that exists already: attached where the slot is free or waits for one, else it must end. */
const reported = async (
	work: Work,
	host: Host,
	input: Valid<'createReplica'>,
	instanceId: string,
	caller: Caller,
): Promise<Output<'createReplica'>> => {
	const { context, tx, journal, agent, now } = work;
	const poolId = poolWanted(input);
	const named = (await hostNamedBy.all(tx, { handle: host.handle, instance_id: instanceId }))[0];
	const mine = host.role === 'primary' && agent.status !== 'deleted';
	const known = work.replica;
	if (known !== null && known.instance_id === instanceId) return created(known, `${instanceId} is the replica already`);
	// What follows the last dot; a pool without one says nothing about the zone.
	const az = poolId === null || !poolId.includes('.') ? host.az : zoneOf(poolId).slice(0, 48);
	const facts = { instanceId, type: host.instance_type, region: host.region, az, mode: null, poolId, ami: host.ami_id };
	const placed = await machineOfAgent(context, tx, journal, agent, facts, mine, named);
	if (placed === null)
		throw new SpotError('conflict', 'MACHINE_CONFLICT', `${instanceId} is a machine of another agent; nothing moved`, {
			hint: 'see: spotctl instances list',
		});
	const { machine, isNew } = placed;
	const free = machine.role === 'named' || machine.role === 'candidate';
	if (speaksForAgent(caller)) journal.audit('replicas.create', 'instance', instanceId, agent.client_id, null, { pool_id: poolId });
	if (mine && free && (known === null || known.handle === null)) {
		if (known === null) {
			const row: Replica = {
				...blankReplica(work, TYPES.find((type) => type === input.replica_type) ?? 'manual', actorOf(caller), 'the agent launched it'),
				pool_id: poolId,
				az,
				tags: keptTags(input.tags),
				hourly_micros: (await readMarket(tx, work.primary, now)).prices.get(poolId ?? '') ?? null,
			};
			await addReplica.later(tx, row);
			work.replica = row;
		}
		await attach(work, machine, isNew, false);
		const before = work.replica;
		await reconcile(work);
		if (before === null) throw new StaleRow();
		const replica = (await replicaById.first(tx, { id: before.id })) ?? before;
		return created(
			replica,
			replica.live_of !== null
				? `${instanceId} is the replica`
				: `${instanceId} is ${replica.status}: ${replica.error_message ?? 'an emergency waited for it'}`,
		);
	}
	const why = mine
		? known === null
			? `it is ${machine.role} already`
			: `the replica is ${known.instance_id}`
		: `${host.instance_id} is not the primary`;
	const row = await endMachine(
		{ context, tx, journal, agent, primary: work.primary, now, replica: null, by: actorOf(caller), why },
		machine,
		isNew,
	);
	if (row !== null) return created(row, `${instanceId} is one too many and will be terminated: ${why}`);
	const other = known ?? (await liveReplicaOf.first(tx, { agent_id: agent.id })) ?? null;
	throw new SpotError('conflict', 'MACHINE_TAKEN', `${instanceId} is ${machine.role} already; nothing moved`, {
		hint: `see: spotctl instances show ${instanceId}`,
		extras: { replica_id: other?.id ?? null },
	});
};

/** #34 */
export const listClientReplicas =
	(context: Context) =>
	async (input: Valid<'listClientReplicas'>): Promise<Output<'listClientReplicas'>> => {
		const now = context.clock.now();
		const rows = await listLiveReplicas(context.store.read, input.client_id, input.limit, readCursor(input.cursor));
		return pageOf(
			rows,
			input.limit,
			(row) => {
				const { instance_id: instanceId, ...replica } = shownReplica(row, now);
				return {
					agentId: row.agent_id,
					primary: { instanceId: row.p_instance_id, instanceType: row.p_type, region: row.p_region, az: row.p_az, mode: row.p_mode },
					replica: { ...replica, instanceId },
				};
			},
			(row) => row.id,
		);
	};

/** Replicas for operators, newest first. */
export const listReplicas =
	(context: Context) =>
	async (input: Valid<'listReplicas'>, caller: Caller): Promise<Output<'listReplicas'>> => {
		const now = context.clock.now();
		const rows = await listReplicaRows(context.store.read, {
			clientId: clientScope(caller) ?? input.client_id ?? null,
			agentId: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			status: input.status ?? null,
			limit: input.limit,
			after: readCursor(input.cursor),
		});
		return pageOf(
			rows,
			input.limit,
			(row) => operatorReplica(row, now),
			(row) => row.id,
		);
	};

export const showReplica =
	(context: Context) =>
	async (input: Valid<'showReplica'>, caller: Caller): Promise<Output<'showReplica'>> => {
		const { read } = context.store;
		const replica = await replicaById.first(read, { id: input.replica_id });
		const scope = clientScope(caller);
		if (replica === undefined || (scope !== null && scope !== replica.client_id)) {
			throw new SpotError('missing', 'NOT_FOUND', `no replica "${input.replica_id.slice(0, 80)}"`, { hint: 'see: spotctl replicas list' });
		}
		const agent = await agentById.first(read, { id: replica.agent_id });
		return operatorReplica({ ...replica, logical_agent_id: agent?.logical_agent_id ?? replica.agent_id }, context.clock.now());
	};
