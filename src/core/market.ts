import type { Host } from '../store/hosts.ts';
import { type MarketPool, marketOf, type Newest, newestOf } from '../store/price-series.ts';
import type { Db } from '../store/statement.ts';

type Place = Pick<Host, 'client_id' | 'instance_type' | 'region'>;

/**
 * The pools of a machine's type and region, by zone: those that agents of its client report, since anybody can report zones that do not
 * exist; where they report none, everybody's.
 */
export const poolsAround = async (db: Db, { client_id, instance_type, region }: Place): Promise<MarketPool[]> => {
	if (instance_type === null || region === null) return [];
	const market = await marketOf.all(db, { client_id, instance_type, region });
	const own = market.filter((pool) => Number(pool.own) === 1);
	return own.length > 0 ? own : market;
};

export type PricedPool = MarketPool & { readonly price: Newest };

const cheaper = (a: PricedPool, b: PricedPool): number => a.price.spot_micros - b.price.spot_micros || (a.id < b.id ? -1 : 1);

/** Those of them whose newest price was seen since a time, cheapest first. */
export const pricedPools = async (db: Db, place: Place, since: number): Promise<PricedPool[]> => {
	const pools = await poolsAround(db, place);
	const newest = new Map((await newestOf.all(db, { pools: pools.map(({ id }) => id) })).map((price) => [price.id, price]));
	return pools
		.flatMap((pool) => {
			const price = newest.get(pool.id);
			return price === undefined || price.observed_at < since ? [] : [{ ...pool, price }];
		})
		.sort(cheaper);
};
