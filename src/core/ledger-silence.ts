import { heardAgain, ledgerState, lockLedger, notTaken, saveLedgerState, vouchedHosts } from '../store/ledger.ts';
import { dropGaps, gapAfter } from '../store/liveness.ts';
import type { Db } from '../store/statement.ts';
import { book, factOf, machineOf } from './ledger-book.ts';
import { lapse } from './ledger-lapse.ts';
import { pending } from './ledger-pending.ts';
import { readInTime } from './ledger-reports.ts';
import { goesOn, type Page, pages, portion, type Run } from './ledger-run.ts';

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
		booked += await lapse(context, Math.min(at, until));
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
const tellAll = (context: Run, at: number): Promise<number> =>
	pages(context, Promise.resolve(at), async (run, tx) => {
		const now = await ledgerState.first(tx, {});
		if (now === undefined || now.outage_at !== at) return { booked: 0, more: false };
		const { rows, isPart: more } = portion(run, await vouchedHosts.all(tx, { after: now.outage_after ?? '' }));
		const silent = rows.flatMap((row) => {
			const { launched, last } = machineOf(row);
			return launched < at ? [factOf(row, 'silent', Math.max(at, last))] : [];
		});
		const booked = await book(tx, silent, new Map());
		const place = more ? { outage_after: rows.at(-1)?.handle ?? null } : { outage_at: null, outage_after: null };
		await saveLedgerState.run(tx, { ...now, ...place });
		return { booked, more };
	});

/** Ends the silence of machines that have called, and the belief that AWS took back those that have. Returns how many. */
export const noteHeard = async (context: Run): Promise<number> => {
	let booked = 0;
	for (const whose of [heardAgain, notTaken])
		booked += await pages(context, whose.first(context.store.read, {}), (run, tx) => noteCalls(run, tx, whose));
	return booked;
};

const noteCalls = async (run: Run, tx: Db, whose: typeof heardAgain): Promise<Page> => {
	const { rows, isPart } = portion(run, await whose.all(tx, {}));
	const heard = rows.map(({ seen_at, ...row }) => factOf(row, 'heard', Math.max(seen_at, machineOf(row).last)));
	return { booked: await book(tx, heard, new Map()), more: isPart };
};
