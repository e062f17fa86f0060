import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { agentById } from '../store/agents.ts';
import { hostByHandle } from '../store/hosts.ts';
import { listLiveReplicas, listReplicaRows, replicaById } from '../store/replicas.ts';
import { agentIdOf } from './agent-id.ts';
import { actorOf, type Caller, clientScope } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { reconcile } from './reconcile.ts';
import { audit, conflict, noReplica, onReplica, type ReplicaCall } from './replica-call.ts';
import { endReplica } from './replica-end.ts';
import { promoteReplica } from './replica-promotion.ts';
import { operatorReplica, shownReplica } from './replica-view.ts';

const clientReplicaPages = pagesOf('replicas.list_client');
const replicaPages = pagesOf('replicas.list');

/** Operator routes take any handle of the agent but a standby's private one (identity.md section 7). */
const mustSpeakForAgent = async ({ host, work }: ReplicaCall, agentId: string): Promise<void> => {
	if (work.agent.status === 'deleted') throw agentDeleted(work.agent.id);
	// An admin means the agent, but not by a standby's private handle.
	if (agentId === work.primary.handle || agentId === work.agent.id) return;
	// The host of an admin's call is the primary, whose handle this is not.
	const named = (await hostByHandle.first(work.tx, { handle: agentId })) ?? host;
	throw new SpotError('conflict', 'NOT_PRIMARY', `${named.instance_id} is not the primary of its agent (${named.role})`, {
		hint: `the primary is ${work.primary.instance_id}; name the agent: ${work.agent.id}`,
		extras: { primary: work.primary.instance_id, agent_id: work.agent.id },
	});
};

/** #61 */
export const deleteReplica =
	(context: Context) =>
	(input: Valid<'deleteReplica'>, caller: Caller): Promise<Output<'deleteReplica'>> =>
		onReplica(context, caller, input, async (call) => {
			const { work, replica } = call;
			await mustSpeakForAgent(call, input.agent_id);
			if (replica.status === 'promoted')
				throw conflict(
					'REPLICA_PROMOTED',
					`${replica.instance_id} was promoted: it is not a replica any more`,
					replica,
					`see: spotctl agents show ${work.agent.id}`,
				);
			if (replica.live_of === null)
				throw new SpotError('invalid', 'REPLICA_TERMINATED', `the replica is ${replica.status} already`, {
					hint: `see: spotctl replicas show ${replica.id}`,
					extras: { terminated_at: isoOr(replica.ended_at), replica_status: replica.status },
				});
			audit(call, 'replicas.delete', { status: 'terminated' });
			await endReplica(work, { status: 'terminated', why: `${actorOf(caller)} deleted it`, machine: 'ended' });
			await reconcile(work);
			const again = work.replica === null ? '' : '; another one was ordered';
			return {
				answer: { success: true, message: `the replica was terminated${again}`, replica_id: replica.id, terminated_at: iso(work.now) },
			};
		});

/** #62 (T6). The loser of a race reads who won. */
export const promoteReplicaRoute =
	(context: Context) =>
	(input: Valid<'promoteReplica'>, caller: Caller): Promise<Output<'promoteReplica'>> => {
		const calledAt = context.clock.now();
		return onReplica(context, caller, input, async (call) => {
			const { work, replica } = call;
			await mustSpeakForAgent(call, input.agent_id);
			if (replica.status === 'promoted')
				throw new SpotError(
					'conflict',
					'ALREADY_PROMOTED',
					`${replica.instance_id} was promoted already; the primary is ${work.primary.instance_id}`,
					{
						hint: `see: spotctl agents show ${work.agent.id}`,
						extras: { primary: work.primary.instance_id, new_instance_id: replica.instance_id },
					},
				);
			if (replica.live_of === null) throw noReplica(input.replica_id);
			work.journal.countIfLost('instance_promotion_failures_total');
			if (replica.status !== 'ready')
				throw new SpotError('invalid', 'REPLICA_NOT_READY', `the replica is ${replica.status}, not ready`, {
					hint: `see: spotctl replicas show ${replica.id}`,
					extras: { current_status: replica.status, required_status: 'ready' },
				});
			if (!/^i-/.test(replica.instance_id ?? ''))
				throw conflict('NOT_A_MACHINE', `"${replica.instance_id}" is no machine of EC2: it cannot be promoted`, replica);
			const old = work.primary;
			const demote = input.demote_old_primary === true;
			audit(call, 'replicas.promote', { status: 'promoted', demote_old_primary: demote });
			await promoteReplica(work, replica, { reason: 'operator', demote, calledAt });
			await reconcile(work);
			const primary = work.primary;
			return {
				answer: {
					success: true,
					message: `${primary.instance_id} is the primary; ${old.instance_id} is ${demote ? 'its replica' : 'a zombie'}`,
					new_instance_id: primary.instance_id,
					old_instance_id: old.instance_id,
					demoted: demote,
					switch_time: iso(work.now),
					new_primary_id: work.agent.id,
				},
			};
		});
	};

/** #34 */
export const listClientReplicas =
	(context: Context) =>
	async (input: Valid<'listClientReplicas'>): Promise<Output<'listClientReplicas'>> => {
		const now = context.clock.now();
		const rows = await listLiveReplicas(context.store.read, input.client_id, input.limit, clientReplicaPages.after(input.cursor));
		return clientReplicaPages.page(
			rows,
			input.limit,
			(row) => {
				const { instance_id: instanceId, ...replica } = shownReplica(row, now);
				return {
					agentId: row.agent_id,
					primary: { instanceId: row.p_instance_id, instanceType: row.p_type, region: row.p_region, az: row.p_az, mode: row.p_mode },
					replica: { ...replica, instanceId },
				};
			},
			(row) => row.id,
		);
	};

/** Replicas for operators, newest first. */
export const listReplicas =
	(context: Context) =>
	async (input: Valid<'listReplicas'>, caller: Caller): Promise<Output<'listReplicas'>> => {
		const now = context.clock.now();
		const rows = await listReplicaRows(context.store.read, {
			clientId: clientScope(caller) ?? input.client_id ?? null,
			agentId: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			status: input.status ?? null,
			limit: input.limit,
			after: replicaPages.after(input.cursor),
		});
		return replicaPages.page(
			rows,
			input.limit,
			(row) => operatorReplica(row, now),
			(row) => row.id,
		);
	};

export const showReplica =
	(context: Context) =>
	async (input: Valid<'showReplica'>, caller: Caller): Promise<Output<'showReplica'>> => {
		const { read } = context.store;
		const replica = await replicaById.first(read, { id: input.replica_id });
		const scope = clientScope(caller);
		if (replica === undefined || (scope !== null && scope !== replica.client_id)) {
			throw new SpotError('missing', 'NOT_FOUND', `no replica "${input.replica_id.slice(0, 80)}"`, { hint: 'see: spotctl replicas list' });
		}
		const agent = await agentById.first(read, { id: replica.agent_id });
		return operatorReplica({ ...replica, logical_agent_id: agent?.logical_agent_id ?? replica.agent_id }, context.clock.now());
	};
