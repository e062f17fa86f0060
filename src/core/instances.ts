import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { besideHost, type InstanceListRow, type ListedHost, listHostRows, listInstanceRows, listSwitchRows } from '../store/lists.ts';
import type { Role } from '../store/schema.ts';
import type { SwitchRecord } from '../store/switches.ts';
import { agentIdOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { heldOf } from './hold.ts';
import { instanceOf } from './instance-of.ts';
import { pagesOf } from './paging.ts';
import { usd } from './report.ts';

const instancePages = pagesOf('instances.list');
const clientInstancePages = pagesOf('instances.list_client');
const switchPages = pagesOf('switches.list');

type Wire = 'running_primary' | 'running_replica' | 'zombie' | 'terminated';

/** The four-valued status of the wire; `role` says it exactly (identity.md section 2). */
export const wireStatus = (role: Role): Wire =>
	role === 'primary'
		? 'running_primary'
		: role === 'zombie'
			? 'zombie'
			: role === 'ended' || role === 'terminated'
				? 'terminated'
				: 'running_replica';

const isActive = (role: Role): boolean => wireStatus(role).startsWith('running');

const key = (row: ListedHost): string => row.handle;

const row = (host: InstanceListRow): Output<'listInstances'>['instances'][number] => ({
	id: host.instance_id,
	instanceId: host.instance_id,
	clientId: host.client_id,
	clientName: host.client_name,
	agentId: host.agent_id,
	logicalAgentId: host.logical_agent_id,
	agentStatus: host.agent_status,
	region: host.region,
	az: host.az,
	instanceType: host.instance_type,
	currentMode: host.mode,
	currentPoolId: host.mode === 'spot' ? host.pool_id : null,
	spotPrice: usd(host.spot_micros),
	ondemandPrice: usd(host.ondemand_micros),
	isActive: isActive(host.role),
	instanceStatus: wireStatus(host.role),
	role: host.role,
	installedAt: isoOr(host.registered_at === null ? null : host.created_at),
	createdAt: iso(host.created_at),
});

/** #6 */
export const listInstances =
	(context: Context) =>
	async (input: Valid<'listInstances'>, caller: Caller): Promise<Output<'listInstances'>> => {
		const filters = {
			status: input.status ?? null,
			mode: input.mode ?? null,
			region: input.region ?? null,
			client_id: input.client_id ?? null,
			agent_id: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			search: input.search ?? null,
		};
		const rows = await listInstanceRows(context.store.read, {
			...filters,
			clientId: filters.client_id,
			agentId: filters.agent_id,
			limit: input.limit,
			after: instancePages.after(input.cursor),
		});
		const page = instancePages.page(rows, input.limit, row, key);
		return { instances: page.items, total: page.items.length, filters, count: page.items.length, next_cursor: page.nextCursor };
	};

/** #27 */
export const listClientInstances =
	(context: Context) =>
	async (input: Valid<'listClientInstances'>): Promise<Output<'listClientInstances'>> => {
		const rows = await listHostRows(context.store.read, {
			limit: input.limit,
			after: clientInstancePages.after(input.cursor),
			clientId: input.client_id,
			status: input.status ?? null,
			mode: input.mode ?? null,
			region: input.region ?? null,
			search: input.search ?? null,
		});
		return clientInstancePages.page(
			rows,
			input.limit,
			(host) => ({
				id: host.instance_id,
				type: host.instance_type,
				region: host.region,
				az: host.az,
				mode: host.mode ?? 'unknown',
				poolId: (host.mode === 'spot' ? host.pool_id : null) ?? 'n/a',
				spotPrice: usd(host.spot_micros) ?? 0,
				onDemandPrice: usd(host.ondemand_micros) ?? 0,
				pricesKnown: { spot: host.spot_micros !== null, onDemand: host.ondemand_micros !== null },
				isActive: isActive(host.role),
				isPrimary: host.role === 'primary',
				instanceStatus: wireStatus(host.role),
				role: host.role,
				agentId: host.agent_id,
				lastSwitch: isoOr(host.last_switch_at),
			}),
			key,
		);
	};

export const showInstance =
	(context: Context) =>
	async (input: Valid<'showInstance'>, caller: Caller): Promise<Output<'showInstance'>> => {
		const host = await instanceOf(context.store.read, input.instance_id, input.client_id, caller);
		const found = await besideHost.first(context.store.read, { handle: host.handle });
		const shown = {
			client_name: '',
			logical_agent_id: '',
			agent_status: 'deleted' as const,
			spot_micros: null,
			ondemand_micros: null,
			seen_at: null,
			...host,
			...found,
		};
		return {
			...row(shown),
			hostname: shown.hostname,
			amiId: shown.ami_id,
			privateIp: shown.private_ip,
			publicIp: shown.public_ip,
			lastSeenAt: shown.registered_at === null ? null : isoOr(shown.seen_at),
			lastSwitchAt: isoOr(shown.last_switch_at),
			zombieAt: isoOr(shown.zombie_at),
			terminatedAt: isoOr(shown.terminated_at),
			...heldOf(shown, context.clock.now()),
		};
	};

const priceOf = (record: SwitchRecord): number | null => usd(record.new_mode === 'spot' ? record.new_spot_micros : record.ondemand_micros);

/** #36 */
export const switchHistory =
	(context: Context) =>
	async (input: Valid<'switchHistory'>): Promise<Output<'switchHistory'>> => {
		const rows = await listSwitchRows(context.store.read, {
			clientId: input.client_id,
			instanceId: input.instance_id ?? null,
			limit: input.limit,
			after: switchPages.after(input.cursor),
		});
		return switchPages.page(
			rows,
			input.limit,
			(record) => ({
				id: record.id,
				agentId: record.agent_id,
				commandId: record.command_id,
				oldInstanceId: record.old_instance_id,
				newInstanceId: record.new_instance_id,
				instanceId: record.new_instance_id,
				timestamp: iso(record.launched_at ?? record.ami_created_at ?? record.initiated_at ?? record.created_at),
				fromMode: record.old_mode,
				toMode: record.new_mode,
				fromPool: record.old_pool_id ?? 'n/a',
				toPool: record.new_pool_id ?? 'n/a',
				trigger: record.trigger_type,
				price: priceOf(record) ?? 0,
				savingsImpact: usd(record.impact_micros) ?? 0,
				pricesKnown: priceOf(record) !== null && record.impact_micros !== null,
				success: record.success === 1,
				evidence: record.evidence,
				durationSeconds: record.duration_ms === null ? null : record.duration_ms / 1000,
				downtimeSeconds: record.downtime_ms === null ? null : record.downtime_ms / 1000,
			}),
			(record) => record.id,
		);
	};
