import { setImmediate } from 'node:timers/promises';
import { type Clock, systemClock } from '../deps.ts';
import type { Scheduled, Scheduler } from './thread.ts';
import { type Entry, Timeline } from './timeline.ts';

/** What just ran, for {@link SimClockOptions.onEvent}. `at` is simulated UTC milliseconds. */
export type SimEvent = { readonly at: number; readonly name: string };

/** A clock to create. */
export type SimClockOptions = {
	/** Simulated start, UTC milliseconds. */
	start?: number;
	/** Called, and awaited, after every task. The place to check that nothing is broken. */
	onEvent?: (event: SimEvent) => void | Promise<void>;
	/** Tasks under way at once; 1 (the default) is deterministic for a seed. */
	concurrency?: number;
	/** With a concurrency above 1: how far a task may overtake one that is still under way, simulated milliseconds. Default 100. */
	windowMs?: number;
	/** Awaited after each timer of a program on {@link SimClock.asDepsClock}, so that what it set off can end. */
	settle?: () => Promise<void>;
	/**
	 * With {@link SimClock.runRealTime}: instants on the wire are real ones, so that a daemon on real time reads a deadline 120 s ahead of
	 * a fleet at thirty times real time as one 4 s ahead. Default false: simulated instants go out as they are.
	 */
	realStamps?: boolean;
	/** Real milliseconds after which a task is taken to wait on a simulated timer, which then fires early. */
	stallMs?: number;
	/** Real time. */
	real?: Clock;
};

type Live = { readonly simulated: number; readonly elapsed: number; readonly wall: number; readonly speed: number };

/**
 * Simulated time. Tasks run in order of their instants, each awaited to its end, calls included, before the next one starts;
 * between them time jumps. A daemon in the same process can be given the same time by {@link asDepsClock}.
 */
export class SimClock implements Scheduler {
	onEvent: (event: SimEvent) => void | Promise<void>;
	readonly #timeline = new Timeline();
	readonly #concurrency: number;
	readonly #windowMs: number;
	readonly #stallMs: number;
	readonly #settle: () => Promise<void>;
	readonly #real: Clock;
	readonly #realStamps: boolean;
	#now: number;
	#seq = 0;
	#live: Live | undefined;
	#wake: () => void = () => undefined;
	#serves = false;
	#tasks = 0;
	#stalls = 0;
	#maxLagMs = 0;

	constructor(options: SimClockOptions = {}) {
		this.#now = options.start ?? Date.UTC(2021, 2, 4);
		this.onEvent = options.onEvent ?? (() => undefined);
		this.#concurrency = options.concurrency ?? 1;
		this.#windowMs = options.windowMs ?? 100;
		this.#stallMs = options.stallMs ?? 250;
		this.#settle = options.settle ?? twoTurns;
		this.#real = options.real ?? systemClock;
		this.#realStamps = options.realStamps ?? false;
	}

	/** Simulated UTC milliseconds, whole. */
	now(): number {
		const live = this.#live;
		if (live) this.#now = Math.max(this.#now, Math.floor(live.simulated + (this.#real.elapsed() - live.elapsed) * live.speed));
		return this.#now;
	}

	utc(at: number): number {
		const live = this.#live;
		return live && this.#realStamps ? Math.round(live.wall + (at - live.simulated) / live.speed) : at;
	}

