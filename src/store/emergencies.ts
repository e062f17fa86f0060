import { sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import type { EmergencyTable } from './schema.ts';
import { among, type Db, inList, statement } from './statement.ts';

export type Emergency = EmergencyTable;

export const emergencyById = statement<{ id: string }>()((db, v) => db.selectFrom('emergency').selectAll().where('id', '=', v('id')));

/** The emergency of an agent that has not ended: at most one, the unique key sees to it. */
export const openEmergencyOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('emergency').selectAll().where('open_of', '=', v('agent_id')),
);

/** The newest emergencies of an agent, whose notice a report may repeat. */
export const lastEmergenciesOf = statement<{ agent_id: string; since: number }>()((db, v) =>
	db
		.selectFrom('emergency')
		.selectAll()
		.where('agent_id', '=', v('agent_id'))
		.where('received_at', '>=', v('since'))
		.orderBy('received_at', 'desc')
		.limit(sql.lit(20)),
);

/** The same for many agents, newest first in each. */
export const emergenciesOfAgents = async (
	db: Db,
	agentIds: readonly string[],
	since: number,
): Promise<ReadonlyMap<string, Emergency[]>> => {
	const found = new Map<string, Emergency[]>();
	if (agentIds.length === 0) return found;
	for (const row of await recentOf.all(db, { ids: agentIds, since })) {
		const list = found.get(row.agent_id);
		if (list === undefined) found.set(row.agent_id, [row]);
		else list.push(row);
	}
	return found;
};

const recentOf = statement<{ ids: readonly string[]; since: number }>()((db, v, dialect) =>
	db
		.selectFrom('emergency')
		.selectAll()
		.where(inList(dialect, 'agent_id', v('ids')))
		.where('received_at', '>=', v('since'))
		.orderBy('received_at', 'desc')
		.orderBy('id', 'desc')
		.limit(sql.lit(5000)),
);

/** A repeat of a notice by a host that is not the primary any more; it may know better when the signal was seen. */
export const addReport = statement<{ id: string; now: number; signal_at: number }>()((db, v) =>
	db
		.updateTable('emergency')
		.set((eb) => ({
			reports: eb('reports', '+', 1),
			last_report_at: v('now'),
			signal_at: sql`case when ${v('signal_at')} < signal_at then ${v('signal_at')} else signal_at end`,
		}))
		.where('id', '=', v('id')),
);

export const addEmergency = statement<Emergency>()((db, v) =>
	db.insertInto('emergency').values({
		id: v('id'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		kind: v('kind'),
		handle: v('handle'),
		instance_id: v('instance_id'),
		pool_id: v('pool_id'),
		notice_key: v('notice_key'),
		notice_at: v('notice_at'),
		wishes: v('wishes'),
		received_at: v('received_at'),
		...changeable(v),
	}),
);

/** Adds emergencies: one statement for several. */
export const addEmergencies = async (tx: Db, rows: readonly Emergency[]): Promise<void> => {
	const [first] = rows;
	if (rows.length === 1 && first !== undefined) return addEmergency.later(tx, first);
	await addMany(
		tx,
		rows.map((row) => COLUMNS.map((column) => row[column])),
	);
};

const COLUMNS = [
	'id',
	'client_id',
	'agent_id',
	'open_of',
	'kind',
	'handle',
	'instance_id',
	'pool_id',
	'notice_key',
	'notice_at',
	'deadline_at',
	'reports',
	'repeats',
	'step',
	'step_at',
	'outcome',
	'message',
	'told',
	'plan',
	'wishes',
	'replica_id',
	'new_handle',
	'new_instance_id',
	'signal_at',
	'received_at',
	'planned_at',
	'launched_at',
	'ready_at',
	'promoted_at',
	'confirmed_at',
	'ended_at',
	'last_report_at',
] as const satisfies ReadonlyArray<keyof Emergency>;
const addMany = multiRow('emergency', COLUMNS, '');

/** Writes what can change of an emergency. The agent row is locked by whoever calls this. */
export const saveEmergency = statement<Emergency>()((db, v) => db.updateTable('emergency').set(changeable(v)).where('id', '=', v('id')));

function changeable(v: <K extends keyof Emergency>(name: K) => Emergency[K]) {
	return {
		open_of: v('open_of'),
		deadline_at: v('deadline_at'),
		reports: v('reports'),
		repeats: v('repeats'),
		step: v('step'),
		step_at: v('step_at'),
		outcome: v('outcome'),
		message: v('message'),
		told: v('told'),
		plan: v('plan'),
		replica_id: v('replica_id'),
		new_handle: v('new_handle'),
		new_instance_id: v('new_instance_id'),
		planned_at: v('planned_at'),
		launched_at: v('launched_at'),
		ready_at: v('ready_at'),
		promoted_at: v('promoted_at'),
		confirmed_at: v('confirmed_at'),
		ended_at: v('ended_at'),
		last_report_at: v('last_report_at'),
		signal_at: v('signal_at'),
	};
}

/** A promotion, by whatever path, is what an open emergency waited for: the rest is to hear from the new primary. */
export const emergencyAtPromotion = statement<{ agent_id: string; handle: string; instance_id: string; now: number }>()((db, v) =>
	db
		.updateTable('emergency')
		.set({
			new_handle: v('handle'),
			new_instance_id: v('instance_id'),
			promoted_at: sql`coalesce(promoted_at, ${v('now')})`,
			step: 'confirm',
			step_at: v('now'),
		})
		.where('open_of', '=', v('agent_id')),
);

/** How often AWS signalled in each pool of a region's list since a time: the risk of a pool. */
export const signalsByPool = async (db: Db, pools: readonly string[], since: number): Promise<ReadonlyMap<string, number>> => {
	if (pools.length === 0) return new Map();
	const rows = await db
		.selectFrom('emergency')
		.select((eb) => ['pool_id', eb.fn.countAll<number>().as('count')])
		.where(among(db, 'pool_id', pools))
		.where('received_at', '>=', since)
		.where('kind', '<>', 'silent-primary')
		.groupBy('pool_id')
		.execute();
	return new Map(rows.map((row) => [row.pool_id ?? '', Number(row.count)]));
};

export type EmergencyFilter = {
	readonly clientId: string | null;
	readonly agentId: string | null;
	readonly kind: Emergency['kind'] | null;
	readonly state: 'open' | 'ended' | null;
	readonly limit: number;
	readonly after: string | null;
};

/** A page of emergencies, newest first, with the name of their agent; one row more than `limit` when there are more. */
export const listEmergencyRows = async (db: Db, filter: EmergencyFilter): Promise<Array<Emergency & { logical_agent_id: string }>> => {
	let query = db
		.selectFrom('emergency')
		.innerJoin('agent', 'agent.id', 'emergency.agent_id')
		.selectAll('emergency')
		.select('agent.logical_agent_id');
	if (filter.clientId !== null) query = query.where('emergency.client_id', '=', filter.clientId);
	if (filter.agentId !== null) query = query.where('emergency.agent_id', '=', filter.agentId);
	if (filter.kind !== null) query = query.where('emergency.kind', '=', filter.kind);
	if (filter.state !== null) query = query.where('emergency.open_of', filter.state === 'open' ? 'is not' : 'is', null);
	if (filter.after !== null) query = query.where('emergency.id', '<', filter.after);
	return query
		.orderBy('emergency.id', 'desc')
		.limit(filter.limit + 1)
		.execute();
};
