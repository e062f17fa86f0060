import { sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import type { ClientPoolTable, HostPriceTable, OnDemandPriceTable, PoolTable, PriceCleanTable, PriceReportTable } from './schema.ts';
import { type Db, inList, statement } from './statement.ts';

type DialectName = 'sqlite' | 'mysql';

const upserts = <T>(make: (dialect: DialectName) => T): Readonly<Record<DialectName, T>> => ({
	sqlite: make('sqlite'),
	mysql: make('mysql'),
});
const onConflict = (dialect: DialectName, keys: string): string =>
	dialect === 'sqlite' ? `on conflict (${keys}) do update set` : 'on duplicate key update';
const incoming = (dialect: DialectName, column: string): string => (dialect === 'sqlite' ? `excluded.${column}` : `values(${column})`);
const stored = (dialect: DialectName, table: string, column: string): string => (dialect === 'sqlite' ? `${table}.${column}` : column);

const POOL = ['id', 'instance_type', 'region', 'az', 'active', 'created_at'] as const;
// Not its id: SQLite would look at every price of a pool whose key an update names, for rows that lose their parent.
const pools = upserts((d) => multiRow('pool', POOL, `${onConflict(d, 'id')} active = ${stored(d, 'pool', 'active')}`));

/** Adds pools that are not there yet. */
export const addPools = (tx: Db, dialect: DialectName, rows: readonly PoolTable[]): Promise<void> =>
	pools[dialect](
		tx,
		rows.map((row) => POOL.map((column) => row[column])),
	);

const REPORT = [
	'client_id',
	'handle',
	'source',
	'instance_type',
	'ondemand_micros',
	'current_micros',
	'points',
	'observed_at',
	'arrived_at',
] as const;
const reports = multiRow('price_report', REPORT, '');

export const addPriceReports = (tx: Db, rows: ReadonlyArray<Omit<PriceReportTable, 'id'>>): Promise<void> =>
	reports(
		tx,
		rows.map((row) => REPORT.map((column) => row[column])),
	);

const CLEAN = [
	'pool_id',
	'bucket',
	'spot_micros',
	'ondemand_micros',
	'source',
	'priority',
	'confidence',
	'data_source',
	'observed_at',
] as const;
const clean = upserts((d) => {
	// MySQL assigns from left to right: priority, which decides, is written last.
	const better = `${incoming(d, 'priority')} > ${stored(d, 'price_clean', 'priority')}`;
	const columns = ['spot_micros', 'ondemand_micros', 'source', 'confidence', 'data_source', 'observed_at', 'priority'];
	const set = columns.map(
		(column) => `${column} = case when ${better} then ${incoming(d, column)} else ${stored(d, 'price_clean', column)} end`,
	);
	return multiRow('price_clean', CLEAN, `${onConflict(d, 'pool_id, bucket')} ${set.join(', ')}`);
});

/** Keeps, per pool and bucket, the source of higher priority, of equals the first (spec section 9). */
export const mergeCleanPrices = (tx: Db, dialect: DialectName, rows: readonly PriceCleanTable[]): Promise<void> =>
	clean[dialect](
		tx,
		rows.map((row) => CLEAN.map((column) => row[column])),
	);

const ONDEMAND = ['instance_type', 'region', 'micros', 'observed_at'] as const;
const onDemand = upserts((d) => {
	const newer = `${incoming(d, 'observed_at')} >= ${stored(d, 'ondemand_price', 'observed_at')}`;
	const set = ['micros', 'observed_at'].map(
		(column) => `${column} = case when ${newer} then ${incoming(d, column)} else ${stored(d, 'ondemand_price', column)} end`,
	);
	return multiRow('ondemand_price', ONDEMAND, `${onConflict(d, 'instance_type, region')} ${set.join(', ')}`);
});

/** Keeps the newest on-demand price per type and region. */
export const mergeOnDemandPrices = (tx: Db, dialect: DialectName, rows: readonly OnDemandPriceTable[]): Promise<void> =>
	onDemand[dialect](
		tx,
		rows.map((row) => ONDEMAND.map((column) => row[column])),
	);

const HOST = ['handle', 'spot_micros', 'ondemand_micros', 'reported_at'] as const;
const hostPrices = upserts((d) =>
	multiRow(
		'host_price',
		HOST,
		`${onConflict(d, 'handle')} spot_micros = coalesce(${incoming(d, 'spot_micros')}, ${stored(d, 'host_price', 'spot_micros')}), ondemand_micros = coalesce(${incoming(d, 'ondemand_micros')}, ${stored(d, 'host_price', 'ondemand_micros')}), reported_at = ${incoming(d, 'reported_at')}`,
	),
);

/** What hosts say they cost; an unknown price never overwrites a known one (endpoints.md #48). */
export const mergeHostPrices = (tx: Db, dialect: DialectName, rows: readonly HostPriceTable[]): Promise<void> =>
	hostPrices[dialect](
		tx,
		rows.map((row) => HOST.map((column) => row[column])),
	);

export const poolsOf = statement<{ instance_type: string; region: string }>()((db, v) =>
	db
		.selectFrom('pool')
		.selectAll()
		.where('instance_type', '=', v('instance_type'))
		.where('region', '=', v('region'))
		.where('active', '=', 1)
		.orderBy('az')
		.limit(sql.lit(200)),
);

/** Active pools of a region that agents of a client have reported prices of, those of a type first. */
export const poolsOfRegion = statement<{ client_id: string; region: string; instance_type: string }>()((db, v) =>
	db
		.selectFrom('client_pool as c')
		.innerJoin('pool', 'pool.id', 'c.pool_id')
		.select(['pool.id', 'pool.instance_type', 'pool.region', 'pool.az'])
		.where('c.client_id', '=', v('client_id'))
		.where('pool.region', '=', v('region'))
		.where('pool.active', '=', 1)
		.orderBy((eb) => eb.case().when('pool.instance_type', '=', v('instance_type')).then(0).else(1).end())
		.orderBy('pool.id')
		.limit(sql.lit(500)),
);

/** The same of anybody's reports: what is left where the client's own agents know no other. */
export const anyPoolsOfRegion = statement<{ region: string; instance_type: string }>()((db, v) =>
	db
		.selectFrom('pool')
		.select(['id', 'instance_type', 'region', 'az'])
		.where('region', '=', v('region'))
		.where('active', '=', 1)
		.orderBy((eb) => eb.case().when('instance_type', '=', v('instance_type')).then(0).else(1).end())
		.orderBy('id')
		.limit(sql.lit(200)),
);

const CLIENT_POOL = ['client_id', 'pool_id'] as const;
const clientPools = upserts((d) =>
	multiRow('client_pool', CLIENT_POOL, `${onConflict(d, 'client_id, pool_id')} pool_id = ${stored(d, 'client_pool', 'pool_id')}`),
);

/** Remembers whose agents have reported which pools. */
export const addClientPools = (tx: Db, dialect: DialectName, rows: readonly ClientPoolTable[]): Promise<void> =>
	clientPools[dialect](
		tx,
		rows.map((row) => CLIENT_POOL.map((column) => row[column])),
	);

/**
 * The bucket of a pool's newest clean price, as a part of a statement: one look at the end of the key. Not max(), and not with a bound on the
 * bucket: for either MariaDB reads every price of the pool.
 */
export const newestBucketOf = (pool: string) =>
	sql<number>`(select n.bucket from price_clean as n where n.pool_id = ${sql.ref(pool)} order by n.bucket desc limit 1)`;

/** Two pools, each with its newest clean price; null where it has none. */
export const poolQuotes = statement<{ one: string; other: string }>()((db, v) =>
	db
		.selectFrom('pool as p')
		.leftJoin('price_clean as c', (join) => join.onRef('c.pool_id', '=', 'p.id').on('c.bucket', '=', newestBucketOf('p.id')))
		.selectAll('p')
		.select(['c.spot_micros', 'c.observed_at', 'c.confidence'])
		.where((eb) => eb.or([eb('p.id', '=', v('one')), eb('p.id', '=', v('other'))])),
);

/** The newest clean price of each pool of a type and region, where it is not older than a bucket. */
export const newestPrices = statement<{ instance_type: string; region: string; since: number }>()((db, v) =>
	db
		.selectFrom('pool as p')
		.innerJoin('price_clean as c', (join) => join.onRef('c.pool_id', '=', 'p.id').on('c.bucket', '=', newestBucketOf('p.id')))
		.selectAll('c')
		.where('p.instance_type', '=', v('instance_type'))
		.where('p.region', '=', v('region'))
		.where('c.bucket', '>=', v('since')),
);

export const onDemandPrice = statement<{ instance_type: string; region: string }>()((db, v) =>
	db.selectFrom('ondemand_price').selectAll().where('instance_type', '=', v('instance_type')).where('region', '=', v('region')),
);

export const hostPrice = statement<{ handle: string }>()((db, v) =>
	db.selectFrom('host_price').selectAll().where('handle', '=', v('handle')),
);

/**
 * What a machine is shown to cost, of `host_price as p` and `ledger_host as b` joined to `host as h`: its own word, and until it has reported
 * any what its books go by, which is what others said of its pool.
 */
export const shownPrices = [
	sql<number | null>`coalesce(p.spot_micros, case when h.mode = 'spot' then b.price_micros end)`.as('spot_micros'),
	sql<number | null>`coalesce(p.ondemand_micros, b.baseline_micros)`.as('ondemand_micros'),
] as const;

export const shownPrice = statement<{ handle: string }>()((db, v) =>
	db
		.selectFrom('host as h')
		.leftJoin('host_price as p', 'p.handle', 'h.handle')
		.leftJoin('ledger_host as b', 'b.handle', 'h.handle')
		.select(shownPrices)
		.where('h.handle', '=', v('handle')),
);

/** What these machines last said they cost. */
export const hostPricesOf = statement<{ handles: readonly string[] }>()((db, v, dialect) =>
	db
		.selectFrom('host_price')
		.selectAll()
		.where(inList(dialect, 'handle', v('handles'))),
);

/** Types of the same family (`c5.large` → `c5.*`) for which a region has a pool. */
export const typesOfFamily = async (db: Db, family: string, region: string): Promise<string[]> =>
	(
		await db
			.selectFrom('pool')
			.select('instance_type')
			.distinct()
			.where('instance_type', '>=', `${family}.`)
			.where('instance_type', '<', `${family}/`)
			.where('region', '=', region)
			.orderBy('instance_type')
			.limit(sql.lit(100))
			.execute()
	).map((row) => row.instance_type);
