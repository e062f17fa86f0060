import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { runCrashes, SHORT_CRASH_AGENTS } from '../soak/crash-scenario.ts';
import { invented } from '../soak/market.ts';

const KILLS = 6;

beforeAll(async () => {
	// `npm test` has done it already; this is for a file that is run alone. In plain JavaScript, which TypeScript does not look into.
	const { prepare } = (await import(join(import.meta.dirname, '../../scripts/build.mjs'))) as { prepare(): Promise<void> };
	await prepare();
}, 300_000);

/** The short form of `npm run soak`, part "crash". The moments differ from run to run; the seed of a failure is in its message. */
describeEachDatabase('a daemon killed with -9 at random moments', ({ freshUrl }) => {
	test('loses nothing it answered, hands no order out twice, and every order ends', { timeout: 180_000 }, async () => {
		const seed = Date.now() % 1_000_000;
		const { violations, counts, answers } = await runCrashes({
			databaseUrl: await freshUrl(),
			market: invented(seed),
			seed,
			agents: SHORT_CRASH_AGENTS,
			kills: KILLS,
		});
		console.log(`seed ${seed}: ${JSON.stringify(counts)} ${JSON.stringify(answers)}`);
		expect(violations, `seed ${seed}`).toEqual([]);
		expect(counts['kills']).toBe(KILLS);
		expect(answers['claims']).toBeGreaterThan(0);
	});
});
