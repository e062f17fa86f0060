import type { Clock } from '../deps.ts';
import { isOutage, type Store } from '../store/open.ts';
import { addClientPools, addPools, addPriceReports, mergeCleanPrices, mergeHostPrices, mergeOnDemandPrices } from '../store/prices.ts';
import type { PriceCleanTable, PriceReportTable, PriceSource } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { gather } from '../turns.ts';
import { bucketOf, CONFIDENCE, PRIORITY, type Prices } from './price-points.ts';
import type { PriceWatcher } from './price-watch.ts';

/** How many reports may share a transaction. */
const BATCH = 64;
/** How many transactions may be under way: while the database works on one, the next is made ready. */
const FLIGHTS = 2;
/** How many rows are remembered as stored, so that they are not sent again. */
const KNOWN = 20_000;

type Waiting = { readonly report: Reported; readonly accept: () => void; readonly reject: (error: unknown) => void };

export type Reported = {
	readonly clientId: string;
	readonly handle: string;
	readonly source: PriceSource;
	/** False for a host whose own price is no price of the agent (a zombie). */
	readonly own: boolean;
	readonly prices: Prices;
	readonly arrivedAt: number;
};

/**
 * Writes price reports, raw and clean in one transaction (D-11), in which `watch` looks at what they mean for price alerts. Reports that wait for the transactions under way share the next one:
 * two to seven statements whatever the number of reports and pools. Each is answered after the commit that holds it.
 */
export type PriceWriter = { write(report: Reported): Promise<void>; idle(): Promise<void> };

export const createPriceWriter = (store: Store, clock: Clock, watch: PriceWatcher = async () => undefined): PriceWriter => {
	const queue: Waiting[] = [];
	const known: Known = { rows: new Set(), buckets: new Map() };
	const running = new Set<Promise<void>>();

	const save = async (reports: readonly Reported[]): Promise<void> => {
		const rows = rowsOf(reports, known, clock.now());
		await store.transact(async (tx) => {
			await writeRows(tx, store.dialect.name, rows, clock.now());
			if (rows.clean.length > 0 || rows.clientPools.length > 0) {
				const present = bucketOf(clock.now());
				const pools = [...new Set(rows.clean.map(({ pool_id }) => pool_id))];
				await watch(tx, { pools, late: rows.clean.filter(({ bucket }) => bucket < present), clientPools: rows.clientPools });
			}
		});
		if (known.rows.size > KNOWN || known.buckets.size > KNOWN) forget(known);
		for (const pool of rows.pools) known.rows.add(pool.id);
		for (const { client_id, pool_id } of rows.clientPools) known.rows.add(`${client_id} ${pool_id}`);
		for (const { pool_id, bucket, priority } of rows.clean)
			if (bucket >= (known.buckets.get(pool_id)?.bucket ?? 0)) known.buckets.set(pool_id, { bucket, priority });
	};

	const drain = async (): Promise<void> => {
		await gather(clock, BATCH, () => queue.length);
		while (queue.length > 0) {
			const batch = queue.splice(0, BATCH);
			try {
				await save(batch.map((each) => each.report));
				for (const each of batch) each.accept();
			} catch (error) {
				forget(known);
				if (isOutage(store.dialect, error)) for (const each of batch) each.reject(error);
				else await oneByOne(batch);
			}
		}
	};

	/** Begins a drain unless as many run as may; one that has looked at the queue for the last time does not count any more. */
	const begin = (): void => {
		if (running.size >= FLIGHTS) return;
		const run = drain().finally(() => {
			running.delete(run);
			if (queue.length > 0) begin();
		});
		running.add(run);
	};

	/** One report of a batch was refused (its client was deleted meanwhile, say), or what is remembered was not so: the others must not suffer. */
	const oneByOne = async (batch: readonly Waiting[]): Promise<void> => {
		for (const each of batch) await save([each.report]).then(each.accept, each.reject);
	};

	return {
		write: (report) =>
			new Promise<void>((accept, reject) => {
				queue.push({ report, accept, reject });
				begin();
			}),
		idle: async () => {
			while (running.size > 0) await Promise.all(running);
		},
	};
};

/** What this daemon has committed and need not send again. */
type Known = {
	/** Pools by id, and client pools by `client pool`. */
	readonly rows: Set<string>;
	/** The newest bucket of a pool, and the priority it has at least: nothing of the same or a lower one changes it. */
	readonly buckets: Map<string, Pick<PriceCleanTable, 'bucket' | 'priority'>>;
};

const forget = (known: Known): void => {
	known.rows.clear();
	known.buckets.clear();
};

