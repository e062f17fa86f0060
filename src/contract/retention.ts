import { z } from 'zod';
import { flag, isoOrNull, success } from './fields.ts';
import { JobRow } from './jobs.ts';
import { operation } from './operation.ts';

/** What becomes of the rows of one table when they are old. */
export const RetentionRule = z.object({
	/** The table, which is also the name of the rule. */
	rule: z.string(),
	summary: z.string(),
	/** The setting it goes by. */
	setting: z.string(),
	/** Days that rows are kept; 0: for ever. */
	days: z.number().int(),
	/** Rows of before this may end; null: none. */
	before: isoOrNull,
	/** Rows that would be deleted now, among the oldest that were counted. */
	due: z.number().int(),
	/** False: counting stopped, and there may be more than `due`. */
	due_complete: z.boolean(),
	requested_at: isoOrNull,
	last_started_at: isoOrNull,
	/** Null while it runs, and after a run that was killed. */
	last_ended_at: isoOrNull,
	last_deleted: z.number().int(),
	/** False: the last run did not see all that was old. Null: it never ran. */
	last_complete: z.boolean().nullable(),
	total_deleted: z.number().int(),
});

/** Rules, what is due, and the last run. */
export const Retention = z.object({
	rules: z.array(RetentionRule),
	/** Tables of which nothing is deleted for its age, and why. */
	kept: z.array(z.object({ table: z.string(), why: z.string() })),
	job: JobRow,
});

export const showRetention = operation({
	id: 'retention.show',
	method: 'GET',
	path: '/api/admin/retention',
	access: 'read',
	summary: 'What is deleted when it is old: rules, settings, rows due and the last run',
	input: z.object({}),
	output: success.extend(Retention.shape),
});

/**
 * Asks the daemon that runs the job for a run now; with `dry_run` nothing is deleted, and `due` says what would be. `only`: rules, a list
 * or comma separated. Errors: 400 UNKNOWN_RULE, 409 JOB_PAUSED.
 */
export const runRetention = operation({
	id: 'retention.run',
	method: 'POST',
	path: '/api/admin/retention/run',
	access: 'operate',
	summary: 'Delete old rows now, or count them',
	input: z.object({
		dry_run: flag,
		only: z.union([z.string().max(1000), z.array(z.string().max(64)).max(100)]).nullish(),
	}),
	output: success.extend({ message: z.string(), dry_run: z.boolean(), ...Retention.shape }),
});
