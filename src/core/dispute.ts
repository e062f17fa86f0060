import type { Agent } from '../store/agents.ts';
import type { Command } from '../store/commands.ts';
import { type Host, hostByHandle, saveHost } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import type { Journal } from './journal.ts';

/**
 * T9 of identity.md: the claimant says that its switch failed after a registration was taken for the new machine, which may be a stranger.
 * Roles stay; the old host is kept from ending and takes the agent back if the guess falls silent. Nothing after a report of the switch.
 */
export const disputeGuess = async (tx: Db, journal: Journal, agent: Agent, host: Host, command: Command): Promise<void> => {
	if (command.status !== 'completed' || command.outcome !== 'registration' || command.reported_at !== null) return;
	const guess = command.new_handle === null ? undefined : await hostByHandle.first(tx, { handle: command.new_handle });
	if (guess?.role !== 'primary' || guess.generation !== agent.generation || host.role === 'primary' || host.role === 'terminated') return;
	const kept: Host = { ...host, hold: 1, takes_back: 1 };
	await saveHost.later(tx, kept);
	journal.book(kept, { overlapUntil: 0 });
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	const message = `${host.instance_id} says its switch failed, but ${guess.instance_id} registered as if it were the new machine; ${host.instance_id} is kept`;
	journal.event('switch_disputed', message, about, {
		severity: 'warning',
		metadata: { command_id: command.id, guessed: guess.instance_id },
	});
	journal.notify('switch_disputed', 'A switch is disputed', `${agent.logical_agent_id}: ${message}`, about, 'error');
	journal.changed('agent', agent.id);
};
