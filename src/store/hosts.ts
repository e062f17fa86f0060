import { sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import type { AgentTable, HostLivenessTable, HostTable, ReplicaTable, Role } from './schema.ts';
import { type Db, statement } from './statement.ts';

export type Agent = AgentTable;
export type Host = HostTable;

/** The agent row, locked against other writers until the transaction ends. */
export const lockAgent = statement<{ id: string }>()((db, v, dialect) =>
	db.selectFrom('agent').selectAll().where('id', '=', v('id')).modifyEnd(dialect.forUpdate),
);

/** The agent a machine of a client belongs to, locked; through a subquery, so that the agent is locked before its hosts. */
export const lockAgentOfInstance = statement<{ client_id: string; instance_id: string }>()((db, v, dialect) =>
	db
		.selectFrom('agent')
		.selectAll()
		.where('id', '=', (eb) =>
			eb.selectFrom('host').select('agent_id').where('client_id', '=', v('client_id')).where('instance_id', '=', v('instance_id')),
		)
		.modifyEnd(dialect.forUpdate),
);

/** The agent a logical id of a client means, locked. */
export const lockAgentOfLogicalId = statement<{ client_id: string; logical_id: string }>()((db, v, dialect) =>
	db
		.selectFrom('agent')
		.selectAll()
		.where('id', '=', (eb) =>
			eb.selectFrom('logical_id').select('agent_id').where('client_id', '=', v('client_id')).where('logical_id', '=', v('logical_id')),
		)
		.modifyEnd(dialect.forUpdate),
);

/** The agent of a host, locked. */
export const lockAgentOfHandle = statement<{ handle: string }>()((db, v, dialect) =>
	db
		.selectFrom('agent')
		.selectAll()
		.where('id', '=', (eb) => eb.selectFrom('host').select('agent_id').where('handle', '=', v('handle')))
		.modifyEnd(dialect.forUpdate),
);

/** The same, for whoever needs only the lock. */
export const lockRowOfHandle = statement<{ handle: string }>()((db, v, dialect) =>
	db
		.selectFrom('agent')
		.select('id')
		.where('id', '=', (eb) => eb.selectFrom('host').select('agent_id').where('handle', '=', v('handle')))
		.modifyEnd(dialect.forUpdate),
);

export const agentById = statement<{ id: string }>()((db, v) => db.selectFrom('agent').selectAll().where('id', '=', v('id')));

export const hostByHandle = statement<{ handle: string }>()((db, v) => db.selectFrom('host').selectAll().where('handle', '=', v('handle')));

export const hostByInstance = statement<{ client_id: string; instance_id: string }>()((db, v) =>
	db.selectFrom('host').selectAll().where('client_id', '=', v('client_id')).where('instance_id', '=', v('instance_id')),
);

/** The machine that the host behind a handle names by its id: of the same client. */
export const hostNamedBy = statement<{ handle: string; instance_id: string }>()((db, v) =>
	db
		.selectFrom('host')
		.selectAll()
		.where('client_id', '=', (eb) => eb.selectFrom('host as h').select('h.client_id').where('h.handle', '=', v('handle')))
		.where('instance_id', '=', v('instance_id')),
);

/** The current primary of an agent. */
export const primaryOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('host').selectAll().where('primary_of', '=', v('agent_id')),
);

/** The current primary of an agent with what it last said: its prices, and when it was heard and asked for commands. */
export const primaryFacts = statement<{ agent_id: string }>()((db, v) =>
	db
		.selectFrom('host')
		.leftJoin('host_liveness as l', 'l.handle', 'host.handle')
		.leftJoin('host_price as p', 'p.handle', 'host.handle')
		.selectAll('host')
		.select(['l.seen_at', 'l.commands_polled_at', 'p.spot_micros', 'p.ondemand_micros'])
		.where('host.primary_of', '=', v('agent_id')),
);

export const agentOfLogicalId = statement<{ client_id: string; logical_id: string }>()((db, v) =>
	db
		.selectFrom('logical_id')
		.innerJoin('agent', 'agent.id', 'logical_id.agent_id')
		.selectAll('agent')
		.where('logical_id.client_id', '=', v('client_id'))
		.where('logical_id.logical_id', '=', v('logical_id')),
);

export const livenessOf = statement<{ handle: string }>()((db, v) =>
	db.selectFrom('host_liveness').selectAll().where('handle', '=', v('handle')),
);

