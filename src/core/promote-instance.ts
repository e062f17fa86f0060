import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { lockAgent } from '../store/agents.ts';
import { lastEmergenciesOf } from '../store/emergencies.ts';
import { primaryOf } from '../store/hosts.ts';
import type { Caller } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { promote } from './promotion.ts';
import { lastSeen, primaryIsSilent } from './silence.ts';
import { isCalling } from './takeover.ts';
import { isDue } from './terminations.ts';
import { StaleRow } from './unit.ts';

/** A termination notice is about the present for so long. */
const RECENT_MS = 15 * 60_000;

/**
 * What T3 of identity.md leaves to a person: a zombie, or a candidate, that calls becomes the primary of an agent whose primary is silent, or
 * whose primary AWS takes back and that nobody could launch a replica for. An old primary that is only silent is on hold, since silence is no proof of
 * death. Errors: 404, 409 NOT_PROMOTABLE, NOT_CALLING, PRIMARY_ALIVE, ABOUT_TO_END.
 */
export const promoteInstance =
	(context: Context) =>
	(input: Valid<'promoteInstance'>, caller: Caller): Promise<Output<'promoteInstance'>> => {
		const calledAt = context.clock.now();
		return context.unit(caller, async (tx, journal) => {
			const found = await instanceOf(tx, input.instance_id, input.client_id, caller);
			const agent = await lockAgent.first(tx, { id: found.agent_id });
			const host = await instanceOf(tx, input.instance_id, input.client_id, caller);
			const primary = await primaryOf.first(tx, { agent_id: host.agent_id });
			if (agent === undefined || primary === undefined || host.agent_id !== agent.id) throw new StaleRow();
			const refuse = (code: string, message: string, hint: string) => new SpotError('conflict', code, message, { hint });
			if (agent.status === 'deleted') throw agentDeleted(agent.id);
			journal.countIfLost('instance_promotion_failures_total');
			if (host.role !== 'zombie' && host.role !== 'candidate')
				throw refuse(
					'NOT_PROMOTABLE',
					`${host.instance_id} is ${host.role}: only a zombie or a candidate is promoted by its id`,
					host.role === 'replica' ? 'a replica has a command of its own: spotctl replicas list' : `see: spotctl agents show ${agent.id}`,
				);
			const now = context.clock.now();
			const recent = await lastEmergenciesOf.all(tx, { agent_id: agent.id, since: now - RECENT_MS });
			// The newest word about this primary: AWS takes it back, and no other machine has taken over (a person may have been told, and come now).
			const notice = recent.find(({ kind, handle }) => kind === 'termination' && handle === primary.handle);
			const isTakenBack = notice !== undefined && notice.new_handle === null && (notice.open_of !== null || notice.outcome === 'told');
			const isEnding = isTakenBack && notice.open_of !== null;
			if (!isTakenBack && agent.status !== 'offline' && !(await primaryIsSilent(context, tx, primary)))
				throw refuse(
					'PRIMARY_ALIVE',
					`${primary.instance_id}, the primary of ${agent.logical_agent_id}, calls`,
					`move it instead: spotctl instances switch ${primary.instance_id}`,
				);
			if (!isCalling(context, { ...host, seen_at: await lastSeen(context, tx, host) }))
				throw refuse(
					'NOT_CALLING',
					`nobody calls from ${host.instance_id}: as the primary it would do nothing`,
					`see: spotctl instances show ${host.instance_id}`,
				);
			const due = agent.auto_terminate_enabled === 1 && isDue({ ...host, terminate_wait_seconds: agent.terminate_wait_seconds }, now);
			if (host.role === 'zombie' && due && !(await primaryIsSilent(context, tx, primary)))
				throw refuse(
					'ABOUT_TO_END',
					`${host.instance_id} is on the terminate list of ${primary.instance_id}, which calls and may be ending it now`,
					`keep it first, and promote it a minute later if it still calls: spotctl instances hold ${host.instance_id}`,
				);
			await promote(context, tx, journal, {
				agent,
				from: primary,
				to: host,
				reason: 'operator',
				old: { role: 'zombie', hold: !isEnding, terminatedAt: null },
				command: null,
				calledAt,
				record: {},
			});
			const before = { primary: primary.instance_id, role: host.role, hold: host.hold === 1 };
			journal.audit('instances.promote', 'instance', host.instance_id, host.client_id, before, { primary: host.instance_id });
			return {
				success: true,
				message: `${host.instance_id} is the primary of ${agent.logical_agent_id}; ${primary.instance_id} is a zombie${isEnding ? '' : ' on hold'}`,
				agent_id: agent.id,
				new_instance_id: host.instance_id,
				old_instance_id: primary.instance_id,
			};
		});
	};
