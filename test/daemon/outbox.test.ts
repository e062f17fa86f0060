import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createOutbox } from '../../daemon/outbox.ts';

describe('the answers of a turn', () => {
	it('leave together at its end, in the order in which they became ready', async () => {
		const outbox = createOutbox();
		const sent: number[] = [];
		for (const at of [1, 2, 3]) outbox(() => sent.push(at));
		expect(sent).toEqual([]);
		await turn();
		expect(sent).toEqual([1, 2, 3]);
	});

	it('leave all of them where one cannot be sent, and what it threw is not swallowed', async () => {
		const outbox = createOutbox();
		const sent: number[] = [];
		const thrown: unknown[] = [];
		const others = process.listeners('uncaughtException');
		process.removeAllListeners('uncaughtException');
		process.once('uncaughtException', (error) => thrown.push(error));
		try {
			outbox(() => sent.push(1));
			outbox(() => {
				throw new Error('no');
			});
			outbox(() => sent.push(3));
			await turn();
			await turn();
		} finally {
			process.removeAllListeners('uncaughtException');
			for (const other of others) process.on('uncaughtException', other);
		}
		expect(sent).toEqual([1, 3]);
		expect(thrown).toMatchObject([{ message: 'no' }]);
	});
});
