import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { type Agent, lockAgent, logicalIdsOf } from '../store/agents.ts';
import { cancelCommandsOfDeleted } from '../store/commands.ts';
import { openEmergencyOf } from '../store/emergencies.ts';
import { newestHostsOf, primaryOf } from '../store/hosts.ts';
import { type AgentListRow, instanceCounts, listAgentRows } from '../store/lists.ts';
import { setWatch } from '../store/liveness.ts';
import { hostPrice } from '../store/prices.ts';
import { liveReplicaOf } from '../store/replicas.ts';
import type { Db } from '../store/statement.ts';
import { agentIdOf, agentOf } from './agent-id.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import { type Caller, clientOf } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { heldOf } from './hold.ts';
import type { Journal } from './journal.ts';
import { pageOf, readCursor } from './paging.ts';
import { reconcile, reconcileAgent } from './reconcile.ts';
import { endReplica } from './replica-end.ts';
import { saveLive } from './replica-machine.ts';
import { usd } from './report.ts';
import { configFor } from './settings.ts';
import { lockedWork } from './work.ts';

const key = (row: Agent): string => row.id;

/** The wait as lists show it (endpoints.md #20). */
const shownMinutes = (agent: Pick<Agent, 'terminate_wait_seconds'>): number => Math.floor(agent.terminate_wait_seconds / 60);

const base = (row: AgentListRow) => ({
	id: row.id,
	logicalAgentId: row.logical_agent_id,
	hostname: row.p_hostname,
	clientId: row.client_id,
	clientName: row.client_name,
	instanceId: row.p_instance_id,
	instanceType: row.p_type,
	region: row.p_region,
	az: row.p_az,
	currentMode: row.p_mode,
	currentPoolId: row.p_mode === 'spot' ? row.p_pool : null,
	status: row.status,
	version: row.p_version,
	enabled: row.enabled === 1,
	autoSwitchEnabled: row.auto_switch_enabled === 1,
	generation: row.generation,
	lastHeartbeatAt: isoOr(row.heartbeat_at),
	createdAt: iso(row.created_at),
});

/** #7 */
export const listAgents =
	(context: Context) =>
	async (input: Valid<'listAgents'>): Promise<Output<'listAgents'>> => {
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: readCursor(input.cursor),
			clientId: input.client_id ?? null,
			status: input.status ?? null,
			deleted: true,
		});
		const page = pageOf(rows, input.limit, base, key);
		return {
			agents: page.items,
			total: page.items.length,
			filters: { status: input.status ?? null, client_id: input.client_id ?? null },
			next_cursor: page.nextCursor,
		};
	};

/** #20 */
export const listClientAgents =
	(context: Context) =>
	async (input: Valid<'listClientAgents'>): Promise<Output<'listClientAgents'>> => {
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: readCursor(input.cursor),
			clientId: input.client_id,
			status: null,
			deleted: false,
		});
		const counts = await instanceCounts(
			context.store.read,
			rows.map((row) => row.id),
		);
		return pageOf(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				logicalAgentId: row.logical_agent_id,
				hostname: row.p_hostname,
				instanceId: row.p_instance_id,
				instanceType: row.p_type,
				region: row.p_region,
				az: row.p_az,
				currentMode: row.p_mode,
				status: row.status,
				agentVersion: row.p_version,
				lastHeartbeat: isoOr(row.heartbeat_at),
				instanceCount: counts.get(row.id) ?? 0,
				enabled: row.enabled === 1,
				autoSwitchEnabled: row.auto_switch_enabled === 1,
				manualReplicaEnabled: row.manual_replica_enabled === 1,
				autoTerminateEnabled: row.auto_terminate_enabled === 1,
				terminateWaitMinutes: shownMinutes(row),
			}),
			key,
		);
	};

/** #22 */
export const listAgentHistory =
	(context: Context) =>
	async (input: Valid<'listAgentHistory'>): Promise<Output<'listAgentHistory'>> => {
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: readCursor(input.cursor),
			clientId: input.client_id,
			status: null,
			deleted: true,
		});
		return pageOf(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				logicalAgentId: row.logical_agent_id,
				instanceId: row.p_instance_id,
				instanceType: row.p_type,
				region: row.p_region,
				az: row.p_az,
				currentMode: row.p_mode,
				status: row.status,
				enabled: row.enabled === 1,
				autoSwitchEnabled: row.auto_switch_enabled === 1,
				manualReplicaEnabled: row.manual_replica_enabled === 1,
				createdAt: iso(row.created_at),
				updatedAt: iso(row.updated_at),
				lastHeartbeat: isoOr(row.heartbeat_at),
				installedAt: isoOr(row.installed_at),
				terminatedAt: isoOr(row.terminated_at ?? row.deleted_at),
			}),
			key,
		);
	};

