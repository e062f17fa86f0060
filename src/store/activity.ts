import { sql } from 'kysely';
import type { EventTable, Severity } from './schema.ts';
import { among, atMost, type Db } from './statement.ts';

export type ActivityRow = Omit<EventTable, 'id'> & { id: number; client_name: string | null };

export type ActivityFilter = {
	readonly clientId: string | null;
	readonly agentId: string | null;
	readonly severity: Severity | null;
	/** Only these types of event; null: all but those of the stream of notifications and `notTypes`. */
	readonly types: readonly string[] | null;
	readonly notTypes: readonly string[];
	/** UTC milliseconds. */
	readonly since: number | null;
	readonly limit: number;
	/** Only ids below it. */
	readonly before: number | null;
};

/** Transactions that take longer than this, and clocks of daemons that differ by more, are not ours to order. */
const SKEW_MS = 60_000;

const NOTHING = Number.MAX_SAFE_INTEGER;

const oneOf = (db: Db, filter: ActivityFilter, type: string | null) => {
	let query = db.selectFrom('event').select('event.id as id');
	if (filter.clientId !== null) query = query.where('event.client_id', '=', filter.clientId);
	if (filter.agentId !== null) query = query.where('event.agent_id', '=', filter.agentId);
	if (filter.severity !== null) query = query.where('event.severity', '=', filter.severity);
	if (type !== null) query = query.where('event.type', '=', type);
	else {
		// A range, since `_` is a wildcard of `like`: 'notificatioo' follows everything that begins with 'notification'.
		query = query.where((eb) => eb.or([eb('event.type', '<', 'notification'), eb('event.type', '>=', 'notificatioo')]));
		if (filter.notTypes.length > 0) query = query.where('event.type', 'not in', [...filter.notTypes]);
	}
	if (filter.before !== null) query = query.where('event.id', '<', filter.before);
	if (filter.since !== null) {
		// Ids follow time but for what overlaps: where the time began in them ends the search without a look at what is older.
		const from = db
			.selectFrom('event as e')
			.select('e.id')
			.where('e.created_at', '>=', filter.since - SKEW_MS)
			.orderBy('e.created_at')
			.orderBy('e.id')
			.limit(atMost(1));
		query = query
			.where('event.created_at', '>=', filter.since)
			.where('event.id', '>=', sql<number>`coalesce(${from}, ${sql.lit(NOTHING)})`);
	}
	return query.orderBy('event.id', 'desc').limit(atMost(filter.limit + 1));
};

/** Events with the name of their client, newest first, with one more than `limit`. Two statements. */
export const listActivityRows = async (db: Db, filter: ActivityFilter): Promise<ActivityRow[]> => {
	// A search of its own for each type: every one of them ends at its first rows of an index, whatever the others are.
	const [first = null, ...more] = filter.types ?? [null];
	const part = (type: string | null) => db.selectFrom(oneOf(db, filter, type).as('part')).select('part.id');
	let found = part(first);
	for (const type of more) found = found.unionAll(part(type));
	const ids = await db
		.selectFrom(found.as('found'))
		.select('found.id')
		.orderBy('found.id', 'desc')
		.limit(atMost(filter.limit + 1))
		.execute();
	if (ids.length === 0) return [];
	return db
		.selectFrom('event')
		.leftJoin('client', 'client.id', 'event.client_id')
		.selectAll('event')
		.select('client.name as client_name')
		.where(
			among(
				db,
				'event.id',
				ids.map(({ id }) => Number(id)),
			),
		)
		.orderBy('event.id', 'desc')
		.execute();
};
