import { z } from 'zod';
import {
	flag,
	forgiving,
	id,
	isoOrNull,
	isoTime,
	optionalPrice,
	optionalText,
	paging,
	sideInstant,
	sideText,
	success,
	textOrNull,
	usdOrNull,
	words,
} from './fields.ts';
import { instanceId, machineText } from './hosts.ts';
import { operation } from './operation.ts';

/** States of a replica; the last three are final (spec section 2 "Ours"). */
export const ReplicaStatus = z.enum(['launching', 'syncing', 'ready', 'promoted', 'terminated', 'failed']);
const ReplicaType = z.enum(['manual', 'automatic-rebalance', 'automatic-termination']);

const Pool = z.object({ id: z.string(), name: z.string(), instance_type: textOrNull, region: textOrNull, az: textOrNull });
/**
 * `total` is an estimate: the price at the order times the time since the launch; 0 with `known: false` while the pool has no price. What a
 * replica was measured to cost is in the books.
 */
const Cost = z.object({ hourly: usdOrNull, total: z.number(), known: z.boolean(), estimated: z.literal(true) });

const shown = {
	id: z.string(),
	instance_id: z.string(),
	type: ReplicaType,
	status: ReplicaStatus,
	sync_status: z.enum(['initializing', 'syncing', 'synced', 'out-of-sync']),
	sync_latency_ms: z.number().nullable(),
	state_transfer_progress: z.number(),
	pool: Pool.nullable(),
	cost: Cost,
	created_by: textOrNull,
	created_at: isoOrNull,
	ready_at: isoOrNull,
	terminated_at: isoOrNull,
	is_active: z.boolean(),
};

/** #57 */
export const replicaConfig = operation({
	id: 'replicas.config',
	method: 'GET',
	path: '/api/agents/{agent_id}/replica-config',
	access: 'agent',
	summary: 'Whether a replica is kept, and how many',
	input: z.object({ agent_id: id }),
	output: z.object({ enabled: z.boolean(), count: z.number().int() }),
	routine: true,
});

/**
 * #58. `status=launching` is the one way launch orders travel: to the primary only, under a lease, and only without a machine.
 * `status=terminated` names what must still be killed until its end is confirmed (D-20).
 * Those two are polls of agents and have one page: at most one order, and the oldest 200 machines, which others follow as they end. Any other
 * list of replicas grows for years: it goes on at `next_cursor`.
 */
export const listHostReplicas = operation({
	id: 'replicas.list_for_host',
	method: 'GET',
	path: '/api/agents/{agent_id}/replicas',
	access: 'agent',
	summary: 'Replicas of the agent as this host may see them',
	input: z.object({ agent_id: id, status: z.string().max(64).optional(), include_terminated: flag, ...paging }),
	output: z.object({
		replicas: z.array(
			z.object({
				...shown,
				pool_id: z.string().optional(),
				az: z.string().optional(),
				/** `spot` or `ondemand`; the agents of the field launch spot whatever it says. */
				mode: z.string(),
				age_seconds: z.number().int(),
				tags: z.record(z.string(), z.unknown()),
			}),
		),
		total: z.number().int(),
		count: z.number().int(),
		next_cursor: textOrNull,
	}),
	routine: true,
});

const tags = z.record(z.string().max(128), z.unknown()).nullish();

/** Whether an id is that of a machine of EC2. */
export const namesMachine = (instanceId: string | null): instanceId is string =>
	instanceId !== null && /^i-[\x21-\x7e]{1,62}$/.test(instanceId);

/**
 * #59. With a real `instance_id` the machine exists already: it is attached, or put on the terminate list, never refused, and what is said
 * beside it and cannot be read is not said. Without one it is an order, and every field must be right.
 */
export const createReplica = operation({
	id: 'replicas.create',
	method: 'POST',
	path: '/api/agents/{agent_id}/replicas',
	access: 'agent',
	summary: 'Order a replica, or register one that was launched',
	input: forgiving(
		{ agent_id: id, instance_id: optionalText(64) },
		{
			pool_id: optionalText(128),
			target_pool_id: optionalText(128),
			target_pool: optionalText(128),
			replica_type: optionalText(32),
			parent_instance_id: optionalText(64),
			status: optionalText(32),
			exclude_zones: z.array(z.string().max(48)).max(100).nullish(),
			max_hourly_cost: optionalPrice,
			tags,
			created_by: optionalText(255),
			instance_type: machineText(64),
		},
		({ instance_id }) => namesMachine(instance_id),
	),
	output: success.extend({
		replica_id: z.string(),
		instance_id: z.string(),
		pool: Pool.nullable(),
		hourly_cost: usdOrNull,
		status: z.string(),
		message: z.string(),
	}),
	status: 201,
});

/** #60. What is said beside the machine is never a reason to refuse it. Errors: 404, 409 REPLICA_ENDED (the machine goes on the terminate list), 409 REPLICA_TAKEN (another machine was first). */
export const attachReplica = operation({
	id: 'replicas.attach',
	method: 'PUT',
	path: '/api/agents/{agent_id}/replicas/{replica_id}',
	access: 'agent',
	summary: 'Name the machine that was launched for a replica',
	input: z.object({
		agent_id: id,
		replica_id: id,
		instance_id: instanceId,
		status: sideText(32),
		sync_status: sideText(32),
		sync_progress: z.number().min(0).max(100).nullish().catch(null),
	}),
	output: success.extend({ replica_id: z.string(), instance_id: z.string(), status: z.string() }),
});

