import { z } from 'zod';
import {
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
	words,
} from './fields.ts';
import { instanceId, machineText, modeField } from './hosts.ts';
import { operation } from './operation.ts';

/** A command as the operator sees it. */
export const CommandRow = z.object({
	id: z.string(),
	client_id: z.string(),
	agent_id: z.string(),
	command_type: z.string(),
	status: z.enum(['pending', 'claimed', 'completed', 'failed', 'expired', 'cancelled']),
	/** Why it ended, or how it was proved: report, registration, acknowledged, unconfirmed, superseded, … */
	outcome: textOrNull,
	message: textOrNull,
	instance_id: z.string(),
	target_mode: textOrNull,
	target_pool_id: textOrNull,
	new_instance_id: textOrNull,
	priority: z.number().int(),
	terminate_wait_seconds: z.number().int(),
	trigger: z.string(),
	created_by: z.string(),
	reason: textOrNull,
	created_at: isoTime,
	expires_at: isoTime,
	claimed_at: isoOrNull,
	lease_until: isoOrNull,
	launched_at: isoOrNull,
	reported_at: isoOrNull,
	acknowledged_at: isoOrNull,
	completed_at: isoOrNull,
});

/** #46. Never more than one command; an agent drops the rest. `priority` and `terminate_wait_seconds` are never null (decided 9). */
export const pendingCommands = operation({
	id: 'commands.poll',
	method: 'GET',
	path: '/api/agents/{agent_id}/pending-commands',
	access: 'agent',
	summary: 'Claim the next command for this host',
	input: z.object({ agent_id: id }),
	output: z.object({
		commands: z.array(
			z.object({
				id: z.string(),
				command_id: z.string(),
				command_type: z.string(),
				instance_id: z.string(),
				target_mode: textOrNull,
				target_pool_id: textOrNull,
				priority: z.number().int(),
				terminate_wait_seconds: z.number().int(),
				created_at: isoTime,
				expires_at: isoTime,
				request_id: textOrNull,
			}),
		),
		count: z.number().int(),
	}),
	routine: true,
});

const outcome = {
	success: z.boolean().nullish(),
	status: optionalText(32),
	message: words(4000),
	error: words(4000),
};

/** #47 */
export const commandExecuted = operation({
	id: 'commands.executed',
	method: 'POST',
	path: '/api/agents/{agent_id}/commands/{command_id}/executed',
	access: 'agent',
	summary: 'Acknowledge a command',
	input: z.object({ agent_id: id, command_id: id, ...outcome }),
	output: success.extend({ command_status: z.string() }),
});

/** X21: v3.2 calls it after success and failure alike, so without `success` the outcome stays open for the switch report. */
export const markCommandExecuted = operation({
	id: 'commands.mark_executed',
	method: 'POST',
	path: '/api/agents/{agent_id}/mark-command-executed',
	access: 'agent',
	summary: 'Acknowledge a command (agent 3.2)',
	input: z.object({ agent_id: id, command_id: z.union([z.string().max(255), z.number()]).transform(String), ...outcome }),
	output: success.extend({ command_status: z.string() }),
});

const machine = z
	.object({
		instance_id: instanceId.nullish().catch(null),
		instance_type: machineText(64).catch(null),
		region: machineText(64).catch(null),
		az: machineText(48).catch(null),
		ami_id: sideText(64),
		mode: modeField.catch(null),
		pool_id: sideText(128),
	})
	.nullish()
	.catch(null);

const cost = optionalPrice.catch(null);
const prices = z.object({ on_demand: cost, old_spot: cost, new_spot: cost }).nullish().catch(null);

/**
 * #49 in its three shapes: what agents send (`prices`, `switch_initiated_at` …), what the reference read, and v5's flat form (D-03).
 * It is evidence that an agent sends once and never again, so what it says wrong beside the machine (a price of 0, a time of no calendar)
 * reads as unknown instead of refusing the rest.
 */
export const switchReport = operation({
	id: 'switches.report',
	method: 'POST',
	path: '/api/agents/{agent_id}/switch-report',
	access: 'agent',
	summary: 'A switch finished',
	input: z.object({
		agent_id: id,
		command_id: sideText(255),
		old_instance: machine,
		new_instance: machine,
		old_instance_id: sideText(64),
		new_instance_id: sideText(64),
		prices,
		pricing: prices,
		old_price: cost,
		new_price: cost,
		ondemand_price: cost,
		timing: z
			.object({
				switch_initiated_at: sideInstant,
				new_instance_launched_at: sideInstant,
				new_instance_ready_at: sideInstant,
				traffic_switched_at: sideInstant,
				old_instance_terminated_at: sideInstant,
				initiated_at: sideInstant,
				ami_created_at: sideInstant,
				instance_launched_at: sideInstant,
				instance_ready_at: sideInstant,
				old_terminated_at: sideInstant,
			})
			.nullish()
			.catch(null),
		trigger: sideText(32),
		snapshot: z
			.object({ used: z.boolean().nullish().catch(null), snapshot_id: sideText(64), ami_id: sideText(64) })
			.nullish()
			.catch(null),
		success: z.boolean().nullish(),
		error_message: words(4000),
		downtime_seconds: z.number().min(0).max(31_536_000).nullish().catch(null),
		total_duration_seconds: z.number().min(0).max(31_536_000).nullish().catch(null),
	}),
	output: success.extend({ savings_impact: z.number().nullable(), switch_id: textOrNull, action: z.string(), message: z.string() }),
});

export const listCommands = operation({
	id: 'commands.list',
	method: 'GET',
	path: '/api/client/commands',
	access: 'client',
	summary: 'Commands, newest first',
	input: z.object({
		...paging,
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
		status: z.enum(['pending', 'claimed', 'completed', 'failed', 'expired', 'cancelled', 'open']).optional(),
	}),
	output: CommandRow,
	rendering: 'list',
});

export const showCommand = operation({
	id: 'commands.show',
	method: 'GET',
	path: '/api/client/commands/{command_id}',
	access: 'client',
	summary: 'One command',
	input: z.object({ command_id: id }),
	output: CommandRow,
});

/** A pending command is cancelled for certain; a claimed one may already be running, and the answer says so. */
export const cancelCommand = operation({
	id: 'commands.cancel',
	method: 'POST',
	path: '/api/client/commands/{command_id}/cancel',
	access: 'client',
	summary: 'Cancel a command',
	input: z.object({ command_id: id }),
	output: success.extend({ message: z.string(), command: CommandRow, was: z.string() }),
});
