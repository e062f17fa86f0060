import { updates } from './changed-columns.ts';
import type { AgentTable } from './schema.ts';
import { atMost, type Db, statement } from './statement.ts';

export type Agent = AgentTable;

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

export const agentOfLogicalId = statement<{ client_id: string; logical_id: string }>()((db, v) =>
	db
		.selectFrom('logical_id')
		.innerJoin('agent', 'agent.id', 'logical_id.agent_id')
		.selectAll('agent')
		.where('logical_id.client_id', '=', v('client_id'))
		.where('logical_id.logical_id', '=', v('logical_id')),
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
		enabled_at: v('enabled_at'),
		kept_settings: v('kept_settings'),
		deleted_at: v('deleted_at'),
		installed_at: v('installed_at'),
		created_at: v('created_at'),
		updated_at: v('updated_at'),
	}),
);

const agents = updates<Agent, { seen_version: number }>(
	[
		'generation',
		'version',
		'status',
		'enabled',
		'auto_switch_enabled',
		'manual_replica_enabled',
		'auto_terminate_enabled',
		'terminate_wait_seconds',
		'min_savings_percent',
		'risk_threshold',
		'max_switches_per_day',
		'max_switches_per_week',
		'min_pool_duration_hours',
		'config_version',
		'last_switch_at',
		'last_cleanup_at',
		'terminated_at',
		'attention_at',
		'enabled_at',
		'kept_settings',
		'deleted_at',
		'updated_at',
	],
	(db, set, v) => db.updateTable('agent').set(set).where('id', '=', v('id')).where('version', '=', v('seen_version')),
);

/** Writes what has changed of an agent since its row was read, its version at least; fails with StaleRow where somebody else did meanwhile. */
export const saveAgentSince = async (tx: Db, was: Agent, is: Agent): Promise<void> =>
	agents.since(was, is)?.must(tx, { ...is, seen_version: was.version });

export const addLogicalId = statement<{ client_id: string; logical_id: string; agent_id: string }>()((db, v) =>
	db.insertInto('logical_id').values({ client_id: v('client_id'), logical_id: v('logical_id'), agent_id: v('agent_id') }),
);

export const agentsOfClient = statement<{ client_id: string }>()((db, v) =>
	db
		.selectFrom('agent')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('client_id', '=', v('client_id'))
		.where('status', '<>', 'deleted'),
);

/** What an agent is called, at most 100 names. */
export const logicalIdsOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('logical_id').select('logical_id').where('agent_id', '=', v('agent_id')).orderBy('logical_id').limit(atMost(100)),
);
