/** What a thread needs of its clock. */
export type Scheduler = {
	/** UTC milliseconds. */
	now(): number;
	/** An instant of this clock as the world outside reads it: what goes on the wire. */
	utc(at: number): number;
	/** Runs `task` after `delayMs`; the clock waits for the promise it returns. */
	schedule(delayMs: number, task: () => unknown, name?: string): Scheduled;
	cancel(scheduled: Scheduled): void;
};

/** A handle for {@link Scheduler.cancel}. */
export type Scheduled = { readonly at: number; readonly name: string };

type State = 'new' | 'running' | 'busy' | 'idle' | 'ended';

/**
 * A flow of work on simulated time, written like a thread of the real agents: it computes, makes calls, sleeps. The clock runs
 * it slice by slice; a slice ends where the thread sleeps, so nothing else happens between two sleeps. Killing it leaves it
 * at the point it had reached, for ever.
 */
export class SimThread {
	readonly name: string;
	readonly #scheduler: Scheduler;
	#state: State = 'new';
	#killed = false;
	#next: Scheduled | undefined;
	#endSlice: () => void = () => undefined;
	#failSlice: (error: unknown) => void = () => undefined;

	constructor(scheduler: Scheduler, name: string, body: (thread: SimThread) => Promise<void>, delayMs = 0) {
		this.name = name;
		this.#scheduler = scheduler;
		this.#resumeAfter(delayMs, () => void this.#runBody(body));
	}

	/** False once it was killed. A call that was under way must then not be acted on: see {@link halt}. */
	get alive(): boolean {
		return !this.#killed;
	}

	/** True while the thread is in the middle of something; false when it waits for its next turn, or has ended. */
	get isBusy(): boolean {
		return !this.#killed && (this.#state === 'running' || this.#state === 'busy');
	}

	/** Sleeps `ms` in the middle of work. */
	sleep(ms: number): Promise<void> {
		return this.#pause(ms, 'busy');
	}

	/** Waits `ms` for the next turn: a shutdown does not wait for it. */
	wait(ms: number): Promise<void> {
		return this.#pause(ms, 'idle');
	}

	/** Ends the slice and never returns: what a process sees of its own death. */
	halt(): Promise<never> {
		this.#killed = true;
		this.#endSlice();
		return new Promise<never>(() => undefined);
	}

	/** Stops it where it is. A call under way is not recalled, but its answer is not seen. */
	kill(): void {
		this.#killed = true;
		if (this.#next) this.#scheduler.cancel(this.#next);
		this.#next = undefined;
	}

	#pause(ms: number, state: 'busy' | 'idle'): Promise<void> {
		if (this.#killed) return this.halt();
		return new Promise((resume) => {
			this.#state = state;
			this.#resumeAfter(ms, resume);
			this.#endSlice();
		});
	}

	#resumeAfter(ms: number, go: () => void): void {
		const slice = (): Promise<void> =>
			new Promise((resolve, reject) => {
				this.#next = undefined;
				this.#endSlice = resolve;
				this.#failSlice = reject;
				this.#state = 'running';
				go();
			});
		this.#next = this.#scheduler.schedule(ms, slice, this.name);
	}

	async #runBody(body: (thread: SimThread) => Promise<void>): Promise<void> {
		try {
			await body(this);
			this.#state = 'ended';
			this.#endSlice();
		} catch (error) {
			this.#state = 'ended';
			this.#failSlice(error);
		}
	}
}
