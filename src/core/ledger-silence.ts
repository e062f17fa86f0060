import { heardAgain, type LedgerState, ledgerState, lockLedger, notTaken, saveLedgerState, vouchedHosts } from '../store/ledger.ts';
import { dropGaps, gapAfter } from '../store/liveness.ts';
import type { Db } from '../store/statement.ts';
import { book, factOf, machineOf } from './ledger-book.ts';
import { pending } from './ledger-pending.ts';
import { readInTime } from './ledger-reports.ts';
import { goesOn, type Page, pages, type Run } from './ledger-run.ts';

/**
 * Where no daemon listened, nobody vouches for what ran from one timeout after the last sign of one: every machine is told, outage after
 * outage, each once the books have come to it, and each machine that calls again ends its own silence. Returns how many machines it booked.
 */
export const noteOutages = async (context: Run, until: number): Promise<number> => {
	const { read } = context.store;
	let booked = 0;
	for (;;) {
		const state = await ledgerState.first(read, {});
		if (state === undefined || !goesOn(context)) return booked;
		if (state.outage_at !== null) {
			booked += await tellAll(context, state.outage_at);
			continue;
		}
		const gap = await gapAfter.first(read, { after: state.serving_since });
		if (gap === undefined) return booked;
		const at = gap.from_at + context.settings.heartbeatTimeoutMs;
		// What was said before belongs before. A machine that nobody has booked yet would hear nothing of it, and be priced for all that time.
		booked += await readInTime(context, Math.min(at, until));
		booked += await pending(context, at);
		if (!goesOn(context)) return booked;
		await context.unit(null, async (tx) => {
			const now = await lockLedger.first(tx, {});
			if (now === undefined || now.outage_at !== null || now.serving_since >= gap.until_at) return;
			const told = gap.until_at > at ? { outage_at: at, outage_after: '' } : {};
			await saveLedgerState.run(tx, { ...now, ...told, serving_since: gap.until_at });
			await dropGaps.later(tx, { until: gap.until_at });
		});
	}
};

/** Tells every machine that was vouched for of an outage, some in each transaction. */
const tellAll = async (context: Run, at: number): Promise<number> => {
	let booked = 0;
	for (let state: LedgerState | undefined; state?.outage_at !== null && goesOn(context); ) {
		state = await context.unit(null, async (tx) => {
			const now = await lockLedger.first(tx, {});
			if (now === undefined || now.outage_at !== at) throw new Error('somebody else keeps the books');
			const rows = await vouchedHosts.all(tx, { after: now.outage_after ?? '' });
			const silent = rows.flatMap((row) => {
				const { launched, last } = machineOf(row);
				return launched < at ? [factOf(row, 'silent', Math.max(at, last))] : [];
			});
			booked += await book(tx, silent, new Map());
			const last = rows.at(-1)?.handle ?? null;
			const next = { ...now, ...(rows.length < 300 || last === null ? { outage_at: null, outage_after: null } : { outage_after: last }) };
			await saveLedgerState.run(tx, next);
			return next;
		});
	}
	return booked;
};

/** Ends the silence of machines that have called, and the belief that AWS took back those that have. Returns how many. */
export const noteHeard = async (context: Run): Promise<number> => {
	let booked = 0;
	for (const whose of [heardAgain, notTaken])
		booked += await pages(context, whose.first(context.store.read, {}), (_, tx) => noteCalls(tx, whose));
	return booked;
};

const noteCalls = async (tx: Db, whose: typeof heardAgain): Promise<Page> => {
	const rows = await whose.all(tx, {});
	const heard = rows.map(({ seen_at, ...row }) => factOf(row, 'heard', Math.max(seen_at, machineOf(row).last)));
	return { booked: await book(tx, heard, new Map()), more: rows.length === 300 };
};
