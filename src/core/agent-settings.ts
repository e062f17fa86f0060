import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { type Agent, lockAgent } from '../store/agents.ts';
import type { Db } from '../store/statement.ts';
import { agentIdOf } from './agent-id.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import type { Caller } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import type { Journal } from './journal.ts';
import { reconcile } from './reconcile.ts';
import { endReplica } from './replica-end.ts';
import { saveLive } from './replica-machine.ts';
import { configFor } from './settings.ts';
import { lockedWork } from './work.ts';

/** The wait as lists show it (endpoints.md #20). */
export const shownMinutes = (agent: Pick<Agent, 'terminate_wait_seconds'>): number => Math.floor(agent.terminate_wait_seconds / 60);

type Change = Partial<
	Pick<
		Agent,
		| 'enabled'
		| 'auto_switch_enabled'
		| 'manual_replica_enabled'
		| 'auto_terminate_enabled'
		| 'terminate_wait_seconds'
		| 'min_savings_percent'
		| 'risk_threshold'
		| 'max_switches_per_day'
		| 'max_switches_per_week'
		| 'min_pool_duration_hours'
	>
>;

const flag = (value: boolean | null | undefined): 0 | 1 | undefined => (value === null || value === undefined ? undefined : value ? 1 : 0);

/**
 * Auto-switch and manual replica exclude each other: turning one on turns the other off, and the answer says so (spec section 4).
 * Errors: 400 when one request turns both on.
 */
const exclusive = (
	agent: Pick<Agent, 'auto_switch_enabled' | 'manual_replica_enabled'>,
	wanted: Change,
): { change: Change; notes: string[] } => {
	if (wanted.auto_switch_enabled === 1 && wanted.manual_replica_enabled === 1) {
		throw new SpotError('invalid', 'VALIDATION_ERROR', 'auto-switch and manual replica cannot both be on', {
			hint: 'turn on one of them',
			extras: { details: { manual_replica_enabled: ['excludes auto_switch_enabled'] } },
		});
	}
	if (wanted.auto_switch_enabled === 1 && agent.manual_replica_enabled === 1) {
		return { change: { ...wanted, manual_replica_enabled: 0 }, notes: ['manual replica was turned off: it excludes auto-switch'] };
	}
	if (wanted.manual_replica_enabled === 1 && agent.auto_switch_enabled === 1) {
		return { change: { ...wanted, auto_switch_enabled: 0 }, notes: ['auto-switch was turned off: it excludes manual replica'] };
	}
	return { change: wanted, notes: [] };
};

/** The shortest wait there is: 0 would mean "do not terminate" to an agent, and that has a setting of its own (D-31). */
const SHORTEST_WAIT_SECONDS = 1;

/** A wait given in minutes: the number that is shown for the stored one means it, so that a dialogue that sends back what it read changes nothing. */
const waitOf = (agent: Agent, minutes: number): number =>
	minutes === shownMinutes(agent) ? agent.terminate_wait_seconds : Math.max(SHORTEST_WAIT_SECONDS, minutes * 60);

type Wanted = Change & { readonly terminate_wait_minutes?: number };

/** The one way settings are written: validated, one transaction, `config_version` raised, audited. */
const change = async (context: Context, tx: Db, journal: Journal, agentId: string, caller: Caller, asked: Wanted, dryRun: boolean) => {
	const id = await agentIdOf(tx, agentId, caller);
	const agent = await lockAgent.first(tx, { id });
	if (agent === undefined || agent.status === 'deleted') throw agentDeleted(id);
	const { terminate_wait_minutes: minutes, ...given } = asked;
	const wanted = minutes === undefined ? given : { terminate_wait_seconds: waitOf(agent, minutes), ...given };
	const { change: settled, notes } = exclusive(agent, wanted);
	const different = Object.fromEntries(
		Object.entries(settled).filter(([name, value]) => value !== undefined && value !== agent[name as keyof Change]),
	) as Change;
	const changed = Object.keys(different);
	if (minutes === 0 && different.terminate_wait_seconds === SHORTEST_WAIT_SECONDS)
		notes.push('0 minutes is stored as the shortest wait, 1 s: to keep the old machine, turn auto-terminate off');
	if (changed.length === 0 || dryRun) return { agent: { ...agent, ...different }, changed, notes };
	const status =
		agent.status === 'online' || agent.status === 'disabled'
			? (different.enabled ?? agent.enabled) === 1
				? 'online'
				: 'disabled'
			: agent.status;
	const now = context.clock.now();
	const began = different.enabled === 1 ? { enabled_at: now } : {};
	const saved = await saveAgentOrRetry(tx, agent, { ...different, ...began, status, config_version: agent.config_version + 1 }, now);
	const before = Object.fromEntries(changed.map((name) => [name, agent[name as keyof Change]]));
	journal.audit('agents.configure', 'agent', agent.id, agent.client_id, before, different);
	const toggled = different.enabled === undefined ? null : different.enabled === 1 ? 'enabled' : 'disabled';
	journal.event(
		toggled === null ? 'agent_configured' : 'agent_toggled',
		toggled === null ? `${agent.logical_agent_id}: ${changed.join(', ')} changed` : `${agent.logical_agent_id} was ${toggled}`,
		{ clientId: agent.client_id, agentId: agent.id },
		{ metadata: { ...different, config_version: saved.config_version } },
	);
	journal.changed('agent', agent.id);
	if (saved.manual_replica_enabled !== agent.manual_replica_enabled || saved.enabled !== agent.enabled)
		return {
			agent: await replicaMode(
				context,
				tx,
				journal,
				saved,
				agent.manual_replica_enabled === 1 && saved.manual_replica_enabled === 0,
				notes,
			),
			changed,
			notes,
		};
	return { agent: saved, changed, notes };
};

