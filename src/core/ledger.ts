import { beginLedger, enterHosts, lastReport, ledgerState } from '../store/ledger.ts';
import { serviceClock } from '../store/liveness.ts';
import type { Context } from './context.ts';
import { keptUntil } from './ledger-book.ts';
import { lapse, turnDays } from './ledger-lapse.ts';
import { newAgents, pending } from './ledger-pending.ts';
import { readInTime } from './ledger-reports.ts';
import { goesOn, type Run, SIZES } from './ledger-run.ts';
import { noteHeard, noteOutages } from './ledger-silence.ts';

/**
 * Brings the books up to date with what has become true since the last run; work grows with that. Every step is a transaction that books
 * facts and moves on, so a run can be killed anywhere and begun again. Returns how many machines it booked.
 */
export const keepLedger = async (job: Context & { readonly signal?: AbortSignal }): Promise<number> => {
	const context: Run = { ...job, pace: { size: SIZES.first } };
	await open(context);
	const until = keptUntil(context.clock.now());
	const steps: ReadonlyArray<() => Promise<number>> = [
		() => noteOutages(context, until),
		() => readInTime(context, until),
		() => lapse(context, until),
		() => pending(context, until),
		() => noteHeard(context),
		() => newAgents(context),
		() => turnDays(context, until),
	];
	let booked = 0;
	for (const step of steps) if (goesOn(context)) booked += await step();
	return booked;
};

/** The first run begins the books and enters the machines that live. */
const open = async (context: Context): Promise<void> => {
	if ((await ledgerState.first(context.store.read, {})) !== undefined) return;
	const now = context.clock.now();
	for (;;) if ((await context.unit(null, (tx) => enterHosts(tx, now))) < 1000) break;
	await context.unit(null, async (tx) => {
		const clock = await serviceClock.first(tx, {});
		const last = await lastReport.first(tx, {});
		await beginLedger.run(tx, {
			id: 1,
			reports_at: now,
			reports_id: last?.id ?? 0,
			serving_since: clock?.serving_since ?? now,
			alive_at: now,
			outage_at: null,
			outage_after: null,
			pruned_before: null,
		});
	});
};
