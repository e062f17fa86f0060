import { z } from 'zod';
import { givenText, id, optionalText, paging, plainText, sideInstant, sideText, success, textOrNull, words } from './fields.ts';
import { operation } from './operation.ts';
import { NOT_PLAIN, quick } from './quick.ts';

/** The settings an agent reads (endpoints.md #40, #42). Only `enabled` is obeyed by the field's agents. */
export const AgentConfig = z.object({
	enabled: z.boolean(),
	auto_switch_enabled: z.boolean(),
	auto_terminate_enabled: z.boolean(),
	manual_replica_enabled: z.boolean(),
	terminate_wait_seconds: z.number().int(),
	replica_enabled: z.boolean(),
	replica_count: z.number().int(),
	min_savings_percent: z.number(),
	risk_threshold: z.number(),
	max_switches_per_day: z.number().int(),
	max_switches_per_week: z.number().int(),
	min_pool_duration_hours: z.number(),
	config_version: z.number().int(),
});

/** The role of a host, exactly (identity.md section 2). */
export const HostRole = z.enum(['primary', 'replica', 'candidate', 'zombie', 'ended', 'terminated', 'named']);

/** `spot` or `ondemand`; null when not said or unknown. */
export const modeField = quick(
	z
		.string()
		.nullish()
		.transform((value, context): 'spot' | 'ondemand' | null => {
			const known = value?.trim().toLowerCase().replace('-', '') ?? '';
			if (known === '' || known === 'unknown') return null;
			if (known === 'spot' || known === 'ondemand') return known;
			context.addIssue({ code: 'custom', message: 'is not spot, ondemand or unknown' });
			return z.NEVER;
		}),
	(value) => {
		if (value === undefined || value === null) return null;
		return value === 'spot' || value === 'ondemand' ? value : NOT_PLAIN;
	},
);

/** Optional text about a machine, 'unknown' read as null. */
export const machineText = (max: number) => {
	const plain = plainText(max);
	return quick(
		optionalText(max).transform((value) => (value === 'unknown' ? null : value)),
		(value) => (value === 'unknown' ? null : plain(value)),
	);
};

/** A machine's id where one must be named: printable, without spaces, and not the 'unknown' of an agent without metadata. */
export const instanceId = z
	.string()
	.trim()
	.min(1)
	.max(64)
	.regex(/^[\x21-\x7e]+$/, 'is not an instance id')
	.refine((value) => !['unknown', 'none', 'null'].includes(value.toLowerCase()), 'names no machine (did the metadata service answer?)');

/** The id of a machine that registers: what stands in a path as it is, so that every route can name it. Others were named by an agent. */
const registeredId = instanceId.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'is not an instance id: letters, digits, ".", "_" and "-"');

/** A fact that every agent sends: null, '' and 'unknown' are what it says without metadata (clients.md), a body without the key is no agent's. */
const machineFact = (max: number) => givenText(max).transform((value) => (value === 'unknown' ? null : value));

/**
 * #40, for all three agents: a body token is ignored once authenticated, unknown keys are dropped, nulls and '' accepted (D-48). Type,
 * region and zone must be there, with a value or null.
 */
export const registerHost = operation({
	id: 'agents.register',
	method: 'POST',
	path: '/api/agents/register',
	access: 'agent',
	summary: 'Register a machine with its agent',
	input: z
		.object({
			logical_agent_id: optionalText(255),
			instance_id: registeredId,
			instance_type: machineFact(64),
			region: machineFact(64),
			az: machineFact(48).optional(),
			/** Stands for `az` where that is not there. */
			availability_zone: machineFact(48).optional(),
			mode: modeField,
			current_mode: modeField,
			hostname: sideText(255),
			ami_id: sideText(64),
			agent_version: sideText(32),
			private_ip: sideText(45),
			public_ip: sideText(45),
		})
		.refine(({ az, availability_zone }) => az !== undefined || availability_zone !== undefined, {
			path: ['az'],
			message: 'is required',
			when: () => true,
		}),
	output: z.object({
		agent_id: z.string(),
		client_id: z.string(),
		config: AgentConfig,
		role: HostRole,
		generation: z.number().int(),
		public_agent_id: z.string(),
		config_version: z.number().int(),
		message: z.string().optional(),
	}),
});

/** #41. What cannot be read beside it reads as not said: that a host calls is the fact. Only `offline` is taken from the status; a differing instance_id is ignored (identity.md section 5). */
export const heartbeat = operation({
	id: 'agents.heartbeat',
	method: 'POST',
	path: '/api/agents/{agent_id}/heartbeat',
	access: 'agent',
	summary: 'Liveness of a host',
	input: z.object({
		agent_id: id,
		status: z
			.enum(['online', 'offline', 'disabled', 'switching', 'error', 'running', 'stopping', 'stopped', 'terminated'])
			.nullish()
			.catch(null),
		instance_id: z.string().max(64).nullish().catch(null),
		config_version: z.number().int().nullish().catch(null),
	}),
	output: z.object({ success: z.boolean(), acknowledged: z.boolean(), config_version: z.number().int(), config_changed: z.boolean() }),
	routine: true,
});