/** #61. Errors: 404, 400 REPLICA_TERMINATED with `terminated_at`, 409 REPLICA_PROMOTED, 409 NOT_PRIMARY from a standby. */
export const deleteReplica = operation({
	id: 'replicas.delete',
	method: 'DELETE',
	path: '/api/agents/{agent_id}/replicas/{replica_id}',
	access: 'agent',
	summary: 'Terminate a replica',
	input: z.object({ agent_id: id, replica_id: id }),
	output: success.extend({ message: z.string(), replica_id: z.string(), terminated_at: isoTime }),
});

/** #62. Errors: 404, 400 REPLICA_NOT_READY, 409 ALREADY_PROMOTED or CONFLICT with the winner, 409 NOT_PRIMARY from a standby. */
export const promoteReplica = operation({
	id: 'replicas.promote',
	method: 'POST',
	path: '/api/agents/{agent_id}/replicas/{replica_id}/promote',
	access: 'agent',
	summary: 'Make a replica the primary',
	input: z.object({
		agent_id: id,
		replica_id: id,
		demote_old_primary: flag,
		wait_for_sync: flag,
		auto_terminate_old_primary: flag,
		create_new_replica: flag,
	}),
	output: success.extend({
		message: z.string(),
		new_instance_id: z.string(),
		old_instance_id: textOrNull,
		demoted: z.boolean(),
		switch_time: isoTime,
		new_primary_id: z.string(),
	}),
});

/** #63. Only the state can be wrong: what is said beside it and cannot be read is not said. Errors: 400, 404, 409 ILLEGAL_TRANSITION. `terminated` is accepted from anybody: it confirms an end. */
export const replicaStatus = operation({
	id: 'replicas.status',
	method: 'POST',
	path: '/api/agents/{agent_id}/replicas/{replica_id}/status',
	access: 'agent',
	summary: 'A replica reached a state',
	input: z.object({
		agent_id: id,
		replica_id: id,
		status: optionalText(32),
		sync_started_at: sideInstant,
		sync_completed_at: sideInstant,
		error_message: words(4000),
		message: words(4000),
		is_active: z.boolean().nullish().catch(null),
		terminated_at: sideInstant,
	}),
	output: success.extend({ replica_id: z.string(), status: z.string() }),
});

/** #64. Progress of 100 makes a syncing replica ready. Errors: 404, 409 ILLEGAL_TRANSITION. */
export const replicaSync = operation({
	id: 'replicas.sync',
	method: 'POST',
	path: '/api/agents/{agent_id}/replicas/{replica_id}/sync-status',
	access: 'agent',
	summary: 'How far a replica has synced',
	input: z.object({
		agent_id: id,
		replica_id: id,
		sync_status: optionalText(32),
		sync_state: optionalText(32),
		sync_latency_ms: z.number().min(0).max(86_400_000).nullish(),
		state_transfer_progress: z.number().min(0).max(1000).nullish(),
		sync_progress: z.number().min(0).max(1000).nullish(),
		status: optionalText(32),
	}),
	output: success.extend({ message: z.string(), status: z.string() }),
});

/** #34. Mixed camel and snake case, as the React tab reads it. */
export const listClientReplicas = operation({
	id: 'replicas.list_client',
	method: 'GET',
	path: '/api/client/{client_id}/replicas',
	access: 'client',
	summary: 'Live replicas of a client with their primaries',
	input: z.object({ client_id: id, ...paging }),
	output: z.object({
		agentId: z.string(),
		primary: z.object({ instanceId: textOrNull, instanceType: textOrNull, region: textOrNull, az: textOrNull, mode: textOrNull }),
		replica: z.object({
			id: z.string(),
			instanceId: z.string(),
			type: ReplicaType,
			status: ReplicaStatus,
			sync_status: z.string(),
			sync_latency_ms: z.number().nullable(),
			state_transfer_progress: z.number(),
			pool: Pool.nullable(),
			cost: Cost,
			created_by: textOrNull,
			created_at: isoOrNull,
			ready_at: isoOrNull,
			terminated_at: isoOrNull,
			is_active: z.boolean(),
		}),
	}),
	rendering: 'list',
	legacyBare: true,
});

/** A replica as the operator sees it. */
export const ReplicaRow = z.object({
	id: z.string(),
	client_id: z.string(),
	agent_id: z.string(),
	logical_agent_id: z.string(),
	instance_id: textOrNull,
	type: ReplicaType,
	status: ReplicaStatus,
	mode: z.string(),
	pool_id: textOrNull,
	instance_type: textOrNull,
	region: textOrNull,
	az: textOrNull,
	sync_status: z.string(),
	state_transfer_progress: z.number(),
	hourly_cost: usdOrNull,
	/** An estimate, as `cost.total` of #34. */
	total_cost: usdOrNull,
	cost_estimated: z.literal(true),
	created_by: z.string(),
	reason: textOrNull,
	emergency_id: textOrNull,
	error_message: textOrNull,
	created_at: isoTime,
	served_at: isoOrNull,
	launched_at: isoOrNull,
	ready_at: isoOrNull,
	promoted_at: isoOrNull,
	ended_at: isoOrNull,
	/** Null while its machine may still run. */
	confirmed_at: isoOrNull,
});

export const listReplicas = operation({
	id: 'replicas.list',
	method: 'GET',
	path: '/api/client/replicas',
	access: 'client',
	summary: 'Replicas, newest first',
	input: z.object({
		...paging,
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
		/** One state, or `live` for launching, syncing and ready. */
		status: z.enum([...ReplicaStatus.options, 'live']).optional(),
	}),
	output: ReplicaRow,
	rendering: 'list',
});

export const showReplica = operation({
	id: 'replicas.show',
	method: 'GET',
	path: '/api/client/replicas/{replica_id}',
	access: 'client',
	summary: 'One replica',
	input: z.object({ replica_id: id }),
	output: ReplicaRow,
});
