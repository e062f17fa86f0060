import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { type BilledSegment, firstFacts, openOfInstances, type SegmentPosition, segmentsOfInstance } from '../store/bills.ts';
import type { Db } from '../store/statement.ts';
import type { LedgerHostTable } from '../store/tables/ledger.ts';
import { turn } from '../turns.ts';
import { type BillLine, type Booked, type Compared, compareMachine } from './bill.ts';
import { type Caller, clientScope } from './caller.ts';
import type { Context } from './context.ts';
import { sharesOf } from './savings.ts';
import { DAY_MS } from './segments.ts';

/** Segments of one read, and of one turn of the event loop. */
const PAGE = 500;
/** Segments that one call may need: MariaDB reads as many in 15 s on a busy machine, and commands wait 30 s. */
const MOST_SEGMENTS = 250_000;

const usd = (micros: number): number => micros / 1_000_000;

/** An id of EC2 means the same in capitals; agents know it in small letters. */
const instanceIdOf = (said: string): string => (/^i-[0-9a-f]+$/i.test(said) ? said.toLowerCase() : said);

/** The lines of each machine, those of the same time added up; and those that were there before. Errors: 400 for one that ends before it begins. */
const sorted = (lines: Valid<'reconcileSavings'>['lines']): { machines: Map<string, BillLine[]>; duplicates: BillLine[] } => {
	const machines = new Map<string, Map<string, BillLine>>();
	const seen = new Set<string>();
	const duplicates: BillLine[] = [];
	for (const { instance_id, start, end, cost, duplicate } of lines) {
		if (end <= start)
			throw new SpotError('invalid', 'VALIDATION_ERROR', `lines: the line of ${instance_id.slice(0, 80)} ends before it begins`, {
				extras: { details: { lines: ['ends before it begins'] } },
			});
		const line = { instanceId: instanceIdOf(instance_id), start, end, costMicros: Math.round(cost * 1_000_000) };
		const time = `${start}-${end}`;
		const whole = `${line.instanceId} ${time} ${cost}`;
		if (duplicate === true || seen.has(whole)) {
			duplicates.push(line);
			continue;
		}
		seen.add(whole);
		const machine = machines.get(line.instanceId) ?? new Map<string, BillLine>();
		const before = machine.get(time);
		machine.set(time, before === undefined ? line : { ...line, costMicros: before.costMicros + line.costMicros });
		machines.set(line.instanceId, machine);
	}
	return { machines: new Map([...machines].map(([id, byTime]) => [id, [...byTime.values()]])), duplicates };
};

/** The times that lines cover, oldest first, those less than a day apart as one: what has to be read of a machine's books. */
const timesOf = (lines: readonly BillLine[]): { from: number; to: number }[] => {
	const times: { from: number; to: number }[] = [];
	for (const { start, end } of [...lines].sort((a, b) => a.start - b.start)) {
		const last = times.at(-1);
		if (last !== undefined && start <= last.to + DAY_MS) last.to = Math.max(last.to, end);
		else times.push({ from: start, to: end });
	}
	return times;
};

const openStretch = (row: LedgerHostTable, now: number): Booked => ({
	start: row.start_at,
	end: Math.max(row.start_at, now),
	priceMicros: row.price_micros,
	quality: row.quality,
	source: 'open',
});

/** Counts what a call reads. Errors: 413 BILL_TOO_LARGE. */
const counter = (most: number) => {
	let count = 0;
	return (more: number): void => {
		count += more;
		if (count > most)
			throw new SpotError('too_large', 'BILL_TOO_LARGE', `the books hold more than ${most} segments of the time of these lines`, {
				hint: 'send fewer lines at once, or lines of shorter times',
			});
	};
};

/** The first look at a machine's books covers so much time; later ones as much as fills a page. */
const FIRST_SPAN = 8 * DAY_MS;