/** X27 */
export const listOwnAgents =
	(context: Context) =>
	async (input: Valid<'listOwnAgents'>, caller: Caller): Promise<Output<'listOwnAgents'>> => {
		const clientId = clientOf(caller, input.client_id);
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: readCursor(input.cursor),
			clientId,
			status: null,
			deleted: false,
		});
		const page = pageOf(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				hostname: row.p_hostname,
				instance_id: row.p_instance_id,
				instance_type: row.p_type,
				current_mode: row.p_mode,
				region: row.p_region,
				az: row.p_az,
				status: row.status,
			}),
			key,
		);
		return { agents: page.items, total: page.items.length, next_cursor: page.nextCursor };
	};

/** One agent by any of its handles, with the handles themselves. */
export const showAgent =
	(context: Context) =>
	async (input: Valid<'showAgent'>, caller: Caller): Promise<Output<'showAgent'>> => {
		const { read } = context.store;
		const agentId = await agentIdOf(read, input.agent_id, caller);
		const [rows, names, hosts, emergency, replica] = await Promise.all([
			listAgentRows(read, { limit: 1, after: null, clientId: null, status: null, deleted: true, agentId }),
			logicalIdsOf.all(read, { agent_id: agentId }),
			newestHostsOf.all(read, { agent_id: agentId }),
			openEmergencyOf.first(read, { agent_id: agentId }),
			liveReplicaOf.first(read, { agent_id: agentId }),
		]);
		const [row] = rows;
		if (row === undefined) throw agentDeleted(agentId);
		const now = context.clock.now();
		const price = row.p_handle === null ? undefined : await hostPrice.first(read, { handle: row.p_handle });
		return {
			...base(row),
			configVersion: row.config_version,
			autoTerminateEnabled: row.auto_terminate_enabled === 1,
			terminateWaitSeconds: row.terminate_wait_seconds,
			manualReplicaEnabled: row.manual_replica_enabled === 1,
			minSavingsPercent: row.min_savings_percent,
			riskThreshold: row.risk_threshold,
			maxSwitchesPerDay: row.max_switches_per_day,
			maxSwitchesPerWeek: row.max_switches_per_week,
			minPoolDurationHours: row.min_pool_duration_hours,
			logicalIds: names.map((name) => name.logical_id),
			spotPrice: usd(price?.spot_micros ?? null),
			ondemandPrice: usd(price?.ondemand_micros ?? null),
			lastSwitchAt: isoOr(row.last_switch_at),
			deletedAt: isoOr(row.deleted_at),
			hosts: hosts.map((host) => ({
				handle: host.handle,
				instanceId: host.instance_id,
				role: host.role,
				mode: host.mode,
				az: host.az,
				registeredAt: isoOr(host.registered_at),
				lastSeenAt: host.registered_at === null ? null : isoOr(host.seen_at),
				zombieAt: isoOr(host.zombie_at),
				...heldOf(host, now),
			})),
			openEmergency:
				emergency === undefined
					? null
					: {
							id: emergency.id,
							kind: emergency.kind,
							step: emergency.step,
							instanceId: emergency.instance_id,
							receivedAt: iso(emergency.received_at),
							deadlineAt: isoOr(emergency.deadline_at),
						},
			liveReplica:
				replica === undefined
					? null
					: {
							id: replica.id,
							status: replica.status,
							instanceId: replica.instance_id,
							poolId: replica.pool_id,
							createdAt: iso(replica.created_at),
						},
		};
	};

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
export const exclusive = (
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

/** What a deletion turns off, and a restoration turns on again. */
type Kept = Pick<Agent, 'enabled' | 'auto_switch_enabled' | 'manual_replica_enabled'>;

const keptOf = ({ enabled, auto_switch_enabled, manual_replica_enabled }: Agent): Kept => ({
	enabled,
	auto_switch_enabled,
	manual_replica_enabled,
});

/** #26 (decided 11): history and handles stay, nothing acts any more, and only `agents restore` brings it back. */
export const deleteAgent =
	(context: Context) =>
	(input: Valid<'deleteAgent'>, caller: Caller): Promise<Output<'deleteAgent'>> =>
		context.unit(caller, async (tx, journal) => {
			const found = await agentOf(tx, input.agent_id, caller);
			if (found.id !== input.agent_id) {
				throw new SpotError('conflict', 'NOT_THE_AGENT_ID', `"${input.agent_id}" is the handle of one host; the agent is "${found.id}"`, {
					hint: `to delete the agent: spotctl agents delete ${found.id}`,
					extras: { agent_id: found.id },
				});
			}
			const agent = await lockAgent.first(tx, { id: found.id });
			if (agent === undefined || agent.status === 'deleted') throw agentDeleted(found.id);
			const now = context.clock.now();
			await saveAgentOrRetry(
				tx,
				agent,
				{
					status: 'deleted',
					enabled: 0,
					auto_switch_enabled: 0,
					manual_replica_enabled: 0,
					kept_settings: JSON.stringify(keptOf(agent)),
					deleted_at: now,
					config_version: agent.config_version + 1,
				},
				now,
			);
			await cancelCommandsOfDeleted.later(tx, { agent_id: agent.id, now });
			const primary = await primaryOf.first(tx, { agent_id: agent.id });
			if (primary !== undefined) await setWatch.later(tx, { handle: primary.handle, watch_at: null });
			await reconcileAgent(context, tx, journal, agent.id);
			const about = { clientId: agent.client_id, agentId: agent.id };
			journal.event('agent_deleted', `${agent.logical_agent_id} was deleted`, about, { severity: 'warning' });
			journal.notify('agent_deleted', 'Agent deleted', `${agent.logical_agent_id} was deleted`, about);
			journal.audit(
				'agents.delete',
				'agent',
				agent.id,
				agent.client_id,
				{ status: agent.status, enabled: agent.enabled === 1 },
				{ status: 'deleted' },
			);
			journal.changed('agent', agent.id);
			return {
				success: true,
				agent_id: agent.id,
				message: `agent ${agent.logical_agent_id} was deleted; its machine goes on running without orders`,
			};
		});

const back = (agent: Agent, kept: Kept | null): string => {
	const name = `agent ${agent.logical_agent_id} is back`;
	if (kept === null)
		return `${name}, enabled, and online with its next heartbeat; auto-switch and manual replica are off: what they were before is not known`;
	if (kept.enabled === 0) return `${name}, disabled, as it was before its deletion`;
	return `${name} with its settings from before its deletion; it is online with its next heartbeat`;
};

/**
 * Brings a deleted agent back, offline until its primary calls, with the settings from before its deletion (where an older spotctl deleted
 * it they are not known, and the answer says so). Errors: 409 when it is not deleted.
 */
export const restoreAgent =
	(context: Context) =>
	(input: Valid<'restoreAgent'>, caller: Caller): Promise<Output<'restoreAgent'>> =>
		context.unit(caller, async (tx, journal) => {
			const id = await agentIdOf(tx, input.agent_id, caller);
			const agent = await lockAgent.first(tx, { id });
			if (agent === undefined || agent.status !== 'deleted') {
				throw new SpotError('conflict', 'NOT_DELETED', `agent "${id}" is not deleted`, { hint: `see: spotctl agents show ${id}` });
			}
			const now = context.clock.now();
			const kept = agent.kept_settings === null ? null : (JSON.parse(agent.kept_settings) as Kept);
			const settings: Kept = kept ?? { ...keptOf(agent), enabled: 1 };
			await saveAgentOrRetry(
				tx,
				agent,
				{
					status: 'offline',
					...settings,
					kept_settings: null,
					enabled_at: settings.enabled === 1 ? now : agent.enabled_at,
					// The manual mode wants its replica back: the coordinator looks at once.
					attention_at: settings.manual_replica_enabled === 1 ? now : agent.attention_at,
					deleted_at: null,
					config_version: agent.config_version + 1,
				},
				now,
			);
			const about = { clientId: agent.client_id, agentId: id };
			journal.event('agent_restored', `${agent.logical_agent_id} was restored`, about, { metadata: settings });
			journal.audit(
				'agents.restore',
				'agent',
				id,
				agent.client_id,
				{ status: 'deleted' },
				{ status: 'offline', enabled: settings.enabled === 1, settings },
			);
			journal.changed('agent', id);
			return {
				success: true,
				agent_id: id,
				enabled: settings.enabled === 1,
				auto_switch_enabled: settings.auto_switch_enabled === 1,
				manual_replica_enabled: settings.manual_replica_enabled === 1,
				message: back(agent, kept),
			};
		});
