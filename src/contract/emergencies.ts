import { z } from 'zod';
import { id, isoOrNull, isoTime, paging, sideInstant, sideText, success, textOrNull, usdOrNull } from './fields.ts';
import { operation } from './operation.ts';

/** A notice is never refused for a field that is not needed to act on it: what is wrong reads as not said. */
const machine = sideText(64);
const yes = z.boolean().nullish().catch(null);

/** #53. `immediate: true` is v4's way to say that this is the two-minute notice, `notice_time` then being the deadline. */
export const rebalanceRecommendation = operation({
	id: 'notices.rebalance',
	method: 'POST',
	path: '/api/agents/{agent_id}/rebalance-recommendation',
	access: 'agent',
	summary: 'AWS recommends to move (v4: or takes the machine back)',
	input: z.object({
		agent_id: id,
		instance_id: machine,
		detected_at: sideInstant,
		notice_time: sideInstant,
		recommendation_time: sideInstant,
		immediate: yes,
	}),
	output: success.extend({
		/** Never `switch`: a replica is the one way we move for a signal (spec section 7 "Ours": one, never both). */
		action: z.string(),
		risk_score: z.number(),
		reason: z.string(),
		message: z.string(),
		replica_id: textOrNull,
		replica_status: textOrNull,
		new_instance_id: textOrNull,
		emergency_id: textOrNull,
	}),
});

/** #54. 201 with a replica, 200 with `success: false` and an action without one: agents drop the bodies of errors (D-25). */
export const createEmergencyReplica = operation({
	id: 'notices.create_replica',
	method: 'POST',
	path: '/api/agents/{agent_id}/create-emergency-replica',
	access: 'agent',
	summary: 'A signal was seen: see that a replica exists',
	input: z.object({
		agent_id: id,
		signal_type: sideText(64),
		reason: sideText(64),
		instance_id: machine,
		termination_time: sideInstant,
		notice_time: sideInstant,
		pool_id: sideText(128),
		preferred_zones: z.array(z.string().max(48)).max(100).nullish().catch(null),
		exclude_zones: z.array(z.string().max(48)).max(100).nullish().catch(null),
		urgency: sideText(32),
	}),
	output: success.extend({
		action: z.string(),
		replica_id: textOrNull,
		instance_id: textOrNull,
		replica_instance_id: textOrNull,
		pool: z.object({ id: z.string(), name: z.string(), az: textOrNull }).nullable(),
		hourly_cost: usdOrNull,
		message: z.string(),
		urgency: z.string(),
		new_instance_id: textOrNull,
		emergency_id: textOrNull,
	}),
	status: 201,
	statusOf: (payload: { success: boolean }) => (payload.success ? 201 : 200),
});

/** #55. Always 200; `success: true` tells the agent that another machine is the primary and it may stop. */
export const terminationImminent = operation({
	id: 'notices.termination_imminent',
	method: 'POST',
	path: '/api/agents/{agent_id}/termination-imminent',
	access: 'agent',
	summary: 'AWS takes the machine back in two minutes: fail over',
	input: z.object({
		agent_id: id,
		instance_id: machine,
		termination_time: sideInstant,
		detected_at: sideInstant,
		replica_id: sideText(64),
	}),
	output: success.extend({
		action: z.string(),
		message: z.string(),
		new_instance_id: textOrNull,
		replica_id: textOrNull,
		/** From the receipt of the notice to the promotion in the books, ms; how long the failover really took is in the emergency. */
		failover_time_ms: z.number().int().nullable(),
		emergency_id: textOrNull,
	}),
});

const noticeAnswer = success.extend({
	status: z.string(),
	action: z.string(),
	message: z.string(),
	emergency_replica_id: textOrNull,
	new_instance_id: textOrNull,
	emergency_id: textOrNull,
});

/** X15 */
export const rebalanceNotice = operation({
	id: 'notices.rebalance_v6',
	method: 'POST',
	path: '/api/agents/{agent_id}/rebalance-notice',
	access: 'agent',
	summary: 'AWS recommends to move (v6)',
	input: z.object({ agent_id: id, notice_time: sideInstant, instance_id: machine }),
	output: noticeAnswer,
});

