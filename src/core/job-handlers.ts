import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { addJob, type JobRow, jobRow, jobRows, letJobRun, requestJob, stopJob } from '../store/jobs.ts';
import type { Db } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { type Job, TICK_MS } from './scheduler.ts';

type Row = Output<'listJobs'>['items'][number];

const show = (job: Job, row: JobRow | undefined): Row => ({
	name: job.name,
	summary: job.summary,
	every_seconds: job.everyMs / 1000,
	state: row?.paused === 1 ? 'paused' : row?.held === 1 ? 'running' : 'waiting',
	owner: row?.held === 1 ? row.owner : null,
	token: row?.token ?? 0,
	last_started_at: isoOr(row?.started_at ?? null),
	last_ended_at: isoOr(row?.ended_at ?? null),
	last_result: row?.result ?? null,
	last_changed: row?.changed ?? null,
	last_error: row?.error ?? null,
	last_duration_ms: row?.duration_ms ?? null,
	next_due_at: row?.paused === 1 ? null : isoOr(row?.due_at ?? null),
	requested_at: isoOr(row?.requested_at ?? null),
	runs: row?.runs ?? 0,
});

/** The job of a name, and its row, which is made where no daemon has run jobs yet. Errors: 404. */
export const jobNamed = async (
	context: Context,
	jobs: readonly Job[],
	tx: Db,
	name: string,
): Promise<{ job: Job; row: JobRow | undefined }> => {
	const job = jobs.find((each) => each.name === name);
	if (job === undefined) {
		throw new SpotError('missing', 'NOT_FOUND', `no job "${name.slice(0, 80)}"`, { hint: 'see: spotctl jobs list' });
	}
	await addJob.run(tx, { name });
	return { job, row: await jobRow.first(tx, { name, now: context.store.leaseNow() }) };
};

/** A job as lists show it. */
export const shown = async (context: Context, tx: Db, job: Job): Promise<Row> =>
	show(job, await jobRow.first(tx, { name: job.name, now: context.store.leaseNow() }));

export const listJobs = (context: Context, jobs: readonly Job[]) => async (): Promise<Output<'listJobs'>> => {
	const rows = new Map((await jobRows.all(context.store.read, { now: context.store.leaseNow() })).map((row) => [row.name, row]));
	return { items: jobs.map((job) => show(job, rows.get(job.name))), nextCursor: null };
};

/** Errors: 404; 409 JOB_PAUSED. */
export const runJob =
	(context: Context, jobs: readonly Job[]) =>
	(input: Valid<'runJob'>, caller: Caller): Promise<Output<'runJob'>> =>
		context.unit(caller, async (tx, journal) => {
			const at = context.clock.now();
			const { job } = await jobNamed(context, jobs, tx, input.name);
			const { name } = job;
			if ((await requestJob.run(tx, { name, at })) === 0) {
				throw new SpotError('conflict', 'JOB_PAUSED', `job "${name}" is paused`, { hint: `resume it: spotctl jobs resume ${name}` });
			}
			journal.audit('jobs.run', 'job', name, null, null, { requested_at: iso(at) });
			const row = await shown(context, tx, job);
			const when = row.state === 'running' ? `begins within ${TICK_MS / 1000} s` : 'begins when a daemon runs jobs; none does now';
			return { success: true, message: `job ${name} ${when}`, job: row };
		});

/** Errors: 404. */
export const pauseJob =
	(context: Context, jobs: readonly Job[]) =>
	(input: Valid<'pauseJob'>, caller: Caller): Promise<Output<'pauseJob'>> =>
		context.unit(caller, async (tx, journal) => {
			const { job, row } = await jobNamed(context, jobs, tx, input.name);
			const { name } = job;
			const changed = (await stopJob.run(tx, { name })) > 0;
			if (changed) {
				journal.audit('jobs.pause', 'job', name, null, { paused: false, owner: row?.owner ?? null }, { paused: true });
				journal.event('job_paused', `background job ${name} was paused`, null, { severity: 'warning' });
			}
			return { success: true, message: `job ${name} ${changed ? 'is' : 'was already'} paused`, job: await shown(context, tx, job) };
		});

/** Errors: 404. */
export const resumeJob =
	(context: Context, jobs: readonly Job[]) =>
	(input: Valid<'resumeJob'>, caller: Caller): Promise<Output<'resumeJob'>> =>
		context.unit(caller, async (tx, journal) => {
			const { job } = await jobNamed(context, jobs, tx, input.name);
			const { name } = job;
			const changed = (await letJobRun.run(tx, { name })) > 0;
			if (changed) {
				journal.audit('jobs.resume', 'job', name, null, { paused: true }, { paused: false });
				journal.event('job_resumed', `background job ${name} was resumed`, null);
			}
			return { success: true, message: `job ${name} ${changed ? 'is resumed' : 'was not paused'}`, job: await shown(context, tx, job) };
		});
