import type { z } from 'zod';
import type { CommandRow } from '../contract/commands.ts';
import { iso, isoOr } from '../contract/instant.ts';
import type { ListedCommand } from '../store/lists.ts';

/** A command as answers show it. */
export const showCommandRow = (command: ListedCommand): z.output<typeof CommandRow> => ({
	id: command.id,
	client_id: command.client_id,
	agent_id: command.agent_id,
	command_type: command.command_type,
	status: command.status,
	outcome: command.outcome,
	message: command.message,
	instance_id: command.instance_id,
	target_mode: command.target_mode,
	target_pool_id: command.target_pool_id,
	new_instance_id: command.new_instance_id,
	priority: command.priority,
	terminate_wait_seconds: command.terminate_wait_seconds,
	trigger: command.trigger_type,
	created_by: command.created_by,
	reason: command.reason,
	created_at: iso(command.created_at),
	expires_at: iso(command.expires_at),
	claimed_at: isoOr(command.claimed_at),
	lease_until: isoOr(command.lease_until),
	launched_at: isoOr(command.launched_at),
	reported_at: isoOr(command.reported_at),
	acknowledged_at: isoOr(command.acknowledged_at),
	completed_at: isoOr(command.completed_at),
});
