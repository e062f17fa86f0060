import { expect, test } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { hasHistory, history, invented, type Market } from '../soak/market.ts';
import { runSpine, SHORT_AGENTS, SHORT_JOBS, SHORT_WAIT_SECONDS } from '../soak/spine-scenario.ts';

/** The short form of `npm run soak`, part "spine": same code, fewer agents and switches. */
const show = async (databaseUrl: string, market: Market, seed: number): Promise<void> => {
	const { violations, outcomes, counts } = await runSpine({
		databaseUrl,
		market,
		seed,
		agents: SHORT_AGENTS,
		jobs: SHORT_JOBS,
		terminateWaitSeconds: SHORT_WAIT_SECONDS,
	});
	expect(violations, `seed ${seed}`).toEqual([]);
	const total = Object.values(SHORT_JOBS).reduce((sum, count) => sum + count, 0);
	expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(total);
	expect(counts['launches']).toBe(SHORT_AGENTS.classic + SHORT_AGENTS.v32 + SHORT_AGENTS.v4 + total - SHORT_JOBS['no capacity']);
};

describeEachDatabase('forced switches of a fleet end once, each with one launch and one primary after every event', ({ freshUrl }) => {
	test('on an invented market', { timeout: 120_000 }, async () => show(await freshUrl(), invented(11), 11));

	test.skipIf(!hasHistory)('on the prices of 2021-03 (needs ../shared/data)', { timeout: 120_000 }, async () => {
		await show(await freshUrl(), await history(), 12);
	});
});
