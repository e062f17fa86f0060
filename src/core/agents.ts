import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { type Agent, logicalIdsOf } from '../store/agents.ts';
import { openEmergencyOf } from '../store/emergencies.ts';
import { newestHostsOf } from '../store/hosts.ts';
import { type AgentListRow, agentWithPrimary, instanceCounts, listAgentRows } from '../store/lists.ts';
import { hostPrice } from '../store/prices.ts';
import { liveReplicaOf } from '../store/replicas.ts';
import { agentIdOf } from './agent-id.ts';
import { shownMinutes } from './agent-settings.ts';
import { type Caller, clientOf } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { heldOf } from './hold.ts';
import { pagesOf } from './paging.ts';
import { usd } from './report.ts';

const agentPages = pagesOf('agents.list');
const clientAgentPages = pagesOf('agents.list_client');
const historyPages = pagesOf('agents.history');
const ownAgentPages = pagesOf('agents.list_own');

const key = (row: AgentListRow): string => row.id;

/** Last heartbeat first; those that never sent one last. */
const heardFirst = (a: AgentListRow, b: AgentListRow): number => (b.heartbeat_at ?? -1) - (a.heartbeat_at ?? -1);

const RANKS: readonly Agent['status'][] = ['online', 'offline', 'deleted'];
const rankOf = ({ status }: AgentListRow): number => (RANKS.includes(status) ? RANKS.indexOf(status) : RANKS.length);
/** Online, offline, deleted, then the others; of each the last heartbeat first. */
const historyOrder = (a: AgentListRow, b: AgentListRow): number => rankOf(a) - rankOf(b) || heardFirst(a, b);

const base = (row: AgentListRow) => ({
	id: row.id,
	logicalAgentId: row.logical_agent_id,
	hostname: row.p_hostname,
	clientId: row.client_id,
	clientName: row.client_name,
	instanceId: row.p_instance_id,
	instanceType: row.p_type,
	region: row.p_region,
	az: row.p_az,
	currentMode: row.p_mode,
	currentPoolId: row.p_mode === 'spot' ? row.p_pool : null,
	status: row.status,
	version: row.p_version,
	enabled: row.enabled === 1,
	autoSwitchEnabled: row.auto_switch_enabled === 1,
	generation: row.generation,
	lastHeartbeatAt: isoOr(row.heartbeat_at),
	createdAt: iso(row.created_at),
});

/** #7 */
export const listAgents =
	(context: Context) =>
	async (input: Valid<'listAgents'>): Promise<Output<'listAgents'>> => {
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: agentPages.after(input.cursor),
			clientId: input.client_id ?? null,
			status: input.status ?? null,
			deleted: true,
		});
		const page = agentPages.page(rows, input.limit, base, key, heardFirst);
		return {
			agents: page.items,
			total: page.items.length,
			filters: { status: input.status ?? null, client_id: input.client_id ?? null },
			count: page.items.length,
			next_cursor: page.nextCursor,
		};
	};

/** #20 */
export const listClientAgents =
	(context: Context) =>
	async (input: Valid<'listClientAgents'>): Promise<Output<'listClientAgents'>> => {
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: clientAgentPages.after(input.cursor),
			clientId: input.client_id,
			status: null,
			deleted: false,
		});
		const counts = await instanceCounts(
			context.store.read,
			rows.map((row) => row.id),
		);
		return clientAgentPages.page(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				logicalAgentId: row.logical_agent_id,
				hostname: row.p_hostname,
				instanceId: row.p_instance_id,
				instanceType: row.p_type,
				region: row.p_region,
				az: row.p_az,
				currentMode: row.p_mode,
				status: row.status,
				agentVersion: row.p_version,
				lastHeartbeat: isoOr(row.heartbeat_at),
				instanceCount: counts.get(row.id) ?? 0,
				enabled: row.enabled === 1,
				autoSwitchEnabled: row.auto_switch_enabled === 1,
				manualReplicaEnabled: row.manual_replica_enabled === 1,
				autoTerminateEnabled: row.auto_terminate_enabled === 1,
				terminateWaitMinutes: shownMinutes(row),
			}),
			key,
			heardFirst,
		);
	};

