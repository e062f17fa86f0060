import type { Clock } from './deps.ts';
import { gather } from './turns.ts';

/** A batch that takes longer than this waits for something of its own: the next one need not wait for it. */
const LONG_MS = 100;

/** Whoever has waited so long is told so: what is asked for while a database hangs must not grow without end, nor be done for callers who left. */
const LATE_MS = 5_000;

/**
 * Hands what arrives to `carry`, together with whatever else has arrived by then: at most `most` in a batch, and at most `flights` batches at
 * once that are not held up by something of their own. What is alone goes alone, at once; what has waited for 5 s goes to `late` instead.
 * `carry` answers each of its batch itself and never throws.
 */
export const createFlights = <T>(
	clock: Pick<Clock, 'after' | 'elapsed'>,
	{ most, flights, late }: { readonly most: number; readonly flights: number; readonly late: (item: T) => void },
	carry: (batch: readonly T[]) => Promise<void>,
): ((item: T) => void) => {
	const queue: Array<{ readonly item: T; readonly since: number }> = [];
	let flying = 0;
	let isGathering = false;

	const fly = (batch: readonly T[]): void => {
		flying += 1;
		let counts = true;
		const land = (): void => {
			if (!counts) return;
			counts = false;
			flying -= 1;
			void begin();
		};
		const cancel = clock.after(LONG_MS, land);
		void carry(batch).finally(() => {
			cancel();
			land();
		});
	};

	const begin = async (): Promise<void> => {
		if (isGathering || flying >= flights || queue.length === 0) return;
		isGathering = true;
		await gather(clock, most, () => queue.length);
		isGathering = false;
		while (flying < flights && queue.length > 0) {
			const before = clock.elapsed() - LATE_MS;
			for (let first = queue[0]; first !== undefined && first.since < before; first = queue[0]) {
				queue.shift();
				late(first.item);
			}
			if (queue.length > 0) fly(queue.splice(0, most).map(({ item }) => item));
		}
	};

	return (item) => {
		queue.push({ item, since: clock.elapsed() });
		void begin();
	};
};
