import { sql } from 'kysely';
import type { AgentListRow } from './lists.ts';
import { newestBucketOf } from './prices.ts';
import type { EventTable } from './schema.ts';
import { among, type Db, inList, statement } from './statement.ts';

/** Agents of a client with their primary, newest first; `after` is the last of the page before. Deleted ones are left out. */
export const agentsAndPrimaries = (
	db: Db,
	{ clientId, after, limit }: { clientId: string; after: string | null; limit: number },
): Promise<Pick<AgentListRow, 'id' | 'logical_agent_id' | 'status' | 'heartbeat_at' | 'p_handle' | 'p_mode' | 'p_pool'>[]> => {
	const query = db
		.selectFrom('agent as a')
		.leftJoin('host as p', 'p.primary_of', 'a.id')
		.leftJoin('host_liveness as l', 'l.handle', 'p.handle')
		.select(['a.id', 'a.logical_agent_id', 'a.status', 'p.handle as p_handle', 'p.mode as p_mode', 'p.pool_id as p_pool', 'l.heartbeat_at'])
		.where('a.client_id', '=', clientId)
		.where('a.status', '<>', 'deleted');
	return (after === null ? query : query.where('a.id', '<', after))
		.orderBy('a.id', 'desc')
		.limit(limit + 1)
		.execute();
};

/** The price reports of some hosts of a client that arrived since an instant, newest first, at most 20,000. */
export const reportsOfHosts = statement<{ client_id: string; handles: readonly string[]; since: number }>()((db, v, dialect) =>
	db
		.selectFrom('price_report')
		.select(['handle', 'arrived_at', 'observed_at', 'ondemand_micros', 'current_micros'])
		.where('client_id', '=', v('client_id'))
		.where('arrived_at', '>=', v('since'))
		.where(inList(dialect, 'handle', v('handles')))
		.orderBy('arrived_at', 'desc')
		.limit(sql.lit(20_000)),
);

const NTH = [0, 1, 2, 3, 4] as const;

/** Ids of the five newest events of each agent: five looks into an index for each. */
const newestEventIds = statement<{ ids: readonly string[] }>()((db, v, dialect) =>
	db
		.selectFrom('agent')
		.select((eb) =>
			NTH.map((nth) =>
				eb
					.selectFrom('event as e')
					.select('e.id')
					.whereRef('e.agent_id', '=', 'agent.id')
					// Of the event stream only: what it tells was told by an event of its own.
					.where('e.type', '<>', 'notification')
					.orderBy('e.id', 'desc')
					.limit(sql.lit(1))
					.offset(sql.lit(nth))
					.as(`e${nth}`),
			),
		)
		.where(inList(dialect, 'id', v('ids'))),
);

export type ShownEvent = Pick<EventTable, 'type' | 'severity' | 'agent_id' | 'message' | 'created_at'> & { id: number };

/** The five newest events of each of these agents, newest first, by agent. Two statements. */
export const newestEventsOf = async (db: Db, agentIds: readonly string[]): Promise<ReadonlyMap<string, ShownEvent[]>> => {
	const found = new Map<string, ShownEvent[]>();
	if (agentIds.length === 0) return found;
	const ids = (await newestEventIds.all(db, { ids: agentIds })).flatMap((row) =>
		Object.values(row).flatMap((id) => (id === null ? [] : [Number(id)])),
	);
	if (ids.length === 0) return found;
	const rows = await db
		.selectFrom('event')
		.select(['id', 'type', 'severity', 'agent_id', 'message', 'created_at'])
		.where(among(db, 'id', ids))
		.orderBy('id', 'desc')
		.execute();
	for (const row of rows) {
		const agentId = row.agent_id ?? '';
		const list = found.get(agentId);
		if (list === undefined) found.set(agentId, [row]);
		else list.push(row);
	}
	return found;
};

/** Events of a machine of an agent, newest first. */
export const eventsOfInstance = (
	db: Db,
	{ agentId, instanceId, after, limit }: { agentId: string; instanceId: string; after: number | null; limit: number },
): Promise<Array<Pick<EventTable, 'type' | 'severity' | 'message' | 'metadata' | 'created_at'> & { id: number }>> => {
	let query = db
		.selectFrom('event')
		.select(['id', 'type', 'severity', 'message', 'metadata', 'created_at'])
		.where('agent_id', '=', agentId)
		.where('instance_id', '=', instanceId)
		.where('type', '<>', 'notification');
	if (after !== null) query = query.where('id', '<', after);
	return query
		.orderBy('id', 'desc')
		.limit(limit + 1)
		.execute();
};

/** Active pools of a region and type, with the newest prices of those that have one. */
export type PoolGroup = {
	region: string;
	instance_type: string;
	pools: number;
	priced: number;
	sum_micros: number;
	min_micros: number | null;
};

/** Active pools by region and type, priced by their newest clean price since a bucket. */
export const poolGroups = async (db: Db, since: number): Promise<PoolGroup[]> => {
	const rows = await db
		.selectFrom(
			db
				.selectFrom('pool as p')
				.leftJoin('price_clean as c', (join) => join.onRef('c.pool_id', '=', 'p.id').on('c.bucket', '=', newestBucketOf('p.id')))
				.select((eb) => [
					'p.region',
					'p.instance_type',
					eb.case().when('c.bucket', '>=', since).then(eb.ref('c.spot_micros')).end().as('spot_micros'),
				])
				.where('p.active', '=', 1)
				.as('q'),
		)
		.select((eb) => [
			'q.region',
			'q.instance_type',
			eb.fn.countAll<number>().as('pools'),
			eb.fn.count<number>('q.spot_micros').as('priced'),
			eb.fn.sum<number>('q.spot_micros').as('sum_micros'),
			eb.fn.min('q.spot_micros').as('min_micros'),
		])
		.groupBy(['q.region', 'q.instance_type'])
		.orderBy('q.region')
		.orderBy('q.instance_type')
		.execute();
	return rows.map((row) => ({
		region: row.region,
		instance_type: row.instance_type,
		pools: Number(row.pools),
		priced: Number(row.priced),
		sum_micros: Number(row.sum_micros ?? 0),
		min_micros: row.min_micros === null ? null : Number(row.min_micros),
	}));
};

export const poolsByState = async (db: Db): Promise<{ active: number; inactive: number }> => {
	const rows = await db
		.selectFrom('pool')
		.select((eb) => ['active', eb.fn.countAll<number>().as('count')])
		.groupBy('active')
		.execute();
	const count = (active: number): number => Number(rows.find((row) => row.active === active)?.count ?? 0);
	return { active: count(1), inactive: count(0) };
};

/** The on-demand prices that are known. */
export const onDemandPrices = (db: Db) => db.selectFrom('ondemand_price').select(['instance_type', 'region', 'micros']).execute();
