import { z } from 'zod';
import { flag, fullPage, id, isoOrNull, isoTime, paging, success, textOrNull, usdOrNull } from './fields.ts';
import { HostRole } from './hosts.ts';
import { held } from './instances.ts';
import { operation } from './operation.ts';

const status = z.enum(['online', 'offline', 'disabled', 'switching', 'error', 'deleted']);

/** A row of #7. */
export const AgentRow = z.object({
	id: z.string(),
	logicalAgentId: z.string(),
	hostname: textOrNull,
	clientId: z.string(),
	clientName: z.string(),
	instanceId: textOrNull,
	instanceType: textOrNull,
	region: textOrNull,
	az: textOrNull,
	currentMode: textOrNull,
	currentPoolId: textOrNull,
	status,
	version: textOrNull,
	enabled: z.boolean(),
	autoSwitchEnabled: z.boolean(),
	generation: z.number().int(),
	lastHeartbeatAt: isoOrNull,
	createdAt: isoTime,
});

/**
 * #7. Pages go by id, the newest agents first, and each is in the order of the last heartbeats: one page, which is any fleet of up to 500
 * agents unless fewer are asked for, is in that order as a whole. Heartbeats move every row all the time; a walk by them would pass over
 * whoever sends one meanwhile.
 */
export const listAgents = operation({
	id: 'agents.list',
	method: 'GET',
	path: '/api/admin/agents',
	access: 'read',
	summary: 'All agents, deleted included, last heartbeat first',
	input: z.object({ ...paging, limit: fullPage, status: z.string().max(32).optional(), client_id: z.string().max(255).optional() }),
	output: z.object({
		agents: z.array(AgentRow),
		total: z.number().int(),
		filters: z.object({ status: textOrNull, client_id: textOrNull }),
		count: z.number().int(),
		next_cursor: textOrNull,
	}),
});

/** #20. Paged and sorted as #7. */
export const listClientAgents = operation({
	id: 'agents.list_client',
	method: 'GET',
	path: '/api/client/{client_id}/agents',
	access: 'client',
	summary: 'Agents of a client except deleted ones, last heartbeat first',
	input: z.object({ client_id: id, ...paging }),
	output: z.object({
		id: z.string(),
		logicalAgentId: z.string(),
		hostname: textOrNull,
		instanceId: textOrNull,
		instanceType: textOrNull,
		region: textOrNull,
		az: textOrNull,
		currentMode: textOrNull,
		status,
		agentVersion: textOrNull,
		lastHeartbeat: isoOrNull,
		instanceCount: z.number().int(),
		enabled: z.boolean(),
		autoSwitchEnabled: z.boolean(),
		manualReplicaEnabled: z.boolean(),
		autoTerminateEnabled: z.boolean(),
		terminateWaitMinutes: z.number().int(),
	}),
	rendering: 'list',
	legacyBare: true,
});

/** #22. Paged as #7; each page is in the order online, offline, deleted, others. */
export const listAgentHistory = operation({
	id: 'agents.history',
	method: 'GET',
	path: '/api/client/{client_id}/agents/history',
	access: 'client',
	summary: 'All agents of a client, deleted included: online, offline, deleted, others',
	input: z.object({ client_id: id, ...paging }),
	output: z.object({
		id: z.string(),
		logicalAgentId: z.string(),
		instanceId: textOrNull,
		instanceType: textOrNull,
		region: textOrNull,
		az: textOrNull,
		currentMode: textOrNull,
		status,
		enabled: z.boolean(),
		autoSwitchEnabled: z.boolean(),
		manualReplicaEnabled: z.boolean(),
		createdAt: isoTime,
		updatedAt: isoTime,
		lastHeartbeat: isoOrNull,
		installedAt: isoOrNull,
		terminatedAt: isoOrNull,
	}),
	rendering: 'list',
	legacyBare: true,
});

/** One agent with its settings and every host it ever had (newest 50). Handles stand here and nowhere else (identity.md section 7). */
export const showAgent = operation({
	id: 'agents.show',
	method: 'GET',
	path: '/api/client/agents/{agent_id}',
	access: 'client',
	summary: 'One agent: settings, hosts, logical ids',
	input: z.object({ agent_id: id }),
	output: AgentRow.extend({
		configVersion: z.number().int(),
		autoTerminateEnabled: z.boolean(),
		terminateWaitSeconds: z.number().int(),
		manualReplicaEnabled: z.boolean(),
		minSavingsPercent: z.number(),
		riskThreshold: z.number(),
		maxSwitchesPerDay: z.number().int(),
		maxSwitchesPerWeek: z.number().int(),
		minPoolDurationHours: z.number(),
		logicalIds: z.array(z.string()),
		spotPrice: usdOrNull,
		ondemandPrice: usdOrNull,
		lastSwitchAt: isoOrNull,
		deletedAt: isoOrNull,
		hosts: z.array(
			z.object({
				handle: z.string(),
				instanceId: z.string(),
				role: HostRole,
				mode: textOrNull,
				az: textOrNull,
				registeredAt: isoOrNull,
				lastSeenAt: isoOrNull,
				zombieAt: isoOrNull,
				...held,
			}),
		),
		/** What is going on right now: `emergencies.show` and `replicas.show` tell the rest. */
		openEmergency: z
			.object({
				id: z.string(),
				kind: z.string(),
				step: z.string(),
				instanceId: z.string(),
				receivedAt: isoTime,
				deadlineAt: isoOrNull,
			})
			.nullable(),
		liveReplica: z
			.object({ id: z.string(), status: z.string(), instanceId: textOrNull, poolId: textOrNull, createdAt: isoTime })
			.nullable(),
	}),
});