const rowsOf = (reports: readonly Reported[], known: Known, now: number) => {
	const pools = new Map<string, { id: string; instance_type: string; region: string; az: string; active: 1; created_at: number }>();
	const clientPools = new Map<string, { client_id: string; pool_id: string }>();
	const clean = new Map<string, PriceCleanTable>();
	const onDemand = new Map<string, { instance_type: string; region: string; micros: number; observed_at: number }>();
	const hosts = new Map<string, { handle: string; spot_micros: number | null; ondemand_micros: number | null; reported_at: number }>();
	const raw: Array<Omit<PriceReportTable, 'id' | 'arrived_at'>> = [];
	for (const { prices, source, clientId, handle, own: isOwn, arrivedAt } of reports) {
		const bucket = bucketOf(prices.observedAt);
		const said: Record<string, number> = {};
		for (const point of prices.points) {
			if (!known.rows.has(point.poolId))
				pools.set(point.poolId, {
					id: point.poolId,
					instance_type: point.type,
					region: point.region,
					az: point.az,
					active: 1,
					created_at: now,
				});
			const own = `${clientId} ${point.poolId}`;
			if (!known.rows.has(own)) clientPools.set(own, { client_id: clientId, pool_id: point.poolId });
			const ondemand_micros = point.type === prices.type ? prices.onDemandMicros : null;
			const key = `${point.poolId} ${bucket}`;
			const settled = known.buckets.get(point.poolId);
			const earlier = clean.get(key) ?? (settled?.bucket === bucket ? settled : undefined);
			if (earlier === undefined || PRIORITY[source] > earlier.priority) {
				clean.set(key, {
					pool_id: point.poolId,
					bucket,
					spot_micros: point.spotMicros,
					ondemand_micros,
					source,
					priority: PRIORITY[source],
					confidence: CONFIDENCE[source],
					data_source: 'measured',
					observed_at: prices.observedAt,
				});
			}
			said[point.poolId] = point.spotMicros;
		}
		if (prices.points.length > 0 || prices.onDemandMicros !== null || prices.currentMicros !== null) {
			raw.push({
				client_id: clientId,
				handle,
				source,
				instance_type: prices.type,
				ondemand_micros: prices.onDemandMicros,
				current_micros: prices.currentMicros,
				points: JSON.stringify(said),
				observed_at: prices.observedAt,
			});
		}
		if (prices.onDemandMicros !== null && prices.onDemandMicros > 0 && prices.type !== null && prices.region !== null) {
			const key = `${prices.type} ${prices.region}`;
			if ((onDemand.get(key)?.observed_at ?? 0) <= prices.observedAt) {
				onDemand.set(key, {
					instance_type: prices.type,
					region: prices.region,
					micros: prices.onDemandMicros,
					observed_at: prices.observedAt,
				});
			}
		}
		if (isOwn && (prices.currentMicros !== null || prices.onDemandMicros !== null)) {
			const earlier = hosts.get(handle);
			hosts.set(handle, {
				handle,
				spot_micros: prices.currentMicros ?? earlier?.spot_micros ?? null,
				ondemand_micros: prices.onDemandMicros ?? earlier?.ondemand_micros ?? null,
				reported_at: arrivedAt,
			});
		}
	}
	// In key order, so that two daemons that report the same pools lock them in the same order.
	const sorted = <V>(map: ReadonlyMap<string, V>): V[] => [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
	return {
		pools: sorted(pools),
		clientPools: sorted(clientPools),
		raw,
		clean: sorted(clean),
		onDemand: sorted(onDemand),
		hosts: sorted(hosts),
	};
};

/** `now`: of this attempt. The age of a report says how long the transaction that wrote it may still be under way. */
const writeRows = async (tx: Db, dialect: 'sqlite' | 'mysql', rows: ReturnType<typeof rowsOf>, now: number): Promise<void> => {
	if (rows.pools.length > 0) await addPools(tx, dialect, rows.pools);
	if (rows.clientPools.length > 0) await addClientPools(tx, dialect, rows.clientPools);
	await mergeCleanPrices(tx, dialect, rows.clean);
	await mergeHostPrices(tx, dialect, rows.hosts);
	// Late: the books read reports by their ids, and pass over one that is committed long after it was given its own.
	await addPriceReports(
		tx,
		rows.raw.map((row) => ({ ...row, arrived_at: now })),
	);
	// Last: all reports of a type meet at one row, which is locked from here to the commit.
	await mergeOnDemandPrices(tx, dialect, rows.onDemand);
};