/** #42 */
export const readConfig = operation({
	id: 'agents.config',
	method: 'GET',
	path: '/api/agents/{agent_id}/config',
	access: 'agent',
	summary: 'Settings of the agent as this host shall apply them',
	input: z.object({ agent_id: id }),
	output: AgentConfig,
	routine: true,
});

/** X20. 404 only for a deleted agent of the caller's client, 403 for any other id, 503 when the database cannot say (D-01). */
export const probeAgent = operation({
	id: 'agents.probe',
	method: 'GET',
	path: '/api/agents/{agent_id}',
	access: 'agent',
	summary: 'Does this agent still exist?',
	input: z.object({ agent_id: id }),
	output: z.object({
		agent_id: z.string(),
		handle: z.string(),
		role: HostRole,
		agentStatus: z.string(),
		enabled: z.boolean(),
		generation: z.number().int(),
		config_version: z.number().int(),
		instance_id: z.string(),
	}),
	routine: true,
});

/** X22 */
export const uninstallHost = operation({
	id: 'agents.uninstall',
	method: 'POST',
	path: '/api/agents/uninstall',
	access: 'agent',
	summary: 'The agent of a machine was removed by hand',
	input: z.object({ instance_id: optionalText(64), reason: words(255), client_id: z.string().nullish() }),
	output: success.extend({ message: z.string() }),
});

/** X27 */
export const listOwnAgents = operation({
	id: 'agents.list_own',
	method: 'GET',
	path: '/api/agents',
	access: 'agent',
	summary: 'Agents of the token owner',
	input: z.object({
		client_id: z.string().optional(),
		...paging,
	}),
	output: z.object({
		agents: z.array(
			z.object({
				id: z.string(),
				hostname: textOrNull,
				instance_id: textOrNull,
				instance_type: textOrNull,
				current_mode: textOrNull,
				region: textOrNull,
				az: textOrNull,
				status: z.string(),
			}),
		),
		total: z.number().int(),
		count: z.number().int(),
		next_cursor: textOrNull,
	}),
});

/** #52 */
export const hostEnded = operation({
	id: 'agents.termination',
	method: 'POST',
	path: '/api/agents/{agent_id}/termination',
	access: 'agent',
	summary: 'A host says its instance ended',
	input: z.object({ agent_id: id, reason: words(255), instance_id: sideText(64), timestamp: sideInstant }),
	output: success,
});

/** #51 */
export const cleanupReport = operation({
	id: 'agents.cleanup_report',
	method: 'POST',
	path: '/api/agents/{agent_id}/cleanup-report',
	access: 'agent',
	summary: 'Result of the hourly AMI and snapshot cleanup',
	input: z.object({
		agent_id: id,
		timestamp: sideInstant,
		snapshots: z
			.object({ deleted: z.array(z.unknown()).max(10_000).nullish(), failed: z.array(z.unknown()).max(10_000).nullish() })
			.nullish(),
		amis: z
			.object({
				deleted_amis: z.array(z.unknown()).max(10_000).nullish(),
				deleted_snapshots: z.array(z.unknown()).max(10_000).nullish(),
				failed: z.array(z.unknown()).max(10_000).nullish(),
			})
			.nullish(),
		amis_deleted: z.union([z.number().int().min(0).max(1_000_000_000), z.array(z.unknown()).max(10_000)]).nullish(),
		snapshots_deleted: z.union([z.number().int().min(0).max(1_000_000_000), z.array(z.unknown()).max(10_000)]).nullish(),
		errors: z.array(z.unknown()).max(10_000).nullish().catch(null),
	}),
	output: success.extend({
		message: z.string(),
		deleted_snapshots: z.number().int(),
		deleted_amis: z.number().int(),
		failed_count: z.number().int(),
	}),
});

/** #56 */
export const instancesToTerminate = operation({
	id: 'terminations.list',
	method: 'GET',
	path: '/api/agents/{agent_id}/instances-to-terminate',
	access: 'agent',
	summary: 'Machines this host shall terminate now',
	input: z.object({ agent_id: id }),
	output: z.object({
		instances: z.array(
			z.object({
				instance_id: z.string(),
				instance_type: textOrNull,
				az: textOrNull,
				reason: z.enum(['zombie_timeout', 'replica_terminated']),
				seconds_waiting: z.number().int(),
			}),
		),
		auto_terminate_enabled: z.boolean(),
		terminate_wait_seconds: z.number().int(),
		/** Machines that would be due but are kept: auto-terminate is off, or an operator has not released them. */
		held: z.number().int(),
	}),
	routine: true,
});

/** #50. v4 leaves `success` out and gives a reason instead: that counts as success. */
export const terminationReport = operation({
	id: 'terminations.report',
	method: 'POST',
	path: '/api/agents/{agent_id}/termination-report',
	access: 'agent',
	summary: 'Result of terminating one machine',
	input: z.object({
		agent_id: id,
		instance_id: instanceId,
		success: z.boolean().nullish(),
		error: words(4000),
		terminated_at: sideInstant,
		termination_reason: words(255),
	}),
	output: success.extend({ message: z.string() }),
	idempotent: true,
});
