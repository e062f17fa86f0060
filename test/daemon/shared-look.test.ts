import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sharedLook } from '../../daemon/shared-look.ts';
import { systemClock } from '../../src/deps.ts';
import { runsOf } from '../helpers/invariants.ts';
import { createManualClock } from '../helpers/manual-clock.ts';

describe('a shared look', () => {
	it('is one for all who ask in the same turn, and one for each key', async () => {
		const seen: string[] = [];
		const ask = sharedLook<string>(systemClock, async (_, key) => {
			seen.push(key);
			return key.toUpperCase();
		});
		expect(await Promise.all([ask('a'), ask('a'), ask('b'), ask('a')])).toEqual(['A', 'A', 'B', 'A']);
		expect(seen).toEqual(['a', 'b']);
		await ask('a');
		expect(seen).toEqual(['a', 'b', 'a']);
	});

	it('fails for all who shared it, and is begun anew by the next', async () => {
		let fails = true;
		const ask = sharedLook(systemClock, async () => {
			if (fails) throw new Error('the database is gone');
			return 'well';
		});
		expect((await Promise.allSettled([ask(''), ask('')])).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
		fails = false;
		expect(await ask('')).toBe('well');
	});

	it('that hangs keeps nobody waiting for long', async () => {
		const time = createManualClock(0, async () => undefined);
		const { clock } = time.forProgram();
		let looks = 0;
		const ask = sharedLook(clock, () => (++looks === 1 ? new Promise<number>(() => undefined) : Promise.resolve(looks)));
		void ask('');
		await new Promise<void>((done) => setImmediate(done));
		const next = ask('');
		await time.advance(2000);
		expect(await next).toBe(2);
	});

	it('shows whatever was written before it was asked for, and only one runs at a time', async () => {
		await fc.assert(
			fc.asyncProperty(fc.array(fc.constantFrom('write', 'ask', 'turn'), { maxLength: 30 }), async (steps) => {
				let written = 0;
				let running = 0;
				const turn = () => new Promise<void>((done) => setImmediate(done));
				const ask = sharedLook(systemClock, async () => {
					expect(++running).toBe(1);
					const found = written;
					await turn();
					await turn();
					running--;
					return found;
				});
				const answers: Promise<void>[] = [];
				for (const step of steps) {
					if (step === 'write') written++;
					else if (step === 'turn') await turn();
					else {
						const before = written;
						answers.push(ask('').then((found) => expect(found).toBeGreaterThanOrEqual(before)));
					}
				}
				await Promise.all(answers);
			}),
			{ numRuns: runsOf(200) },
		);
	});
});