	/** Tasks run; tasks that needed an early timer; the worst delay of a task in real-time driving, simulated milliseconds. */
	get stats(): { tasks: number; stalls: number; maxLagMs: number } {
		return { tasks: this.#tasks, stalls: this.#stalls, maxLagMs: this.#maxLagMs };
	}

	schedule(delayMs: number, task: () => unknown, name = 'task'): Scheduled {
		return this.#add(delayMs, task, name, false);
	}

	cancel(scheduled: Scheduled): void {
		(scheduled as Entry).run = undefined;
	}

	/** Runs the next task and what it awaits; false when there is none. */
	async step(): Promise<boolean> {
		const entry = this.#timeline.pop();
		if (!entry) return false;
		await this.#run(entry);
		return true;
	}

	/** Runs everything due up to and including `time` (UTC milliseconds); time then stands at `time`. */
	async runUntil(time: number): Promise<void> {
		if (this.#concurrency === 1) {
			for (let next = this.#timeline.peek(); next && next.at <= time; next = this.#timeline.peek()) await this.step();
		} else {
			await this.#runTogether(time);
		}
		this.#now = Math.max(this.#now, time);
	}

	/** {@link runUntil} for a span, simulated milliseconds. */
	runFor(ms: number): Promise<void> {
		return this.runUntil(this.now() + ms);
	}

	/** Lets time pass at `speed` simulated milliseconds per real one until `signal` aborts; tasks are not held up by each other. */
	async runRealTime(speed: number, signal: AbortSignal): Promise<void> {
		const flying = new Set<Promise<void>>();
		const failures: unknown[] = [];
		const stop = (): void => this.#wake();
		signal.addEventListener('abort', stop);
		this.#live = { simulated: this.#now, elapsed: this.#real.elapsed(), wall: this.#real.now(), speed };
		try {
			while (!signal.aborted && failures.length === 0) {
				for (let next = this.#timeline.peek(); next && next.at <= this.now(); next = this.#timeline.peek()) {
					this.#timeline.pop();
					const flight: Promise<void> = this.#run(next)
						.catch((error: unknown) => {
							failures.push(error);
							this.#wake();
						})
						.then(() => void flying.delete(flight));
					flying.add(flight);
				}
				const next = this.#timeline.peek();
				await this.#sleepOrWake(next ? Math.min(1_000, (next.at - this.now()) / speed) : 1_000);
			}
			await Promise.all(flying);
		} finally {
			this.now();
			this.#live = undefined;
			signal.removeEventListener('abort', stop);
		}
		if (failures.length > 0) throw failures[0];
	}

	/**
	 * This time as a program's `Clock`: its sleeps and timers run here. Work a timer sets off is not awaited by the program, so
	 * the clock waits for `settle`. A program that sleeps inside a request would hold up the task that made the request, and with
	 * it time: after `stallMs` the program's earliest timer fires early instead (counted in {@link stats}).
	 */
	asDepsClock(): Clock {
		this.#serves = true;
		const timer = (ms: number, run: () => void, name: string): Entry =>
			this.#add(
				ms,
				async () => {
					run();
					await this.#settle();
				},
				name,
				true,
			);
		return {
			now: () => this.now(),
			elapsed: () => this.now(),
			sleep: (ms, signal) =>
				new Promise((resolve, reject) => {
					if (signal?.aborted) return reject(signal.reason);
					const entry = timer(
						ms,
						() => {
							signal?.removeEventListener('abort', abort);
							resolve();
						},
						'sleep',
					);
					const abort = (): void => {
						this.cancel(entry);
						reject(signal?.reason);
					};
					signal?.addEventListener('abort', abort, { once: true });
				}),
			every: (ms, run) => {
				const again = (): Entry =>
					timer(
						Math.max(1, ms),
						() => {
							entry = again();
							run();
						},
						'every',
					);
				let entry = again();
				return () => this.cancel(entry);
			},
			after: (ms, run) => {
				const entry = timer(ms, run, 'after');
				return () => this.cancel(entry);
			},
		};
	}

	#add(delayMs: number, run: () => unknown, name: string, timer: boolean): Entry {
		const entry: Entry = { at: this.now() + Math.max(0, Math.round(delayMs)), seq: this.#seq++, name, timer, run };
		this.#timeline.push(entry);
		if (this.#live && this.#timeline.peek() === entry) this.#wake();
		return entry;
	}

	async #run(entry: Entry): Promise<void> {
		const task = entry.run;
		if (!task) return;
		entry.run = undefined;
		this.#tasks++;
		this.#maxLagMs = Math.max(this.#maxLagMs, this.now() - entry.at);
		this.#now = Math.max(this.#now, entry.at);
		if (this.#serves && !this.#live && !entry.timer) await this.#runWithEarlyTimers(task);
		else await task();
		await this.onEvent({ at: this.#now, name: entry.name });
	}

	async #runWithEarlyTimers(task: () => unknown): Promise<void> {
		const done = Promise.resolve(task()).then(() => true);
		for (;;) {
			let disarm = (): void => undefined;
			const stalled = new Promise<boolean>((resolve) => {
				disarm = this.#real.after(this.#stallMs, () => resolve(false));
			});
			const isDone = await Promise.race([done, stalled]).finally(() => disarm());
			if (isDone) return;
			const timer = this.#timeline.firstTimer();
			if (!timer) continue;
			this.#stalls++;
			await this.#run(timer);
		}
	}

	async #runTogether(time: number): Promise<void> {
		const flying = new Map<Entry, Promise<void>>();
		const failures: unknown[] = [];
		let landed = (): void => undefined;
		for (;;) {
			const [oldest] = flying.keys();
			const limit = oldest ? Math.min(time, oldest.at + this.#windowMs) : time;
			const next = this.#timeline.peek();
			if (next && next.at <= limit && flying.size < this.#concurrency && failures.length === 0) {
				this.#timeline.pop();
				const flight = this.#run(next)
					.catch((error: unknown) => failures.push(error))
					.then(() => {
						flying.delete(next);
						landed();
					});
				flying.set(next, flight);
				continue;
			}
			if (flying.size === 0) break;
			await new Promise<void>((resolve) => {
				landed = resolve;
			});
		}
		if (failures.length > 0) throw failures[0];
	}

	async #sleepOrWake(ms: number): Promise<void> {
		const wake = new AbortController();
		this.#wake = () => wake.abort();
		await this.#real.sleep(Math.max(1, Math.ceil(ms)), wake.signal).catch(() => undefined);
	}
}

const twoTurns = async (): Promise<void> => {
	await setImmediate();
	await setImmediate();
};
