import type { Agent } from '../store/agents.ts';
import type { Emergency } from '../store/emergencies.ts';
import { addHost, type Host, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { addReplica, type Replica, saveReplica } from '../store/replicas.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { changeEmergency, note } from './emergency-book.ts';
import type { Journal } from './journal.ts';
import { spotPriceOf } from './pool-choice.ts';
import { blankReplica } from './replica-order.ts';
import type { Work } from './work.ts';

/** Saves the live replica of the work under its status check. */
export const saveLive = async (work: Work, change: Partial<Replica>): Promise<Replica> => {
	const { tx, replica } = work;
	if (replica === null) throw new Error('no live replica');
	const saved: Replica = { ...replica, ...change };
	await saveReplica.must(tx, { ...saved, seen_status: replica.status });
	work.replica = saved;
	return saved;
};

/** Whether the open emergency waits for this replica. */
const awaiting = ({ emergency }: Work): Emergency | null => (emergency !== null && emergency.promoted_at === null ? emergency : null);

/**
 * T4 of identity.md: a machine is the live replica's, named by a PUT (or POST), or guessed from its registration (R5). One whose own agent
 * has registered is ready (T5). `why` goes into the plan of an emergency that waits, where it is none of these. The caller reconciles.
 */
export const attach = async (work: Work, machine: Host, isNew: boolean, guess: boolean, why?: string): Promise<void> => {
	const { tx, journal, agent, now } = work;
	const host: Host = {
		...machine,
		role: 'replica',
		tentative_command_id: null,
		tentative_replica_id: null,
		guess_replica_id: guess ? (work.replica?.id ?? null) : null,
		zombie_at: null,
		hold: 0,
		hold_until: null,
	};
	await (isNew ? addHost : saveHost).later(tx, host);
	journal.book(host);
	if (host.registered_at !== null) await setWatch.later(tx, { handle: host.handle, watch_at: now });
	const replica = await saveLive(work, {
		status: 'syncing',
		handle: host.handle,
		instance_id: host.instance_id,
		guess: guess ? 1 : 0,
		awaits_machine: 0,
		launched_at: now,
		sync_started_at: now,
		ready_at: null,
		sync_status: 'syncing',
	});
	work.replicaHost = host;
	work.replicaHeardAt = host.registered_at;
	work.replicaSilent = false;
	if (awaiting(work) !== null)
		note(
			work,
			{
				step: 'sync',
				choice: host.instance_id,
				why: why ?? (guess ? 'it registered and fits the launch' : 'the launch named it'),
				rejected: [],
			},
			{ replica_id: replica.id, launched_at: now, step: 'sync', step_at: now },
		);
	journal.event('replica_attached', `${host.instance_id} is the replica of ${agent.logical_agent_id}`, about(agent, host), {
		metadata: { replica_id: replica.id, guess },
	});
	journal.changed('agent', agent.id);
	if (host.registered_at !== null) await becomeReady(work);
};

const about = (agent: Agent, host: Host) => ({ clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id });

/** T5: the replica can take over. The caller reconciles, and an emergency that waits promotes it then. */
export const becomeReady = async (work: Work, syncedAt: number | null = null): Promise<void> => {
	const { journal, agent, now, replica, replicaHost } = work;
	if (replica === null || replicaHost === null || replica.status === 'ready') return;
	await saveLive(work, {
		status: 'ready',
		ready_at: now,
		sync_status: 'synced',
		sync_completed_at: syncedAt ?? now,
		state_transfer_progress: 100,
		last_sync_at: now,
	});
	if (awaiting(work) !== null) changeEmergency(work, { ready_at: now });
	journal.event(
		'replica_ready',
		`the replica ${replicaHost.instance_id} of ${agent.logical_agent_id} is ready`,
		about(agent, replicaHost),
		{
			metadata: { replica_id: replica.id },
		},
	);
	journal.changed('agent', agent.id);
};

/** A machine that no live replica is for, and what says so. */
export type Surplus = {
	readonly context: Context;
	readonly tx: Db;
	readonly journal: Journal;
	readonly agent: Agent;
	readonly primary: Host;
	readonly now: number;
	/** The replica it was launched for, if that is known. */
	readonly replica: Replica | null;
	readonly by: string;
	readonly why: string;
};

/**
 * T4: a real machine that lost is booked as ended with a replica row of its own, so that both lists name it until somebody confirms its
 * end. The row of a dead replica that has this machine, or never had one, takes it. The primary, zombies and live replicas are left alone. Answers the
 * row, or null when the machine stays what it is.
 */
export const endMachine = async (surplus: Surplus, machine: Host, isNew: boolean): Promise<Replica | null> => {
	const { context, tx, journal, agent, primary, now, replica, by, why } = surplus;
	if (machine.role !== 'named' && machine.role !== 'candidate' && machine.role !== 'replica') return null;
	const ended: Host = { ...machine, role: 'ended', zombie_at: now, tentative_command_id: null, tentative_replica_id: null, hold: 0 };
	await (isNew ? addHost : saveHost).later(tx, ended);
	journal.book(ended);
	await setWatch.later(tx, { handle: ended.handle, watch_at: null });
	let row: Replica;
	if (
		replica !== null &&
		replica.live_of === null &&
		replica.status !== 'promoted' &&
		(replica.handle ?? machine.handle) === machine.handle
	) {
		row = {
			...replica,
			handle: ended.handle,
			instance_id: ended.instance_id,
			awaits_machine: 0,
			confirmed_at: null,
			launched_at: replica.launched_at ?? now,
		};
		await saveReplica.must(tx, { ...row, seen_status: replica.status });
	} else {
		row = {
			...blankReplica({ context, agent, primary, emergency: null, now }, 'manual', by, why),
			live_of: null,
			status: 'terminated',
			handle: ended.handle,
			instance_id: ended.instance_id,
			pool_id: ended.pool_id,
			instance_type: ended.instance_type,
			region: ended.region,
			az: ended.az,
			mode: ended.mode ?? 'spot',
			hourly_micros: await spotPriceOf(tx, ended, now),
			error_message: why,
			launched_at: now,
			ended_at: now,
		};
		await addReplica.later(tx, row);
	}
	journal.event('surplus_machine', `${ended.instance_id} of ${agent.logical_agent_id} will be terminated: ${why}`, about(agent, ended), {
		severity: 'warning',
		metadata: { replica_id: row.id },
	});
	journal.changed('agent', agent.id);
	return row;
};
