import type { AgentTable, HostTable, ReplicaTable, Role } from './schema.ts';
import { type Db, inList, statement } from './statement.ts';

/** A host with what its agent is, and what waits for it: see {@link viewOfHost}. */
export type View = {
	handle: string;
	agent_id: string;
	client_id: string;
	instance_id: string;
	role: Role;
	takes_back: number;
	said_offline_at: number | null;
	registered_at: number | null;
	instance_type: string | null;
	region: string | null;
	az: string | null;
	host_mode: HostTable['mode'];
	pool_id: string | null;
	generation: number;
	status: AgentTable['status'];
	enabled: number;
	auto_switch_enabled: number;
	manual_replica_enabled: number;
	auto_terminate_enabled: number;
	terminate_wait_seconds: number;
	min_savings_percent: number;
	risk_threshold: number;
	max_switches_per_day: number;
	max_switches_per_week: number;
	min_pool_duration_hours: number;
	config_version: number;
	primary_handle: string | null;
	primary_instance_id: string | null;
	pending: number;
	ending: number;
	/** State of the live replica; null when there is none. */
	replica_status: ReplicaTable['status'] | null;
	/** Set once a launch was handed out: until then no poll can get it again. */
	replica_lease_until: number | null;
	replica_handle: string | null;
	/** The host that an open emergency waits to hear from. */
	awaited_handle: string | null;
};

const views = (db: Db) =>
	db
		.selectFrom('host as h')
		.innerJoin('agent as a', 'a.id', 'h.agent_id')
		.leftJoin('host as p', 'p.primary_of', 'a.id')
		.leftJoin('replica as r', 'r.live_of', 'a.id')
		.leftJoin('emergency as e', 'e.open_of', 'a.id')
		.select([
			'r.status as replica_status',
			'r.lease_until as replica_lease_until',
			'r.handle as replica_handle',
			'e.new_handle as awaited_handle',
			'h.handle',
			'h.agent_id',
			'h.client_id',
			'h.instance_id',
			'h.role',
			'h.takes_back',
			'h.said_offline_at',
			'h.registered_at',
			'h.instance_type',
			'h.region',
			'h.az',
			'h.mode as host_mode',
			'h.pool_id',
			'a.generation',
			'a.status',
			'a.enabled',
			'a.auto_switch_enabled',
			'a.manual_replica_enabled',
			'a.auto_terminate_enabled',
			'a.terminate_wait_seconds',
			'a.min_savings_percent',
			'a.risk_threshold',
			'a.max_switches_per_day',
			'a.max_switches_per_week',
			'a.min_pool_duration_hours',
			'a.config_version',
			'p.handle as primary_handle',
			'p.instance_id as primary_instance_id',
		])
		.select((eb) => [
			eb
				.case()
				.when(
					eb.exists(
						eb.selectFrom('command as c').select('c.id').whereRef('c.open_switch_of', '=', 'a.id').where('c.status', '=', 'pending'),
					),
				)
				.then(1)
				.else(0)
				.end()
				.as('pending'),
			eb
				.case()
				.when(
					eb.exists(
						eb.selectFrom('host as z').select('z.handle').whereRef('z.agent_id', '=', 'a.id').where('z.role', 'in', ['zombie', 'ended']),
					),
				)
				.then(1)
				.else(0)
				.end()
				.as('ending'),
		]);

/** Everything a routine call of a host needs to be answered, in one read. */
export const viewOfHost = statement<{ handle: string }>()((db, v) => views(db).where('h.handle', '=', v('handle')));

/** The same for several hosts: of what it costs, the smaller part is for each. */
export const viewsOfHosts = statement<{ handles: readonly string[] }>()((db, v, dialect) =>
	views(db).where(inList(dialect, 'h.handle', v('handles'))),
);
