/** Micro-dollars as USD, where a figure must be a number. */
export const dollars = (micros: number): number => micros / 1_000_000;

/** A part of a whole that is not 0, in percent with two decimals. */
export const percentOf = (part: number, whole: number): number => Math.round((part / whole) * 10_000) / 100;
