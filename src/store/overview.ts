import { sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import type { AgentStatus, EmergencyKind, EmergencyTable } from './schema.ts';
import { among, type Db, statement } from './statement.ts';
import type { FleetDayTable } from './tables/overview.ts';

export const DAY_MS = 86_400_000;

/** How many agents have each status: of the fleet, or of a client. An index is read. */
export const agentsByStatus = async (db: Db, clientId: string | null): Promise<ReadonlyMap<AgentStatus, number>> => {
	let query = db.selectFrom('agent').select((eb) => ['status', eb.fn.countAll<number>().as('count')]);
	if (clientId !== null) query = query.where('client_id', '=', clientId);
	return new Map((await query.groupBy('status').execute()).map((row) => [row.status, Number(row.count)]));
};

const sumIf = (condition: ReturnType<typeof sql<boolean>>) => sql<number>`coalesce(sum(case when ${condition} then 1 else 0 end), 0)`;

/** Clients now: all, those that are active, and those created since an instant. */
export const clientsNow = async (db: Db, since: number): Promise<{ total: number; active: number; added: number }> => {
	const row = await db
		.selectFrom('client')
		.select((eb) => [
			eb.fn.countAll<number>().as('total'),
			sumIf(sql`status = 'active'`).as('active'),
			sumIf(sql`created_at >= ${since}`).as('added'),
		])
		.executeTakeFirstOrThrow();
	return { total: Number(row.total), active: Number(row.active), added: Number(row.added) };
};

export const activePools = async (db: Db): Promise<number> =>
	Number(
		(
			await db
				.selectFrom('pool')
				.select((eb) => eb.fn.countAll<number>().as('count'))
				.where('active', '=', 1)
				.executeTakeFirstOrThrow()
		).count,
	);

/** Clients that exist now by the UTC day of their creation, from a day on; how many are older, and the day of the first. */
export const clientsByDay = async (
	db: Db,
	from: number,
): Promise<{ before: number; first: number | null; added: ReadonlyMap<number, number> }> => {
	const day = sql<number>`(created_at - created_at % ${sql.lit(DAY_MS)})`;
	const [older, rows] = [
		await db
			.selectFrom('client')
			.select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.min('created_at').as('first')])
			.where('created_at', '<', from)
			.executeTakeFirstOrThrow(),
		await db
			.selectFrom('client')
			.select((eb) => [day.as('day'), eb.fn.countAll<number>().as('count')])
			.where('created_at', '>=', from)
			.groupBy(day)
			.orderBy('day')
			.execute(),
	];
	const first = older.first ?? rows[0]?.day ?? null;
	return {
		before: Number(older.count),
		first: first === null ? null : Number(first),
		added: new Map(rows.map((row) => [Number(row.day), Number(row.count)])),
	};
};

/** The days that were looked at, from a day on. */
export const fleetDays = statement<{ from: number }>()((db, v) =>
	db.selectFrom('fleet_day').selectAll().where('day', '>=', v('from')).orderBy('day').limit(sql.lit(400)),
);

/** Writes what the clients of a day are now. */
export const saveFleetDay = async (tx: Db, row: FleetDayTable): Promise<void> => {
	const dialect = dialectOf(tx);
	const { incoming } = dialect;
	await tx
		.insertInto('fleet_day')
		.values(row)
		.modifyEnd(
			sql`${dialect.onConflict(['day'])} added = ${dialect.greatest(sql`fleet_day.added`, incoming('added'))}, ${sql.join(
				['clients', 'active', 'taken_at'].map((column) => sql`${sql.ref(column)} = ${incoming(column)}`),
			)}`,
		)
		.execute();
};

/** Looks once at the agents of every client and adds what it finds to the client's day. Answers how many clients have agents. */
export const sampleAgents = async (tx: Db, day: number): Promise<number> => {
	const dialect = dialectOf(tx);
	const sums = ['samples', 'agents', 'online'];
	const result = await tx
		.insertInto('client_day')
		.columns(['client_id', 'day', 'samples', 'agents', 'online'])
		.expression((eb) =>
			eb
				.selectFrom('agent')
				.select((row) => [
					'client_id',
					sql<number>`${sql.lit(day)}`.as('day'),
					row.lit(1).as('samples'),
					row.fn.countAll<number>().as('agents'),
					sumIf(sql`status in ('online', 'switching')`).as('online'),
				])
				.where('enabled', '=', 1)
				.where('status', '<>', 'deleted')
				.groupBy('client_id'),
		)
		.modifyEnd(
			sql`${dialect.onConflict(['client_id', 'day'])} ${sql.join(
				sums.map((column) => sql`${sql.ref(column)} = client_day.${sql.raw(column)} + ${dialect.incoming(column)}`),
			)}`,
		)
		.executeTakeFirst();
	return Number(result.numInsertedOrUpdatedRows ?? 0n);
};

/** Forgets looks of days before an instant: a day's rows each day. */
export const forgetSamples = statement<{ before: number }>()((db, v) => db.deleteFrom('client_day').where('day', '<', v('before')));

