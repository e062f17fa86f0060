import { booksByClient, booksOf, NO_SUMS, type Scope, type Sums } from '../store/savings.ts';
import type { Db } from '../store/statement.ts';

/**
 * What the books say (spec section 11 "Ours"). Micro-dollars: baseline is the on-demand price of the primaries' time, actual the sum of the
 * four lines, savings their difference, which may be negative. Milliseconds: of instance time at prices that were measured, estimated, and
 * unknown; unknown time is in no amount.
 */
export type SavingsFigures = {
	readonly baselineMicros: number;
	readonly actualMicros: number;
	readonly primaryMicros: number;
	readonly replicaMicros: number;
	readonly overlapMicros: number;
	readonly zombieMicros: number;
	readonly savingsMicros: number;
	readonly measuredMs: number;
	readonly estimatedMs: number;
	readonly unknownMs: number;
};

export const figuresOf = (sums: Sums): SavingsFigures => {
	const actualMicros = sums.primary_micros + sums.replica_micros + sums.overlap_micros + sums.zombie_micros;
	return {
		baselineMicros: sums.baseline_micros,
		actualMicros,
		primaryMicros: sums.primary_micros,
		replicaMicros: sums.replica_micros,
		overlapMicros: sums.overlap_micros,
		zombieMicros: sums.zombie_micros,
		savingsMicros: sums.baseline_micros - actualMicros,
		measuredMs: sums.measured_ms,
		estimatedMs: sums.estimated_ms,
		unknownMs: sums.unknown_ms,
	};
};

export const NO_FIGURES: SavingsFigures = figuresOf(NO_SUMS);

const share = (part: number, whole: number): number => (whole === 0 ? 0 : Math.round((10_000 * part) / whole) / 100);

/** The shares of a figure on the wire. */
export const sharesOf = ({ measuredMs, estimatedMs, unknownMs }: Pick<SavingsFigures, 'measuredMs' | 'estimatedMs' | 'unknownMs'>) => {
	const whole = measuredMs + estimatedMs + unknownMs;
	return {
		measured: share(measuredMs, whole),
		estimated: share(estimatedMs, whole),
		unknown: share(unknownMs, whole),
		seconds: whole / 1000,
	};
};

/** The figures of everybody, a client, an agent or a machine, up to `now`; `since` and `until` are begins of UTC days. One statement. */
export const savingsOf = async (db: Db, scope: Scope, now: number): Promise<SavingsFigures> => figuresOf(await booksOf(db, scope, now));

/** The figures of several clients, up to `now`, of a month or day or of all time. One statement. */
export const savingsByClient = async (
	db: Db,
	clientIds: readonly string[],
	now: number,
	period = 'all',
): Promise<Map<string, SavingsFigures>> => {
	if (clientIds.length === 0) return new Map();
	const found = await booksByClient(db, clientIds, period, now);
	return new Map(clientIds.map((id) => [id, figuresOf(found.get(id) ?? NO_SUMS)]));
};
