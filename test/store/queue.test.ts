import { expect, test } from 'vitest';
import { createPriceWriter, type Reported } from '../../src/core/price-writer.ts';
import { systemClock } from '../../src/deps.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore } from '../../src/store/open.ts';
import { describeEachDatabase } from '../helpers/databases.ts';

/** More turns of the microtask queue than lie between the last look at a queue and the end of whoever empties it. */
const TURNS = 30;

describeEachDatabase('waiting in line', ({ freshUrl }) => {
	const openFresh = async () => {
		const store = await openStore({ url: await freshUrl(), poolSize: 2, clock: systemClock });
		await migrate(store);
		return store;
	};

	test('a transaction begun a moment after another was answered is carried out too', async () => {
		const store = await openFresh();
		for (let turns = 0; turns < TURNS; turns++) {
			await store.transact(async () => undefined);
			for (let turn = 0; turn < turns; turn++) await Promise.resolve();
			expect(await store.transact(async () => turns)).toBe(turns);
		}
		await store.close();
	});

	test('a price report that comes a moment after another was answered is stored too', async () => {
		const store = await openFresh();
		await store.transact(async (tx) => {
			const client = { id: 'c', name: 'c', email: null, status: 'active', max_agents: null, max_instances: null } as const;
			await tx
				.insertInto('client')
				.values({ ...client, test_client: 0, last_sync_at: null, created_at: 1 })
				.execute();
		});
		const writer = createPriceWriter(store, systemClock);
		const point = { poolId: 'c5.large.us-east-1a', type: 'c5.large', region: 'us-east-1', az: 'us-east-1a', spotMicros: 30_000 };
		const nothing = { onDemandMicros: null, currentMicros: null, mode: null, currentPoolId: null };
		const prices = { ...nothing, points: [point], type: 'c5.large', region: 'us-east-1', observedAt: 1 };
		const report: Reported = { clientId: 'c', handle: 'h', source: 'primary', own: false, prices, arrivedAt: 1 };
		for (let turns = 0; turns < TURNS; turns++) {
			await writer.write(report);
			for (let turn = 0; turn < turns; turn++) await Promise.resolve();
			await writer.write(report);
		}
		await writer.idle();
		const [row] = await store.read.selectFrom('price_report').select('id').orderBy('id', 'desc').limit(1).execute();
		expect(row?.id).toBe(2 * TURNS);
		await store.close();
	});
});
