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

const DAY_MS = 86_400_000;
/** Of later years ISO-8601 writes six digits. */
const YEAR_10000 = 253_402_300_800_000;
const digits = (count: number, width: number): readonly string[] =>
	Array.from({ length: count }, (_, number) => String(number).padStart(width, '0'));
const [SIXTY, THOUSAND] = [digits(60, 2), digits(1000, 3)];
const MINUTES = SIXTY.slice(0, 24).flatMap((hour) => SIXTY.map((minute) => `${hour}:${minute}:`));
const SLOTS = 256;
const days = new Float64Array(SLOTS).fill(Number.NaN);
const dates = Array.from({ length: SLOTS }, () => '');

/**
 * UTC milliseconds as ISO-8601 with Z: what `toISOString` says, for what a list says thousands of times. 8,000 instants of 90 days, with
 * their JSON, took 1.7 ms instead of 10, which was a fifth of a page of 1,000 commands.
 */
export const iso = (at: number): string => {
	if (!(at >= 0 && at < YEAR_10000 && Number.isInteger(at))) return new Date(at).toISOString();
	const day = Math.floor(at / DAY_MS);
	const slot = day % SLOTS;
	if (days[slot] !== day) {
		days[slot] = day;
		dates[slot] = new Date(day * DAY_MS).toISOString().slice(0, 11);
	}
	const rest = at - day * DAY_MS;
	const minute = Math.floor(rest / 60_000);
	const ms = rest - minute * 60_000;
	const second = Math.floor(ms / 1000);
	return `${dates[slot]}${MINUTES[minute]}${SIXTY[second]}.${THOUSAND[ms - second * 1000]}Z`;
};

/** As {@link iso}, null staying null. */
export const isoOr = (at: number | null): string | null => (at === null ? null : iso(at));
