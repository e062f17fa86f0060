import { SpotError } from '../errors.ts';
import { addJob, type EndedRun, jobsOf, type Lease, releaseLeases, saveBeginning, saveEnd, takeLeases } from '../store/jobs.ts';
import { asUnavailable } from '../store/open.ts';
import type { JobTable } from '../store/schema.ts';
import type { Context } from './context.ts';
import { type JobContext, LeaseLost, underLease } from './lease.ts';

/** A background job as data. It owns its work, and whatever it does is safe to repeat; when it runs, and where, is the scheduler's. */
export type Job = {
	readonly name: string;
	readonly summary: string;
	/** A multiple of {@link TICK_MS}. */
	readonly everyMs: number;
	/** Returns how many things it changed. A {@link LeaseLost} that it catches it has to throw again. */
	run(context: JobContext): Promise<number>;
};

/** Runs the jobs whose leases this process has. */
export type Scheduler = {
	/** Takes what leases it can get; the runs begin with the next tick. `alone`: nobody else can be at work, so every lease is taken at once. */
	start(alone: boolean): Promise<void>;
	/** Waits for the runs under way, then lets go of the leases, so that another daemon goes on at once. */
	stop(): Promise<void>;
};

/** How often leases are taken and renewed, and due jobs begin. */
export const TICK_MS = 2_000;
/** How long a lease lasts without being renewed: a killed leader is replaced within this time and a tick of another daemon. */
export const LEASE_MS = 6_000;
/** A tick that comes a little early still counts. */
const SLACK_MS = TICK_MS / 2;

type Held = Lease & {
	/** Monotonic time until which nobody else can have taken it: counted from before the database was asked. */
	until: number;
};

type Run = {
	readonly lease: Held;
	readonly started_at: number;
	readonly due_at: number;
	readonly requested_at: number | null;
	/** Whether its row says that it is under way. */
	noted: boolean;
	readonly done: Promise<void>;
};

type Slot = {
	readonly job: Job;
	held: Held | null;
	run: Run | null;
	/** Monotonic. */
	dueAt: number;
	endedAt: number;
	requestedAt: number | null;
};

/** What a job's row may say of a failure: what an operator can act on; the text of anything else stays in the log (D-49). */
const reasonOf = (error: unknown): string =>
	error instanceof SpotError
		? error.message
		: `an unexpected ${error instanceof Error ? error.name : 'error'}; see the log of the daemon that ran it`;

/**
 * Keeps the leases of jobs and runs those it has. Every {@link TICK_MS} one transaction takes what has run out, renews what it has, writes
 * what became of the runs since, and reads the rows: all that background work costs while nothing happens. The lease is in the row, by
 * the database's clock; what this process believes of it ends {@link LEASE_MS} after it last asked successfully, by its own.
 */