/** #23 */
export const toggleAgent = operation({
	id: 'agents.toggle',
	method: 'POST',
	path: '/api/client/agents/{agent_id}/toggle-enabled',
	access: 'client',
	summary: 'Enable or disable an agent',
	input: z.object({ agent_id: id, enabled: z.boolean().nullish() }),
	output: success.extend({ enabled: z.boolean(), config_version: z.number().int() }),
});

const wait = z.number().int().min(1).max(86_400).nullish();
/** As the lists show a wait, rounded down: the number that is shown leaves it as it is, another 0 means the shortest wait (D-31). */
const minutes = z.number().int().min(0).max(1440).nullish();
const setting = z.boolean().nullish();

/** What is stored after a change of settings; `changed` names the keys that were different. */
export const Stored = success.extend({
	enabled: z.boolean(),
	auto_switch_enabled: z.boolean(),
	manual_replica_enabled: z.boolean(),
	auto_terminate_enabled: z.boolean(),
	terminate_wait_seconds: z.number().int(),
	config_version: z.number().int(),
	changed: z.array(z.string()),
	/** What is stored otherwise than it was asked for, in words: auto-switch and manual replica exclude each other, a wait has a least length. */
	notes: z.array(z.string()),
});

/** #24 */
export const changeSettings = operation({
	id: 'agents.settings',
	method: 'POST',
	path: '/api/client/agents/{agent_id}/settings',
	access: 'client',
	summary: 'Settings under the old names; only keys present are changed',
	input: z.object({
		agent_id: id,
		auto_switch_enabled: setting,
		auto_terminate_enabled: setting,
		replica_enabled: setting,
		replica_count: z.number().int().min(0).max(1).nullish(),
	}),
	output: Stored,
});

/** #25, with the settings that no route of the original could write. */
export const changeConfig = operation({
	id: 'agents.configure',
	method: 'POST',
	path: '/api/client/agents/{agent_id}/config',
	access: 'client',
	summary: 'Change the configuration of an agent; only keys present are changed',
	input: z.object({
		agent_id: id,
		enabled: setting,
		terminateWaitMinutes: minutes,
		terminate_wait_minutes: minutes,
		terminate_wait_seconds: wait,
		autoSwitchEnabled: setting,
		auto_switch_enabled: setting,
		manualReplicaEnabled: setting,
		manual_replica_enabled: setting,
		autoTerminateEnabled: setting,
		auto_terminate_enabled: setting,
		min_savings_percent: z.number().min(0).max(100).nullish(),
		risk_threshold: z.number().min(0).max(1).nullish(),
		max_switches_per_day: z.number().int().min(0).max(1000).nullish(),
		max_switches_per_week: z.number().int().min(0).max(7000).nullish(),
		min_pool_duration_hours: z.number().min(0).max(720).nullish(),
		dry_run: flag,
	}),
	output: Stored,
});

/** #26. Takes the public id only; another handle of the agent answers 409 with it (identity.md section 7). */
export const deleteAgent = operation({
	id: 'agents.delete',
	method: 'DELETE',
	path: '/api/client/agents/{agent_id}',
	access: 'client',
	summary: 'Delete an agent softly; it stays deleted until restored',
	input: z.object({ agent_id: id }),
	output: success.extend({ message: z.string(), agent_id: z.string() }),
});

/** With the settings from before the deletion. For an operator only: a host's own token must not undo a deletion (D-18). */
export const restoreAgent = operation({
	id: 'agents.restore',
	method: 'POST',
	path: '/api/client/agents/{agent_id}/restore',
	access: 'operate',
	summary: 'Bring a deleted agent back',
	input: z.object({ agent_id: id }),
	output: success.extend({
		message: z.string(),
		agent_id: z.string(),
		enabled: z.boolean(),
		auto_switch_enabled: z.boolean(),
		manual_replica_enabled: z.boolean(),
	}),
});

/** Lets go of, or holds back, a zombie: on hold a machine is on no terminate list (identity.md T3, T6, T9). */
export const holdInstance = operation({
	id: 'instances.hold',
	method: 'POST',
	path: '/api/client/instances/{instance_id}/hold',
	access: 'client',
	summary: 'Keep a zombie off the terminate list, or release it',
	input: z.object({ instance_id: id, hold: z.boolean(), client_id: z.string().nullish() }),
	output: success.extend({ message: z.string(), hold: z.boolean() }),
});

/**
 * Makes a machine that calls the primary of an agent whose primary does not: by identity.md T3 a zombie never takes over by itself. For an
 * operator only, since the image of every machine has the client's token.
 */
export const promoteInstance = operation({
	id: 'instances.promote',
	method: 'POST',
	path: '/api/client/instances/{instance_id}/promote',
	access: 'operate',
	summary: 'Make a zombie or candidate that calls the primary of its silent agent',
	input: z.object({ instance_id: id, client_id: z.string().nullish() }),
	output: success.extend({ message: z.string(), agent_id: z.string(), new_instance_id: z.string(), old_instance_id: z.string() }),
});
