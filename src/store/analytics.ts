import { sql } from 'kysely';
import type { Mode } from './schema.ts';
import { type Db, inList, statement } from './statement.ts';

/** Switches that led to a machine, all and since two times. */
export const switchCounts = statement<{ agent_id: string; instance_id: string; week: number; month: number }>()((db, v) =>
	db
		.selectFrom('switch_record')
		.select([
			sql<number>`count(*)`.as('total'),
			sql<number>`coalesce(sum(case when created_at >= ${v('week')} then 1 else 0 end), 0)`.as('week'),
			sql<number>`coalesce(sum(case when created_at >= ${v('month')} then 1 else 0 end), 0)`.as('month'),
		])
		.where('agent_id', '=', v('agent_id'))
		.where('new_instance_id', '=', v('instance_id'))
		.where('success', '=', 1),
);

/** A group of switches of one cause, outcome and downtime in whole seconds; `seconds` null: nobody reported it. */
export type DowntimeGroup = {
	trigger: string;
	success: 0 | 1;
	seconds: number | null;
	count: number;
	/** How many of them took none at all. */
	none: number;
	sum: number;
	least: number | null;
	most: number | null;
};

const downtimeGroups = statement<{ client_id: string; since: number }>()((db, v) =>
	db
		.selectFrom('switch_record')
		.select([
			'trigger_type as trigger',
			'success',
			sql<number | null>`downtime_ms - downtime_ms % 1000`.as('seconds'),
			sql<number>`count(*)`.as('count'),
			sql<number>`sum(case when downtime_ms = 0 then 1 else 0 end)`.as('none'),
			sql<number>`coalesce(sum(downtime_ms), 0)`.as('sum'),
			sql<number | null>`min(downtime_ms)`.as('least'),
			sql<number | null>`max(downtime_ms)`.as('most'),
		])
		.where('client_id', '=', v('client_id'))
		.where('created_at', '>=', v('since'))
		.groupBy(['trigger_type', 'success', 'seconds']),
);

/** How long switches of a client took its traffic down since a time, in groups; milliseconds. One statement, on the index alone. */
export const downtimeOf = async (db: Db, clientId: string, since: number): Promise<DowntimeGroup[]> =>
	(await downtimeGroups.all(db, { client_id: clientId, since })).map((row) => ({
		...row,
		seconds: row.seconds === null ? null : Number(row.seconds) / 1000,
		count: Number(row.count),
		none: Number(row.none),
		sum: Number(row.sum),
	}));

/** The sum and number of downtimes reported between two times. */
export const downtimeBetween = statement<{ client_id: string; since: number; until: number }>()((db, v) =>
	db
		.selectFrom('switch_record')
		.select([sql<number>`coalesce(sum(downtime_ms), 0)`.as('sum'), sql<number>`count(downtime_ms)`.as('count')])
		.where('client_id', '=', v('client_id'))
		.where('created_at', '>=', v('since'))
		.where('created_at', '<', v('until')),
);

/** The newest switch since a time that took this long. */
export const switchThatTook = statement<{ client_id: string; since: number; downtime_ms: number }>()((db, v) =>
	db
		.selectFrom('switch_record')
		.select(['id', 'downtime_ms', 'created_at', 'trigger_type', 'error_message'])
		.where('client_id', '=', v('client_id'))
		.where('created_at', '>=', v('since'))
		.where('downtime_ms', '=', v('downtime_ms'))
		.orderBy('created_at', 'desc')
		.limit(sql.lit(1)),
);

const running = statement<{ pools: readonly string[] }>()((db, v, dialect) =>
	db
		.selectFrom('host')
		.select(['pool_id', sql<number>`count(*)`.as('count')])
		.where(inList(dialect, 'pool_id', v('pools')))
		.where('role', 'in', ['primary', 'replica', 'candidate', 'zombie'])
		.where('mode', '=', 'spot')
		.groupBy('pool_id'),
);

const signalled = statement<{ pools: readonly string[]; since: number }>()((db, v, dialect) =>
	db
		.selectFrom('emergency as e')
		.leftJoin('host as h', 'h.handle', 'e.handle')
		.select([
			'e.pool_id',
			sql<number>`count(distinct e.handle)`.as('count'),
			sql<number>`count(distinct case when h.role in ('primary', 'replica', 'candidate', 'zombie') and h.mode = 'spot' and h.pool_id = e.pool_id then e.handle end)`.as(
				'alive',
			),
		])
		.where(inList(dialect, 'e.pool_id', v('pools')))
		.where('e.received_at', '>=', v('since'))
		.where('e.kind', '=', 'termination')
		.groupBy('e.pool_id'),
);

/**
 * Of the spot machines in each pool, the share that AWS announced to take back since a time; pools in which nothing ran are left out.
 * Two statements.
 */
export const interruptionsOf = async (db: Db, pools: readonly string[], since: number): Promise<Map<string, number>> => {
	if (pools.length === 0) return new Map();
	const alive = new Map((await running.all(db, { pools })).map((row) => [row.pool_id, Number(row.count)]));
	const taken = new Map((await signalled.all(db, { pools, since })).map((row) => [row.pool_id, row]));
	const shares = new Map<string, number>();
	for (const pool of pools) {
		const signals = taken.get(pool);
		const count = Number(signals?.count ?? 0);
		const all = (alive.get(pool) ?? 0) + count - Number(signals?.alive ?? 0);
		if (all > 0) shares.set(pool, count / all);
	}
	return shares;
};

/** Agents of a client that are online, with the machine and when it was heard; of very many, the newest 200. */
export const onlineAgents = statement<{ client_id: string }>()((db, v) =>
	db
		.selectFrom('agent as a')
		.innerJoin('host as h', 'h.primary_of', 'a.id')
		.leftJoin('host_liveness as l', 'l.handle', 'h.handle')
		.select(['a.id', 'l.seen_at'])
		.where('a.client_id', '=', v('client_id'))
		.where('a.status', '=', 'online')
		.orderBy('a.id', 'desc')
		.limit(sql.lit(200)),
);

export type AgentSwitch = {
	id: string;
	success: 0 | 1;
	old_mode: Mode | null;
	new_mode: Mode | null;
	old_pool_id: string | null;
	new_pool_id: string | null;
	old_instance_id: string | null;
	new_instance_id: string | null;
	trigger_type: string;
	launched_at: number | null;
	ami_created_at: number | null;
	initiated_at: number | null;
	created_at: number;
};

/** Switches of an agent, newest first; one more than `limit` when there are more. */
export const listAgentSwitches = (db: Db, filter: { agentId: string; limit: number; after: string | null }): Promise<AgentSwitch[]> => {
	let query = db
		.selectFrom('switch_record')
		.select([
			'id',
			'success',
			'old_mode',
			'new_mode',
			'old_pool_id',
			'new_pool_id',
			'old_instance_id',
			'new_instance_id',
			'trigger_type',
			'launched_at',
			'ami_created_at',
			'initiated_at',
			'created_at',
		])
		.where('agent_id', '=', filter.agentId);
	if (filter.after !== null) query = query.where('id', '<', filter.after);
	return query
		.orderBy('id', 'desc')
		.limit(filter.limit + 1)
		.execute();
};
