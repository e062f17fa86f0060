import { type ExpressionBuilder, sql } from 'kysely';
import { WRITTEN_MS } from '../event-delay.ts';
import type { EventTable, Tables } from './schema.ts';
import { type Db, statement } from './statement.ts';

export type EventRecord = Omit<EventTable, 'id'> & { readonly id: number };

/** Ids from the first to the second, both of them included. */
export type IdRange = readonly [from: number, to: number];

/** The oldest and the newest id of the log; both 0 when it is empty. */
export const eventBounds = async (db: Db): Promise<{ oldest: number; newest: number }> => {
	const row = await bounds.first(db, {});
	return { oldest: Number(row?.oldest ?? 0), newest: Number(row?.newest ?? 0) };
};

const bounds = statement<object>()((db) =>
	db
		.selectNoFrom((eb) => [
			eb
				.selectFrom('event')
				.select((of) => of.fn.min('id').as('id'))
				.as('oldest'),
			eb
				.selectFrom('event')
				.select((of) => of.fn.max('id').as('id'))
				.as('newest'),
		])
		.limit(sql.lit(1)),
);

/** The ids that are there after one and up to another, in order, with their times. */
export const eventIds = statement<{ after: number; to: number }>()((db, v) =>
	db.selectFrom('event').select(['id', 'created_at']).where('id', '>', v('after')).where('id', '<=', v('to')).orderBy('id'),
);

/** Events after an id, oldest first, at most 1,000. */
export const eventsAfter = statement<{ after: number }>()((db, v) =>
	db.selectFrom('event').selectAll().where('id', '>', v('after')).orderBy('id').limit(sql.lit(1000)),
);

const within = (eb: ExpressionBuilder<Tables, 'event'>, ranges: readonly IdRange[]) =>
	eb.or(ranges.map(([from, to]) => (from === to ? eb('id', '=', from) : eb.and([eb('id', '>=', from), eb('id', '<=', to)]))));

/** Events whose ids lie in one of the ranges, oldest first; of one client where one is named. */
export const eventsWithin = async (db: Db, ranges: readonly IdRange[], clientId: string | null): Promise<EventRecord[]> => {
	if (ranges.length === 0) return [];
	let query = db
		.selectFrom('event')
		.selectAll()
		.where((eb) => within(eb, ranges));
	if (clientId !== null) query = query.where('client_id', '=', clientId);
	return query.orderBy('id').execute();
};

/** Events after one id and up to another, oldest first, at most `limit`; of one client where one is named. */
export const eventsBetween = (
	db: Db,
	{ after, to, clientId, limit }: { after: number; to: number; clientId: string | null; limit: number },
): Promise<EventRecord[]> => {
	let query = db.selectFrom('event').selectAll().where('id', '>', after).where('id', '<=', to);
	if (clientId !== null) query = query.where('client_id', '=', clientId);
	return query.orderBy('id').limit(limit).execute();
};

export type EventFilter = {
	readonly limit: number;
	readonly after: number | null;
	readonly clientId: string | null;
	readonly agentId: string | null;
	readonly type: string | null;
	readonly severity: string | null;
	/** UTC milliseconds. */
	readonly since: number | null;
};

const firstSince = statement<{ since: number }>()((db, v) =>
	db.selectFrom('event').select('id').where('created_at', '>=', v('since')).orderBy('created_at').orderBy('id').limit(sql.lit(1)),
);

/** Events newest first, one more than `limit`. Two statements with `since`, one without. */
export const listEventRows = async (db: Db, filter: EventFilter): Promise<EventRecord[]> => {
	const { since, after } = filter;
	let query = db.selectFrom('event').selectAll();
	if (since !== null) {
		const first = await firstSince.first(db, { since: since - WRITTEN_MS });
		if (first === undefined) return [];
		query = query.where('created_at', '>=', since).where('id', '>=', first.id);
	}
	if (filter.clientId !== null) query = query.where('client_id', '=', filter.clientId);
	if (filter.agentId !== null) query = query.where('agent_id', '=', filter.agentId);
	if (filter.type !== null) query = query.where('type', '=', filter.type);
	if (filter.severity !== null) query = query.where('severity', '=', filter.severity as EventRecord['severity']);
	if (after !== null) query = query.where('id', '<', after);
	return query
		.orderBy('id', 'desc')
		.limit(filter.limit + 1)
		.execute();
};
