import type { Flag } from '../schema.ts';

/** How far retention is with the rows of one table: its last run, and what it has deleted altogether. */
export type RetentionRuleTable = {
	/** The table it deletes from. */
	name: string;
	/** An operator asked for a run of this rule alone that has not ended yet. */
	requested_at: number | null;
	started_at: number | null;
	/** Null while it runs, and when it was killed. */
	ended_at: number | null;
	/** Rows deleted in the last run, counted in the transactions that deleted them. */
	deleted: number;
	/** 1: the last run saw all that was old. */
	complete: Flag;
	/** Rows deleted since the first run. */
	total: number;
};
