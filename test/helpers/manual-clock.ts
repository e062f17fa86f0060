import type { Clock } from '../../src/deps.ts';

type Timer = { at: number; seq: number; readonly period: number | null; readonly run: () => void; readonly isPaused: () => boolean };

/** A clock that stands still until it is moved. */
export type ManualClock = {
	now(): number;
	/**
	 * Lets time pass in steps of at most `step`. In each, what is due fires in order, and what it set off is awaited. A periodic timer that
	 * missed several periods fires once, as those of Node do.
	 */
	advance(ms: number, step?: number): Promise<void>;
	/**
	 * The clock of one program: `stop` forgets every timer it set, as the end of its process does; between `pause` and `wake` none fires, as
	 * when the process is stopped by a signal.
	 */
	forProgram(): { readonly clock: Clock; stop(): void; pause(): void; wake(): void };
};

/** `settle` resolves when nothing that a timer set off is under way any more. */
export const createManualClock = (start: number, settle: () => Promise<void>): ManualClock => {
	const timers = new Set<Timer>();
	let now = start;
	let seq = 0;

	const fireDue = async (): Promise<void> => {
		for (;;) {
			const [next] = [...timers].filter((timer) => timer.at <= now && !timer.isPaused()).sort((a, b) => a.at - b.at || a.seq - b.seq);
			if (next === undefined) return;
			if (next.period === null) timers.delete(next);
			else next.at = now + next.period;
			next.run();
			await settle();
		}
	};

	const forProgram = (): ReturnType<ManualClock['forProgram']> => {
		const own = new Set<Timer>();
		let paused = false;
		const add = (ms: number, period: number | null, run: () => void): (() => void) => {
			const timer: Timer = { at: now + Math.max(0, ms), seq: seq++, period, run, isPaused: () => paused };
			timers.add(timer);
			own.add(timer);
			return () => void timers.delete(timer);
		};
		const clock: Clock = {
			now: () => now,
			elapsed: () => now,
			sleep: (ms, signal) =>
				new Promise((accept, reject) => {
					const cancel = add(ms, null, accept);
					signal?.addEventListener('abort', () => {
						cancel();
						reject(signal.reason);
					});
				}),
			every: (ms, run) => add(ms, ms, run),
			after: (ms, run) => add(ms, null, run),
		};
		const stop = (): void => {
			for (const timer of own) timers.delete(timer);
		};
		return {
			clock,
			stop,
			pause: () => {
				paused = true;
			},
			wake: () => {
				paused = false;
			},
		};
	};

	return {
		now: () => now,
		advance: async (ms, step = 1000) => {
			for (const end = now + ms; now < end; ) {
				now = Math.min(now + step, end);
				await fireDue();
			}
		},
		forProgram,
	};
};
