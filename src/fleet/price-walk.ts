import { createFeed, type PoolHistory, type PriceFeed } from './prices.ts';
import { createRandom } from './random.ts';

/** A made-up market to create. */
export type WalkOptions = {
	seed: number | string;
	/** On-demand prices by instance type, USD per hour: the types of the feed. */
	onDemand: Readonly<Record<string, number>>;
	zones: readonly string[];
	/** UTC milliseconds. */
	start: number;
	end: number;
	/** Mean time between two changes of a pool. Default 6 h. */
	stepMs?: number;
	/** Where a pool's price starts and is drawn back to, as a share of on-demand. Default 0.25 to 0.4. */
	level?: readonly [min: number, max: number];
	/** Largest change in one step, as a share of the price. Default 0.05. */
	swing?: number;
};

/** A made-up market for where there is no history: each pool's price walks at random around its own level. Same seed, same prices. */
export const syntheticPrices = (options: WalkOptions): PriceFeed => {
	const { onDemand, zones, start, end, stepMs = 6 * 3_600_000, level = [0.25, 0.4], swing = 0.05 } = options;
	const random = createRandom(options.seed);
	const walk = (type: string, az: string, ceiling: number): PoolHistory => {
		const chance = random.fork(`${type}.${az}`);
		const home = ceiling * (level[0] + (level[1] - level[0]) * chance.next());
		const times: number[] = [];
		const prices: number[] = [];
		let price = home;
		for (let time = start; time <= end; time += Math.max(1_000, Math.round(stepMs * (0.25 + 1.5 * chance.next())))) {
			times.push(time);
			prices.push(Math.round(price * 10_000) / 10_000);
			price *= 1 + swing * (2 * chance.next() - 1) + 0.05 * ((home - price) / home);
			price = Math.min(ceiling, Math.max(ceiling * 0.05, price));
		}
		return { times, prices };
	};
	const histories = new Map<string, Map<string, PoolHistory>>();
	for (const [type, ceiling] of Object.entries(onDemand)) {
		histories.set(type, new Map(zones.map((az) => [az, walk(type, az, ceiling)])));
	}
	return createFeed(histories, new Map(Object.entries(onDemand)));
};
