import { expect, it } from 'vitest';
import { createCore } from '../../src/core/index.ts';
import { TICK_MS } from '../../src/core/scheduler.ts';
import { type Clock, systemIds } from '../../src/deps.ts';
import { openStore } from '../../src/store/open.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openRows } from '../helpers/rows.ts';
import { prepare } from '../helpers/schema.ts';
import { CORE_SETTINGS } from '../helpers/settings.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };
const MINUTE = 60_000;

describeEachDatabase('after an outage', ({ freshUrl }) => {
	it('nobody is judged by a sweep that is faster than the mark that ends it', async () => {
		const url = await freshUrl();
		let now = Date.parse('2021-03-04T05:06:07Z');
		const timers: { ms: number; run: () => void }[] = [];
		const clock: Clock = {
			now: () => now,
			elapsed: () => now,
			sleep: () => Promise.resolve(),
			every: (ms, run) => {
				timers.push({ ms, run });
				return () => undefined;
			},
			after: () => () => undefined,
		};
		const store = await openStore({ url, poolSize: 4, clock, leaseClock: clock });
		await prepare(store);
		const expireMs = { emergency: MINUTE, manual: MINUTE, model: MINUTE, scheduled: MINUTE };
		const settings = { ...CORE_SETTINGS, expireMs };
		const core = createCore({ store, clock, ids: systemIds, settings, log: QUIET });
		await core.start({ jobs: true });
		const [jobs] = timers.filter(({ ms }) => ms === TICK_MS);
		const caller = (kind: object) => ({ principal: kind, requestId: 'r', idempotencyKey: null, gone: () => false }) as never;
		const { client } = await core.handlers.createClient({ name: 'acme' } as never, caller({ kind: 'local', name: 'me' }));
		const principal = { kind: 'client', clientId: client.id, tokenId: client.token_id, name: 'acme' };
		await core.handlers.registerHost(
			{ logical_agent_id: 'a', instance_id: 'i-1', mode: 'spot', current_mode: null, availability_zone: null, az: 'us-east-1a' } as never,
			caller(principal),
		);
		const rows = await openRows(url);
		const status = async () => (await rows.of('agent'))[0]?.['status'];
		const idle = () => new Promise((done) => setTimeout(done, 100));

		// The database is away for ten minutes; the first that comes through is the sweep.
		now += 10 * MINUTE;
		jobs?.run();
		await idle();
		expect(await status()).toBe('online');

		// Then somebody marks that there is a daemon again, and a whole timeout passes.
		const [markServing] = timers.filter(({ ms }) => ms === 1000);
		for (let passed = 0; passed < 3 * MINUTE; passed += 4000) {
			now += 4000;
			const aliveAt = async () => {
				markServing?.run();
				return (await rows.of('service_clock'))[0]?.['alive_at'];
			};
			await expect.poll(aliveAt, { interval: 2, timeout: 5000 }).toBe(now);
		}
		const judged = () => {
			jobs?.run();
			return status();
		};
		await expect.poll(judged, { timeout: 5000 }).toBe('offline');
		await rows.close();
		await core.stop();
		await store.close();
	});
});