/** The segments of a machine that overlap a time, a page at a time. A segment is at most a day long. */
const pagesOf = async function* (
	read: Db,
	id: string,
	{ from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<BilledSegment[]> {
	let span = FIRST_SPAN;
	let after: SegmentPosition | null = null;
	for (let at = from - DAY_MS; at < to; ) {
		const until: number = Math.min(to, at + span);
		const rows: BilledSegment[] = await segmentsOfInstance(read, id, { from: at, to: until }, after, PAGE);
		yield rows;
		const last = rows.at(-1);
		if (rows.length < PAGE || last === undefined) {
			[at, after] = [until, null];
			span *= 4;
		} else {
			span = Math.min(span, Math.max(1, 2 * (last.start_at - at)));
			[at, after] = [last.start_at, { at: last.start_at, id: last.id }];
		}
	}
};

/** Compares lines of a bill with the books, at most 1,000 a call, a machine at a time and its segments in pages. Errors: 413 BILL_TOO_LARGE. */
export const reconcileSavings =
	(context: Context, most = MOST_SEGMENTS) =>
	async (input: Valid<'reconcileSavings'>, caller: Caller): Promise<Output<'reconcileSavings'>> => {
		const { read } = context.store;
		const now = context.clock.now();
		const { machines, duplicates } = sorted(input.lines);
		const ids = [...machines.keys()];
		const scope = clientScope(caller) ?? input.client_id ?? null;
		const first = await firstFacts(read, scope, ids);
		const open = new Map<string, Booked[]>();
		for (const row of await openOfInstances(read, scope, ids))
			open.set(row.instance_id, [...(open.get(row.instance_id) ?? []), openStretch(row, now)]);
		const count = counter(most);

		const machineCompared = async (id: string, lines: readonly BillLine[]): Promise<Compared[]> => {
			const comparison = compareMachine(lines);
			const running = [...(open.get(id) ?? [])];
			const takeOpen = (until: number): void => {
				for (let row = running[0]; row !== undefined && row.start <= until; row = running[0]) {
					comparison.take(row);
					running.shift();
				}
			};
			for (const time of timesOf(lines)) {
				for await (const rows of pagesOf(read, id, time)) {
					count(rows.length);
					for (const row of rows) {
						if (scope !== null && row.client_id !== scope) continue;
						takeOpen(row.start_at);
						comparison.take({
							start: row.start_at,
							end: row.end_at,
							priceMicros: row.price_micros,
							quality: row.quality,
							source: row.price_source,
						});
					}
					await turn();
				}
			}
			takeOpen(Number.POSITIVE_INFINITY);
			return comparison.compared(first.get(id) ?? null);
		};

		const compared: Compared[] = [];
		for (const [id, lines] of machines) compared.push(...(await machineCompared(id, lines)));
		for (const line of duplicates) compared.push({ line, bookedMicros: 0, booked: NOTHING, cause: 'duplicate' });
		return answer(compared);
	};

const QUALITIES = ['measuredMs', 'estimatedMs', 'unknownMs'] as const;
const NOTHING = { measuredMs: 0, estimatedMs: 0, unknownMs: 0 };

const answer = (compared: readonly Compared[]): Output<'reconcileSavings'> => {
	const causes = new Map<string, { lines: number; difference: number }>();
	let [billed, booked] = [0, 0];
	const time = { ...NOTHING };
	for (const { line, bookedMicros, booked: of, cause } of compared) {
		for (const key of QUALITIES) time[key] += of[key];
		const sum = causes.get(cause) ?? { lines: 0, difference: 0 };
		causes.set(cause, { lines: sum.lines + 1, difference: sum.difference + line.costMicros - bookedMicros });
		billed += line.costMicros;
		booked += bookedMicros;
	}
	return {
		lines: compared.map(({ line, bookedMicros: micros, booked: of, cause }) => ({
			instanceId: line.instanceId,
			billed: usd(line.costMicros),
			booked: usd(micros),
			difference: usd(line.costMicros - micros),
			billedSeconds: (line.end - line.start) / 1000,
			bookedSeconds: QUALITIES.reduce((sum, key) => sum + of[key], 0) / 1000,
			shares: sharesOf(of),
			cause,
		})),
		billed: usd(billed),
		booked: usd(booked),
		difference: usd(billed - booked),
		shares: sharesOf(time),
		byCause: [...causes].map(([cause, sum]) => ({ cause, lines: sum.lines, difference: usd(sum.difference) })),
	};
};
