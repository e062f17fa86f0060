const DURATION_UNITS = [
	['d', 86_400_000],
	['h', 3_600_000],
	['m', 60_000],
	['s', 1000],
	['ms', 1],
] as const;

const SIZE_UNITS = [
	['gb', 1024 ** 3],
	['mb', 1024 ** 2],
	['kb', 1024],
] as const;

const wholeNumber = (value: number): number | undefined => {
	const rounded = Math.round(value);
	// 1.1 s is 1100.0000000000002 ms in binary floating point; further off than two such roundings is a real fraction.
	return Number.isSafeInteger(rounded) && rounded >= 0 && Math.abs(value - rounded) <= value * 2 ** -50 ? rounded : undefined;
};

/**
 * Milliseconds of a duration as people write it: a number of seconds (45, 1.5, `'45'`) or text with a unit (`500ms`, `45s`, `10m`,
 * `24h`, `7d`). Undefined when it is anything else, negative, or not a whole number of milliseconds.
 */
export const parseDuration = (input: unknown): number | undefined => {
	if (typeof input === 'number') return wholeNumber(input * 1000);
	if (typeof input !== 'string') return undefined;
	const match = /^(\d{1,15}(?:\.\d{1,9})?) ?(ms|s|m|h|d)?$/.exec(input.trim());
	const unit = DURATION_UNITS.find(([name]) => name === (match?.[2] ?? 's'));
	return match && unit ? wholeNumber(Number(match[1]) * unit[1]) : undefined;
};

/** A duration of whole milliseconds in the largest unit that divides it (`90s`, `24h`, `0s`), readable by {@link parseDuration}. */
export const formatDuration = (ms: number): string => {
	const [name, size] = DURATION_UNITS.find(([, unit]) => ms >= unit && ms % unit === 0) ?? (['s', 1000] as const);
	return `${ms / size}${name}`;
};

/**
 * Bytes of a size as people write it: a number of bytes, or text with `kb`, `mb` or `gb` (also `KiB`, `MiB`, `GiB`; all of 1024).
 * Undefined when it is anything else, negative, or not a whole number of bytes.
 */
export const parseSize = (input: unknown): number | undefined => {
	if (typeof input === 'number') return Number.isSafeInteger(input) && input >= 0 ? input : undefined;
	if (typeof input !== 'string') return undefined;
	const match = /^(\d{1,15}(?:\.\d{1,9})?) ?(?:([kmg])i?b|b)?$/i.exec(input.trim());
	const unit = SIZE_UNITS.find(([name]) => name.startsWith(match?.[2]?.toLowerCase() ?? ' '));
	return match ? wholeNumber(Number(match[1]) * (unit?.[1] ?? 1)) : undefined;
};

/** A size of whole bytes in the largest unit that divides it (`1mb`, `1500`), readable by {@link parseSize}. */
export const formatSize = (bytes: number): string => {
	const unit = SIZE_UNITS.find(([, size]) => bytes >= size && bytes % size === 0);
	return unit ? `${bytes / unit[1]}${unit[0]}` : `${bytes}`;
};
