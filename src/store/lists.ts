import { type SelectQueryBuilder, sql } from 'kysely';
import type { Agent } from './agents.ts';
import type { Command } from './commands.ts';
import { dialectOf } from './dialect.ts';
import type { Host } from './hosts.ts';
import { shownPrices } from './prices.ts';
import type { Tables } from './schema.ts';
import { among, type Db, holding } from './statement.ts';
import type { SwitchRecord } from './switches.ts';

/** Where a page begins: after the row with this id. Ids sort by time (deps.ts), so the newest come first. */
type Page = { readonly limit: number; readonly after: string | null };

// biome-ignore lint/suspicious/noExplicitAny: Kysely's builders carry the joined tables in their type; the columns are checked by the callers.
type AnyQuery = SelectQueryBuilder<any, any, any>;

const paged = <Q extends AnyQuery>(query: Q, id: string, { limit, after }: Page): Q => {
	const ordered = query.orderBy(id, 'desc').limit(limit + 1);
	return (after === null ? ordered : ordered.where(id, '<', after)) as Q;
};

/** Rows of a table under a name, through an index where one is named: the page of a client begins at its cursor, however far down it is. */
const through = <T extends keyof Tables, A extends string>(db: Db, table: T, alias: A, index: string | null) =>
	db.selectFrom(sql<Tables[T]>`${sql.table(table)}`.as<A>(index === null ? sql.ref(alias) : dialectOf(db).through(alias, index)));

/** Commands newest first; `open` is pending or claimed. */
export const listCommandRows = (
	db: Db,
	filter: Page & { clientId: string | null; agentId: string | null; status: string | null },
): Promise<Command[]> => {
	const ofClient = filter.clientId !== null && filter.agentId === null && filter.status === null;
	let query = through(db, 'command', 'command', ofClient ? 'command_client' : null).selectAll();
	if (filter.clientId !== null) query = query.where('client_id', '=', filter.clientId);
	if (filter.agentId !== null) query = query.where('agent_id', '=', filter.agentId);
	if (filter.status === 'open') query = query.where('status', 'in', ['pending', 'claimed']);
	else if (filter.status !== null) query = query.where('status', '=', filter.status as Command['status']);
	return paged(query, 'id', filter).execute();
};

export type AgentListRow = Agent & {
	client_name: string;
	heartbeat_at: number | null;
	p_handle: string | null;
	p_instance_id: string | null;
	p_type: string | null;
	p_region: string | null;
	p_az: string | null;
	p_mode: Host['mode'];
	p_pool: string | null;
	p_hostname: string | null;
	p_version: string | null;
	p_registered_at: number | null;
};

/** Agents with their primary, newest first: the one order of them that never changes. Deleted ones only where asked for. */
export const listAgentRows = (
	db: Db,
	filter: Page & { clientId: string | null; status: string | null; deleted: boolean; agentId?: string },
): Promise<AgentListRow[]> => {
	let query = db
		.selectFrom('agent as a')
		.innerJoin('client as c', 'c.id', 'a.client_id')
		.leftJoin('host as p', 'p.primary_of', 'a.id')
		.leftJoin('host_liveness as l', 'l.handle', 'p.handle')
		.selectAll('a')
		.select([
			'c.name as client_name',
			'l.heartbeat_at',
			'p.handle as p_handle',
			'p.instance_id as p_instance_id',
			'p.instance_type as p_type',
			'p.region as p_region',
			'p.az as p_az',
			'p.mode as p_mode',
			'p.pool_id as p_pool',
			'p.hostname as p_hostname',
			'p.agent_version as p_version',
			'p.registered_at as p_registered_at',
		]);
	if (filter.clientId !== null) query = query.where('a.client_id', '=', filter.clientId);
	if (filter.status !== null) query = query.where('a.status', '=', filter.status as Agent['status']);
	if (!filter.deleted) query = query.where('a.status', '<>', 'deleted');
	if (filter.agentId !== undefined) query = query.where('a.id', '=', filter.agentId);
	return paged(query, 'a.id', filter).execute();
};

