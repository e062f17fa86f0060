import type { Clock } from './deps.ts';
import { gather } from './turns.ts';

/** A batch that takes longer than this waits for something of its own: the next one need not wait for it. */
const LONG_MS = 100;

/**
 * Hands what arrives to `carry`, together with whatever else has arrived by then: at most `most` in a batch, and at most `flights` batches at
 * once that are not held up by something of their own. What is alone goes alone, at once. `carry` answers each of its batch itself and
 * never throws.
 */
export const createFlights = <T>(
	clock: Pick<Clock, 'after' | 'elapsed'>,
	{ most, flights }: { readonly most: number; readonly flights: number },
	carry: (batch: readonly T[]) => Promise<void>,
): ((item: T) => void) => {
	const queue: T[] = [];
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
		while (flying < flights && queue.length > 0) fly(queue.splice(0, most));
	};

	return (item) => {
		queue.push(item);
		void begin();
	};
};
