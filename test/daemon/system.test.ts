import { describe, expect, it } from 'vitest';
import { RawAnswer } from '../../daemon/route.ts';
import { createSystemHandlers } from '../../daemon/system.ts';
import type { Caller } from '../../src/core/caller.ts';
import { type Clock, systemClock } from '../../src/deps.ts';
import { createMetrics } from '../../src/metrics.ts';
import { databaseUnavailable, openStore, type Store } from '../../src/store/open.ts';
import { emptyFolder } from './daemon-world.ts';
import { appWorld } from './world.ts';

const nobody: Caller = { principal: null, requestId: 'r', idempotencyKey: null, gone: () => false };

const system = (store: Store, over: { clock?: Partial<Clock>; lastFreshAt?: () => number; isDraining?: () => boolean } = {}) => {
	const clock = { ...systemClock, ...over.clock };
	const handlers = createSystemHandlers({
		store,
		core: { lastFreshAt: over.lastFreshAt ?? clock.now },
		clock,
		metrics: createMetrics('1.2.3'),
		version: '1.2.3',
		environment: 'test',
		isDraining: over.isDraining ?? (() => false),
	});
	return async (name: 'health' | 'readyz' | 'livez') => {
		const answer = await handlers[name]({}, nobody);
		return answer instanceof RawAnswer
			? { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> }
			: { status: 200, body: answer as Record<string, unknown> };
	};
};

const sqlite = (): Promise<Store> => openStore({ url: `sqlite:${emptyFolder()}/test.db`, poolSize: 1, clock: systemClock });

const withPing = async (ping: Store['ping']): Promise<Store> => {
	const store = await sqlite();
	await store.close();
	return { ...store, ping };
};

describe('a daemon whose database does not answer', () => {
	it('is unhealthy with 503, in the words of nobody’s driver', async () => {
		const ask = system(await withPing(() => Promise.reject(databaseUnavailable(new Error('ER_ACCESS_DENIED root@db')))));
		const { status, body } = await ask('health');
		expect(status).toBe(503);
		expect(body).toMatchObject({
			status: 'unhealthy',
			database: 'disconnected',
			error: 'database does not answer',
			timestamp: expect.stringMatching(/Z$/),
		});
		expect(JSON.stringify(body)).not.toContain('ER_ACCESS');
	});

	it('is alive, but not ready', async () => {
		const ask = system(await withPing(() => Promise.reject(databaseUnavailable())));
		expect(await ask('livez')).toEqual({ status: 200, body: { status: 'ok' } });
		expect(await ask('readyz')).toEqual({
			status: 503,
			body: {
				status: 'not ready',
				checks: { serving: 'ok', database: 'does not answer', writes: 'ok', schema: 'cannot be read', caches: 'ok' },
			},
		});
	});

	it('says so after three seconds when the database neither answers nor refuses', async () => {
		const slept: number[] = [];
		const sleep = async (ms: number) => void slept.push(ms);
		const ask = system(await withPing(() => new Promise(() => undefined)), { clock: { sleep } });
		expect((await ask('health')).status).toBe(503);
		expect(slept).toEqual([3000]);
	});

	it('is asked once, however many ask at the same time', async () => {
		let pings = 0;
		const ask = system(
			await withPing(async () => {
				pings++;
			}),
		);
		await Promise.all(Array.from({ length: 50 }, () => ask('health')));
		expect(pings).toBe(1);
		await ask('health');
		expect(pings).toBe(2);
	});
});

describe('readiness', () => {
	it('fails on an older schema, on stale caches and while stopping, naming which', async () => {
		const store = await sqlite();
		const ask = system(store, { lastFreshAt: () => systemClock.now() - 60_000, isDraining: () => true });
		const { status, body } = await ask('readyz');
		expect([status, body['checks']]).toEqual([
			503,
			{
				serving: 'stopping',
				database: 'ok',
				writes: 'ok',
				schema: 'older than this spotctl: run spotctl db migrate',
				caches: 'older than 10 s',
			},
		]);
		await store.close();
	});
});

describe('a request in process', () => {
	it('is not taken for one whose caller is gone', async () => {
		const { send, answer } = await appWorld();
		const seen: boolean[] = [];
		answer('pendingCommands', async (caller: Caller) => {
			seen.push(caller.gone());
			await new Promise((done) => setImmediate(done));
			seen.push(caller.gone());
			return { commands: [], count: 0 };
		});
		await send({ method: 'GET', url: '/api/agents/a-1/pending-commands', token: 'acme' });
		expect(seen).toEqual([false, false]);
	});
});
