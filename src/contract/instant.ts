const ISO = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|z|[+-]\d{2}:?\d{2})?)?$/;

/**
 * Reads a time of the wire as UTC milliseconds: ISO-8601 with `Z`, an offset, up to nine decimals or no zone (taken as UTC), or a
 * number of epoch milliseconds (design.md, decided 14; D-10). Null when it is no time.
 */
export const parseInstant = (value: string | number): number | null => {
	if (typeof value === 'number') return Number.isSafeInteger(Math.trunc(value)) && Math.abs(value) <= 8.64e15 ? Math.trunc(value) : null;
	const match = ISO.exec(value.trim());
	if (match === null) return null;
	const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = match;
	if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return null;
	const date = Date.UTC(Number(year), Number(month) - 1, Number(day));
	const check = new Date(date);
	if (check.getUTCMonth() !== Number(month) - 1 || check.getUTCDate() !== Number(day) || Number(year) < 1) return null;
	const clock = ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000 + Number(fraction.padEnd(3, '0').slice(0, 3));
	return date + clock - offset(zone);
};

const offset = (zone: string): number => {
	if (zone === 'Z' || zone === 'z') return 0;
	const sign = zone.startsWith('-') ? -1 : 1;
	const digits = zone.slice(1).replace(':', '');
	return sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000;
};

/** UTC milliseconds as ISO-8601 with Z. */
export const iso = (at: number): string => new Date(at).toISOString();

/** As {@link iso}, null staying null. */
export const isoOr = (at: number | null): string | null => (at === null ? null : iso(at));
