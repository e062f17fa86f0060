import { describe, expect, it } from 'vitest';
import { createReadTurns } from '../../daemon/read-turns.ts';

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

describe('reads', () => {
	it('begin one a turn, in the order in which they came, also those that come meanwhile', async () => {
		const itsTurn = createReadTurns();
		const log: string[] = [];
		for (const name of ['a', 'b', 'c'])
			void itsTurn().then(() => {
				log.push(name);
				if (name === 'a') void itsTurn().then(() => log.push('d'));
			});
		expect(log).toEqual([]);
		for (let turns = 0; turns < 6; turns++) {
			const before = log.length;
			await turn();
			expect(log.length - before).toBeLessThanOrEqual(1);
		}
		expect(log).toEqual(['a', 'b', 'c', 'd']);
		void itsTurn().then(() => log.push('e'));
		await turn();
		await turn();
		expect(log.at(-1)).toBe('e');
	});

	it('go on after one that failed', async () => {
		const itsTurn = createReadTurns();
		const failed = itsTurn().then(() => {
			throw new Error('broken');
		});
		const next = itsTurn();
		await expect(failed).rejects.toThrow('broken');
		await next;
	});
});
