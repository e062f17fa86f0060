import { sql } from 'kysely';
import type { Agent } from './agents.ts';
import type { Emergency } from './emergencies.ts';
import type { Host } from './hosts.ts';
import type { Replica } from './replicas.ts';
import { type Db, inList, statement, together } from './statement.ts';

/** How many agents one look of the coordinator takes. */
export const ATTENTION = 200;

type Ids = { ids: readonly string[] };

/** What is read beside the columns of a host: `host_liveness as l` and `host_price as p`. */
const HEARD = [
	'l.seen_at',
	'l.replicas_polled_at',
	'p.spot_micros as own_spot_micros',
	'p.ondemand_micros as own_ondemand_micros',
	'p.reported_at as priced_at',
] as const;

const lockAgents = statement<Ids>()((db, v, dialect) =>
	db
		.selectFrom('agent')
		.selectAll()
		.where(inList(dialect, 'id', v('ids')))
		.orderBy('id')
		.modifyEnd(dialect.forUpdate),
);

const primaries = statement<Ids>()((db, v, dialect) =>
	db
		.selectFrom('host')
		.leftJoin('host_liveness as l', 'l.handle', 'host.handle')
		.selectAll('host')
		.leftJoin('host_price as p', 'p.handle', 'host.handle')
		.select(HEARD)
		.where(inList(dialect, 'primary_of', v('ids'))),
);

const liveReplicas = statement<Ids>()((db, v, dialect) =>
	db
		.selectFrom('replica')
		.selectAll()
		.where(inList(dialect, 'live_of', v('ids'))),
);

const replicaHosts = statement<Ids>()((db, v, dialect) =>
	db
		.selectFrom('replica as r')
		.innerJoin('host', 'host.handle', 'r.handle')
		.leftJoin('host_liveness as l', 'l.handle', 'host.handle')
		.selectAll('host')
		.leftJoin('host_price as p', 'p.handle', 'host.handle')
		.select(HEARD)
		.where(inList(dialect, 'r.live_of', v('ids'))),
);

const openEmergencies = statement<Ids>()((db, v, dialect) =>
	db
		.selectFrom('emergency')
		.selectAll()
		.where(inList(dialect, 'open_of', v('ids'))),
);

const hostsByHandle = statement<Ids>()((db, v, dialect) =>
	db
		.selectFrom('host')
		.selectAll()
		.where(inList(dialect, 'handle', v('ids'))),
);

/** A host with what was last written of its calls, and what it last said it costs. */
export type HeardHost = Host & {
	readonly seen_at: number | null;
	readonly replicas_polled_at: number | null;
	readonly own_spot_micros: number | null;
	readonly own_ondemand_micros: number | null;
	/** Null: it never said what it costs. */
	readonly priced_at: number | null;
};

/** The rows a decision about an agent is made from. */
export type SituationRows = {
	readonly agent: Agent;
	readonly primary: HeardHost;
	readonly replica: Replica | null;
	readonly replicaHost: HeardHost | null;
	readonly emergency: Emergency | null;
};

/** Hosts by handle, unlocked: which agents a set of calls is about. */
export const hostsOfHandles = async (db: Db, handles: readonly string[]): Promise<ReadonlyMap<string, Host>> =>
	new Map((await hostsByHandle.all(db, { ids: handles })).map((host) => [host.handle, host]));

/**
 * Locks agents (in the order of their ids, so that two sets never wait for each other) and reads what decisions about them need, with
 * the hosts of `handles` as they are under the lock: six statements whatever the number, in one packet where the database takes that.
 */
export const lockSituations = async (
	tx: Db,
	agentIds: readonly string[],
	handles: readonly string[] = [],
): Promise<{ readonly rows: ReadonlyMap<string, SituationRows>; readonly hosts: ReadonlyMap<string, Host> }> => {
	const ids = { ids: [...new Set(agentIds)].sort() };
	if (ids.ids.length === 0) return { rows: new Map(), hosts: new Map() };
	const [agents, mains, replicas, standbys, emergencies, called] = await together(tx, [
		lockAgents.of(ids),
		primaries.of(ids),
		liveReplicas.of(ids),
		replicaHosts.of(ids),
		openEmergencies.of(ids),
		hostsByHandle.of({ ids: handles.length === 0 ? [''] : handles }),
	]);
	const primaryOf = new Map(mains.map((host) => [host.primary_of, host]));
	const replicaOf = new Map(replicas.map((replica) => [replica.live_of, replica]));
	const standby = new Map(standbys.map((host) => [host.handle, host]));
	const emergencyOf = new Map(emergencies.map((emergency) => [emergency.open_of, emergency]));
	const rows = new Map<string, SituationRows>();
	for (const agent of agents) {
		const primary = primaryOf.get(agent.id);
		if (primary === undefined) continue;
		const replica = replicaOf.get(agent.id) ?? null;
		rows.set(agent.id, {
			agent,
			primary,
			replica,
			replicaHost: (replica?.handle == null ? undefined : standby.get(replica.handle)) ?? null,
			emergency: emergencyOf.get(agent.id) ?? null,
		});
	}
	return { rows, hosts: new Map(called.map((host) => [host.handle, host])) };
};

/** Agents the coordinator must look at by now, longest due first. */
export const agentsNeedingAttention = statement<{ now: number }>()((db, v) =>
	db.selectFrom('agent').select('id').where('attention_at', '<=', v('now')).orderBy('attention_at').limit(sql.lit(ATTENTION)),
);

/** Puts off what is due for an agent. */
export const postpone = statement<{ id: string; at: number }>()((db, v) =>
	db
		.updateTable('agent')
		.set({ attention_at: v('at') })
		.where('id', '=', v('id')),
);

/**
 * Agents with an open emergency, and those with a replica whose machine is known and not ready, for which nothing is due. A launch order
 * without a machine may wait for a poll, however long. An agent may come twice: without doubles, SQLite would read both tables in order.
 */
export const forgottenAgents = statement<Record<string, never>>()((db) =>
	db
		.selectFrom('emergency as e')
		.select('e.agent_id as id')
		// A range, here and below: SQLite reads no index for "is not null", and there are many that are over.
		.where('e.open_of', '>', sql.lit(''))
		.where((eb) =>
			eb.exists(eb.selectFrom('agent as a').select('a.id').whereRef('a.id', '=', 'e.agent_id').where('a.attention_at', 'is', null)),
		)
		.unionAll(
			db
				.selectFrom('replica as r')
				.select('r.agent_id as id')
				.where('r.live_of', '>', sql.lit(''))
				.where('r.handle', 'is not', null)
				.where('r.status', '<>', 'ready')
				.where((eb) =>
					eb.exists(eb.selectFrom('agent as a').select('a.id').whereRef('a.id', '=', 'r.agent_id').where('a.attention_at', 'is', null)),
				),
		)
		.limit(sql.lit(ATTENTION)),
);
