import { sql } from 'kysely';
import type { ReplicaTable } from './schema.ts';
import { type Db, statement } from './statement.ts';

export type Replica = ReplicaTable;

export const replicaById = statement<{ id: string }>()((db, v) => db.selectFrom('replica').selectAll().where('id', '=', v('id')));

/** The launching, syncing or ready replica of an agent: at most one, the unique key sees to it. */
export const liveReplicaOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('replica').selectAll().where('live_of', '=', v('agent_id')),
);

/** The newest replicas of an agent, whatever became of them: how often launching failed of late. */
export const lastReplicasOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('replica').selectAll().where('agent_id', '=', v('agent_id')).orderBy('id', 'desc').limit(sql.lit(20)),
);

export const addReplica = statement<Replica>()((db, v) =>
	db.insertInto('replica').values({
		id: v('id'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		created_by: v('created_by'),
		reason: v('reason'),
		generation: v('generation'),
		pool_id: v('pool_id'),
		instance_type: v('instance_type'),
		region: v('region'),
		az: v('az'),
		mode: v('mode'),
		parent_instance_id: v('parent_instance_id'),
		hourly_micros: v('hourly_micros'),
		tags: v('tags'),
		created_at: v('created_at'),
		...changeable(v),
	}),
);

/** Writes what can change of a replica that still has the status it was read with; 0 rows means somebody was faster. */
export const saveReplica = statement<Replica & { seen_status: Replica['status'] }>()((db, v) =>
	db.updateTable('replica').set(changeable(v)).where('id', '=', v('id')).where('status', '=', v('seen_status')),
);

function changeable(v: <K extends keyof Replica>(name: K) => Replica[K]) {
	return {
		live_of: v('live_of'),
		status: v('status'),
		type: v('type'),
		emergency_id: v('emergency_id'),
		handle: v('handle'),
		instance_id: v('instance_id'),
		guess: v('guess'),
		served_handle: v('served_handle'),
		served_at: v('served_at'),
		served_count: v('served_count'),
		serve_id: v('serve_id'),
		lease_until: v('lease_until'),
		awaits_machine: v('awaits_machine'),
		void: v('void'),
		sync_status: v('sync_status'),
		sync_latency_ms: v('sync_latency_ms'),
		state_transfer_progress: v('state_transfer_progress'),
		last_sync_at: v('last_sync_at'),
		error_message: v('error_message'),
		launched_at: v('launched_at'),
		sync_started_at: v('sync_started_at'),
		sync_completed_at: v('sync_completed_at'),
		ready_at: v('ready_at'),
		promoted_at: v('promoted_at'),
		ended_at: v('ended_at'),
		confirmed_at: v('confirmed_at'),
	};
}

/**
 * Hands the launch order of an agent to its primary: one conditional update that succeeds only while the caller is the primary of the
 * order's generation, nobody has named a machine and no earlier handing-out is under lease (identity.md section 5).
 */
export const serveLaunch = statement<{ handle: string; serve_id: string; now: number; lease_until: number; most: number }>()((db, v) =>
	db
		.updateTable('replica')
		.set((eb) => ({
			served_handle: v('handle'),
			served_at: v('now'),
			serve_id: v('serve_id'),
			served_count: eb('served_count', '+', 1),
			lease_until: v('lease_until'),
			awaits_machine: 1 as const,
		}))
		.where('live_of', '=', (eb) => eb.selectFrom('host').select('primary_of').where('host.handle', '=', v('handle')).$castTo<string>())
		.where((eb) =>
			eb.exists(
				eb
					.selectFrom('agent as a')
					.select('a.id')
					.whereRef('a.id', '=', 'replica.agent_id')
					.whereRef('a.generation', '=', 'replica.generation')
					.where('a.status', '<>', 'deleted'),
			),
		)
		.where('status', '=', 'launching')
		.where('handle', 'is', null)
		.where('served_count', '<', v('most'))
		.where((eb) => eb.or([eb('lease_until', 'is', null), eb('lease_until', '<=', v('now'))])),
);

/** The order that {@link serveLaunch} has just handed out. */
export const servedLaunch = statement<{ handle: string; serve_id: string }>()((db, v) =>
	db
		.selectFrom('replica')
		.selectAll()
		.where('live_of', '=', (eb) => eb.selectFrom('host').select('primary_of').where('host.handle', '=', v('handle')).$castTo<string>())
		.where('serve_id', '=', v('serve_id'))
		.where('status', '=', 'launching'),
);

/** Puts an order back whose answer was never written. */
export const undoServe = statement<{ id: string; serve_id: string }>()((db, v) =>
	db
		.updateTable('replica')
		.set({
			// An earlier handing-out may still lead to a machine. MySQL assigns from left to right.
			awaits_machine: sql<0 | 1>`case when served_count > 1 then 1 else 0 end`,
			served_at: sql`case when served_count > 1 then served_at else null end`,
			served_handle: sql`case when served_count > 1 then served_handle else null end`,
			lease_until: null,
			serve_id: null,
			served_count: sql`served_count - 1`,
		})
		.where('id', '=', v('id'))
		.where('serve_id', '=', v('serve_id'))
		.where('status', '=', 'launching')
		.where('handle', 'is', null),
);

/** A launch that was handed out must be looked at before the agent would be otherwise. */
export const hastenAttention = statement<{ handle: string; at: number }>()((db, v) =>
	db
		.updateTable('agent')
		.set({ attention_at: v('at') })
		.where('id', '=', (eb) => eb.selectFrom('host').select('agent_id').where('handle', '=', v('handle')))
		.where((eb) => eb.or([eb('attention_at', 'is', null), eb('attention_at', '>', v('at'))])),
);

/** Launch orders of an agent whose machine is not known yet and whose lease runs (identity.md section 3, "Fits"). */
export const launchesOfAgent = statement<{ client_id: string; agent_id: string; now: number }>()((db, v) =>
	db
		.selectFrom('replica')
		.selectAll()
		.where('client_id', '=', v('client_id'))
		.where('awaits_machine', '=', 1)
		.where('lease_until', '>', v('now'))
		.where('agent_id', '=', v('agent_id'))
		.orderBy('served_at')
		.limit(sql.lit(50)),
);

/** The same for every self-named agent of a client, for a machine of this type, region and zone ('' where it does not say). */
export const launchesOfSelfNamed = statement<{ client_id: string; now: number; instance_type: string; region: string; az: string }>()(
	(db, v) =>
		db
			.selectFrom('replica')
			.innerJoin('agent', 'agent.id', 'replica.agent_id')
			.selectAll('replica')
			.where('replica.client_id', '=', v('client_id'))
			.where('replica.awaits_machine', '=', 1)
			.where('replica.lease_until', '>', v('now'))
			.where('agent.self_named', '=', 1)
			.where('agent.status', '<>', 'deleted')
			.where((eb) =>
				eb.or([eb('replica.instance_type', 'is', null), eb(eb.val(v('instance_type')), 'in', ['', eb.ref('replica.instance_type')])]),
			)
			.where((eb) => eb.or([eb('replica.region', 'is', null), eb(eb.val(v('region')), 'in', ['', eb.ref('replica.region')])]))
			.where((eb) => eb.or([eb('replica.az', 'is', null), eb(eb.val(v('az')), 'in', ['', eb.ref('replica.az')])]))
			.orderBy('replica.served_at')
			.limit(sql.lit(500)),
);

/** Says which machine a launch that leads nowhere led to: it fits no other. */
export const nameLaunched = statement<{ id: string; instance_id: string }>()((db, v) =>
	db
		.updateTable('replica')
		.set({ awaits_machine: 0, instance_id: v('instance_id') })
		.where('id', '=', v('id'))
		.where('awaits_machine', '=', 1),
);

/** Candidates that were a replica too slow to become ready. */
export const slowCandidates = statement<{ agent_id: string }>()((db, v) =>
	db
		.selectFrom('host as h')
		.innerJoin('replica as r', 'r.id', 'h.tentative_replica_id')
		.selectAll('h')
		.where('h.agent_id', '=', v('agent_id'))
		.where('h.role', '=', 'candidate')
		.where('r.status', '=', 'failed')
		.where('r.ready_at', 'is', null)
		.whereRef('r.handle', '=', 'h.handle')
		.limit(sql.lit(50)),
);

/** Ends what is booked of a machine that is gone. */
export const confirmEnd = statement<{ handle: string; now: number }>()((db, v) =>
	db
		.updateTable('replica')
		.set({ confirmed_at: v('now') })
		.where('handle', '=', v('handle'))
		.where('status', 'in', ['terminated', 'failed'])
		.where('confirmed_at', 'is', null),
);

/** Replicas of an agent whose machine must still be killed: booked as ended, its end not confirmed (D-20). Oldest first. */
export const endedReplicasOf = statement<{ agent_id: string; primary: string }>()((db, v) =>
	db
		.selectFrom('host as h')
		.innerJoin('host as p', 'p.primary_of', 'h.agent_id')
		.innerJoin('replica as r', 'r.handle', 'h.handle')
		.selectAll('r')
		.select(['h.hold', 'h.hold_until', 'h.termination_attempted_at'])
		.where('h.agent_id', '=', v('agent_id'))
		.where('p.handle', '=', v('primary'))
		.where('h.role', '=', 'ended')
		.where('r.status', 'in', ['terminated', 'failed'])
		.where('r.confirmed_at', 'is', null)
		.orderBy('r.id')
		.limit(sql.lit(200)),
);

export type ReplicaFilter = {
	readonly clientId: string | null;
	readonly agentId: string | null;
	readonly status: Replica['status'] | 'live' | null;
	readonly limit: number;
	readonly after: string | null;
};

/** A page of replicas, newest first, with the name of their agent; one row more than `limit` when there are more. */
export const listReplicaRows = async (db: Db, filter: ReplicaFilter): Promise<Array<Replica & { logical_agent_id: string }>> => {
	let query = db
		.selectFrom('replica')
		.innerJoin('agent', 'agent.id', 'replica.agent_id')
		.selectAll('replica')
		.select('agent.logical_agent_id');
	if (filter.clientId !== null) query = query.where('replica.client_id', '=', filter.clientId);
	if (filter.agentId !== null) query = query.where('replica.agent_id', '=', filter.agentId);
	if (filter.status === 'live') query = query.where('replica.live_of', '>', '');
	else if (filter.status !== null) query = query.where('replica.status', '=', filter.status);
	if (filter.after !== null) query = query.where('replica.id', '<', filter.after);
	return query
		.orderBy('replica.id', 'desc')
		.limit(filter.limit + 1)
		.execute();
};

/** A page of the live replicas of a client with their primaries. */
export const listLiveReplicas = (db: Db, clientId: string, limit: number, after: string | null) => {
	let query = db
		.selectFrom('replica as r')
		.leftJoin('host as p', 'p.primary_of', 'r.agent_id')
		.selectAll('r')
		.select(['p.instance_id as p_instance_id', 'p.instance_type as p_type', 'p.region as p_region', 'p.az as p_az', 'p.mode as p_mode'])
		.where('r.client_id', '=', clientId)
		.where('r.live_of', '>', '');
	if (after !== null) query = query.where('r.id', '<', after);
	return query
		.orderBy('r.id', 'desc')
		.limit(limit + 1)
		.execute();
};
