import { type RawBuilder, sql } from 'kysely';
import type { Role, Tables } from './schema.ts';

/** A setting of `retention.*`: days, 0 is for ever. */
export type RetentionSetting =
	| 'rawPrices'
	| 'cleanPrices'
	| 'commands'
	| 'replicas'
	| 'instances'
	| 'events'
	| 'audit'
	| 'readNotifications'
	| 'cleanupLogs'
	| 'ledger';

/**
 * How rows of one table end. `time` is the daemon's own, never a time that an agent sent: a row whose sender has a wrong clock is as new as
 * it is. There is an index of `only`, `time` and `key`.
 */
export type Rule = {
	readonly setting: RetentionSetting;
	/** What ends, for a person. */
	readonly summary: string;
	readonly key: string;
	readonly time: string;
	/** A column with the one value that rows which may end have. */
	readonly only?: readonly [column: string, value: number];
	/** What else must hold of an old row: nobody needs it any more. */
	readonly free?: (before: number) => RawBuilder<boolean>;
	/**
	 * rows: by their keys. locked: the same, with the rows locked before they are judged, so that nobody takes one up meanwhile.
	 * buckets: a range of price buckets. machines: all books of machines that are over.
	 */
	readonly how: 'rows' | 'locked' | 'buckets' | 'machines';
};

/** Why a table has no rule. */
export type Kept = { readonly kept: string };

const raw = (text: string): RawBuilder<boolean> => sql<boolean>`${sql.raw(text)}`;

/** Roles of machines that are not over. */
const LIVING: readonly Role[] = ['primary', 'replica', 'candidate', 'zombie', 'ended', 'named'];

/** No machine of an agent that is not over fits; a look for each role, since for a list of them MariaDB reads every machine the agent ever had. */
const noneLives = (agentId: string, fits: RawBuilder<unknown>): RawBuilder<boolean> => {
	const looks = LIVING.map(
		(role) => sql`not exists (select 1 from host h where h.agent_id = ${sql.ref(agentId)} and h.role = ${sql.lit(role)} and (${fits}))`,
	);
	return sql<boolean>`${sql.join(looks, sql` and `)}`;
};

const overCommand = (before: number): RawBuilder<boolean> => sql<boolean>`command.status not in ('pending', 'claimed')
	and command.open_switch_of is null and command.awaits_machine = 0 and command.due_at is null
	and command.expires_at < ${before} and coalesce(command.lease_until, 0) < ${before} and coalesce(command.reported_at, 0) < ${before}
	and coalesce(command.acknowledged_at, 0) < ${before} and coalesce(command.completed_at, 0) < ${before}
	and not exists (select 1 from emergency e where e.open_of = command.agent_id)
	and ${noneLives('command.agent_id', sql`h.guess_command_id = command.id or h.tentative_command_id = command.id`)}`;

const overReplica = (before: number): RawBuilder<boolean> => sql<boolean>`replica.status in ('terminated', 'failed', 'promoted')
	and replica.live_of is null and replica.awaits_machine = 0 and coalesce(replica.lease_until, 0) < ${before}
	and coalesce(replica.promoted_at, 0) < ${before} and coalesce(replica.ended_at, 0) < ${before} and coalesce(replica.confirmed_at, 0) < ${before}
	and (replica.status = 'promoted' or replica.confirmed_at is not null or (replica.handle is null and replica.instance_id is null))
	and not exists (select 1 from emergency e where e.open_of = replica.agent_id)
	and not exists (select 1 from host h where h.handle = replica.handle and h.role <> 'terminated')
	and ${noneLives('replica.agent_id', sql`h.guess_replica_id = replica.id or h.tentative_replica_id = replica.id`)}`;

const overHost = (
	before: number,
): RawBuilder<boolean> => sql<boolean>`host.role = 'terminated' and host.primary_of is null and host.handle <> host.agent_id
	and not exists (select 1 from host_liveness l where l.handle = host.handle and (l.seen_at >= ${before} or l.watch_at is not null))
	and not exists (select 1 from command c where c.handle = host.handle)
	and not exists (select 1 from command c where c.open_switch_of = host.agent_id)
	and not exists (select 1 from replica r where r.handle = host.handle)
	and not exists (select 1 from replica r where r.live_of = host.agent_id
		and (r.parent_instance_id = host.instance_id or r.served_handle = host.handle))
	and not exists (select 1 from emergency e where e.handle = host.handle)
	and not exists (select 1 from emergency e where e.open_of = host.agent_id)
	and not exists (select 1 from cleanup_log g where g.handle = host.handle)
	and not exists (select 1 from ledger_host b where b.handle = host.handle)
	and not exists (select 1 from ledger_fact f where f.handle = host.handle)`;

/** The books of a machine end together: booked anew from half of its facts, or beside half of its segments, they would not add up. */
const overBooks =
	(table: 'cost_segment' | 'ledger_fact') =>
	(before: number): RawBuilder<boolean> =>
		sql<boolean>`not exists (select 1 from ledger_host b where b.handle = ${sql.ref(`${table}.handle`)})
	and not exists (select 1 from cost_segment s where s.handle = ${sql.ref(`${table}.handle`)} and (s.start_at >= ${before} or s.end_at >= ${before}))
	and not exists (select 1 from ledger_fact f where f.handle = ${sql.ref(`${table}.handle`)} and (f.at >= ${before} or f.pending is not null))`;

