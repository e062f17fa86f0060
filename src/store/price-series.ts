import { sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import { newestBucketOf } from './prices.ts';
import type { PoolTable } from './schema.ts';
import { type Db, inList, statement, together } from './statement.ts';

const HOUR = 3_600_000;

/** What the clean prices of a pool in one stretch of time add up to; micro-dollars. */
export type Stretch = {
	readonly poolId: string;
	/** Begin of the stretch, UTC milliseconds. */
	readonly at: number;
	readonly points: number;
	/** How many of them were interpolated. */
	readonly synthetic: number;
	readonly spotSum: number;
	readonly squareSum: number;
	readonly onDemandSum: number;
	readonly onDemandPoints: number;
};

type Row = {
	pool_id: string;
	at: number;
	points: number;
	synthetic: number;
	spot_sum: number;
	square_sum: number;
	ondemand_sum: number;
	ondemand_points: number;
};

const stretchOf = (row: Row): Stretch => ({
	poolId: row.pool_id,
	at: Number(row.at),
	points: Number(row.points),
	synthetic: Number(row.synthetic),
	spotSum: Number(row.spot_sum),
	squareSum: Number(row.square_sum),
	onDemandSum: Number(row.ondemand_sum),
	onDemandPoints: Number(row.ondemand_points),
});

const summedUntil = statement<object>()((db) => db.selectFrom('price_hour_state').select('until').where('id', '=', sql.lit(1)));

type Range = { pools: readonly string[]; since: number; until: number; size: number };

const fromClean = statement<Range>()((db, v, dialect) =>
	db
		.selectFrom('price_clean')
		.select([
			'pool_id',
			sql<number>`bucket - bucket % ${v('size')}`.as('at'),
			sql<number>`count(*)`.as('points'),
			sql<number>`sum(case when data_source = 'interpolated' then 1 else 0 end)`.as('synthetic'),
			sql<number>`sum(spot_micros)`.as('spot_sum'),
			sql<number>`sum(spot_micros * 1e0 * spot_micros)`.as('square_sum'),
			sql<number>`coalesce(sum(ondemand_micros), 0)`.as('ondemand_sum'),
			sql<number>`count(ondemand_micros)`.as('ondemand_points'),
		])
		.where(inList(dialect, 'pool_id', v('pools')))
		.where('bucket', '>=', v('since'))
		.where('bucket', '<', v('until'))
		.groupBy(['pool_id', 'at']),
);

const fromHours = statement<Range>()((db, v, dialect) =>
	db
		.selectFrom('price_hour')
		.select([
			'pool_id',
			sql<number>`${sql.ref('hour')} - ${sql.ref('hour')} % ${v('size')}`.as('at'),
			sql<number>`sum(points)`.as('points'),
			sql<number>`sum(synthetic)`.as('synthetic'),
			sql<number>`sum(spot_sum)`.as('spot_sum'),
			sql<number>`sum(square_sum)`.as('square_sum'),
			sql<number>`sum(ondemand_sum)`.as('ondemand_sum'),
			sql<number>`sum(ondemand_points)`.as('ondemand_points'),
		])
		.where(inList(dialect, 'pool_id', v('pools')))
		.where('hour', '>=', v('since'))
		.where('hour', '<', v('until'))
		.groupBy(['pool_id', 'at']),
);

/**
 * The clean prices of pools from `since` to `until`, in stretches of `size` milliseconds counted from 1970 (UTC): an hour, or whole hours.
 * What is summed by hour already is read from there. A stretch may come in two parts where the two meet. Two statements, one for pools of none.
 */
export const priceSeries = async (
	db: Db,
	pools: readonly string[],
	range: { since: number; until: number; size: number },
): Promise<Stretch[]> => {
	if (pools.length === 0) return [];
	const meet = Math.min(range.until, Math.max(range.since, (await summedUntil.first(db, {}))?.until ?? 0));
	const [old, recent] = await together(db, [
		fromHours.of({ ...range, pools, until: meet }),
		fromClean.of({ ...range, pools, since: meet }),
	]);
	return [...(old as Row[]), ...(recent as Row[])].map(stretchOf);
};

/** The pools of a type and region that agents of a client report prices of; where there are none, those anybody reports. */
export const marketOf = statement<{ client_id: string; instance_type: string; region: string }>()((db, v) =>
	db
		.selectFrom('pool as p')
		.leftJoin('client_pool as c', (join) => join.onRef('c.pool_id', '=', 'p.id').on('c.client_id', '=', v('client_id')))
		.select(['p.id', 'p.instance_type', 'p.region', 'p.az', sql<number>`case when c.pool_id is null then 0 else 1 end`.as('own')])
		.where('p.instance_type', '=', v('instance_type'))
		.where('p.region', '=', v('region'))
		.where('p.active', '=', 1)
		.orderBy('own', 'desc')
		.orderBy('p.az')
		.limit(sql.lit(200)),
);

export type MarketPool = Pick<PoolTable, 'id' | 'instance_type' | 'region' | 'az'> & { readonly own: number };

export type Newest = { id: string; spot_micros: number; ondemand_micros: number | null; confidence: number; observed_at: number };

/** The newest clean price of each of these pools that has one. One look at the key for each. */
export const newestOf = statement<{ pools: readonly string[] }>()((db, v, dialect) =>
	db
		.selectFrom('pool as p')
		.innerJoin('price_clean as c', (join) => join.onRef('c.pool_id', '=', 'p.id').on('c.bucket', '=', newestBucketOf('p.id')))
		.select(['p.id', 'c.spot_micros', 'c.ondemand_micros', 'c.confidence', 'c.observed_at'])
		.where(inList(dialect, 'p.id', v('pools'))),
);

const firstBucket = statement<object>()((db) =>
	db
		.selectFrom('pool as p')
		.select(sql<number | null>`min((select c.bucket from price_clean c where c.pool_id = p.id order by c.bucket limit 1))`.as('first')),
);

const poolPage = statement<{ after: string }>()((db, v) =>
	db.selectFrom('pool').select('id').where('id', '>', v('after')).orderBy('id').limit(sql.lit(500)),
);

const HOURS = ['pool_id', 'hour', 'points', 'synthetic', 'spot_sum', 'square_sum', 'ondemand_sum', 'ondemand_points'] as const;
const replaceHours = {
	sqlite: multiRow(
		'price_hour',
		HOURS,
		`on conflict (pool_id, hour) do update set ${HOURS.slice(2)
			.map((c) => `${c} = excluded.${c}`)
			.join(', ')}`,
	),
	mysql: multiRow(
		'price_hour',
		HOURS,
		`on duplicate key update ${HOURS.slice(2)
			.map((c) => `${c} = values(${c})`)
			.join(', ')}`,
	),
};

const saveUntil = statement<{ until: number }>()((db, v, dialect) =>
	db
		.insertInto('price_hour_state')
		.values({ id: 1, until: v('until') })
		.modifyEnd(sql`${dialect.onConflict(['id'])} until = ${dialect.incoming('until')}`),
);

/** The first hour that is not summed yet; null while there is no price at all. */
export const hourToSum = async (db: Db): Promise<number | null> => {
	const done = (await summedUntil.first(db, {}))?.until;
	if (done !== undefined) return done;
	const first = (await firstBucket.first(db, {}))?.first ?? null;
	return first === null ? null : Number(first) - (Number(first) % HOUR);
};

/** Sums the clean prices of one hour, as they are now: safe to repeat. Returns how many rows it wrote. */
export const sumHour = async (tx: Db, dialect: 'sqlite' | 'mysql', hour: number): Promise<number> => {
	let written = 0;
	for (let after = ''; ; ) {
		const pools = (await poolPage.all(tx, { after })).map(({ id }) => id);
		const last = pools.at(-1);
		if (last === undefined) break;
		const rows = (await fromClean.all(tx, { pools, since: hour, until: hour + HOUR, size: HOUR })).map(stretchOf);
		await replaceHours[dialect](
			tx,
			rows.map((row) => [row.poolId, row.at, row.points, row.synthetic, row.spotSum, row.squareSum, row.onDemandSum, row.onDemandPoints]),
		);
		written += rows.length;
		after = last;
		if (pools.length < 500) break;
	}
	await saveUntil.later(tx, { until: hour + HOUR });
	return written;
};
