import type { PriceFeed } from './prices.ts';
import type { Dict } from './python.ts';

/** A pool as the agents write it. `price` is USD per hour. */
export type ReportedPool = { readonly pool_id: string; readonly instance_type: string; readonly az: string; readonly price: number };

/** What DescribeSpotPriceHistory gives an agent for its own type, by zone. */
export const reportedPools = (prices: PriceFeed, instanceType: string, at: number): ReportedPool[] =>
	prices.pools(instanceType, at).map(({ poolId, az, price }) => ({ pool_id: poolId, instance_type: instanceType, az, price }));

/**
 * The on-demand price as classic and 3.2 know it, USD per hour: where the price list has none they make one up, three times the mean spot
 * price, else 0.1. Nothing in their reports marks it as invented.
 */
export const guessedOnDemand = (prices: PriceFeed, instanceType: string, at: number): number => {
	const known = prices.onDemand(instanceType);
	if (known !== null) return known;
	const pools = prices.pools(instanceType, at);
	return pools.length === 0 ? 0.1 : (pools.reduce((sum, pool) => sum + pool.price, 0) / pools.length) * 3;
};

/** The `pricing` part of the classic agent's report (clients.md section 1). On-demand hosts name no current price and no cheapest pool. */
export const classicPricing = (
	pools: readonly ReportedPool[],
	az: string,
	isSpot: boolean,
	onDemand: number,
	collectedAt: string,
): Dict => {
	const [first] = pools;
	const cheapest = isSpot && first ? pools.reduce((best, pool) => (pool.price < best.price ? pool : best), first) : null;
	return {
		on_demand_price: onDemand,
		current_spot_price: (isSpot && pools.find((pool) => pool.az === az)?.price) || null,
		cheapest_pool: cheapest && { pool_id: cheapest.pool_id, price: cheapest.price },
		spot_pools: pools,
		collected_at: collectedAt,
	};
};