/** How many live machines each of these agents has. */
export const instanceCounts = async (db: Db, agentIds: readonly string[]): Promise<Map<string, number>> => {
	if (agentIds.length === 0) return new Map();
	const rows = await db
		.selectFrom('host')
		.select((eb) => ['agent_id', eb.fn.countAll<number>().as('count')])
		.where(among(db, 'agent_id', agentIds))
		.where('role', '<>', 'terminated')
		.groupBy('agent_id')
		.execute();
	return new Map(rows.map((row) => [row.agent_id, Number(row.count)]));
};

export type InstanceListRow = Host & {
	client_name: string;
	logical_agent_id: string;
	agent_status: Agent['status'];
	spot_micros: number | null;
	ondemand_micros: number | null;
	seen_at: number | null;
};

export type InstanceFilter = Page & {
	clientId: string | null;
	status: string | null;
	mode: string | null;
	region: string | null;
	search: string | null;
	agentId?: string | null;
	instanceId?: string;
};

/**
 * Machines newest first, those of the page before anything is joined: MariaDB began with the clients and sorted every machine of the fleet
 * (2.1 s a page of 22,000 machines). `active` is primary, replica, candidate or named; `terminated` is zombie, ended or terminated (contract #6). */
export const listInstanceRows = (db: Db, filter: InstanceFilter): Promise<InstanceListRow[]> => {
	const isNarrowed = filter.status !== null || filter.search !== null || filter.agentId != null || filter.instanceId !== undefined;
	const ofClient = filter.clientId !== null && !isNarrowed;
	let query = through(db, 'host', 'h', ofClient ? 'host_client' : null).selectAll('h');
	if (filter.clientId !== null) query = query.where('h.client_id', '=', filter.clientId);
	if (filter.status === 'active') query = query.where('h.role', 'in', ['primary', 'replica', 'candidate', 'named']);
	else if (filter.status === 'terminated') query = query.where('h.role', 'in', ['zombie', 'ended', 'terminated']);
	if (filter.mode === 'spot' || filter.mode === 'ondemand') query = query.where('h.mode', '=', filter.mode);
	else if (filter.mode === 'unknown') query = query.where('h.mode', 'is', null);
	else if (filter.mode !== null && filter.mode !== 'all') query = query.where(sql<boolean>`1 = 0`);
	if (filter.region !== null) query = query.where('h.region', '=', filter.region);
	if (filter.search !== null) {
		const pattern = holding(filter.search);
		query = query.where(sql<boolean>`(h.instance_id like ${pattern} escape '!' or h.instance_type like ${pattern} escape '!')`);
	}
	if (filter.agentId != null) query = query.where('h.agent_id', '=', filter.agentId);
	if (filter.instanceId !== undefined) query = query.where('h.instance_id', '=', filter.instanceId);
	return db
		.selectFrom(paged(query, 'h.handle', filter).as('h'))
		.innerJoin('client as c', 'c.id', 'h.client_id')
		.innerJoin('agent as a', 'a.id', 'h.agent_id')
		.leftJoin('host_price as p', 'p.handle', 'h.handle')
		.leftJoin('ledger_host as b', 'b.handle', 'h.handle')
		.leftJoin('host_liveness as l', 'l.handle', 'h.handle')
		.selectAll('h')
		.select(['c.name as client_name', 'a.logical_agent_id', 'a.status as agent_status', 'l.seen_at'])
		.select(shownPrices)
		.orderBy('h.handle', 'desc')
		.execute();
};

/** Switches of a client, newest first. */
export const listSwitchRows = (db: Db, filter: Page & { clientId: string; instanceId: string | null }): Promise<SwitchRecord[]> => {
	let query = through(db, 'switch_record', 'switch_record', 'switch_client').selectAll().where('client_id', '=', filter.clientId);
	const { instanceId } = filter;
	if (instanceId !== null)
		query = query.where((eb) => eb.or([eb('old_instance_id', '=', instanceId), eb('new_instance_id', '=', instanceId)]));
	return paged(query, 'id', filter).execute();
};