/** The sums of the looks at a client's agents from a day on. */
export const samplesOf = async (
	db: Db,
	clientId: string,
	from: number,
): Promise<{ samples: number; agents: number; online: number; first: number | null }> => {
	const row = await db
		.selectFrom('client_day')
		.select((eb) => [
			eb.fn.sum<number>('samples').as('samples'),
			eb.fn.sum<number>('agents').as('agents'),
			eb.fn.sum<number>('online').as('online'),
			eb.fn.min('day').as('first'),
		])
		.where('client_id', '=', clientId)
		.where('day', '>=', from)
		.executeTakeFirst();
	return {
		samples: Number(row?.samples ?? 0),
		agents: Number(row?.agents ?? 0),
		online: Number(row?.online ?? 0),
		first: row?.first == null ? null : Number(row.first),
	};
};

/** When the primaries of the agents of each status were heard last: below 5 minutes, below 15, or longer ago and never. */
export type Heard = { status: AgentStatus; agents: number; healthy: number; degraded: number };

const MINUTE = 60_000;

export const agentsHeard = async (db: Db, now: number): Promise<Heard[]> => {
	const heard = sql.ref('l.heartbeat_at');
	const rows = await db
		.selectFrom('agent as a')
		.leftJoin('host as p', 'p.primary_of', 'a.id')
		.leftJoin('host_liveness as l', 'l.handle', 'p.handle')
		.select((eb) => [
			'a.status',
			eb.fn.countAll<number>().as('agents'),
			sumIf(sql`${heard} > ${now - 5 * MINUTE}`).as('healthy'),
			sumIf(sql`${heard} <= ${now - 5 * MINUTE} and ${heard} > ${now - 15 * MINUTE}`).as('degraded'),
		])
		.groupBy('a.status')
		.execute();
	return rows.map((row) => ({
		status: row.status,
		agents: Number(row.agents),
		healthy: Number(row.healthy),
		degraded: Number(row.degraded),
	}));
};

/** The five offline agents that were heard most recently. */
export const lastOffline = (db: Db) =>
	db
		.selectFrom('agent as a')
		.innerJoin('client as c', 'c.id', 'a.client_id')
		.leftJoin('host as p', 'p.primary_of', 'a.id')
		.leftJoin('host_liveness as l', 'l.handle', 'p.handle')
		.select(['a.id', 'a.logical_agent_id', 'p.hostname', 'c.name as client_name', 'l.heartbeat_at'])
		.where('a.status', '=', 'offline')
		.orderBy('l.heartbeat_at', 'desc')
		.orderBy('a.id')
		.limit(5)
		.execute();

/** Agents by client and status, deleted ones left out. An index is read. */
export const agentsOfClients = async (
	db: Db,
	clientIds: readonly string[],
): Promise<ReadonlyArray<{ client_id: string; status: AgentStatus; count: number }>> => {
	if (clientIds.length === 0) return [];
	const rows = await db
		.selectFrom('agent')
		.select((eb) => ['client_id', 'status', eb.fn.countAll<number>().as('count')])
		.where(among(db, 'client_id', clientIds))
		.where('status', '<>', 'deleted')
		.groupBy(['client_id', 'status'])
		.execute();
	return rows.map((row) => ({ ...row, count: Number(row.count) }));
};

/** The downtimes of the newest switches, of those that have one; `looked` is how many switches that were. */
export const newestDowntimes = async (db: Db, limit: number): Promise<{ looked: number; downtimes: number[] }> => {
	const rows = await db.selectFrom('switch_record').select('downtime_ms').orderBy('id', 'desc').limit(limit).execute();
	return { looked: rows.length, downtimes: rows.flatMap(({ downtime_ms }) => (downtime_ms === null ? [] : [Number(downtime_ms)])) };
};

/** Emergencies ever by kind. An index is read. */
export const emergenciesByKind = async (db: Db): Promise<ReadonlyMap<EmergencyKind, number>> => {
	const rows = await db
		.selectFrom('emergency')
		.select((eb) => ['kind', eb.fn.countAll<number>().as('count')])
		.groupBy('kind')
		.execute();
	return new Map(rows.map((row) => [row.kind, Number(row.count)]));
};

/** Emergencies of the fleet since an instant, newest first; `after` is the last of the page before. */
export const emergenciesSince = (
	db: Db,
	{ since, after, limit }: { since: number; after: { at: number; id: string } | null; limit: number },
): Promise<Array<EmergencyTable & { logical_agent_id: string; client_name: string }>> => {
	let query = db
		.selectFrom('emergency as e')
		.innerJoin('agent as a', 'a.id', 'e.agent_id')
		.innerJoin('client as c', 'c.id', 'e.client_id')
		.selectAll('e')
		.select(['a.logical_agent_id', 'c.name as client_name'])
		.where('e.received_at', '>=', since);
	if (after !== null)
		query = query
			.where('e.received_at', '<=', after.at)
			.where((eb) => eb.or([eb('e.received_at', '<', after.at), eb('e.id', '<', after.id)]));
	return query
		.orderBy('e.received_at', 'desc')
		.orderBy('e.id', 'desc')
		.limit(limit + 1)
		.execute();
};
