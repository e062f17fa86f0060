import { hourToSum, sumHour } from '../store/price-series.ts';
import type { Context } from './context.ts';

const HOUR = 3_600_000;
/** An hour is summed this long after its end, when neither a late report nor a gap filler (spec section 9: 24 h) changes it any more. */
const SETTLED_MS = 25 * HOUR;
/** How many hours one run may sum: 90 days are done in five runs. */
const MOST = 500;

/** Sums clean prices by hour, a transaction an hour, so that long charts read hours. Returns how many rows it wrote. */
export const sumPriceHours = async ({ store, clock }: Context): Promise<number> => {
	const until = clock.now() - SETTLED_MS;
	let hour = await hourToSum(store.read);
	let rows = 0;
	for (let done = 0; hour !== null && hour + HOUR <= until && done < MOST; done++, hour += HOUR) {
		const next = hour;
		rows += await store.transact((tx) => sumHour(tx, store.dialect.name, next));
	}
	return rows;
};
