import type { Clock } from '../deps.ts';

/** How long the statements of a background transaction shall take, ms: on SQLite, everybody else waits for so long. */
const AIM_MS = 8;

/** Rows of a transaction: at first, at least and at most. */
export type Sizes = { readonly first: number; readonly least: number; readonly most: number };

/** How many rows the next transaction tries, after one of `size` that took `ms`. */
export const nextSize = (size: number, ms: number, { least, most }: Pick<Sizes, 'least' | 'most'>): number => {
	const wanted = ms <= 0 ? size * 2 : (size * AIM_MS) / ms;
	return Math.round(Math.min(most, Math.max(least, Math.min(size * 1.5, wanted))));
};

/** Rests for `ms`, and goes on at once when the daemon stops. */
export const rest = async ({ clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal }, ms: number): Promise<void> => {
	if (ms <= 0) return;
	try {
		await clock.sleep(ms, signal);
	} catch (error) {
		if (signal?.aborted !== true) throw error;
	}
};
