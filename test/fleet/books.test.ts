import { expect, test } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { booksTable, runBooks, SHORT_BOOKS } from '../soak/books-scenario.ts';
import { hasHistory, history, invented, type Market } from '../soak/market.ts';

/** The short form of `npm run soak`, part "books": same code, fewer agents and days. */
const show = async (databaseUrl: string, market: Market, seed: number): Promise<void> => {
	const result = await runBooks({ databaseUrl, market, seed, ...SHORT_BOOKS });
	expect(result.violations, `seed ${seed}\n${booksTable(result).join('\n')}`).toEqual([]);
	// It must have been about something.
	expect(Number(result.sum.zombie)).toBeGreaterThan(0);
	expect(result.sum.unknown).toBeGreaterThan(0);
	expect(result.bill.billed).toBeGreaterThan(0);
};

describeEachDatabase(
	'the books of a fleet equal an independent recomputation, and are off from its bill by what they say',
	({ freshUrl }) => {
		test.skipIf(hasHistory)('on an invented market', { timeout: 240_000 }, async () =>
			show(await freshUrl(), invented(21, SHORT_BOOKS.days + 1), 21),
		);

		test.skipIf(!hasHistory)('on the prices of 2021-03 (needs ../shared/data)', { timeout: 240_000 }, async () =>
			show(await freshUrl(), await history(), 22),
		);
	},
);