export const addHost = statement<Host>()((db, v) =>
	db.insertInto('host').values({
		handle: v('handle'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		instance_id: v('instance_id'),
		role: v('role'),
		primary_of: v('primary_of'),
		generation: v('generation'),
		instance_type: v('instance_type'),
		region: v('region'),
		az: v('az'),
		ami_id: v('ami_id'),
		hostname: v('hostname'),
		private_ip: v('private_ip'),
		public_ip: v('public_ip'),
		agent_version: v('agent_version'),
		mode: v('mode'),
		pool_id: v('pool_id'),
		registered_at: v('registered_at'),
		said_offline_at: v('said_offline_at'),
		zombie_at: v('zombie_at'),
		hold: v('hold'),
		hold_until: v('hold_until'),
		guess_command_id: v('guess_command_id'),
		guess_replica_id: v('guess_replica_id'),
		tentative_command_id: v('tentative_command_id'),
		tentative_replica_id: v('tentative_replica_id'),
		takes_back: v('takes_back'),
		termination_attempted_at: v('termination_attempted_at'),
		ending_told_at: v('ending_told_at'),
		terminated_at: v('terminated_at'),
		last_switch_at: v('last_switch_at'),
		created_at: v('created_at'),
	}),
);

/** Writes every column of a host row that can change; unique keys decide races. */
export const saveHost = statement<Host>()((db, v) =>
	db
		.updateTable('host')
		.set({
			agent_id: v('agent_id'),
			role: v('role'),
			primary_of: v('primary_of'),
			generation: v('generation'),
			instance_type: v('instance_type'),
			region: v('region'),
			az: v('az'),
			ami_id: v('ami_id'),
			hostname: v('hostname'),
			private_ip: v('private_ip'),
			public_ip: v('public_ip'),
			agent_version: v('agent_version'),
			mode: v('mode'),
			pool_id: v('pool_id'),
			registered_at: v('registered_at'),
			said_offline_at: v('said_offline_at'),
			zombie_at: v('zombie_at'),
			hold: v('hold'),
			hold_until: v('hold_until'),
			guess_command_id: v('guess_command_id'),
			guess_replica_id: v('guess_replica_id'),
			tentative_command_id: v('tentative_command_id'),
			tentative_replica_id: v('tentative_replica_id'),
			takes_back: v('takes_back'),
			termination_attempted_at: v('termination_attempted_at'),
			ending_told_at: v('ending_told_at'),
			terminated_at: v('terminated_at'),
			last_switch_at: v('last_switch_at'),
		})
		.where('handle', '=', v('handle')),
);

export const addAgent = statement<Agent>()((db, v) =>
	db.insertInto('agent').values({
		id: v('id'),
		client_id: v('client_id'),
		logical_agent_id: v('logical_agent_id'),
		self_named: v('self_named'),
		generation: v('generation'),
		version: v('version'),
		status: v('status'),
		enabled: v('enabled'),
		auto_switch_enabled: v('auto_switch_enabled'),
		manual_replica_enabled: v('manual_replica_enabled'),
		auto_terminate_enabled: v('auto_terminate_enabled'),
		terminate_wait_seconds: v('terminate_wait_seconds'),
		min_savings_percent: v('min_savings_percent'),
		risk_threshold: v('risk_threshold'),
		max_switches_per_day: v('max_switches_per_day'),
		max_switches_per_week: v('max_switches_per_week'),
		min_pool_duration_hours: v('min_pool_duration_hours'),
		config_version: v('config_version'),
		last_switch_at: v('last_switch_at'),
		last_cleanup_at: v('last_cleanup_at'),
		terminated_at: v('terminated_at'),
		attention_at: v('attention_at'),
		deleted_at: v('deleted_at'),
		installed_at: v('installed_at'),
		created_at: v('created_at'),
		updated_at: v('updated_at'),
	}),
);

/** Writes the changeable columns of an agent if nobody wrote it since `seen_version`; 0 rows means somebody did. */
export const saveAgent = statement<Agent & { seen_version: number }>()((db, v) =>
	db
		.updateTable('agent')
		.set({
			generation: v('generation'),
			version: v('version'),
			status: v('status'),
			enabled: v('enabled'),
			auto_switch_enabled: v('auto_switch_enabled'),
			manual_replica_enabled: v('manual_replica_enabled'),
			auto_terminate_enabled: v('auto_terminate_enabled'),
			terminate_wait_seconds: v('terminate_wait_seconds'),
			min_savings_percent: v('min_savings_percent'),
			risk_threshold: v('risk_threshold'),
			max_switches_per_day: v('max_switches_per_day'),
			max_switches_per_week: v('max_switches_per_week'),
			min_pool_duration_hours: v('min_pool_duration_hours'),
			config_version: v('config_version'),
			last_switch_at: v('last_switch_at'),
			last_cleanup_at: v('last_cleanup_at'),
			terminated_at: v('terminated_at'),
			attention_at: v('attention_at'),
			deleted_at: v('deleted_at'),
			updated_at: v('updated_at'),
		})
		.where('id', '=', v('id'))
		.where('version', '=', v('seen_version')),
);

/** What a change of primary, or of liveness, writes of an agent: {@link saveAgent} with a quarter of its columns, for the hot paths. */
export const saveAgentState = statement<
	Pick<Agent, 'id' | 'generation' | 'version' | 'status' | 'last_switch_at' | 'terminated_at' | 'attention_at' | 'updated_at'> & {
		seen_version: number;
	}
>()((db, v) =>
	db
		.updateTable('agent')
		.set({
			generation: v('generation'),
			version: v('version'),
			status: v('status'),
			last_switch_at: v('last_switch_at'),
			terminated_at: v('terminated_at'),
			attention_at: v('attention_at'),
			updated_at: v('updated_at'),
		})
		.where('id', '=', v('id'))
		.where('version', '=', v('seen_version')),
);

/** What a change of role writes of the host that leaves it: the rest of its row stays. */
export const setRole = statement<
	Pick<
		Host,
		'handle' | 'role' | 'primary_of' | 'zombie_at' | 'hold' | 'hold_until' | 'takes_back' | 'termination_attempted_at' | 'terminated_at'
	>
>()((db, v) =>
	db
		.updateTable('host')
		.set({
			role: v('role'),
			primary_of: v('primary_of'),
			zombie_at: v('zombie_at'),
			hold: v('hold'),
			hold_until: v('hold_until'),
			takes_back: v('takes_back'),
			termination_attempted_at: v('termination_attempted_at'),
			terminated_at: v('terminated_at'),
		})
		.where('handle', '=', v('handle')),
);

export const addLogicalId = statement<{ client_id: string; logical_id: string; agent_id: string }>()((db, v) =>
	db.insertInto('logical_id').values({ client_id: v('client_id'), logical_id: v('logical_id'), agent_id: v('agent_id') }),
);

/** Hosts of an agent in a role, the 200 heard most recently. */
export const hostsInRole = statement<{ agent_id: string; role: Role }>()((db, v) =>
	db
		.selectFrom('host')
		.innerJoin('host_liveness', 'host_liveness.handle', 'host.handle')
		.selectAll('host')
		.select('host_liveness.seen_at')
		.where('host.agent_id', '=', v('agent_id'))
		.where('host.role', '=', v('role'))
		.orderBy('host_liveness.seen_at', 'desc')
		.orderBy('host.handle')
		.limit(sql.lit(200)),
);

const LIVENESS = [
	'handle',
	'seen_at',
	'heartbeat_at',
	'watch_at',
	'commands_polled_at',
	'replicas_polled_at',
	'terminations_polled_at',
] as const;

/** Sets the whole liveness row of a host: at registration and at changes of role, never for routine calls. */
export const setLiveness = statement<HostLivenessTable>()((db, v, dialect) =>
	db
		.insertInto('host_liveness')
		.values({
			handle: v('handle'),
			seen_at: v('seen_at'),
			heartbeat_at: v('heartbeat_at'),
			watch_at: v('watch_at'),
			commands_polled_at: v('commands_polled_at'),
			replicas_polled_at: v('replicas_polled_at'),
			terminations_polled_at: v('terminations_polled_at'),
		})
		.modifyEnd(
			sql`${dialect.onConflict(['handle'])} ${sql.join(LIVENESS.slice(1).map((column) => sql`${sql.ref(column)} = ${dialect.incoming(column)}`))}`,
		),
);

export const setWatch = statement<{ handle: string; watch_at: number | null }>()((db, v) =>
	db
		.updateTable('host_liveness')
		.set({ watch_at: v('watch_at') })
		.where('handle', '=', v('handle')),
);

/** What a batch of routine calls says about a host; null: no such call. */
export type Seen = Omit<HostLivenessTable, 'watch_at'>;

const seenColumns = LIVENESS.filter((column) => column !== 'watch_at');
const mergeSeen = (dialect: 'sqlite' | 'mysql') => {
	const [max, incoming, head] =
		dialect === 'sqlite'
			? ['max', (c: string) => `excluded.${c}`, 'on conflict (handle) do update set']
			: ['greatest', (c: string) => `values(${c})`, 'on duplicate key update'];
	const t = dialect === 'sqlite' ? 'host_liveness.' : '';
	const keep = (c: string) => `${c} = coalesce(${incoming(c)}, ${t}${c})`;
	// MySQL assigns from left to right, so watch_at reads seen_at before or after it was raised: both are right.
	return multiRow(
		'host_liveness',
		seenColumns,
		`${head} watch_at = case when ${t}watch_at is null then null else ${max}(${t}watch_at, ${incoming('seen_at')}) end, seen_at = ${max}(${t}seen_at, ${incoming('seen_at')}), ${['heartbeat_at', 'commands_polled_at', 'replicas_polled_at', 'terminations_polled_at'].map(keep).join(', ')}`,
	);
};
const merges = { sqlite: mergeSeen('sqlite'), mysql: mergeSeen('mysql') };

/** Merges routine signs of life, newest wins; one statement for up to 256 hosts. Hosts that were deleted meanwhile must be left out. */
export const mergeLiveness = (tx: Db, dialect: 'sqlite' | 'mysql', rows: readonly Seen[]): Promise<void> =>
	merges[dialect](
		tx,
		rows.map((row) => seenColumns.map((column) => row[column as keyof Seen])),
	);

/** Machines that were to end by `before`, or have had no role since, and of which nobody has been told, oldest first. */
export const endlessHosts = statement<{ role: 'zombie' | 'ended' | 'candidate'; before: number }>()((db, v) =>
	db
		.selectFrom('host')
		.select(['handle', 'agent_id'])
		.where('role', '=', v('role'))
		.where('ending_told_at', 'is', null)
		.where((eb) => eb(eb.fn.coalesce('zombie_at', 'created_at'), '<=', v('before')))
		.limit(sql.lit(200)),
);

/** Those of `handles` that still exist. */
export const existingHandles = async (db: Db, handles: readonly string[]): Promise<Set<string>> => {
	const found = new Set<string>();
	for (let start = 0; start < handles.length; start += 500) {
		const rows = await db
			.selectFrom('host')
			.select('handle')
			.where('handle', 'in', handles.slice(start, start + 500))
			.execute();
		for (const row of rows) found.add(row.handle);
	}
	return found;
};

/** Primaries that count as alive and were last heard before `cutoff`, longest silent first. */
export const overdueHosts = statement<{ cutoff: number }>()((db, v) =>
	db
		.selectFrom('host_liveness')
		.innerJoin('host', 'host.handle', 'host_liveness.handle')
		.select(['host.handle', 'host.agent_id', 'host_liveness.watch_at'])
		.where('host_liveness.watch_at', '<', v('cutoff'))
		.orderBy('host_liveness.watch_at')
		.limit(sql.lit(200)),
);

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

/** Everything a routine call of a host needs to be answered, in one read. */
export const viewOfHost = statement<{ handle: string }>()((db, v) =>
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
		])
		.where('h.handle', '=', v('handle')),
);

