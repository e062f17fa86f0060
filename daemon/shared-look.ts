import type { Clock } from '../src/deps.ts';
import { turn } from '../src/turns.ts';

/** A look that takes longer hangs with its connection: whoever comes then begins another. */
const PATIENCE_MS = 2_000;

/**
 * One look for all who ask for the same while it waits for its turn: it begins after each of them asked, so it shows all that was answered
 * before, and one runs at a time unless it hangs. Read for each caller, eight dashboards cost eight times what one does, and on SQLite whoever
 * comes meanwhile waits for all of them.
 *
 * What is asked for is told apart by its key; `look` gets all who asked, of whom there is one at least. Its failure is that of everybody who
 * shared it. What it answers is shared too. `itsTurn`: when the next look may begin.
 */
export const sharedLook = <T, A = void>(
	clock: Pick<Clock, 'after'>,
	look: (askers: readonly [A, ...A[]], key: string) => Promise<T>,
	itsTurn: () => Promise<void> = turn,
): ((key: string, asker: A) => Promise<T>) => {
	const waiting = new Map<string, { readonly askers: [A, ...A[]]; readonly found: Promise<T> }>();
	const running = new Map<string, Promise<void>>();

	const withPatience = async (before: Promise<void>): Promise<void> => {
		let cancel = (): void => undefined;
		const late = new Promise<void>((done) => {
			cancel = clock.after(PATIENCE_MS, done);
		});
		await Promise.race([before, late]);
		cancel();
	};

	const begin = async (key: string, askers: [A, ...A[]]): Promise<T> => {
		const before = running.get(key);
		if (before !== undefined) await withPatience(before);
		await itsTurn();
		waiting.delete(key);
		const found = look(askers, key);
		const over: Promise<void> = found
			.then(
				() => undefined,
				() => undefined,
			)
			.then(() => {
				if (running.get(key) === over) running.delete(key);
			});
		running.set(key, over);
		return found;
	};

	return (key, asker) => {
		const known = waiting.get(key);
		if (known !== undefined) {
			known.askers.push(asker);
			return known.found;
		}
		const askers: [A, ...A[]] = [asker];
		const found = begin(key, askers);
		waiting.set(key, { askers, found });
		return found;
	};
};
