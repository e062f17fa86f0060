import { amount } from './segments.ts';

/** A line of a bill, times in UTC milliseconds and the cost in micro-dollars. */
export type BillLine = { readonly instanceId: string; readonly start: number; readonly end: number; readonly costMicros: number };

/** A stretch of the books of a machine: closed or open, cost per hour in micro-dollars. */
export type Booked = {
	readonly instanceId: string;
	readonly start: number;
	readonly end: number;
	readonly priceMicros: number | null;
	readonly quality: 'measured' | 'estimated' | 'unknown';
	readonly source: string;
};

export type Cause = 'agrees' | 'price' | 'estimated' | 'unknown-time' | 'not-booked' | 'first-hour' | 'before-books' | 'after-books';

export type Compared = {
	readonly line: BillLine;
	readonly bookedMicros: number;
	readonly bookedMs: number;
	readonly cause: Cause;
};

/** AWS bills whole seconds, and rounds each hour's line: a difference within this part, or within a tenth of a cent, is none. */
const PART = 0.005;
const LEAST_MICROS = 1_000;
/** Less than this part of a line's time in another state does not explain it. */
const MUCH = 0.02;

/**
 * Sets a line of a bill against the books of its machine and names what explains the difference best: what of its time the books do not know,
 * estimate, or do not hold; else its price.
 */
export const compare = (line: BillLine, booked: readonly Booked[], firstKnownAt: number | null): Compared => {
	let micros = 0;
	const ms = { measured: 0, estimated: 0, unknown: 0, free: 0 };
	for (const stretch of booked) {
		const overlap = Math.min(line.end, stretch.end) - Math.max(line.start, stretch.start);
		if (overlap <= 0) continue;
		ms[stretch.quality] += overlap;
		if (stretch.source === 'aws-first-hour') ms.free += overlap;
		if (stretch.quality !== 'unknown') micros += amount(stretch.priceMicros ?? 0, overlap);
	}
	const length = line.end - line.start;
	const bookedMs = ms.measured + ms.estimated + ms.unknown;
	return { line, bookedMicros: micros, bookedMs, cause: causeOf(line, micros, ms, bookedMs, length, firstKnownAt) };
};

const causeOf = (
	line: BillLine,
	micros: number,
	ms: { readonly estimated: number; readonly unknown: number; readonly free: number },
	bookedMs: number,
	length: number,
	firstKnownAt: number | null,
): Cause => {
	const difference = Math.abs(line.costMicros - micros);
	if (difference <= Math.max(LEAST_MICROS, line.costMicros * PART)) return 'agrees';
	if (bookedMs === 0 && firstKnownAt === null) return 'not-booked';
	if (ms.free > 0) return 'first-hour';
	if (ms.unknown > length * MUCH) return 'unknown-time';
	if (bookedMs < length * (1 - MUCH)) return firstKnownAt !== null && line.start < firstKnownAt ? 'before-books' : 'after-books';
	return ms.estimated > length * MUCH ? 'estimated' : 'price';
};
