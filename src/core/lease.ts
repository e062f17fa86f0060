import { keepLease, type Lease, leaseRow } from '../store/jobs.ts';
import type { Store } from '../store/open.ts';
import { together } from '../store/statement.ts';
import type { Context } from './context.ts';
import { createUnit, createUnits, LeaseLost } from './unit.ts';

export { LeaseLost } from './unit.ts';

/** A context whose transactions, through `unit` and `store`, commit only while a lease stands. Errors of both: {@link LeaseLost}. */
export type JobContext = Context & {
	readonly lease: Lease /** Aborted when the daemon stops: a long run ends early. */;
	readonly signal: AbortSignal;
};

/**
 * A store whose transactions commit only while `lease` stands. Each reads the row of the job first, so that a late run does nothing, and
 * matches it again as its last statement, which on MySQL holds the row until the commit in the same packet: whoever takes the lease over
 * does it before, and then the match fails, or after. A lock from the start would do as well, but a daemon that is stopped in the
 * middle of a transaction would keep it, and nobody could take over.
 */
export const fence = (store: Store, lease: Lease, lapsed: () => boolean): Store => {
	const lost = (): LeaseLost => new LeaseLost(`the lease of job "${lease.name}" is lost`);
	const transact: Store['transact'] = async (work, lane) => {
		try {
			return await store.transact(async (tx) => {
				if (lapsed() || (await leaseRow.first(tx, lease)) === undefined) throw lost();
				const value = await work(tx);
				await keepLease.must(tx, lease);
				return value;
			}, lane);
		} catch (error) {
			if (store.dialect.isStale(error) && (await leaseRow.first(store.read, lease)) === undefined) throw lost();
			throw error;
		}
	};
	return { ...store, transact, transactShared: null, transactTogether: (calls) => transact((tx) => together(tx, calls)) };
};

/** The context for a run of a job. `lapsed` says when its lease can be believed no longer without asking the database. */
export const underLease = (context: Context, lease: Lease, lapsed: () => boolean, signal: AbortSignal): JobContext => {
	const store = fence(context.store, lease, lapsed);
	const units = createUnits({ ...context, store });
	const unit = createUnit(units);
	return { ...context, store, units, unit, sharedUnit: unit, lease, signal };
};
