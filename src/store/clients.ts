import { sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import type { ClientTable } from './schema.ts';
import { among, type Db, statement } from './statement.ts';

export type Client = ClientTable;

export const clientById = statement<{ id: string }>()((db, v) => db.selectFrom('client').selectAll().where('id', '=', v('id')));

/** The same, locked until the end of the transaction: what counts against its limits is counted by one at a time. */
export const lockClient = statement<{ id: string }>()((db, v, dialect) =>
	db.selectFrom('client').selectAll().where('id', '=', v('id')).modifyEnd(dialect.forUpdate),
);

export const clientByName = statement<{ name: string }>()((db, v) => db.selectFrom('client').selectAll().where('name', '=', v('name')));

export const clientByEmail = statement<{ email: string }>()((db, v) =>
	db.selectFrom('client').select('id').where('email', '=', v('email')),
);

export const addClient = (tx: Db, row: Client): Promise<unknown> => tx.insertInto('client').values(row).execute();

export const saveClient = (tx: Db, row: Client): Promise<unknown> =>
	tx
		.updateTable('client')
		.set({ status: row.status, max_agents: row.max_agents, max_instances: row.max_instances, test_client: row.test_client })
		.where('id', '=', row.id)
		.execute();

/** Notes when a host of a client was last heard. */
export const noteSync = statement<{ id: string; at: number }>()((db, v) =>
	db
		.updateTable('client')
		.set({ last_sync_at: v('at') })
		.where('id', '=', v('id')),
);

export const removeClient = async (tx: Db, id: string): Promise<void> => {
	await tx.deleteFrom('client').where('id', '=', id).execute();
};

/** Clients newest first, one more than `limit`; `name` is an exact name or id. */
export const listClientRows = (db: Db, filter: { limit: number; after: string | null; name: string | null }): Promise<Client[]> => {
	const { after, name } = filter;
	let query = db.selectFrom('client').selectAll();
	if (name !== null) query = query.where((eb) => eb.or([eb('name', '=', name), eb('id', '=', name)]));
	if (after !== null) query = query.where('id', '<', after);
	return query
		.orderBy('id', 'desc')
		.limit(filter.limit + 1)
		.execute();
};

/** Agents that are not deleted, and machines that have not ended. */
export type Counts = { online: number; offline: number; total: number; active: number; zombie: number };

/** Machines that count as live: terminated ones are the most there are, and are counted by themselves. */
const LIVE = ['primary', 'replica', 'candidate', 'named', 'zombie', 'ended'] as const;

/** How many machines of a client have ended: those that {@link countEnded} counted, and those that ended since. Two statements. */
export const endedHosts = async (db: Db, clientId: string): Promise<number> => {
	const counted = await endedBefore.first(db, { client_id: clientId });
	const since = await endedSince.first(db, { client_id: clientId, until: counted?.until ?? -1 });
	return Number(counted?.machines ?? 0) + Number(since?.count ?? 0);
};

const endedBefore = statement<{ client_id: string }>()((db, v) =>
	db.selectFrom('client_ended').selectAll().where('client_id', '=', v('client_id')),
);

const endedSince = statement<{ client_id: string; until: number }>()((db, v) =>
	db
		.selectFrom('host')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('client_id', '=', v('client_id'))
		.where('role', '=', 'terminated')
		.where('terminated_at', '>', v('until')),
);

/** Counts the machines of every client that had ended by an instant. An index is read. Answers how many clients have any. */
export const countEnded = async (tx: Db, until: number): Promise<number> => {
	const dialect = dialectOf(tx);
	const result = await tx
		.insertInto('client_ended')
		.columns(['client_id', 'machines', 'until'])
		.expression((eb) =>
			eb
				.selectFrom('host')
				.select((row) => ['client_id', row.fn.countAll<number>().as('machines'), sql<number>`${sql.lit(until)}`.as('until')])
				.where('role', '=', 'terminated')
				.where('terminated_at', '<=', until)
				.groupBy('client_id'),
		)
		.modifyEnd(sql`${dialect.onConflict(['client_id'])} machines = ${dialect.incoming('machines')}, until = ${dialect.incoming('until')}`)
		.executeTakeFirst();
	return Number(result.numInsertedOrUpdatedRows ?? 0n);
};

/** Agents and machines of each of these clients, in two statements however many clients there are. */
export const clientCounts = async (db: Db, ids: readonly string[]): Promise<Map<string, Counts>> => {
	const counts = new Map<string, Counts>(ids.map((id) => [id, { online: 0, offline: 0, total: 0, active: 0, zombie: 0 }]));
	if (ids.length === 0) return counts;
	const agents = await db
		.selectFrom('agent')
		.select((eb) => ['client_id', 'status', eb.fn.countAll<number>().as('count')])
		.where(among(db, 'client_id', ids))
		.where('status', '<>', 'deleted')
		.groupBy(['client_id', 'status'])
		.execute();
	for (const row of agents) {
		const entry = counts.get(row.client_id);
		if (entry === undefined) continue;
		entry.total += Number(row.count);
		if (row.status === 'online') entry.online += Number(row.count);
		else if (row.status === 'offline') entry.offline += Number(row.count);
	}
	const hosts = await db
		.selectFrom('host')
		.select((eb) => ['client_id', 'role', eb.fn.countAll<number>().as('count')])
		.where(among(db, 'client_id', ids))
		.where('role', 'in', LIVE)
		.groupBy(['client_id', 'role'])
		.execute();
	for (const row of hosts) {
		const entry = counts.get(row.client_id);
		if (entry === undefined) continue;
		if (row.role === 'zombie' || row.role === 'ended') entry.zombie += Number(row.count);
		else entry.active += Number(row.count);
	}
	return counts;
};