/** What a mode that was turned on or off means for the replica, in the same transaction (spec section 4). */
const replicaMode = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agent: Agent,
	wasTurnedOff: boolean,
	notes: string[],
): Promise<Agent> => {
	const work = await lockedWork(context, tx, journal, agent.id);
	if (work === null) return agent;
	const isNeeded = work.emergency !== null && work.emergency.promoted_at === null;
	if (wasTurnedOff && work.replica !== null) {
		if (isNeeded) {
			// From now on it is there for the emergency, and ends with it.
			await saveLive(work, { type: 'automatic-rebalance' });
			notes.push('the replica stays while an emergency needs it');
		} else {
			await endReplica(work, { status: 'terminated', why: 'manual replica was turned off', machine: 'ended' });
			notes.push('the replica was terminated');
			journal.event('replicas_disabled', `${agent.logical_agent_id} keeps no replica any more`, {
				clientId: agent.client_id,
				agentId: agent.id,
			});
		}
	}
	const had = work.replica;
	await reconcile(work);
	if (agent.manual_replica_enabled === 1 && had === null) {
		if (work.replica !== null) notes.push(`a replica in ${work.replica.pool_id} was ordered`);
		else if (work.canLaunch === false) notes.push('this agent has never asked for launch orders: it cannot launch a replica');
	}
	return work.agent;
};

const stored = ({ agent, changed, notes }: { agent: Agent; changed: string[]; notes: string[] }): Output<'changeConfig'> => {
	const config = configFor(agent, 'primary');
	return {
		success: true,
		enabled: agent.enabled === 1,
		auto_switch_enabled: config.auto_switch_enabled,
		manual_replica_enabled: config.manual_replica_enabled,
		auto_terminate_enabled: config.auto_terminate_enabled,
		terminate_wait_seconds: config.terminate_wait_seconds,
		config_version: config.config_version,
		changed,
		notes,
	};
};

/** #23 */
export const toggleAgent =
	(context: Context) =>
	async (input: Valid<'toggleAgent'>, caller: Caller): Promise<Output<'toggleAgent'>> => {
		const { agent } = await context.unit(caller, (tx, journal) =>
			change(context, tx, journal, input.agent_id, caller, { enabled: flag(input.enabled ?? true) ?? 1 }, false),
		);
		return { success: true, enabled: agent.enabled === 1, config_version: agent.config_version };
	};

/** X29: the other of on and off, whichever it is when the agent is locked. */
export const flipAgent =
	(context: Context) =>
	async (input: Valid<'flipAgent'>, caller: Caller): Promise<Output<'flipAgent'>> => {
		const { agent } = await context.unit(caller, async (tx, journal) => {
			const id = await agentIdOf(tx, input.agent_id, caller);
			const isOn = (await lockAgent.first(tx, { id }))?.enabled === 1;
			return change(context, tx, journal, id, caller, { enabled: isOn ? 0 : 1 }, false);
		});
		return { success: true, enabled: agent.enabled === 1, config_version: agent.config_version };
	};

const clean = (wanted: { [K in keyof Wanted]?: Wanted[K] | undefined }): Wanted =>
	Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)) as Wanted;

/** #24: `replica_enabled` and a `replica_count` above 0 mean the manual replica. */
export const changeSettings =
	(context: Context) =>
	async (input: Valid<'changeSettings'>, caller: Caller): Promise<Output<'changeSettings'>> => {
		const replica =
			input.replica_enabled ?? (input.replica_count === null || input.replica_count === undefined ? null : input.replica_count > 0);
		const wanted = clean({
			auto_switch_enabled: flag(input.auto_switch_enabled),
			auto_terminate_enabled: flag(input.auto_terminate_enabled),
			manual_replica_enabled: flag(replica),
		});
		return stored(await context.unit(caller, (tx, journal) => change(context, tx, journal, input.agent_id, caller, wanted, false)));
	};

/** #25 (D-31: the wait has a range of its own and never means "do not terminate"). */
export const changeConfig =
	(context: Context) =>
	async (input: Valid<'changeConfig'>, caller: Caller): Promise<Output<'changeConfig'>> => {
		const wanted = clean({
			enabled: flag(input.enabled),
			terminate_wait_seconds: input.terminate_wait_seconds ?? undefined,
			terminate_wait_minutes: input.terminateWaitMinutes ?? input.terminate_wait_minutes ?? undefined,
			auto_switch_enabled: flag(input.autoSwitchEnabled ?? input.auto_switch_enabled),
			manual_replica_enabled: flag(input.manualReplicaEnabled ?? input.manual_replica_enabled),
			auto_terminate_enabled: flag(input.autoTerminateEnabled ?? input.auto_terminate_enabled),
			min_savings_percent: input.min_savings_percent ?? undefined,
			risk_threshold: input.risk_threshold ?? undefined,
			max_switches_per_day: input.max_switches_per_day ?? undefined,
			max_switches_per_week: input.max_switches_per_week ?? undefined,
			min_pool_duration_hours: input.min_pool_duration_hours ?? undefined,
		});
		return stored(
			await context.unit(caller, (tx, journal) => change(context, tx, journal, input.agent_id, caller, wanted, input.dry_run === true)),
		);
	};
