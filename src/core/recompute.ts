import type { Output, Valid } from '../contract/index.ts';
import {
	addSegments,
	addTotals,
	deleteSegments,
	dropLedgerHosts,
	factsOf,
	type LedgerHost,
	ledgerHosts,
	lockLedger,
	saveLedgerHosts,
	segmentsOf,
} from '../store/ledger.ts';
import { nextClient } from '../store/ledger-totals.ts';
import { machinesAfter } from '../store/savings.ts';
import type { Db } from '../store/statement.ts';
import { agentOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import type { Journal } from './journal.ts';
import { inPortions, midnightOf, rowOf, totalsOf } from './ledger-book.ts';
import { pagesOf } from './paging.ts';
import { recomputeTotals } from './recompute-totals.ts';
import { bookAll, DAY_MS, type Segment, valuation } from './segments.ts';

const machinePages = pagesOf('savings.recompute');

/** How many machines a call books anew. */
const PAGE = 100;

type Difference = Output<'recomputeSavings'>['differences'][number];

const same = (a: readonly Segment[], b: readonly Segment[]): boolean =>
	a.length === b.length &&
	a.every((one, index) => {
		const other = b[index];
		return other !== undefined && (Object.keys(one) as (keyof Segment)[]).every((key) => one[key] === other[key]);
	});

/**
 * Books machines anew from the facts that are booked, and mends what differs; what is pending stays for the ledger job, which waits meanwhile.
 * A page of machines a call; after the last, the sums of their clients, a week of one client a call. Errors: 404 for an agent or client that is not there.
 */
export const recomputeSavings =
	(context: Context) =>
	(input: Valid<'recomputeSavings'>, caller: Caller): Promise<Output<'recomputeSavings'>> =>
		context.unit(caller, async (tx, journal) => {
			const clientId = input.client_id == null ? null : (await clientNamed(tx, input.client_id)).id;
			const agent = input.agent_id == null ? null : await agentOf(tx, input.agent_id, caller);
			const agentId = agent?.id ?? null;
			const only = clientId ?? agent?.client_id ?? null;
			await lockLedger.first(tx, {});
			const dryRun = input.dry_run === true;
			const position = positionOf(input.cursor);
			if (position !== null) return sums(context, tx, journal, position, only, dryRun);
			const handles = await machinesAfter(tx, { clientId, agentId }, machinePages.after(input.cursor) ?? '', PAGE + 1);
			const page = machinePages.page(
				handles,
				PAGE,
				(handle) => handle,
				(handle) => handle,
			);
			const differences = await again(tx, page.items, dryRun);
			if (!dryRun && differences.length > 0)
				journal.audit('savings.recompute', 'ledger', clientId ?? 'all', clientId, null, { differences });
			const next = page.nextCursor ?? (only === null ? await clientAfter(tx, '') : positionCursor(only, 0));
			return { machines: page.items.length, changed: differences.length, dry_run: dryRun, differences, totals: [], next_cursor: next };
		});

/** Where the sums of a client go on; they follow the last page of machines. */
const positionCursor = (clientId: string, from: number): string => machinePages.cursor(`sums:${from / DAY_MS}:${clientId}`);

const positionOf = (cursor: string | null | undefined): { readonly clientId: string; readonly from: number } | null => {
	const [, day, clientId] = /^sums:(\d{1,6}):(.+)$/.exec(machinePages.after(cursor) ?? '') ?? [];
	return day === undefined || clientId === undefined ? null : { clientId, from: Number(day) * DAY_MS };
};

const clientAfter = async (tx: Db, after: string): Promise<string | null> => {
	const next = await nextClient(tx, after);
	return next === null ? null : positionCursor(next, 0);
};

/** A page of sums: some days of a client, or its months. */
const sums = async (
	context: Context,
	tx: Db,
	journal: Journal,
	{ clientId, from }: { readonly clientId: string; readonly from: number },
	only: string | null,
	dryRun: boolean,
): Promise<Output<'recomputeSavings'>> => {
	if (only !== null && only !== clientId) throw machinePages.invalid();
	const { differences, next } = await recomputeTotals(context, tx, clientId, from, dryRun);
	if (!dryRun && differences.length > 0) journal.audit('savings.recompute', 'ledger', clientId, clientId, null, { totals: differences });
	const later = only === null ? await clientAfter(tx, clientId) : null;
	return {
		machines: 0,
		changed: differences.length,
		dry_run: dryRun,
		differences: [],
		totals: differences,
		next_cursor: next === null ? later : positionCursor(clientId, next),
	};
};

const again = async (tx: Db, handles: readonly string[], dryRun: boolean): Promise<Difference[]> => {
	const open = await ledgerHosts(tx, handles);
	const differences: Difference[] = [];
	for await (const part of inPortions(tx, handles)) differences.push(...(await portionAgain(tx, part, open, dryRun)));
	return differences;
};

const portionAgain = async (
	tx: Db,
	handles: readonly string[],
	open: ReadonlyMap<string, LedgerHost>,
	dryRun: boolean,
): Promise<Difference[]> => {
	const facts = await factsOf(tx, handles);
	const differences: Difference[] = [];
	for (const handle of handles) {
		const known = (facts.get(handle) ?? []).filter(({ pending }) => pending === null);
		// Its days are closed as far as the ledger has come with it.
		const result = bookAll(known, midnightOf(open.get(handle)?.start_at ?? 0));
		if (result === null) continue;
		const stored = await segmentsOf.all(tx, { handles: [handle] });
		const before = stored.map(({ id: _, ...segment }) => segment);
		if (same(before, result.segments)) continue;
		const sum = (segments: readonly Segment[], of: 'cost_micros' | 'baseline_micros') =>
			segments.reduce((total, segment) => total + segment[of], 0) / 1_000_000;
		differences.push({
			instanceId: result.machine.instanceId,
			agentId: result.machine.agentId,
			costBefore: sum(before, 'cost_micros'),
			costAfter: sum(result.segments, 'cost_micros'),
			baselineBefore: sum(before, 'baseline_micros'),
			baselineAfter: sum(result.segments, 'baseline_micros'),
		});
		if (dryRun) continue;
		await deleteSegments.run(tx, { handles: [handle] });
		await addSegments(tx, result.segments);
		await addTotals(tx, totalsOf(result.segments, before));
		if (valuation(result.machine).line === null) await dropLedgerHosts(tx, [handle]);
		else await saveLedgerHosts(tx, [rowOf(result.machine, open.get(handle)?.priced_at ?? null)]);
	}
	return differences;
};
