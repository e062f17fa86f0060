import { z } from 'zod';
import { parseInstant } from './instant.ts';
import { NOT_PLAIN, quick } from './quick.ts';

const noControls = /^[^\p{Cc}\p{Cs}]*$/u;

/** Text without control characters, trimmed, 1 to `max` characters. */
export const text = (max: number) => z.string().trim().min(1).max(max).regex(noControls, 'has control characters or broken Unicode');

const clean = (max: number) => z.string().max(max).regex(noControls, 'has control characters or broken Unicode');
const orNull = (value: string | null | undefined): string | null =>
	value === undefined || value === null || value.trim() === '' ? null : value.trim();

/** Text of which nothing is trimmed or refused. */
const PLAIN = /^[!-~]+$/;

/** For {@link quick}: text as it is, and null for what was not said. */
export const plainText =
	(max: number) =>
	(value: unknown): string | null | typeof NOT_PLAIN => {
		if (value === undefined || value === null) return null;
		return typeof value === 'string' && value.length <= max && PLAIN.test(value) ? value : NOT_PLAIN;
	};

/** Text an agent may leave out, send as null or as '' (endpoints.md #40: `public_ip: null`); all three read as null. */
export const optionalText = (max: number) => quick(clean(max).nullish().transform(orNull), plainText(max));

/** The same where the key must be there. */
export const givenText = (max: number) => clean(max).nullable().transform(orNull);

/** Text that was refused, as it can be kept: controls read as a space, broken Unicode as U+FFFD, what is too long ends in an ellipsis. */
const kept = (given: unknown, max: number): string | null => {
	if (typeof given !== 'string') return null;
	const shown = given
		.replace(/\p{Cc}+/gu, ' ')
		.replace(/\p{Cs}/gu, '\uFFFD')
		.trim();
	if (shown === '') return null;
	return shown.length > max ? `${shown.slice(0, max - 1).replace(/\p{Cs}$/u, '')}…` : shown;
};

/**
 * What an agent says in its own words, the text of an exception mostly. It is never a reason to refuse the fact it comes with, since
 * agents read no body of an error and say it once: what {@link optionalText} refuses is cleaned or cut, and what is no text is null.
 */
export const words = (max: number) => optionalText(max).catch(({ input }) => kept(input, max));

/** Text beside a fact of an agent: what {@link optionalText} refuses reads as not said. */
export const sideText = (max: number) => optionalText(max).catch(null);

/** An id in a path or query. Anything is accepted: what names nothing is not found. */
export const id = z.string();

/** A time on the wire: ISO-8601 with Z, an offset, microseconds or no zone (taken as UTC), or epoch milliseconds. Becomes UTC ms or null. */
export const instant = quick(
	z
		.union([z.string(), z.number()])
		.nullish()
		.transform((value, context) => {
			if (value === undefined || value === null || value === '') return null;
			const at = parseInstant(value);
			if (at === null) {
				context.addIssue({ code: 'custom', message: 'is not a time (ISO-8601, for example 2021-03-04T05:06:07Z)' });
				return z.NEVER;
			}
			return at;
		}),
	(value) => {
		if (value === undefined || value === null) return null;
		return typeof value === 'string' ? (parseInstant(value) ?? NOT_PLAIN) : NOT_PLAIN;
	},
);

/** A time beside a fact of an agent: what is none reads as not said. */
export const sideInstant = instant.catch(null);

const plainPrice = (value: unknown): number | typeof NOT_PLAIN =>
	typeof value === 'number' && value > 0 && value <= 1000 ? value : NOT_PLAIN;
/** USD per hour, above 0 and at most 1000 (spec section 9 "Ours"). */
export const price = quick(z.number().positive().max(1000), plainPrice);
/** The same; null and missing are unknown. */
export const optionalPrice = quick(
	price.nullish().transform((value) => value ?? null),
	(value) => (value === undefined || value === null ? null : plainPrice(value)),
);

/** ISO-8601 with Z in an answer. */
export const isoTime = z.string();
export const isoOrNull = z.string().nullable();
export const textOrNull = z.string().nullable();
export const usdOrNull = z.number().nullable();

/** How many rows a page has when nobody says: what the original's list stopped at, whose readers know no pages. At most 1,000. */
export const rows = (unasked: number) => z.coerce.number().int().min(1).max(1000).default(unasked);

/** Paging of every list: `limit` 1 to 1,000, `cursor` from the previous page. */
export const paging = {
	limit: rows(1000),
	cursor: z.string().max(512).optional(),
};

/** The `limit` of the two lists that the original stopped at 500 rows (endpoints.md #6, #7). */
export const fullPage = rows(500);

/** A switch in a query string or body: true/false, 1/0, yes/no, on/off. */
export const flag = z.union([z.boolean(), z.stringbool()]).nullish();

/** A field that could not be read, until the body as a whole says whether that matters. */
class Unread {
	readonly messages: readonly string[];

	constructor(messages: readonly string[]) {
		this.messages = messages;
	}
}

type Shape = Readonly<Record<string, z.ZodType>>;

/**
 * A body whose `side` fields are refused as ever, except where `forgives` says of it that it is a fact on its own: there what cannot be
 * read is null. Each of `side` may be null.
 */
export const forgiving = <const F extends Shape, const S extends Shape>(
	fact: F,
	side: S,
	forgives: (body: z.output<z.ZodObject<F>>) => boolean,
): z.ZodObject<F & S> => {
	const late = Object.fromEntries(
		Object.entries(side as Shape).map(([key, field]) => [
			key,
			field.catch(({ error }: { error: z.core.$ZodError }) => new Unread(error.issues.map(({ message }) => message)) as never),
		]),
	);
	return z.object({ ...fact, ...(late as unknown as S) }).check(({ value, issues }) => {
		const body = value as Record<string, unknown>;
		const pardoned = forgives(value as never);
		for (const key of Object.keys(side)) {
			const said = body[key];
			if (!(said instanceof Unread)) continue;
			body[key] = null;
			if (!pardoned) for (const message of said.messages) issues.push({ code: 'custom', message, path: [key], input: undefined });
		}
	}) as unknown as z.ZodObject<F & S>;
};

export const success = z.object({ success: z.boolean() });
