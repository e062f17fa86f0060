import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { mariadbBinary, sharedMariadb, startMariadb } from '../helpers/mariadb.ts';
import { runOutage, SHORT_OUTAGE_AGENTS } from '../soak/failover-outage.ts';
import { runShow, SHORT_SHOW } from '../soak/failover-show.ts';
import { runStorm, SHORT_STORM_AGENTS } from '../soak/failover-storm.ts';
import { invented } from '../soak/market.ts';

const KILLS = 4;
const SPEED = 30;
const isMissing = mariadbBinary() === undefined;

beforeAll(async () => {
	// `npm test` has done it already; this is for a file that is run alone. In plain JavaScript, which TypeScript does not look into.
	const { prepare } = (await import(join(import.meta.dirname, '../../scripts/build.mjs'))) as { prepare(): Promise<void> };
	await prepare();
}, 300_000);

/** The short forms of `npm run soak`, part "failover". What happens when differs from run to run; the seed is printed. */
const newSeed = (): number => Date.now() % 1_000_000;

describeEachDatabase('daemons under notices', ({ kind, freshUrl }) => {
	const daemons = kind === 'mariadb' ? 2 : 1;

	test('every agent that AWS takes the machine of has a new primary soon, and a dead daemon changes nothing', {
		timeout: 120_000,
	}, async () => {
		const seed = newSeed();
		const { violations, outcomes, counts } = await runShow({
			databaseUrl: await freshUrl(),
			market: invented(seed),
			seed,
			size: SHORT_SHOW,
			daemons,
			speed: SPEED,
			clearSeconds: 60,
		});
		console.log(`seed ${seed}: ${JSON.stringify(outcomes)} ${JSON.stringify(counts)}`);
		expect(violations, `seed ${seed}`).toEqual([]);
		expect(counts['no capacity']).toBeGreaterThanOrEqual(SHORT_SHOW.refused);
	});

	test('killed with -9 at random moments, every emergency reaches a named end', { timeout: 120_000 }, async () => {
		const seed = newSeed();
		const { violations, outcomes, counts, weather } = await runStorm({
			databaseUrl: await freshUrl(),
			market: invented(seed),
			seed,
			agents: SHORT_STORM_AGENTS,
			daemons,
			kills: KILLS,
			speed: SPEED,
			settleMs: 60_000,
		});
		console.log(`seed ${seed}: ${JSON.stringify(outcomes)} ${JSON.stringify(weather)} ${JSON.stringify(counts)}`);
		expect(violations, `seed ${seed}`).toEqual([]);
		expect(counts['kills']).toBeGreaterThanOrEqual(KILLS);
		expect(Object.keys(outcomes)).not.toEqual([]);
	});
});

describe.skipIf(isMissing)('a database that goes in the middle of a storm', () => {
	test('notices are answered 503 with Retry-After, and everything ends well after', { timeout: 120_000 }, async () => {
		const seed = newSeed();
		const shared = sharedMariadb();
		const server = await startMariadb('template' in shared ? { template: shared.template } : {});
		try {
			const { violations, outcomes, counts } = await runOutage({
				server,
				databaseUrl: (await server.createDatabase()).url,
				market: invented(seed),
				seed,
				agents: SHORT_OUTAGE_AGENTS,
				daemons: 2,
				speed: SPEED,
				outageMs: 3_000,
				settleMs: 60_000,
			});
			console.log(`seed ${seed}: ${JSON.stringify(outcomes)} ${JSON.stringify(counts)}`);
			expect(violations, `seed ${seed}`).toEqual([]);
			expect(counts['answered 503']).toBeGreaterThan(0);
		} finally {
			await server.stop();
		}
	});
});
