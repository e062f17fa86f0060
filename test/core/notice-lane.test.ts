import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createNoticeLane } from '../../src/core/notice-lane.ts';
import { systemClock } from '../../src/deps.ts';

afterEach(() => {
	vi.restoreAllMocks();
});

/** The lane over units that decide nothing and take `work`. */
const laneOver = (work: () => Promise<void> | void) => {
	const sets: number[] = [];
	const context = {
		clock: systemClock,
		notices: { underWay: 0 },
		liveness: { seen: () => undefined },
		units: async (callers: readonly unknown[]) => {
			sets.push(callers.length);
			await work();
			return callers.map(() => ({ noticed: {} }));
		},
	};
	const lane = createNoticeLane(context as never);
	return { sets, send: (handle: string) => lane(handle, { principal: null } as never, { route: 'imminent' } as never) };
};

describe('notices', () => {
	it('that come at once on connections of their own share transactions, though one connection is accepted in a turn', async () => {
		const { sets, send } = laneOver(() => {
			// A commit on SQLite holds up the thread that accepts.
			for (const until = performance.now() + 3; performance.now() < until; );
		});
		const server = createServer((request, response) => {
			void send(request.url ?? '').then(() => response.end());
		});
		await new Promise<void>((done) => server.listen(0, '127.0.0.1', 512, done));
		const { port } = server.address() as AddressInfo;
		const ask = (index: number) =>
			new Promise<void>((done, fail) => {
				const socket = connect(port, '127.0.0.1');
				socket.on('data', () => done()).on('error', fail);
				socket.write(`POST /${index} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
			});
		await Promise.all(Array.from({ length: 200 }, (_, index) => ask(index)));
		server.close();
		expect(sets.reduce((sum, size) => sum + size, 0)).toBe(200);
		expect(sets.length).toBeLessThan(60);
	});

	it('about a machine whose first is under way cost nothing while they wait, and are taken after it', async () => {
		let release = (): void => undefined;
		const held = new Promise<void>((done) => {
			release = done;
		});
		const { sets, send } = laneOver(() => held);
		const first = send('h');
		await vi.waitFor(() => expect(sets).toEqual([1]));
		const turns = vi.spyOn(globalThis, 'setImmediate');
		const others = [send('h'), send('h')];
		await delay(50);
		expect(turns.mock.calls.length).toBeLessThan(20);
		expect(sets).toEqual([1]);
		release();
		await Promise.all([first, ...others]);
		expect(sets).toEqual([1, 1, 1]);
	});
});
