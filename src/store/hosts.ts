import { sql } from 'kysely';
import { updates } from './changed-columns.ts';
import type { HostTable, Role } from './schema.ts';
import { among, type Db, statement } from './statement.ts';

export type Host = HostTable;

export const hostByHandle = statement<{ handle: string }>()((db, v) => db.selectFrom('host').selectAll().where('handle', '=', v('handle')));

export const hostByInstance = statement<{ client_id: string; instance_id: string }>()((db, v) =>
	db.selectFrom('host').selectAll().where('client_id', '=', v('client_id')).where('instance_id', '=', v('instance_id')),
);

/** The machines of this id, whoever's they are: clients may have the same. */
export const hostsByInstance = statement<{ instance_id: string }>()((db, v) =>
	db.selectFrom('host').selectAll().where('instance_id', '=', v('instance_id')).limit(sql.lit(20)),
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

const hosts = updates<Host>(
	[
		'agent_id',
		'role',
		'primary_of',
		'generation',
		'instance_type',
		'region',
		'az',
		'ami_id',
		'hostname',
		'private_ip',
		'public_ip',
		'agent_version',
		'mode',
		'pool_id',
		'registered_at',
		'said_offline_at',
		'zombie_at',
		'hold',
		'hold_until',
		'guess_command_id',
		'guess_replica_id',
		'tentative_command_id',
		'tentative_replica_id',
		'takes_back',
		'termination_attempted_at',
		'ending_told_at',
		'terminated_at',
		'last_switch_at',
	],
	(db, set, v) => db.updateTable('host').set(set).where('handle', '=', v('handle')),
);

/** Writes every column of a host row that can change; unique keys decide races. */
export const saveHost = hosts.whole;

/** Writes what has changed of a host since its row was read. */
export const saveHostSince = async (tx: Db, was: Host, is: Host): Promise<void> => hosts.since(was, is)?.later(tx, is);

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

/** The 50 newest hosts of an agent, with when they were last heard. */
export const newestHostsOf = statement<{ agent_id: string }>()((db, v) =>
	db
		.selectFrom('host as h')
		.leftJoin('host_liveness as l', 'l.handle', 'h.handle')
		.selectAll('h')
		.select('l.seen_at')
		.where('h.agent_id', '=', v('agent_id'))
		.orderBy('h.created_at', 'desc')
		.orderBy('h.handle')
		.limit(sql.lit(50)),
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
			.where(among(db, 'handle', handles.slice(start, start + 500)))
			.execute();
		for (const row of rows) found.add(row.handle);
	}
	return found;
};

/** Live machines of a client: everything that is not terminated. */
export const liveHostsOfClient = statement<{ client_id: string }>()((db, v) =>
	db
		.selectFrom('host')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('client_id', '=', v('client_id'))
		.where('role', '<>', 'terminated'),
);

/** How many machines have each role, without those that have ended: an index is read, of the machines that live. */
export const machinesByRole = statement<Record<string, never>>()((db) =>
	db
		.selectFrom('host')
		.select((eb) => ['role', eb.fn.countAll<number>().as('count')])
		.where('role', 'in', ['primary', 'replica', 'candidate', 'zombie', 'ended', 'named'])
		.groupBy('role'),
);

/** Zombies and ended replicas of an agent with the agent's own facts, read together so that role changes show at once. */
export const endingHosts = statement<{ agent_id: string }>()((db, v) =>
	db
		.selectFrom('host as h')
		.innerJoin('agent as a', 'a.id', 'h.agent_id')
		.leftJoin('host as p', 'p.primary_of', 'a.id')
		.selectAll('h')
		.select(['a.auto_terminate_enabled', 'a.terminate_wait_seconds', 'a.status', 'p.handle as primary_handle'])
		.where('h.agent_id', '=', v('agent_id'))
		.where('h.role', 'in', ['zombie', 'ended'])
		.orderBy('h.hold')
		.orderBy('h.hold_until')
		.orderBy('h.zombie_at')
		.orderBy('h.handle')
		.limit(sql.lit(200)),
);
