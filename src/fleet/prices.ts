/** The price of one pool. `price` is USD per instance-hour. */
export type PoolPrice = { readonly poolId: string; readonly instanceType: string; readonly az: string; readonly price: number };

/** Prices over time. Instants are UTC milliseconds, prices USD per instance-hour, Linux. Unknown is null, never a guess. */
export type PriceFeed = {
	/** The first and the last instant with a price change. */
	readonly start: number;
	readonly end: number;
	readonly types: readonly string[];
	/** Zones that ever had a price for the type, sorted. */
	zones(instanceType: string): readonly string[];
	/** The spot price in force at `time`: null before the pool's first row; the last row holds for ever. */
	priceAt(instanceType: string, az: string, time: number): number | null;
	/** The pools of a type with a known price at `time`, by zone. */
	pools(instanceType: string, time: number): readonly PoolPrice[];
	/** The on-demand price, null when unknown. */
	onDemand(instanceType: string): number | null;
};

/** The prices of one pool in order of time. */
export type PoolHistory = { readonly times: ArrayLike<number>; readonly prices: ArrayLike<number> };

/** A feed from histories by type and zone. Each history is sorted by time; of equal instants the last holds. */
export const createFeed = (
	histories: ReadonlyMap<string, ReadonlyMap<string, PoolHistory>>,
	onDemand: ReadonlyMap<string, number>,
): PriceFeed => {
	let start = Infinity;
	let end = -Infinity;
	const zonesOf = new Map<string, readonly string[]>();
	for (const [type, pools] of histories) {
		zonesOf.set(type, [...pools.keys()].sort());
		for (const { times } of pools.values()) {
			start = Math.min(start, times[0] ?? Infinity);
			end = Math.max(end, times[times.length - 1] ?? -Infinity);
		}
	}
	const zones = (type: string): readonly string[] => zonesOf.get(type) ?? [];
	const priceAt = (type: string, az: string, time: number): number | null => {
		const history = histories.get(type)?.get(az);
		return history?.prices[lastAtOrBefore(history.times, time)] ?? null;
	};
	return {
		start,
		end,
		types: [...histories.keys()].sort(),
		zones,
		priceAt,
		pools: (type, time) =>
			zones(type).flatMap((az) => {
				const price = priceAt(type, az, time);
				return price === null ? [] : [{ poolId: `${type}.${az}`, instanceType: type, az, price }];
			}),
		onDemand: (type) => onDemand.get(type) ?? null,
	};
};

/** The same prices, `ms` later: to replay history at another time. */
export const shiftFeed = (feed: PriceFeed, ms: number): PriceFeed => ({
	...feed,
	start: feed.start + ms,
	end: feed.end + ms,
	priceAt: (type, az, time) => feed.priceAt(type, az, time - ms),
	pools: (type, time) => feed.pools(type, time - ms),
});

const lastAtOrBefore = (times: ArrayLike<number>, time: number): number => {
	let low = 0;
	let high = times.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if ((times[middle] ?? Infinity) <= time) low = middle + 1;
		else high = middle;
	}
	return low - 1;
};
