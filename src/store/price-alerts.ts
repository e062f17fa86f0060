import { type Insertable, sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import { newestBucketOf } from './prices.ts';
import { type Db, inList, statement } from './statement.ts';
import type { PriceAlertTable, PriceWatchTable } from './tables/prices.ts';

export type Alert = Omit<PriceAlertTable, 'id'> & { readonly id: number };
export type Watch = PriceWatchTable;

/** How many alerts a client may have, and how many pools an alert of all pools begins with. */
export const MOST_ALERTS = 50;
const MOST_POOLS = 500;

/** Locks a client's row, so that what it has can be counted and numbered. Undefined where there is no such client. */
export const lockClient = statement<{ id: string }>()((db, v, dialect) =>
	db.selectFrom('client').select('id').where('id', '=', v('id')).modifyEnd(dialect.forUpdate),
);

export const alertCount = statement<{ client_id: string }>()((db, v) =>
	db
		.selectFrom('price_alert')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('client_id', '=', v('client_id')),
);

const insertAlert = statement<Omit<Alert, 'id'>>()((db, v) =>
	db.insertInto('price_alert').values({
		client_id: v('client_id'),
		pool_id: v('pool_id'),
		alert_type: v('alert_type'),
		direction: v('direction'),
		threshold_micros: v('threshold_micros'),
		enabled: v('enabled'),
		channels: v('channels'),
		created_by: v('created_by'),
		created_at: v('created_at'),
	} as Insertable<PriceAlertTable>),
);

const newestAlert = statement<{ client_id: string }>()((db, v) =>
	db.selectFrom('price_alert').select('id').where('client_id', '=', v('client_id')).orderBy('id', 'desc').limit(sql.lit(1)),
);

/** Adds an alert of a client whose row is locked; answers its number. */
export const addAlert = async (tx: Db, alert: Omit<Alert, 'id'>): Promise<number> => {
	await insertAlert.run(tx, alert);
	return (await newestAlert.first(tx, { client_id: alert.client_id }))?.id ?? 0;
};

export const alertById = statement<{ client_id: string; id: number }>()((db, v) =>
	db.selectFrom('price_alert').selectAll().where('id', '=', v('id')).where('client_id', '=', v('client_id')),
);

export const setAlertEnabled = statement<{ id: number; enabled: 0 | 1 }>()((db, v) =>
	db
		.updateTable('price_alert')
		.set({ enabled: v('enabled') })
		.where('id', '=', v('id')),
);

/** Its watches go with it. */
export const removeAlert = statement<{ id: number }>()((db, v) => db.deleteFrom('price_alert').where('id', '=', v('id')));

export const removeWatches = statement<{ alert_id: number }>()((db, v) =>
	db.deleteFrom('price_watch').where('alert_id', '=', v('alert_id')),
);

/** Alerts of a client, newest first, with when each was last told. */
export const listAlertRows = async (db: Db, filter: { clientId: string; limit: number; after: number | null }) => {
	let query = db
		.selectFrom('price_alert as a')
		.selectAll('a')
		.select((eb) => [
			eb
				.selectFrom('price_watch as w')
				.select(({ fn }) => fn.max('w.fired_at').as('at'))
				.whereRef('w.alert_id', '=', 'a.id')
				.as('fired_at'),
		])
		.where('a.client_id', '=', filter.clientId);
	if (filter.after !== null) query = query.where('a.id', '<', filter.after);
	return query
		.orderBy('a.id', 'desc')
		.limit(filter.limit + 1)
		.execute();
};

/** Pools that agents of a client have reported prices of. */
export const poolsOfClient = statement<{ client_id: string }>()((db, v) =>
	db.selectFrom('client_pool').select('pool_id').where('client_id', '=', v('client_id')).orderBy('pool_id').limit(sql.lit(MOST_POOLS)),
);

const WATCH = ['alert_id', 'pool_id', 'direction', 'threshold_micros', 'armed'] as const;
const insertWatches = multiRow('price_watch', WATCH, '');

export const addWatches = (tx: Db, rows: ReadonlyArray<Pick<Watch, (typeof WATCH)[number]>>): Promise<void> =>
	insertWatches(
		tx,
		rows.map((row) => WATCH.map((column) => row[column])),
	);

/** Alerts of all pools begin to watch pools that these clients' agents report for the first time. */
export const watchNewPools = statement<{ clients: readonly string[]; pools: readonly string[] }>()((db, v, dialect) =>
	db
		.insertInto('price_watch')
		.columns(['alert_id', 'pool_id', 'direction', 'threshold_micros', 'armed'])
		.expression((eb) =>
			eb
				.selectFrom('price_alert as a')
				.innerJoin('client_pool as c', 'c.client_id', 'a.client_id')
				.leftJoin('price_watch as w', (join) => join.onRef('w.alert_id', '=', 'a.id').onRef('w.pool_id', '=', 'c.pool_id'))
				.select(['a.id', 'c.pool_id', 'a.direction', 'a.threshold_micros', eb.lit(1).as('armed')])
				.where(inList(dialect, 'a.client_id', v('clients')))
				.where(inList(dialect, 'c.pool_id', v('pools')))
				.where('a.pool_id', 'is', null)
				.where('a.enabled', '=', 1)
				.where('w.alert_id', 'is', null),
		),
);

export type Crossed = Watch & { client_id: string; alert_type: string; channels: string; spot_micros: number; observed_at: number };

/**
 * The watches of these pools whose newest price is on the other side of the threshold than was seen before: found by the pool's part of
 * an index, whatever alerts others have on other pools.
 */
export const crossedWatches = statement<{ pools: readonly string[] }>()((db, v, dialect) =>
	db
		.selectFrom('price_watch as w')
		.innerJoin('price_clean as c', (join) => join.onRef('c.pool_id', '=', 'w.pool_id').on('c.bucket', '=', newestBucketOf('w.pool_id')))
		.innerJoin('price_alert as a', 'a.id', 'w.alert_id')
		.selectAll('w')
		.select(['a.client_id', 'a.alert_type', 'a.channels', 'c.spot_micros', 'c.observed_at'])
		.where(inList(dialect, 'w.pool_id', v('pools')))
		.where(
			sql<boolean>`w.armed = case when w.direction = 'above' then (case when c.spot_micros >= w.threshold_micros then 1 else 0 end) else (case when c.spot_micros <= w.threshold_micros then 1 else 0 end) end`,
		)
		.orderBy('w.alert_id')
		.orderBy('w.pool_id'),
);

/**
 * The watches whose threshold a price passed that came late, when newer ones of its pool were stored: of these buckets of these pools, those
 * observed since the alert was made and since it was told last.
 */
export const passedWatches = statement<{ pools: readonly string[]; buckets: readonly number[] }>()((db, v, dialect) =>
	db
		.selectFrom('price_watch as w')
		.innerJoin('price_clean as c', 'c.pool_id', 'w.pool_id')
		.innerJoin('price_alert as a', 'a.id', 'w.alert_id')
		.selectAll('w')
		.select(['a.client_id', 'a.alert_type', 'a.channels', 'c.spot_micros', 'c.observed_at', 'c.bucket'])
		.where(inList(dialect, 'w.pool_id', v('pools')))
		.where('w.armed', '=', 1)
		.where(inList(dialect, 'c.bucket', v('buckets')))
		.where('c.bucket', '<', newestBucketOf('w.pool_id'))
		.whereRef('c.observed_at', '>=', 'a.created_at')
		.where(sql<boolean>`c.observed_at > coalesce(w.fired_at, 0)`)
		.where(
			sql<boolean>`case when w.direction = 'above' then (case when c.spot_micros >= w.threshold_micros then 1 else 0 end) else (case when c.spot_micros <= w.threshold_micros then 1 else 0 end) end = 1`,
		)
		.orderBy('c.bucket')
		.orderBy('w.alert_id')
		.orderBy('w.pool_id')
		.limit(sql.lit(1000)),
);

/** The price is beyond the threshold: told now. Matches nothing where somebody else has told it. */
export const fire = statement<{ alert_id: number; pool_id: string; now: number; micros: number }>()((db, v) =>
	db
		.updateTable('price_watch')
		.set({ armed: 0, fired_at: v('now'), fired_micros: v('micros') })
		.where('alert_id', '=', v('alert_id'))
		.where('pool_id', '=', v('pool_id'))
		.where('armed', '=', 1),
);

/** The price went back. */
export const rearm = statement<{ alert_id: number; pool_id: string }>()((db, v) =>
	db.updateTable('price_watch').set({ armed: 1 }).where('alert_id', '=', v('alert_id')).where('pool_id', '=', v('pool_id')),
);
