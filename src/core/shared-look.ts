import type { Clock } from '../deps.ts';
import { turn } from '../turns.ts';

/** A look that takes longer hangs with its connection: whoever comes then begins another. */
const PATIENCE_MS = 2_000;

/**
 * One look for all who ask for the same while it waits for its turn: it begins after each of them asked, so it shows all that was answered
 * before, and one runs at a time unless it hangs. For what sums up the fleet, or a client of it: read for each caller, eight dashboards cost
 * eight times what one does, and on SQLite whoever comes meanwhile waits for all of them.
 *
 * `look` gets the key by which the asked-for is told apart. Its failure is that of everybody who shared it. What it answers is shared too.
 */
export const sharedLook = <T>(clock: Clock, look: (key: string) => Promise<T>): ((key: string) => Promise<T>) => {
	const waiting = new Map<string, Promise<T>>();
	const running = new Map<string, Promise<void>>();

	const withPatience = async (before: Promise<void>): Promise<void> => {
		let cancel = (): void => undefined;
		const late = new Promise<void>((done) => {
			cancel = clock.after(PATIENCE_MS, done);
		});
		await Promise.race([before, late]);
		cancel();
	};

	const begin = async (key: string): Promise<T> => {
		const before = running.get(key);
		if (before === undefined) await turn();
		else await withPatience(before);
		waiting.delete(key);
		const found = look(key);
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

	return (key) => {
		const known = waiting.get(key);
		if (known !== undefined) return known;
		const asked = begin(key);
		waiting.set(key, asked);
		return asked;
	};
};