/**
 * What becomes of the rows of every table; a table that is not here does not compile. In the order in which a run goes: whatever keeps
 * rows of another table from ending stands before it. Defaults are those of ../shared/behaviour/spec.md section 16, "Ours".
 */
export const RETENTION = {
	cost_segment: {
		setting: 'ledger',
		summary: 'cost segments of machines that ended, with the facts they follow from; the sums by day and month stay',
		key: 'id',
		time: 'start_at',
		free: overBooks('cost_segment'),
		how: 'machines',
	},
	ledger_fact: {
		setting: 'ledger',
		summary: 'facts about machines that were never booked',
		key: 'id',
		time: 'at',
		free: overBooks('ledger_fact'),
		how: 'machines',
	},
	cleanup_log: {
		setting: 'cleanupLogs',
		summary: 'reports of removed snapshots and images',
		key: 'id',
		time: 'reported_at',
		how: 'rows',
	},
	command: {
		setting: 'commands',
		summary: 'finished commands that no machine stands for',
		key: 'id',
		time: 'created_at',
		free: overCommand,
		how: 'locked',
	},
	replica: {
		setting: 'replicas',
		summary: 'replicas that ended, or whose machine did after its promotion',
		key: 'id',
		time: 'created_at',
		free: overReplica,
		how: 'locked',
	},
	host: {
		setting: 'instances',
		summary: 'machines that ended, silent since, of which nothing else is kept, but for the first of an agent, whose handle is its id',
		key: 'handle',
		time: 'terminated_at',
		free: overHost,
		how: 'locked',
	},
	notification: {
		setting: 'readNotifications',
		summary: 'notifications that were read',
		key: 'id',
		time: 'last_at',
		only: ['is_read', 1],
		how: 'rows',
	},
	event: { setting: 'events', summary: 'events', key: 'id', time: 'created_at', how: 'rows' },
	audit: { setting: 'audit', summary: 'audit entries', key: 'id', time: 'at', how: 'rows' },
	price_clean: { setting: 'cleanPrices', summary: 'clean prices', key: 'pool_id', time: 'bucket', how: 'buckets' },
	price_raw: { setting: 'rawPrices', summary: 'prices that earlier releases kept', key: 'id', time: 'arrived_at', how: 'rows' },
	price_report: { setting: 'rawPrices', summary: 'price reports that the books have read', key: 'id', time: 'arrived_at', how: 'rows' },
	idempotency: { kept: 'the job "answers" forgets them after a day, a minute at a time' },
	change_log: { kept: 'the job "changes" forgets them after ten minutes' },
	client: { kept: 'goes when an operator deletes it, and everything of it with it' },
	client_token: { kept: 'goes with its client; a revoked one says who could call until when' },
	admin_token: { kept: 'made by hand, few; a revoked one says who could call until when' },
	agent: { kept: 'a deleted agent can be restored, and its switches and savings are asked for by it' },
	logical_id: { kept: 'goes with its agent' },
	host_liveness: { kept: 'one row a machine, goes with it' },
	host_price: { kept: 'one row a machine, goes with it' },
	pool: { kept: 'one row a pool that was ever reported; prices and machines name it' },
	client_pool: { kept: 'one row a client and pool, goes with either' },
	ondemand_price: { kept: 'one row a type and region, overwritten' },
	emergency: { kept: 'interruptions are kept for ever (spec section 16), and with them the machine that each was about' },
	job: { kept: 'one row a job' },
	switch_record: { kept: 'switches are kept for ever (spec section 16)' },
	service_clock: { kept: 'one row' },
	service_gap: { kept: 'a row an outage, until the books hold it' },
	ledger_host: { kept: 'one row a machine that runs; the ledger job removes it at its end' },
	ledger_state: { kept: 'one row' },
	ledger_total: { kept: 'sums by client and day outlive the segments they are made of' },
	price_hour: { kept: 'a twelfth of the prices it sums, for charts that reach further back' },
	price_hour_state: { kept: 'one row' },
	price_alert: { kept: 'goes when its client deletes it' },
	price_watch: { kept: 'goes with its alert' },
	webhook: { kept: 'goes when an operator deletes it' },
	webhook_delivery: { kept: 'goes with its notification; what was delivered, after a week by the job that sends' },
	retention_rule: { kept: 'one row a rule' },
	switch_tally: { kept: 'one row an agent and cause, goes with the agent' },
	switch_failure: { kept: 'as the switches it is counted with' },
	fleet_day: { kept: 'one row a day' },
	client_day: { kept: 'one row a client and day; the job "overview" forgets them after 400 days' },
	client_ended: { kept: 'one row a client, goes with it' },
} as const satisfies { readonly [T in keyof Tables | 'price_raw']: Rule | Kept };

type Plan = typeof RETENTION;
export type RuleName = { [T in keyof Plan]: Plan[T] extends Kept ? never : T }[keyof Plan];

const isRule = ([, entry]: readonly [string, Rule | Kept]): boolean => !('kept' in entry);

/** The rules in the order of a run. */
export const RULES: ReadonlyMap<RuleName, Rule> = new Map((Object.entries(RETENTION) as [RuleName, Rule][]).filter(isRule));

/** Tables without a rule, and why. */
export const KEPT: ReadonlyArray<{ readonly table: string; readonly why: string }> = (
	Object.entries(RETENTION) as [string, Rule | Kept][]
).flatMap(([table, entry]) => ('kept' in entry ? [{ table, why: entry.kept }] : []));

/** True of every row. */
export const always = raw('1 = 1');