/** #22 */
export const listAgentHistory =
	(context: Context) =>
	async (input: Valid<'listAgentHistory'>): Promise<Output<'listAgentHistory'>> => {
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: historyPages.after(input.cursor),
			clientId: input.client_id,
			status: null,
			deleted: true,
		});
		return historyPages.page(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				logicalAgentId: row.logical_agent_id,
				instanceId: row.p_instance_id,
				instanceType: row.p_type,
				region: row.p_region,
				az: row.p_az,
				currentMode: row.p_mode,
				status: row.status,
				enabled: row.enabled === 1,
				autoSwitchEnabled: row.auto_switch_enabled === 1,
				manualReplicaEnabled: row.manual_replica_enabled === 1,
				createdAt: iso(row.created_at),
				updatedAt: iso(row.updated_at),
				lastHeartbeat: isoOr(row.heartbeat_at),
				installedAt: isoOr(row.installed_at),
				terminatedAt: isoOr(row.terminated_at ?? row.deleted_at),
			}),
			key,
			historyOrder,
		);
	};

/** X27 */
export const listOwnAgents =
	(context: Context) =>
	async (input: Valid<'listOwnAgents'>, caller: Caller): Promise<Output<'listOwnAgents'>> => {
		const clientId = clientOf(caller, input.client_id);
		const rows = await listAgentRows(context.store.read, {
			limit: input.limit,
			after: ownAgentPages.after(input.cursor),
			clientId,
			status: null,
			deleted: false,
		});
		const page = ownAgentPages.page(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				hostname: row.p_hostname,
				instance_id: row.p_instance_id,
				instance_type: row.p_type,
				current_mode: row.p_mode,
				region: row.p_region,
				az: row.p_az,
				status: row.status,
			}),
			key,
		);
		return { agents: page.items, total: page.items.length, count: page.items.length, next_cursor: page.nextCursor };
	};

/** One agent by any of its handles, with the handles themselves. */
export const showAgent =
	(context: Context) =>
	async (input: Valid<'showAgent'>, caller: Caller): Promise<Output<'showAgent'>> => {
		const { read } = context.store;
		const agentId = await agentIdOf(read, input.agent_id, caller);
		const [row, names, hosts, emergency, replica] = await Promise.all([
			agentWithPrimary(read, agentId),
			logicalIdsOf.all(read, { agent_id: agentId }),
			newestHostsOf.all(read, { agent_id: agentId }),
			openEmergencyOf.first(read, { agent_id: agentId }),
			liveReplicaOf.first(read, { agent_id: agentId }),
		]);
		if (row === undefined) throw agentDeleted(agentId);
		const now = context.clock.now();
		const price = row.p_handle === null ? undefined : await hostPrice.first(read, { handle: row.p_handle });
		return {
			...base(row),
			configVersion: row.config_version,
			autoTerminateEnabled: row.auto_terminate_enabled === 1,
			terminateWaitSeconds: row.terminate_wait_seconds,
			manualReplicaEnabled: row.manual_replica_enabled === 1,
			minSavingsPercent: row.min_savings_percent,
			riskThreshold: row.risk_threshold,
			maxSwitchesPerDay: row.max_switches_per_day,
			maxSwitchesPerWeek: row.max_switches_per_week,
			minPoolDurationHours: row.min_pool_duration_hours,
			logicalIds: names.map((name) => name.logical_id),
			spotPrice: usd(price?.spot_micros ?? null),
			ondemandPrice: usd(price?.ondemand_micros ?? null),
			lastSwitchAt: isoOr(row.last_switch_at),
			deletedAt: isoOr(row.deleted_at),
			hosts: hosts.map((host) => ({
				handle: host.handle,
				instanceId: host.instance_id,
				role: host.role,
				mode: host.mode,
				az: host.az,
				registeredAt: isoOr(host.registered_at),
				lastSeenAt: host.registered_at === null ? null : isoOr(host.seen_at),
				zombieAt: isoOr(host.zombie_at),
				...heldOf(host, now),
			})),
			openEmergency:
				emergency === undefined
					? null
					: {
							id: emergency.id,
							kind: emergency.kind,
							step: emergency.step,
							instanceId: emergency.instance_id,
							receivedAt: iso(emergency.received_at),
							deadlineAt: isoOr(emergency.deadline_at),
						},
			liveReplica:
				replica === undefined
					? null
					: {
							id: replica.id,
							status: replica.status,
							instanceId: replica.instance_id,
							poolId: replica.pool_id,
							createdAt: iso(replica.created_at),
						},
		};
	};