/** Live machines of a client: everything that is not terminated. */
export const liveHostsOfClient = statement<{ client_id: string }>()((db, v) =>
	db
		.selectFrom('host')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('client_id', '=', v('client_id'))
		.where('role', '<>', 'terminated'),
);

export const agentsOfClient = statement<{ client_id: string }>()((db, v) =>
	db
		.selectFrom('agent')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('client_id', '=', v('client_id'))
		.where('status', '<>', 'deleted'),
);

/** The row that says since when somebody has been listening without a gap. */
export const serviceClock = statement<Record<string, never>>()((db) => db.selectFrom('service_clock').selectAll().where('id', '=', 1));

/** Somebody listens now, maybe for the first time. After a gap the time in which silence could be heard begins anew. */
export const markAlive = statement<{ now: number; gap: number }>()((db, v, dialect) =>
	db
		.insertInto('service_clock')
		.values({ id: 1, serving_since: v('now'), alive_at: v('now') })
		// MySQL assigns from left to right.
		.modifyEnd(
			sql`${dialect.onConflict(['id'])} serving_since = case when ${v('now')} - service_clock.alive_at > ${v('gap')} then ${v('now')} else service_clock.serving_since end,
				alive_at = ${dialect.greatest(sql`service_clock.alive_at`, sql`${v('now')}`)}`,
		),
);
