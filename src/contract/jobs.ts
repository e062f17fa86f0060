import { z } from 'zod';
import { id, isoOrNull, success, textOrNull } from './fields.ts';
import { operation } from './operation.ts';

/** A background job and what became of its last run. */
export const JobRow = z.object({
	name: z.string(),
	summary: z.string(),
	every_seconds: z.number(),
	/** `running` while a daemon holds its lease, `paused`, or `waiting` for a daemon. */
	state: z.enum(['running', 'paused', 'waiting']),
	/** The daemon that runs it: an id made at its start. */
	owner: textOrNull,
	/** The fencing token: raised whenever another daemon takes over. */
	token: z.number().int(),
	last_started_at: isoOrNull,
	last_ended_at: isoOrNull,
	last_result: z.enum(['ok', 'failed']).nullable(),
	last_changed: z.number().int().nullable(),
	last_error: textOrNull,
	last_duration_ms: z.number().nullable(),
	next_due_at: isoOrNull,
	requested_at: isoOrNull,
	runs: z.number().int(),
});

export const listJobs = operation({
	id: 'jobs.list',
	method: 'GET',
	path: '/api/admin/jobs',
	access: 'read',
	summary: 'Background jobs with their last runs',
	input: z.object({}),
	output: JobRow,
	rendering: 'list',
});

/** Asks for a run now; the daemon that holds the lease begins it within two seconds. Errors: 404, 409 JOB_PAUSED. */
export const runJob = operation({
	id: 'jobs.run',
	method: 'POST',
	path: '/api/admin/jobs/{name}/run',
	access: 'operate',
	summary: 'Run a job now',
	input: z.object({ name: id }),
	output: success.extend({ message: z.string(), job: JobRow }),
});

/** Nobody runs it until it is resumed. Errors: 404. */
export const pauseJob = operation({
	id: 'jobs.pause',
	method: 'POST',
	path: '/api/admin/jobs/{name}/pause',
	access: 'operate',
	summary: 'Pause a job on every daemon',
	input: z.object({ name: id }),
	output: success.extend({ message: z.string(), job: JobRow }),
});

export const resumeJob = operation({
	id: 'jobs.resume',
	method: 'POST',
	path: '/api/admin/jobs/{name}/resume',
	access: 'operate',
	summary: 'Resume a paused job',
	input: z.object({ name: id }),
	output: success.extend({ message: z.string(), job: JobRow }),
});