export const createScheduler = (context: Context, jobs: readonly Job[]): Scheduler => {
	const { store, clock, log, counters, origin: owner } = context;
	const slots: readonly Slot[] = jobs.map((job) => ({ job, held: null, run: null, dueAt: 0, endedAt: 0, requestedAt: null }));
	const names = jobs.map(({ name }) => name);
	const take = takeLeases(names);
	const ended: EndedRun[] = [];
	let ticking: Promise<void> | null = null;
	let stopTimer: (() => void) | null = null;
	const stopping = new AbortController();
	let silent = false;

	const hold = (slot: Slot, row: JobTable, until: number): void => {
		slot.requestedAt = row.requested_at;
		if (slot.held?.token === row.token) {
			slot.held.until = until;
			return;
		}
		slot.held = { name: row.name, owner, token: row.token, until };
		slot.endedAt = row.ended_at ?? 0;
		const wait = row.due_at === null ? 0 : Math.min(Math.max(row.due_at - clock.now(), 0), slot.job.everyMs);
		slot.dueAt = clock.elapsed() + wait;
	};

	const renew = async (anyway: boolean): Promise<void> => {
		const asked = clock.elapsed();
		const begun = slots.flatMap(({ run }) => (run === null || run.noted ? [] : [run]));
		const over = [...ended];
		const answers = await store.transactTogether([
			take.of({ owner, now: store.leaseNow(), ms: LEASE_MS, anyway: anyway ? 1 : 0 }),
			...over.map(saveEnd.of),
			...begun.map(({ lease, started_at, due_at, requested_at }) => saveBeginning.of({ ...lease, started_at, due_at, requested_at })),
			jobsOf.of({ owner }),
		]);
		ended.splice(0, over.length);
		for (const run of begun) run.noted = true;
		const rows = new Map((answers.at(-1) as JobTable[]).map((row) => [row.name, row]));
		const before = slots.filter(({ held }) => held !== null);
		for (const slot of slots) {
			const row = rows.get(slot.job.name);
			if (row === undefined) slot.held = null;
			else hold(slot, row, asked + LEASE_MS);
		}
		const changed = (from: readonly Slot[], to: (slot: Slot) => boolean) => from.filter(to).map(({ job }) => job.name);
		const taken = changed(slots, (slot) => slot.held !== null && !before.includes(slot));
		const left = changed(before, ({ held }) => held === null);
		if (taken.length > 0) log.info({ jobs: taken }, 'runs background jobs');
		if (left.length > 0) log.info({ jobs: left }, 'background jobs are paused, or run by another daemon');
	};

	const carryOut = async (slot: Slot, lease: Held, run: Pick<Run, 'started_at' | 'due_at' | 'requested_at'>): Promise<void> => {
		const { job } = slot;
		const from = clock.elapsed();
		const end = (result: 'ok' | 'failed', changed: number | null, error: string | null): void => {
			counters.add('job_runs_total', 1);
			if (result === 'failed') counters.add('job_failures_total', 1);
			slot.endedAt = Math.max(clock.now(), run.started_at);
			ended.push({ ...lease, ...run, ended_at: slot.endedAt, result, changed, error, duration_ms: Math.round(clock.elapsed() - from) });
		};
		try {
			end('ok', await job.run(underLease(context, lease, () => clock.elapsed() >= lease.until, stopping.signal)), null);
		} catch (error) {
			if (error instanceof LeaseLost) {
				log.info({ job: job.name }, 'the lease of a job is lost; its run ends');
				return;
			}
			log.warn({ job: job.name, err: error }, 'background work failed; it is tried again');
			end('failed', null, reasonOf(asUnavailable(store.dialect, error)));
		}
	};

	const begin = (slot: Slot, lease: Held): void => {
		// Later than the last end by any clock: whoever follows a run tells by that whether one is under way.
		const started_at = Math.max(clock.now(), slot.endedAt + 1);
		const run = { started_at, due_at: started_at + slot.job.everyMs, requested_at: slot.requestedAt };
		slot.dueAt = clock.elapsed() + slot.job.everyMs;
		slot.requestedAt = null;
		const done = carryOut(slot, lease, run).finally(() => {
			slot.run = null;
		});
		slot.run = { ...run, lease, noted: false, done };
	};

	const beginDue = (): void => {
		for (const slot of slots) {
			if (slot.run !== null || slot.held === null || clock.elapsed() >= slot.held.until) continue;
			if (slot.requestedAt !== null || clock.elapsed() >= slot.dueAt - SLACK_MS) begin(slot, slot.held);
		}
	};

	const tick = async (): Promise<void> => {
		try {
			await renew(false);
			silent = false;
			if (stopTimer !== null) beginDue();
		} catch (error) {
			if (!silent) log.warn({ err: error }, 'the leases of the background jobs cannot be renewed; it is tried again');
			silent = true;
		}
	};

	return {
		start: async (alone) => {
			if (jobs.length === 0) return;
			await store.transactTogether(names.map((name) => addJob.of({ name })));
			await renew(alone);
			stopTimer = clock.every(TICK_MS, () => {
				ticking ??= tick().finally(() => {
					ticking = null;
				});
			});
		},
		stop: async () => {
			if (stopTimer === null) return;
			stopping.abort();
			stopTimer();
			stopTimer = null;
			await ticking;
			await Promise.all(slots.map(({ run }) => run?.done));
			try {
				await store.transactTogether([...ended.splice(0).map(saveEnd.of), releaseLeases.of({ owner })]);
			} catch (error) {
				log.warn({ err: error }, 'the leases of the background jobs could not be let go; they run out by themselves');
			}
		},
	};
};
