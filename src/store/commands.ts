import { sql } from 'kysely';
import { updates } from './changed-columns.ts';
import type { CommandTable } from './schema.ts';
import { among, type Db, inList, statement } from './statement.ts';

export type Command = CommandTable;

export const commandById = statement<{ id: string }>()((db, v) => db.selectFrom('command').selectAll().where('id', '=', v('id')));

/** The pending or claimed switch of an agent: at most one, the unique key sees to it. */
export const openSwitchOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('command').select(['id', 'status']).where('open_switch_of', '=', v('agent_id')),
);

/** Cuts the lease of a host's claimed switch to `until` if it ran longer; its process has ended. */
export const shortenLease = statement<{ agent_id: string; handle: string; until: number; message: string }>()((db, v) =>
	db
		.updateTable('command')
		.set({ lease_until: v('until'), due_at: v('until'), message: v('message') })
		.where('open_switch_of', '=', v('agent_id'))
		.where('handle', '=', v('handle'))
		.where('status', '=', 'claimed')
		.where('lease_until', '>', v('until')),
);

export const addCommand = statement<Command>()((db, v) =>
	db.insertInto('command').values({
		id: v('id'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		handle: v('handle'),
		generation: v('generation'),
		command_type: v('command_type'),
		status: v('status'),
		outcome: v('outcome'),
		message: v('message'),
		open_switch_of: v('open_switch_of'),
		awaits_machine: v('awaits_machine'),
		instance_id: v('instance_id'),
		instance_type: v('instance_type'),
		region: v('region'),
		target_mode: v('target_mode'),
		target_pool_id: v('target_pool_id'),
		target_az: v('target_az'),
		new_instance_id: v('new_instance_id'),
		new_handle: v('new_handle'),
		priority: v('priority'),
		terminate_wait_seconds: v('terminate_wait_seconds'),
		trigger_type: v('trigger_type'),
		created_by: v('created_by'),
		reason: v('reason'),
		request_id: v('request_id'),
		claim_id: v('claim_id'),
		created_at: v('created_at'),
		expires_at: v('expires_at'),
		claimed_at: v('claimed_at'),
		lease_until: v('lease_until'),
		launched_at: v('launched_at'),
		reported_at: v('reported_at'),
		acknowledged_at: v('acknowledged_at'),
		acknowledged_success: v('acknowledged_success'),
		completed_at: v('completed_at'),
		due_at: v('due_at'),
	}),
);

const commands = updates<Command, { seen_status: Command['status'] }>(
	[
		'status',
		'outcome',
		'message',
		'open_switch_of',
		'awaits_machine',
		'new_instance_id',
		'new_handle',
		'claim_id',
		'claimed_at',
		'lease_until',
		'launched_at',
		'reported_at',
		'acknowledged_at',
		'acknowledged_success',
		'completed_at',
		'due_at',
	],
	(db, set, v) => db.updateTable('command').set(set).where('id', '=', v('id')).where('status', '=', v('seen_status')),
);

/** Writes the changeable columns of a command that still has the status it was read with; 0 rows means somebody was faster. */
export const saveCommand = commands.whole;

/** The same, only what has changed since its row was read; fails with StaleRow where its status did meanwhile. */
export const saveCommandSince = async (tx: Db, was: Command, is: Command): Promise<void> =>
	commands.since(was, is)?.must(tx, { ...is, seen_status: was.status });

/** Notes an acknowledgement that changes nothing else: no indexed column is written. */
export const noteAcknowledged = statement<{
	id: string;
	acknowledged_at: number;
	acknowledged_success: Command['acknowledged_success'];
	message: string | null;
}>()((db, v) =>
	db
		.updateTable('command')
		.set({ acknowledged_at: v('acknowledged_at'), acknowledged_success: v('acknowledged_success'), message: v('message') })
		.where('id', '=', v('id'))
		.where('acknowledged_at', 'is', null),
);

/** Notes that the claimant of a command which is done already says so too: the usual order, since agents report before they acknowledge. */
export const noteSuccess = statement<{ id: string; client_id: string; handle: string; now: number; message: string | null }>()((db, v) =>
	db
		.updateTable('command')
		.set((eb) => ({ acknowledged_at: v('now'), acknowledged_success: 1, message: eb.fn.coalesce(eb.val(v('message')), 'message') }))
		.where('id', '=', v('id'))
		.where('client_id', '=', v('client_id'))
		.where('handle', '=', v('handle'))
		.where('status', '=', 'completed')
		.where('acknowledged_at', 'is', null),
);

/** How far a command of a client's host is. */
export const stateOfClaim = statement<{ id: string; client_id: string; handle: string }>()((db, v) =>
	db
		.selectFrom('command')
		.select(['status', 'acknowledged_at'])
		.where('id', '=', v('id'))
		.where('client_id', '=', v('client_id'))
		.where('handle', '=', v('handle')),
);

/**
 * Claims the first pending command of a host, by priority then age: one conditional update that succeeds only while the caller is the
 * primary of the command's generation (identity.md section 6). The lease is `lease` plus the command's own terminate wait.
 */
export const claimNext = statement<{ handle: string; claim_id: string; now: number; lease: number }>()((db, v) =>
	db
		.updateTable('command')
		.set({
			status: 'claimed',
			claim_id: v('claim_id'),
			claimed_at: v('now'),
			awaits_machine: 1,
			lease_until: sql<number>`${v('now')} + ${v('lease')} + terminate_wait_seconds * 1000`,
			due_at: sql<number>`${v('now')} + ${v('lease')} + terminate_wait_seconds * 1000`,
		})
		.where('handle', '=', v('handle'))
		.where('status', '=', 'pending')
		.where('expires_at', '>', v('now'))
		.where((eb) =>
			eb.exists(
				eb
					.selectFrom('host as h')
					.innerJoin('agent as a', 'a.id', 'h.primary_of')
					.select('h.handle')
					.where('h.handle', '=', v('handle'))
					.whereRef('a.id', '=', 'command.agent_id')
					.whereRef('a.generation', '=', 'command.generation')
					.where('a.status', '<>', 'deleted'),
			),
		)
		.orderBy('priority', 'desc')
		.orderBy('created_at')
		.orderBy('id')
		.limit(sql.lit(1)),
);

/** What the host that gets a command is told of it. */
export type Offered = Pick<Command, (typeof OFFERED)[number]>;
const OFFERED = [
	'id',
	'command_type',
	'instance_id',
	'target_mode',
	'target_pool_id',
	'priority',
	'terminate_wait_seconds',
	'created_at',
	'expires_at',
	'request_id',
] as const;

export const commandByClaim = statement<{ claim_id: string }>()((db, v) =>
	db.selectFrom('command').select(OFFERED).where('claim_id', '=', v('claim_id')),
);

/** The command the primary of an agent would claim next, by priority then age. */
export const nextPendingOf = statement<{ agent_id: string; now: number }>()((db, v) =>
	db
		.selectFrom('command')
		.select(OFFERED)
		.where('agent_id', '=', v('agent_id'))
		.where('status', '=', 'pending')
		.where('expires_at', '>', v('now'))
		.orderBy('priority', 'desc')
		.orderBy('created_at')
		.limit(sql.lit(1)),
);

/** Puts a claim back whose answer was never written: only that very claim, and only while nothing else happened to it. */
export const undoClaim = statement<{ claim_id: string }>()((db, v) =>
	db
		.updateTable('command')
		.set((eb) => ({
			status: 'pending',
			claim_id: null,
			claimed_at: null,
			lease_until: null,
			awaits_machine: 0,
			due_at: eb.ref('expires_at'),
		}))
		.where('claim_id', '=', v('claim_id'))
		.where('status', '=', 'claimed')
		.where('reported_at', 'is', null)
		.where('acknowledged_at', 'is', null),
);

/**
 * Ends every open command of agents but some: pending ones are superseded, claimed ones void (their machine may still come), and so are
 * those that were acknowledged before anybody named their machine.
 */
export const supersedeCommands = statement<{ agents: readonly string[]; except: readonly string[]; now: number }>()((db, v, dialect) =>
	db
		.updateTable('command')
		.set({
			outcome: 'superseded',
			message: 'another machine became the primary',
			open_switch_of: null,
			due_at: null,
			completed_at: sql`case when status = 'completed' then completed_at else ${v('now')} end`,
			// Last: MySQL assigns from left to right.
			status: sql`case when status = 'completed' then status else 'cancelled' end`,
		})
		.where(inList(dialect, 'agent_id', v('agents')))
		.where((eb) => eb.not(inList(dialect, 'id', v('except'))))
		.where((eb) =>
			eb.or([
				eb('status', 'in', ['pending', 'claimed']),
				eb.and([eb('status', '=', 'completed'), eb('awaits_machine', '=', 1), eb('lease_until', '>', v('now'))]),
			]),
		),
);

/** Cancels what is pending or claimed of an agent that is deleted. */
export const cancelCommandsOfDeleted = statement<{ agent_id: string; now: number }>()((db, v) =>
	db
		.updateTable('command')
		.set({
			status: 'cancelled',
			outcome: 'agent_deleted',
			message: 'the agent was deleted',
			open_switch_of: null,
			due_at: null,
			completed_at: v('now'),
		})
		.where('agent_id', '=', v('agent_id'))
		.where('status', 'in', ['pending', 'claimed']),
);

/** Says which machine an order that leads nowhere launched: it fits no other (an order launches one machine). */
export const nameMachine = statement<{ id: string; instance_id: string }>()((db, v) =>
	db
		.updateTable('command')
		.set({ awaits_machine: 0, new_instance_id: v('instance_id') })
		.where('id', '=', v('id'))
		.where('awaits_machine', '=', 1),
);

/** Those of some orders (switches and replicas) of a client that a candidate stands for already (identity.md R6). */
export const ordersTaken = async (db: Db, clientId: string, ids: readonly string[]): Promise<ReadonlySet<string>> => {
	const rows = await db
		.selectFrom('host')
		.select(['tentative_command_id', 'tentative_replica_id'])
		.where('client_id', '=', clientId)
		.where('role', '=', 'candidate')
		.where((eb) => eb.or([among(db, 'tentative_command_id', ids), among(db, 'tentative_replica_id', ids)]))
		.execute();
	return new Set(rows.flatMap((row) => [row.tentative_command_id ?? [], row.tentative_replica_id ?? []].flat()));
};

/** Orders of an agent whose machine is not known yet and whose lease runs: open, void or ended badly (identity.md section 3). */
export const ordersOfAgent = statement<{ client_id: string; agent_id: string; now: number }>()((db, v) =>
	db
		.selectFrom('command')
		.selectAll()
		.where('client_id', '=', v('client_id'))
		.where('awaits_machine', '=', 1)
		.where('lease_until', '>', v('now'))
		.where('agent_id', '=', v('agent_id'))
		.orderBy('claimed_at')
		.limit(sql.lit(50)),
);

/** The same for every self-named agent of a client, for a machine of this type, region and zone ('' where it does not say). */
export const ordersOfSelfNamed = statement<{ client_id: string; now: number; instance_type: string; region: string; az: string }>()(
	(db, v) =>
		db
			.selectFrom('command')
			.innerJoin('agent', 'agent.id', 'command.agent_id')
			.selectAll('command')
			.where('command.client_id', '=', v('client_id'))
			.where('command.awaits_machine', '=', 1)
			.where('command.lease_until', '>', v('now'))
			.where('agent.self_named', '=', 1)
			.where('agent.status', '<>', 'deleted')
			.where((eb) =>
				eb.or([eb('command.instance_type', 'is', null), eb(eb.val(v('instance_type')), 'in', ['', eb.ref('command.instance_type')])]),
			)
			.where((eb) => eb.or([eb('command.region', 'is', null), eb(eb.val(v('region')), 'in', ['', eb.ref('command.region')])]))
			.where((eb) => eb.or([eb('command.target_az', 'is', null), eb(eb.val(v('az')), 'in', ['', eb.ref('command.target_az')])]))
			.orderBy('command.claimed_at')
			.limit(sql.lit(500)),
);

/** The newest claims of a host, whatever became of them: what a switch report without a command id may be about. */
export const claimsOfHost = statement<{ handle: string }>()((db, v) =>
	db
		.selectFrom('command')
		.selectAll()
		.where('handle', '=', v('handle'))
		.where('claimed_at', 'is not', null)
		.orderBy('claimed_at', 'desc')
		.limit(sql.lit(20)),
);

/** Commands whose expiry or lease is over, oldest first. */
export const dueCommands = statement<{ now: number }>()((db, v) =>
	db.selectFrom('command').selectAll().where('due_at', '<=', v('now')).orderBy('due_at').limit(sql.lit(200)),
);
