import { describe, expect, it } from 'vitest';
import { createLiveness } from '../../src/core/liveness.ts';
import { systemClock } from '../../src/deps.ts';
import type { Store } from '../../src/store/open.ts';

/** A buffer over a store that writes when it is told to. */
const setUp = () => {
	let now = 1_000_000;
	let commit = (): void => undefined;
	const store = {
		dialect: { name: 'sqlite' },
		transact: () =>
			new Promise<void>((done) => {
				commit = done;
			}),
	} as unknown as Store;
	const liveness = createLiveness(store, { ...systemClock, now: () => now, elapsed: () => now });
	return {
		liveness,
		call: (handle: string) => liveness.seen(handle, 'client', 'heartbeat'),
		pass: (ms: number) => {
			now += ms;
		},
		write: async (whileWriting: () => void = () => undefined) => {
			const done = liveness.flush();
			whileWriting();
			commit();
			await done;
		},
	};
};

describe('a call of a host', () => {
	it('is known from memory while it is written and for as long as a look at the database from before may last', async () => {
		const { liveness, call, pass, write } = setUp();
		call('a');
		expect(liveness.pending('a')?.seen_at).toBe(1_000_000);
		await write(() => expect(liveness.pending('a')?.seen_at).toBe(1_000_000));
		expect(liveness.pending('a')?.seen_at).toBe(1_000_000);
		pass(11_000);
		call('b');
		await write();
		expect(liveness.pending('a')?.seen_at).toBe(1_000_000);
		pass(1_000);
		call('b');
		await write();
		expect(liveness.pending('a')).toBeUndefined();
		expect(liveness.pending('b')?.seen_at).toBe(1_012_000);
	});

	it('is forgotten by the time of its last write, however often it called before', async () => {
		const { liveness, call, pass, write } = setUp();
		call('b');
		call('a');
		await write();
		pass(11_000);
		call('a');
		await write();
		pass(11_999);
		call('c');
		await write();
		expect(liveness.pending('a')?.seen_at).toBe(1_011_000);
		expect(liveness.pending('b')).toBeUndefined();
		pass(1);
		call('c');
		await write();
		expect(liveness.pending('a')).toBeUndefined();
	});

	it('is known by its newest, and what an older one told beside it', async () => {
		const { liveness, call, pass, write } = setUp();
		liveness.seen('a', 'client', 'replicas');
		await write();
		pass(500);
		call('a');
		expect(liveness.pending('a')).toMatchObject({ seen_at: 1_000_500, heartbeat_at: 1_000_500, replicas_polled_at: 1_000_000 });
	});
});
