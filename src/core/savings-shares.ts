import type { z } from 'zod';
import type { SavingsShares } from '../contract/overview.ts';
import type { SavingsFigures } from './savings.ts';

/** Micro-dollars as USD, where a figure must be a number. */
export const dollars = (micros: number): number => micros / 1_000_000;

/** Per mille of a whole, as percent. */
export const percentOf = (part: number, whole: number): number => Math.round((part / whole) * 10_000) / 100;

/** How well the time behind a figure is known; null where there is none. */
export const sharesOf = ({ measuredMs, estimatedMs, unknownMs }: SavingsFigures): z.input<typeof SavingsShares> => {
	const all = measuredMs + estimatedMs + unknownMs;
	if (all === 0) return null;
	return {
		measuredPercent: percentOf(measuredMs, all),
		estimatedPercent: percentOf(estimatedMs, all),
		unknownPercent: percentOf(unknownMs, all),
	};
};