/** X16 */
export const terminationNotice = operation({
	id: 'notices.termination_v6',
	method: 'POST',
	path: '/api/agents/{agent_id}/termination-notice',
	access: 'agent',
	summary: 'AWS takes the machine back (v6)',
	input: z.object({ agent_id: id, termination_time: sideInstant, notice_time: sideInstant, instance_id: machine }),
	output: noticeAnswer,
});

/** X8 */
export const emergencyStatus = operation({
	id: 'emergencies.status',
	method: 'GET',
	path: '/api/agents/{agent_id}/emergency-status',
	access: 'agent',
	summary: 'What is going on with this agent',
	input: z.object({ agent_id: id }),
	output: z.object({
		agent_id: z.string(),
		notice_status: z.enum(['none', 'rebalance', 'termination']),
		notice_received_at: isoOrNull,
		notice_deadline: isoOrNull,
		emergency_id: textOrNull,
		emergency_replica: z.object({ id: z.string(), status: z.string(), pool_id: textOrNull, sync_progress: z.number() }).nullable(),
		actions: z.array(z.string()),
		emergency_mode_active: z.boolean(),
		rebalance_only_mode: z.boolean(),
		ml_models_loaded: z.boolean(),
		decision_engine_active: z.boolean(),
		last_emergency_event: z.object({ timestamp: isoTime, type: z.string(), action_taken: z.string(), outcome: z.string() }).nullable(),
		emergency_replicas_count: z.number().int(),
		termination_notices_24h: z.number().int(),
	}),
	routine: true,
});

/** One decision of a plan: what was chosen, why, and what was not. `at` is when. */
export const PlanEntry = z.object({
	at: isoTime,
	step: z.string(),
	choice: z.string(),
	why: z.string(),
	rejected: z.array(z.object({ what: z.string(), why: z.string() })),
});

export const EmergencyRow = z.object({
	id: z.string(),
	client_id: z.string(),
	agent_id: z.string(),
	logical_agent_id: z.string(),
	kind: z.enum(['termination', 'rebalance', 'silent-primary']),
	instance_id: z.string(),
	pool_id: textOrNull,
	/** `open`, or its named end: failed-over, unconfirmed, stood-by, recovered, escalated, overtaken, told, deleted. */
	state: z.string(),
	step: z.string(),
	message: textOrNull,
	deadline_at: isoOrNull,
	reports: z.number().int(),
	replica_id: textOrNull,
	new_instance_id: textOrNull,
	signal_at: isoTime,
	received_at: isoTime,
	planned_at: isoOrNull,
	launched_at: isoOrNull,
	ready_at: isoOrNull,
	promoted_at: isoOrNull,
	/** First heartbeat of the new primary. */
	confirmed_at: isoOrNull,
	ended_at: isoOrNull,
	/** From the signal to the first heartbeat of the new primary, ms; null until that was measured. */
	failover_ms: z.number().int().nullable(),
	plan: z.array(PlanEntry),
});

export const listEmergencies = operation({
	id: 'emergencies.list',
	method: 'GET',
	path: '/api/client/emergencies',
	access: 'client',
	summary: 'Emergencies, newest first',
	input: z.object({
		...paging,
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
		kind: z.enum(['termination', 'rebalance', 'silent-primary']).optional(),
		state: z.enum(['open', 'ended']).optional(),
	}),
	output: EmergencyRow,
	rendering: 'list',
});

export const showEmergency = operation({
	id: 'emergencies.show',
	method: 'GET',
	path: '/api/client/emergencies/{emergency_id}',
	access: 'client',
	summary: 'One emergency with its plan and stages',
	input: z.object({ emergency_id: id }),
	output: EmergencyRow,
});

/** For test fleets only. Errors: 403 NOT_A_TEST_CLIENT. */
export const simulateNotice = operation({
	id: 'notices.simulate',
	method: 'POST',
	path: '/api/client/agents/{agent_id}/simulate-notice',
	access: 'client',
	summary: 'Act as if AWS had sent a notice to the primary of a test client',
	input: z.object({ agent_id: id, kind: z.enum(['rebalance', 'termination']) }),
	output: success.extend({
		action: z.string(),
		message: z.string(),
		replica_id: textOrNull,
		new_instance_id: textOrNull,
		emergency_id: textOrNull,
	}),
});
