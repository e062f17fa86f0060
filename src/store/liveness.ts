import { sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import type { HostLivenessTable } from './schema.ts';
import { type Db, statement } from './statement.ts';

export const livenessOf = statement<{ handle: string }>()((db, v) =>
	db.selectFrom('host_liveness').selectAll().where('handle', '=', v('handle')),
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

/**
 * How many machines are watched (one that is only named not before it has had its time), how many of them were last heard before `cutoff`, and how many agents are offline, whose machines nobody
 * watches any more. Indexes only.
 */
export const watchedHosts = statement<{ now: number; cutoff: number }>()((db, v) =>
	db.selectNoFrom((eb) => [
		eb.selectFrom('host_liveness').select(eb.fn.countAll<number>().as('n')).where('watch_at', '<=', v('now')).$asScalar().as('watched'),
		eb.selectFrom('host_liveness').select(eb.fn.countAll<number>().as('n')).where('watch_at', '<', v('cutoff')).$asScalar().as('overdue'),
		eb.selectFrom('agent').select(eb.fn.countAll<number>().as('n')).where('status', '=', 'offline').$asScalar().as('offline'),
	]),
);

/** The row that says since when somebody has been listening without a gap. */
export const serviceClock = statement<Record<string, never>>()((db) => db.selectFrom('service_clock').selectAll().where('id', '=', 1));

/** Keeps the gap that {@link markAlive} is about to end, once whoever else sees it too. */
export const noteGap = statement<{ now: number; gap: number }>()((db, v, dialect) =>
	db
		.insertInto('service_gap')
		.columns(['from_at', 'until_at'])
		.expression((eb) =>
			eb
				.selectFrom('service_clock')
				.select(['alive_at as from_at', sql<number>`${v('now')}`.as('until_at')])
				.where(sql<boolean>`${v('now')} - alive_at > ${v('gap')}`),
		)
		.modifyEnd(sql`${dialect.onConflict(['from_at'])} until_at = service_gap.until_at`),
);

/** The first gap that ended after a time. */
export const gapAfter = statement<{ after: number }>()((db, v) =>
	db.selectFrom('service_gap').selectAll().where('until_at', '>', v('after')).orderBy('until_at').limit(sql.lit(1)),
);

/** Forgets gaps that ended up to a time. */
export const dropGaps = statement<{ until: number }>()((db, v) => db.deleteFrom('service_gap').where('until_at', '<=', v('until')));

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
