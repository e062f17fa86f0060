import { sql } from 'kysely';
import type { Flag, JobTable } from './schema.ts';
import { statement } from './statement.ts';

/** Who may run a job: whoever's id and token stand in its row. The token rises with every change of hands, so that an old one is told from a new. */
export type Lease = Readonly<Pick<JobTable, 'name' | 'token'>> & { readonly owner: string };

/** A job's row, and whether somebody's lease on it is running. */
export type JobRow = JobTable & { held: number };

/** Adds the row of a job; one that is there stays as it is. */
export const addJob = statement<{ name: string }>()((db, v, dialect) =>
	db
		.insertInto('job')
		.values({ name: v('name'), token: 0, leased_until: 0, paused: 0, runs: 0 })
		.modifyEnd(sql`${dialect.onConflict(['name'])} name = ${dialect.incoming('name')}`),
);

/**
 * Takes every lease of some jobs that has run out, or with `anyway` every one, for `ms`, and renews those `owner` has. `now` is null where
 * the database's own clock decides. Assignments are in this order because MySQL makes each see the ones before it.
 */
export const takeLeases = (names: readonly string[]) =>
	statement<{ owner: string; now: number | null; ms: number; anyway: Flag }>()((db, v, dialect) => {
		const at = sql<number>`coalesce(${v('now')}, ${dialect.databaseNow})`;
		return db
			.updateTable('job')
			.set({
				token: sql`token + case when owner = ${v('owner')} then 0 else 1 end`,
				owner: v('owner'),
				leased_until: sql`${at} + ${v('ms')}`,
			})
			.where('name', 'in', names)
			.where('paused', '=', 0)
			.where((eb) => eb.or([eb('owner', '=', v('owner')), eb('leased_until', '<=', at), eb(eb.val(v('anyway')), '=', 1)]));
	});

/** The jobs whose leases somebody has. */
export const jobsOf = statement<{ owner: string }>()((db, v) => db.selectFrom('job').selectAll().where('owner', '=', v('owner')));

/** Lets go of every lease somebody has: whoever asks next gets it. */
export const releaseLeases = statement<{ owner: string }>()((db, v) =>
	db.updateTable('job').set({ owner: null, leased_until: 0 }).where('owner', '=', v('owner')),
);

/** The row of a job if the lease still stands. */
export const leaseRow = statement<Lease>()((db, v) =>
	db.selectFrom('job').select('token').where('name', '=', v('name')).where('owner', '=', v('owner')).where('token', '=', v('token')),
);

/** Matches the row of a job if the lease still stands, and keeps it standing until the transaction ends. */
export const keepLease = statement<Lease>()((db, v) =>
	db
		.updateTable('job')
		.set((eb) => ({ token: eb.ref('token') }))
		.where('name', '=', v('name'))
		.where('owner', '=', v('owner'))
		.where('token', '=', v('token')),
);

/** Notes that a run is under way, while the lease stands; the request it answers is done with. */
export const saveBeginning = statement<Lease & { started_at: number; due_at: number; requested_at: number | null }>()((db, v) =>
	db
		.updateTable('job')
		.set({
			started_at: v('started_at'),
			due_at: v('due_at'),
			requested_at: sql`nullif(requested_at, ${v('requested_at')})`,
		})
		.where('name', '=', v('name'))
		.where('owner', '=', v('owner'))
		.where('token', '=', v('token')),
);

/** What became of a run; written while the lease stands. */
export type EndedRun = Lease &
	Readonly<Pick<JobTable, 'requested_at' | 'changed' | 'error'>> & {
		readonly started_at: number;
		readonly ended_at: number;
		readonly result: 'ok' | 'failed';
		readonly duration_ms: number;
		readonly due_at: number;
	};

export const saveEnd = statement<EndedRun>()((db, v) =>
	db
		.updateTable('job')
		.set({
			started_at: v('started_at'),
			ended_at: v('ended_at'),
			result: v('result'),
			changed: v('changed'),
			error: v('error'),
			duration_ms: v('duration_ms'),
			due_at: v('due_at'),
			requested_at: sql`nullif(requested_at, ${v('requested_at')})`,
			runs: sql`runs + 1`,
		})
		.where('name', '=', v('name'))
		.where('owner', '=', v('owner'))
		.where('token', '=', v('token')),
);

/** Every job; `now` as in {@link takeLeases}. */
export const jobRows = statement<{ now: number | null }>()((db, v, dialect) =>
	db
		.selectFrom('job')
		.selectAll()
		.select(sql<number>`case when leased_until > coalesce(${v('now')}, ${dialect.databaseNow}) then 1 else 0 end`.as('held')),
);

export const jobRow = statement<{ name: string; now: number | null }>()((db, v, dialect) =>
	db
		.selectFrom('job')
		.selectAll()
		.select(sql<number>`case when leased_until > coalesce(${v('now')}, ${dialect.databaseNow}) then 1 else 0 end`.as('held'))
		.where('name', '=', v('name')),
);

/** Asks for a run unless it is paused; an earlier request that was not answered yet stands for both. */
export const requestJob = statement<{ name: string; at: number }>()((db, v) =>
	db
		.updateTable('job')
		.set({ requested_at: sql`coalesce(requested_at, ${v('at')})` })
		.where('name', '=', v('name'))
		.where('paused', '=', 0),
);

/** Takes the lease away for good: a run under way commits nothing any more. */
export const stopJob = statement<{ name: string }>()((db, v) =>
	db
		.updateTable('job')
		.set({ paused: 1, token: sql`token + 1`, owner: null, leased_until: 0 })
		.where('name', '=', v('name'))
		.where('paused', '=', 0),
);

export const letJobRun = statement<{ name: string }>()((db, v) =>
	db.updateTable('job').set({ paused: 0 }).where('name', '=', v('name')).where('paused', '=', 1),
);
