import { amount } from './segments.ts';

/** A line of a bill, times in UTC milliseconds and the cost in micro-dollars. */
export type BillLine = { readonly instanceId: string; readonly start: number; readonly end: number; readonly costMicros: number };

/** A stretch of the books of a machine: closed or open, cost per hour in micro-dollars. */
export type Booked = {
	readonly start: number;
	readonly end: number;
	readonly priceMicros: number | null;
	readonly quality: 'measured' | 'estimated' | 'unknown';
	readonly source: string;
};

export type Cause =
	| 'agrees'
	| 'price'
	| 'estimated'
	| 'unknown-time'
	| 'not-booked'
	| 'first-hour'
	| 'before-books'
	| 'after-books'
	| 'duplicate';

export type Compared = {
	readonly line: BillLine;
	readonly bookedMicros: number;
	/** Of what is booked, how long each quality holds. */
	readonly booked: { readonly measuredMs: number; readonly estimatedMs: number; readonly unknownMs: number };
	readonly cause: Cause;
};

/**
 * What is no difference: a part of the line's cost, a second at either end (AWS bills whole ones), and half of the last of four decimals. A
 * fixed sum of more would hide the cheapest machines, which cost a tenth of a cent in half an hour.
 */
const PART = 0.005;
const ROUNDED_MS = 2_000;
const LEAST_MICROS = 50;

/** What was booked of some time. */
type Total = { micros: number; measured: number; estimated: number; unknown: number; free: number };

const nothing = (): Total => ({ micros: 0, measured: 0, estimated: 0, unknown: 0, free: 0 });

const KEYS = ['micros', 'measured', 'estimated', 'unknown', 'free'] as const;

/** Adds `times` (1 or -1) so many milliseconds of a stretch. */
const add = (total: Total, { quality, priceMicros, source }: Booked, ms: number, times: 1 | -1 = 1): void => {
	total[quality] += times * ms;
	if (source === 'aws-first-hour') total.free += times * ms;
	if (quality !== 'unknown') total.micros += times * amount(priceMicros ?? 0, ms);
};

/** How the books stand at an instant: the sum of every stretch that began before it, and those of them that end after it. */
type Standing = { readonly total: Total; readonly running: readonly Booked[] };

/** What was booked between two instants: whole stretches by difference, those cut by an end of the line by themselves. */
const between = (line: BillLine, from: Standing, to: Standing): Total => {
	const total = nothing();
	for (const key of KEYS) total[key] = to.total[key] - from.total[key];
	for (const stretch of from.running) if (stretch.end <= line.end) add(total, stretch, stretch.end - line.start);
	for (const stretch of to.running) {
		if (stretch.start >= line.start) add(total, stretch, stretch.end - stretch.start, -1);
		add(total, stretch, line.end - Math.max(line.start, stretch.start));
	}
	return total;
};

/** Compares lines of one machine with its books. `take` gets each stretch once, in order of its begin; `compared` the first time anything of it was known. */
export type Comparison = { take(stretch: Booked): void; compared(firstKnownAt: number | null): Compared[] };

/**
 * Sets the lines of a bill about one machine against its books, and names what explains each difference best: what of its time the books do
 * not know, estimate, or do not hold; else its price. Work and memory grow with the lines and the stretches, not with their product.
 */
export const compareMachine = (lines: readonly BillLine[]): Comparison => {
	const instants = [...new Set(lines.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
	const standings = new Map<number, Standing>();
	const total = nothing();
	let running: Booked[] = [];
	let next = 0;
	const standAt = (at: number): void => {
		running = running.filter(({ end }) => end > at);
		standings.set(at, { total: { ...total }, running: [...running] });
	};
	/** Notes how the books stand at every instant up to one that nothing to come begins before. */
	const noteUpTo = (until: number): void => {
		for (; next < instants.length; next += 1) {
			const at = instants[next];
			if (at === undefined || at > until) return;
			standAt(at);
		}
	};
	return {
		take: (stretch) => {
			noteUpTo(stretch.start);
			add(total, stretch, Math.max(0, stretch.end - stretch.start));
			running.push(stretch);
		},
		compared: (firstKnownAt) => {
			noteUpTo(Number.POSITIVE_INFINITY);
			const none: Standing = { total: nothing(), running: [] };
			return lines.map((line) => {
				const sums = between(line, standings.get(line.start) ?? none, standings.get(line.end) ?? none);
				const bookedMs = sums.measured + sums.estimated + sums.unknown;
				const booked = { measuredMs: sums.measured, estimatedMs: sums.estimated, unknownMs: sums.unknown };
				return { line, bookedMicros: sums.micros, booked, cause: causeOf(line, sums, bookedMs, firstKnownAt) };
			});
		},
	};
};

/** A cause is named only where its time, at the dearer of both prices, makes at least half of the difference. */
const causeOf = (line: BillLine, { micros, estimated, unknown, free }: Total, bookedMs: number, firstKnownAt: number | null): Cause => {
	if (bookedMs === 0 && firstKnownAt === null) return 'not-booked';
	const length = line.end - line.start;
	const difference = line.costMicros - micros;
	const booked = bookedMs === 0 ? 0 : micros / bookedMs;
	if (Math.abs(difference) <= Math.max(LEAST_MICROS, line.costMicros * PART, ROUNDED_MS * booked)) return 'agrees';
	const explains = (ms: number): boolean => ms * Math.max(line.costMicros / length, booked) >= Math.abs(difference) / 2;
	if (difference > 0) {
		if (explains(free)) return 'first-hour';
		if (explains(unknown)) return 'unknown-time';
		if (explains(length - bookedMs)) return firstKnownAt !== null && line.start < firstKnownAt ? 'before-books' : 'after-books';
	}
	return explains(estimated) ? 'estimated' : 'price';
};
