import { z } from 'zod';
import { Stored } from './agents.ts';
import { id, isoTime, optionalText, success, textOrNull } from './fields.ts';
import { forceSwitch } from './instances.ts';
import { operation } from './operation.ts';

/** #44. Until decisions arrive (part 4) it answers stay, with confidence 0 and the reason; the pools beside it are real. */
export const switchRecommendation = operation({
	id: 'agents.recommendation',
	method: 'GET',
	path: '/api/agents/{agent_id}/switch-recommendation',
	access: 'agent',
	summary: 'What the decision engine would do, whether or not auto-switch is on',
	input: z.object({ agent_id: id }),
	output: z.object({
		agent_id: z.string(),
		decision_type: z.string(),
		recommended_pool_id: textOrNull,
		risk_score: z.number(),
		/** False while no engine judges it: `risk_score` and `confidence` are then 0 only because readers need numbers. */
		risk_known: z.boolean(),
		expected_savings: z.number(),
		confidence: z.number(),
		reason: z.string(),
		auto_switch_enabled: z.boolean(),
		will_auto_execute: z.boolean(),
		current_pool: z.object({ id: textOrNull, name: textOrNull, az: textOrNull }),
		alternative_pools: z.array(z.object({ id: z.string(), name: z.string(), az: z.string(), spot_price: z.number() })),
		recommendation: z.string(),
		target_pool: textOrNull,
		target_type: textOrNull,
		savings_impact: z.number(),
	}),
});

/**
 * #45: as a forced switch (#32), with the same checks, for an agent whose auto-switch is on. Already there is a 200 with `success: false`.
 * Errors: 400 AGENT_DISABLED, VALIDATION_ERROR; 403 AUTO_SWITCH_DISABLED; 404; 409 SWITCH_OPEN, AGENT_NEVER_POLLS.
 */
export const issueSwitchCommand = operation({
	id: 'agents.issue_switch',
	method: 'POST',
	path: '/api/agents/{agent_id}/issue-switch-command',
	access: 'agent',
	summary: 'Queue a switch where auto-switch is on',
	input: z.object({
		agent_id: id,
		target_mode: optionalText(32),
		target_pool_id: optionalText(128),
		target_pool: optionalText(128),
		reason: optionalText(1000),
		priority: z.number().int().min(1).max(100).nullish(),
		confidence: z.number().min(0).max(1).nullish(),
	}),
	output: z.object({
		success: z.boolean(),
		command_id: textOrNull,
		agent_id: z.string(),
		target_mode: z.string(),
		target_pool_id: textOrNull,
		reason: z.string(),
		message: z.string(),
		auto_switch_enabled: z.boolean(),
		current_mode: textOrNull,
		current_pool_id: textOrNull,
		warnings: z.array(z.string()),
	}),
	status: 201,
	statusOf: (answer: { success: boolean }) => (answer.success ? 201 : 200),
	idempotent: true,
});

/** X29: turns it on when it is off, and off when it is on. */
export const flipAgent = operation({
	id: 'agents.flip',
	method: 'POST',
	path: '/api/agents/{agent_id}/toggle',
	access: 'agent',
	summary: 'Enable a disabled agent, disable an enabled one',
	input: z.object({ agent_id: id }),
	output: success.extend({ enabled: z.boolean(), config_version: z.number().int() }),
});

const setting = z.boolean().nullish();

/** X30: as #24, under the method and path of the agent-host dashboard. */
export const putSettings = operation({
	id: 'agents.put_settings',
	method: 'PUT',
	path: '/api/agents/{agent_id}/settings',
	access: 'agent',
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

/**
 * X31: a manual switch of the agent's primary, as #32. Spot without a pool means the cheapest pool of its type and region whose price is
 * known. `terminate_wait_seconds` above 0 is how long the old machine runs on where auto-terminate is on; 0, which the page always sends,
 * leaves that to the agent's settings (D-31).
 */
export const agentSwitch = operation({
	id: 'agents.switch',
	method: 'POST',
	path: '/api/agents/{agent_id}/switch',
	access: 'agent',
	summary: 'Queue a manual switch of an agent’s primary',
	input: z.object({
		agent_id: id,
		target_mode: optionalText(32),
		target_pool_id: optionalText(128),
		terminate_wait_seconds: z.number().int().min(0).max(86_400).nullish(),
	}),
	output: forceSwitch.output,
});

/** X32 */
export const agentSwitchHistory = operation({
	id: 'agents.switch_history',
	method: 'GET',
	path: '/api/agents/{agent_id}/switch-history',
	access: 'agent',
	summary: 'Switches of an agent, newest first',
	input: z.object({ agent_id: id, limit: z.coerce.number().int().min(1).max(1000).default(20), cursor: z.string().max(512).optional() }),
	output: z.object({
		switches: z.array(
			z.object({
				id: z.string(),
				old_mode: textOrNull,
				new_mode: textOrNull,
				old_pool_id: textOrNull,
				new_pool_id: textOrNull,
				old_instance_id: textOrNull,
				new_instance_id: textOrNull,
				trigger: z.string(),
				switched_at: isoTime,
				success: z.boolean(),
			}),
		),
		count: z.number().int(),
		next_cursor: textOrNull,
	}),
});
