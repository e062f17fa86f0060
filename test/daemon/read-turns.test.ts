import { describe, expect, it } from 'vitest';
import { createReadTurns } from '../../daemon/read-turns.ts';

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

describe('reads', () => {
	it('begin one a turn, in the order in which they came, also those that come meanwhile', async () => {
		const begin = createReadTurns();
		const log: string[] = [];
		for (const name of ['a', 'b', 'c'])
			begin(() => {
				log.push(name);
				if (name === 'a') begin(() => log.push('d'));
			});
		expect(log).toEqual([]);
		for (let turns = 0; turns < 6; turns++) {
			const before = log.length;
			await turn();
			expect(log.length - before).toBeLessThanOrEqual(1);
		}
		expect(log).toEqual(['a', 'b', 'c', 'd']);
		begin(() => log.push('e'));
		await turn();
		await turn();
		expect(log.at(-1)).toBe('e');
	});

	it('go on after one that failed', async () => {
		const begin = createReadTurns();
		const log: string[] = [];
		const failed = new Promise<unknown>((done) => {
			process.prependOnceListener('uncaughtException', done);
		});
		const others = process.listeners('uncaughtException').slice(1);
		for (const listener of others) process.removeListener('uncaughtException', listener);
		begin(() => {
			throw new Error('broken');
		});
		begin(() => log.push('next'));
		try {
			expect(await failed).toMatchObject({ message: 'broken' });
		} finally {
			for (const listener of others) process.on('uncaughtException', listener);
		}
		await turn();
		await turn();
		expect(log).toEqual(['next']);
	});
});
