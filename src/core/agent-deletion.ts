import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { type Agent, lockAgent } from '../store/agents.ts';
import { cancelCommandsOfDeleted } from '../store/commands.ts';
import { hostsInRole, primaryOf } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { agentOf } from './agent-id.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import type { Caller } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import { checkAgentLimit } from './client-limits.ts';
import type { Context } from './context.ts';
import { reconcileAgent } from './reconcile.ts';
import { StaleRow } from './unit.ts';

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
			if (primary !== undefined) {
				await setWatch.later(tx, { handle: primary.handle, watch_at: null });
				journal.book(primary, { deleted: true });
			}
			// No list names them any more.
			for (const zombie of await hostsInRole.all(tx, { agent_id: agent.id, role: 'zombie' })) journal.book(zombie, { overlapUntil: 0 });
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
 * it they are not known, and the answer says so). Errors: 409 when it is not deleted,
 * 403 AGENT_LIMIT where its client has as many agents as it may.
 */
export const restoreAgent =
	(context: Context) =>
	(input: Valid<'restoreAgent'>, caller: Caller): Promise<Output<'restoreAgent'>> =>
		context.unit(caller, async (tx, journal) => {
			const { id, client_id, status } = await agentOf(tx, input.agent_id, caller);
			if (status === 'deleted') await checkAgentLimit(tx, client_id);
			const agent = await lockAgent.first(tx, { id });
			// Deleted meanwhile: its client's limit is looked at before it is locked.
			if (agent?.status === 'deleted' && status !== 'deleted') throw new StaleRow();
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
			const primary = await primaryOf.first(tx, { agent_id: id });
			if (primary !== undefined) {
				journal.book(primary);
				// Nobody has vouched for it since; its next call does.
				journal.book(primary, { kind: 'silent' });
			}
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
