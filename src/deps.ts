import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

/** Time as the program sees it. Instants are UTC milliseconds. Tests inject their own; nothing else reads the system clock. */
export type Clock = {
	/** UTC milliseconds. */
	now(): number;
	/** A monotonic reading in milliseconds with a fraction, for durations only. */
	elapsed(): number;
	/** Resolves after `ms`; rejects with the signal's reason when aborted. */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
	/** Calls `run` every `ms` until the returned function is called. Never keeps the process alive by itself. */
	every(ms: number, run: () => void): () => void;
	/** Calls `run` once after `ms` unless the returned function is called first. */
	after(ms: number, run: () => void): () => void;
};

/** Where ids and secrets come from. */
export type Ids = {
	/** A UUID (handles, agents, clients, commands). */
	uuid(): string;
	/** A 256-bit secret behind a readable prefix, URL-safe: `prefix` + 43 characters. */
	token(prefix: string): string;
};

export const systemClock: Clock = {
	now: () => Date.now(),
	elapsed: () => performance.now(),
	sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
	every: (ms, run) => {
		const timer = setInterval(run, ms);
		timer.unref();
		return () => clearInterval(timer);
	},
	after: (ms, run) => {
		const timer = setTimeout(run, ms);
		timer.unref();
		return () => clearTimeout(timer);
	},
};

export const systemIds: Ids = {
	uuid: () => randomUUID(),
	token: (prefix) => `${prefix}${randomBytes(32).toString('base64url')}`,
};
