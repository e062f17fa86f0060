import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadPrices } from '../../src/fleet/price-csv.ts';
import { syntheticPrices } from '../../src/fleet/price-walk.ts';
import type { PriceFeed } from '../../src/fleet/prices.ts';

/** A market to replay, and when. */
export type Market = { readonly name: string; readonly feed: PriceFeed; readonly types: readonly string[]; readonly start: number };

const DATA = join(import.meta.dirname, '../../../shared/data');
const HISTORY = join(DATA, 'prices_us-east-1_2021-03_04.csv.gz');
const TYPES = ['m4.large', 'c5.2xlarge', 'c4.large'];
const DAY = 86_400_000;

export const REGION = 'us-east-1';

/** Whether the prices of 2021-03 lie beside this checkout. */
export const hasHistory = existsSync(HISTORY);

/** The prices of 2021-03 as they were. */
export const history = async (): Promise<Market> => ({
	name: 'the prices of 2021-03',
	feed: await loadPrices({ path: HISTORY, types: TYPES, onDemand: { path: join(DATA, 'ondemand_2021-11.csv.gz'), region: REGION } }),
	types: TYPES,
	start: Date.UTC(2021, 2, 10, 8),
});

/** A market nobody ever saw, for some days from its start on. */
export const invented = (seed: number | string, days = 1): Market => {
	const start = Date.UTC(2026, 0, 5, 8);
	const onDemand = { 'c5.large': 0.085, 'm5.large': 0.096 };
	const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c', 'us-east-1d'];
	const feed = syntheticPrices({ seed, onDemand, zones, start: start - DAY, end: start + days * DAY, stepMs: 10 * 60_000 });
	return { name: 'an invented market', feed, types: Object.keys(onDemand), start };
};
