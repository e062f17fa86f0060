import { z } from 'zod';
import { parseInstant } from './instant.ts';

const noControls = /^[^\p{Cc}\p{Cs}]*$/u;

/** Text without control characters, trimmed, 1 to `max` characters. */
export const text = (max: number) => z.string().trim().min(1).max(max).regex(noControls, 'has control characters or broken Unicode');

const clean = (max: number) => z.string().max(max).regex(noControls, 'has control characters or broken Unicode');
const orNull = (value: string | null | undefined): string | null =>
	value === undefined || value === null || value.trim() === '' ? null : value.trim();

/** Text an agent may leave out, send as null or as '' (endpoints.md #40: `public_ip: null`); all three read as null. */
export const optionalText = (max: number) => clean(max).nullish().transform(orNull);

/** The same where the key must be there. */
export const givenText = (max: number) => clean(max).nullable().transform(orNull);

/** An id in a path or query. Anything is accepted: what names nothing is not found. */
export const id = z.string();

/** A time on the wire: ISO-8601 with Z, an offset, microseconds or no zone (taken as UTC), or epoch milliseconds. Becomes UTC ms or null. */
export const instant = z
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
	});

/** USD per hour, above 0 and at most 1000 (spec section 9 "Ours"); null and missing are unknown. */
export const price = z.number().positive().max(1000);
export const optionalPrice = price.nullish().transform((value) => value ?? null);

/** ISO-8601 with Z in an answer. */
export const isoTime = z.string();
export const isoOrNull = z.string().nullable();
export const textOrNull = z.string().nullable();
export const usdOrNull = z.number().nullable();

/** Paging of every list: `limit` 1 to 500, `cursor` from the previous page. */
export const paging = {
	limit: z.coerce.number().int().min(1).max(500).default(100),
	cursor: z.string().max(512).optional(),
};

/** The `limit` of lists whose readers know no pages: the 500 rows of the original (endpoints.md #6, #7). */
export const fullPage = z.coerce.number().int().min(1).max(500).default(500);

/** A switch in a query string or body: true/false, 1/0, yes/no, on/off. */
export const flag = z.union([z.boolean(), z.stringbool()]).nullish();

export const success = z.object({ success: z.boolean() });
