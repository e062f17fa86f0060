import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { agentById } from '../store/agents.ts';
import { type Emergency, emergencyById, lastEmergenciesOf, listEmergencyRows, openEmergencyOf } from '../store/emergencies.ts';
import { lastReplicasOf, liveReplicaOf, replicaById } from '../store/replicas.ts';
import { agentIdOf } from './agent-id.ts';
import { type Caller, clientScope } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import type { PlanEntry } from './emergency-book.ts';
import { pagesOf } from './paging.ts';
import { note, withHost } from './routine.ts';

const emergencyPages = pagesOf('emergencies.list');

const DAY = 86_400_000;

const planOf = ({ plan }: Emergency): readonly PlanEntry[] => JSON.parse(plan) as PlanEntry[];

/** An emergency as operators see it. */
export const shown = (row: Emergency & { logical_agent_id: string }): Output<'showEmergency'> => ({
	id: row.id,
	client_id: row.client_id,
	agent_id: row.agent_id,
	logical_agent_id: row.logical_agent_id,
	kind: row.kind,
	instance_id: row.instance_id,
	pool_id: row.pool_id,
	state: row.outcome ?? 'open',
	step: row.step,
	message: row.message,
	deadline_at: isoOr(row.deadline_at),
	reports: row.reports,
	replica_id: row.replica_id,
	new_instance_id: row.new_instance_id,
	signal_at: iso(row.signal_at),
	received_at: iso(row.received_at),
	planned_at: isoOr(row.planned_at),
	launched_at: isoOr(row.launched_at),
	ready_at: isoOr(row.ready_at),
	promoted_at: isoOr(row.promoted_at),
	confirmed_at: isoOr(row.confirmed_at),
	ended_at: isoOr(row.ended_at),
	failover_ms: row.confirmed_at === null ? null : Math.max(0, row.confirmed_at - row.signal_at),
	plan: planOf(row).map((entry) => ({ ...entry, at: iso(entry.at), rejected: [...entry.rejected] })),
});

export const listEmergencies =
	(context: Context) =>
	async (input: Valid<'listEmergencies'>, caller: Caller): Promise<Output<'listEmergencies'>> => {
		const rows = await listEmergencyRows(context.store.read, {
			clientId: clientScope(caller) ?? input.client_id ?? null,
			agentId: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			kind: input.kind ?? null,
			state: input.state ?? null,
			limit: input.limit,
			after: emergencyPages.after(input.cursor),
		});
		return emergencyPages.page(rows, input.limit, shown, (row) => row.id);
	};

export const showEmergency =
	(context: Context) =>
	async (input: Valid<'showEmergency'>, caller: Caller): Promise<Output<'showEmergency'>> => {
		const { read } = context.store;
		const row = await emergencyById.first(read, { id: input.emergency_id });
		const scope = clientScope(caller);
		if (row === undefined || (scope !== null && scope !== row.client_id)) {
			throw new SpotError('missing', 'NOT_FOUND', `no emergency "${input.emergency_id.slice(0, 80)}"`, {
				hint: 'see: spotctl emergencies list',
			});
		}
		const agent = await agentById.first(read, { id: row.agent_id });
		return shown({ ...row, logical_agent_id: agent?.logical_agent_id ?? row.agent_id });
	};

/** X8: v4 asks it after every notice, a dashboard every 5 s. */
export const emergencyStatus =
	(context: Context) =>
	(input: Valid<'emergencyStatus'>, caller: Caller): Promise<Output<'emergencyStatus'>> =>
		Promise.resolve(
			withHost(context, input.agent_id, caller, async (host) => {
				if (host.status === 'deleted') throw agentDeleted(host.agent_id);
				note(context, host, caller, 'other');
				const { read } = context.store;
				const agent_id = host.agent_id;
				const [open, live, recent, replicas] = await Promise.all([
					openEmergencyOf.first(read, { agent_id }),
					liveReplicaOf.first(read, { agent_id }),
					lastEmergenciesOf.all(read, { agent_id, since: context.clock.now() - DAY }),
					lastReplicasOf.all(read, { agent_id }),
				]);
				const last = recent[0];
				const replica = live ?? (open?.replica_id == null ? undefined : await replicaById.first(read, { id: open.replica_id }));
				const status = open === undefined || open.kind === 'silent-primary' ? 'none' : open.kind;
				return {
					agent_id,
					notice_status: status,
					notice_received_at: isoOr(open?.received_at ?? null),
					notice_deadline: isoOr(open?.deadline_at ?? null),
					emergency_id: open?.id ?? null,
					emergency_replica:
						replica === undefined || replica.status === 'failed' || replica.status === 'terminated'
							? null
							: { id: replica.id, status: replica.status, pool_id: replica.pool_id, sync_progress: replica.state_transfer_progress },
					actions: open === undefined ? [] : planOf(open).map((entry) => `${entry.step}: ${entry.choice} (${entry.why})`),
					emergency_mode_active: open !== undefined,
					rebalance_only_mode: status === 'rebalance',
					ml_models_loaded: false,
					decision_engine_active: false,
					last_emergency_event:
						last === undefined
							? null
							: {
									timestamp: iso(last.received_at),
									type: last.kind,
									action_taken: planOf(last).at(-1)?.choice ?? 'none',
									outcome: last.outcome ?? 'open',
								},
					emergency_replicas_count: replicas.filter((row) => row.type !== 'manual' && row.live_of !== null).length,
					termination_notices_24h: recent.filter((row) => row.kind === 'termination').length,
				};
			}),
		);
