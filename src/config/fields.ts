import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { readDatabaseUrl } from './database-url.ts';
import { adminTokenWeakness, normaliseKey } from './secrets.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

/** What a setting holds, where that changes how it is resolved or shown. */
export type FieldKind = 'duration' | 'size' | 'path' | 'database' | 'plain';

const field = <T>(expected: string, read: (input: unknown) => T | undefined, kind: FieldKind = 'plain') =>
	z
		.unknown()
		.transform((input, context): T => {
			const value = read(input);
			if (value !== undefined) return value;
			context.addIssue({ code: 'custom', message: `must be ${expected}` });
			return z.NEVER;
		})
		.meta({ kind });

const judged = (judge: (input: string) => { value: string } | { problem: string }, kind: FieldKind = 'plain') =>
	z
		.unknown()
		.transform((input, context): string => {
			const verdict = typeof input === 'string' ? judge(input) : { problem: 'must be text (in quotes)' };
			if ('value' in verdict) return verdict.value;
			context.addIssue({ code: 'custom', message: verdict.problem });
			return z.NEVER;
		})
		.meta({ kind });

const within = (value: number | undefined, min: number, max: number): number | undefined =>
	value !== undefined && value >= min && value <= max ? value : undefined;

const TRUE = new Set(['true', 'yes', 'on', '1']);
const FALSE = new Set(['false', 'no', 'off', '0']);

/** True or false; text `true`, `yes`, `on`, `1` and their opposites in any case. */
export const flag = () =>
	field('true or false', (input) => {
		if (typeof input === 'object') return undefined;
		const text = String(input).toLowerCase();
		if (TRUE.has(text)) return true;
		return FALSE.has(text) ? false : undefined;
	});

/** A whole number, also as text, between two bounds that belong to it. */
export const integer = (min: number, max: number) =>
	field(`a whole number from ${min} to ${max}`, (input) => {
		if (typeof input === 'string' && !/^\d{1,15}$/.test(input)) return undefined;
		const value = typeof input === 'string' ? Number(input) : input;
		return typeof value === 'number' && Number.isInteger(value) ? within(value, min, max) : undefined;
	});

/** A duration in milliseconds; bounds in the notation of {@link parseDuration}. */
export const duration = (min: string, max: string) => {
	const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0];
	return field(
		`a duration from ${formatDuration(least)} to ${formatDuration(most)} (seconds, or text like 500ms, 45s, 10m, 24h)`,
		(input) => within(parseDuration(input), least, most),
		'duration',
	);
};

/** A size in bytes; bounds in the notation of {@link parseSize}. */
export const size = (min: string, max: string) => {
	const [least, most] = [parseSize(min) ?? 0, parseSize(max) ?? 0];
	return field(
		`a size from ${formatSize(least)} to ${formatSize(most)} (bytes, or text like 512kb, 1mb)`,
		(input) => within(parseSize(input), least, most),
		'size',
	);
};

/** One of some words in any case, with other spellings of them. */
export const choice = <const W extends string>(words: readonly W[], aliases: Readonly<Record<string, W>> = {}) =>
	field(`one of ${words.join(', ')}`, (input) => {
		const text = typeof input === 'string' ? input.toLowerCase() : '';
		return words.find((word) => word === text) ?? (Object.hasOwn(aliases, text) ? aliases[text] : undefined);
	});

/** off, read or full; the true and false of files of before are read and off. */
export const dashboard = () =>
	field('one of off, read, full', (input): 'off' | 'read' | 'full' | undefined => {
		if (typeof input === 'object') return undefined;
		const text = String(input).toLowerCase();
		if (text === 'read' || text === 'full') return text;
		if (TRUE.has(text)) return 'read';
		return FALSE.has(text) ? 'off' : undefined;
	});

/** Text of 1 to `longest` characters on one line. */
export const text = (longest: number) =>
	field(`text of 1 to ${longest} characters on one line`, (input) =>
		typeof input === 'string' && input !== '' && input.length <= longest && !/\p{Cc}/u.test(input) ? input : undefined,
	);

/** An absolute path. The loader resolves `~` and relative paths before this sees them. */
export const path = () =>
	field('a path', (input) => (typeof input === 'string' && isAbsolute(input) && !/\p{Cc}/u.test(input) ? input : undefined), 'path');

/** The name or address of this machine to listen on, without a port. */
export const host = () =>
	field('an IP address or a host name without port', (input) => {
		if (typeof input !== 'string') return undefined;
		return isIP(input) > 0 || /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i.test(input) ? input : undefined;
	});

const listOf = (input: unknown): string[] | undefined => {
	const items: unknown[] = typeof input === 'string' ? input.split(',') : Array.isArray(input) ? input : [undefined];
	const words = items.filter((item) => typeof item === 'string').map((item) => item.trim());
	return words.length === items.length ? words.filter((word) => word !== '') : undefined;
};

const isNetwork = (text: string): boolean => {
	const [address = '', bits, ...rest] = text.split('/');
	const family = isIP(address);
	if (family === 0 || rest.length > 0) return false;
	return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};

/** Whose X-Forwarded-For is believed: false (nobody), true (everybody), or a list of addresses and CIDR ranges. */
export const trustedProxies = () =>
	field('true, false, or a list of addresses and CIDR ranges such as 10.0.0.0/8', (input): boolean | string[] | undefined => {
		if (typeof input === 'boolean') return input;
		// "1" is a number of hops to other programs; it must not come to mean everybody.
		if (typeof input === 'string' && /^(true|false)$/i.test(input)) return input.toLowerCase() === 'true';
		const networks = listOf(input);
		if (networks?.length === 0) return false;
		return networks?.every(isNetwork) ? networks : undefined;
	});

/** Addresses and CIDR ranges, as a list or comma separated. */
export const networks = () =>
	field('a list of addresses and CIDR ranges such as 10.0.0.0/8', (input) => {
		const found = listOf(input);
		return found?.every(isNetwork) ? found : undefined;
	});

const originOf = (text: string): string | undefined => {
	if (text === '*') return text;
	if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
	const url = new URL(text);
	return url.href === `${url.origin}/` ? url.origin : undefined;
};

/** Browser origins (`https://host:port`) or `*`, as a list or comma separated. */
export const origins = () =>
	field('a list of origins such as https://fleet.example.com, or *', (input) => {
		const found = listOf(input)?.map(originOf);
		const known = found?.filter((origin) => origin !== undefined);
		return known && known.length === found?.length ? [...new Set(known)] : undefined;
	});

/** The http(s) address of a daemon, without trailing slash, user, query or fragment. */
export const serverUrl = () =>
	judged((input) => {
		if (!/^https?:\/\//i.test(input) || !URL.canParse(input)) return { problem: 'must be a URL such as http://127.0.0.1:5000' };
		const url = new URL(input);
		if (url.username !== '' || url.password !== '') return { problem: 'must not hold a user or password: use client.token' };
		if (url.search !== '' || url.hash !== '') return { problem: 'must not hold a query or a fragment' };
		return { value: url.href.replace(/\/+$/, '') };
	});

/** The http(s) address of a receiver of notifications, without user or fragment. */
export const webhookUrl = () =>
	judged((input) => {
		if (!/^https?:\/\//i.test(input) || !URL.canParse(input)) return { problem: 'must be a URL such as https://hooks.example.com/spot' };
		const url = new URL(input);
		if (url.username !== '' || url.password !== '') return { problem: 'must not hold a user or password' };
		if (url.href.length > 2048) return { problem: 'must not be longer than 2048 characters' };
		return { value: url.href };
	});

/** Where the data lives, in the forms {@link readDatabaseUrl} knows. */
export const databaseUrl = () =>
	judged((input) => {
		const read = readDatabaseUrl(input);
		return 'url' in read ? { value: read.url } : read;
	}, 'database');

/** An admin token that is long and not a known default. */
export const adminToken = () =>
	judged((input) => {
		const problem = adminTokenWeakness(input);
		return problem === undefined ? { value: input } : { problem };
	});

/** A key of 32 bytes, kept as base64url. */
export const key = () =>
	judged((input) => {
		const value = normaliseKey(input);
		return value === undefined ? { problem: 'must be 32 random bytes as base64, base64url or hex (openssl rand -base64 32)' } : { value };
	});

/** A token a command sends. */
export const token = () =>
	judged((input) =>
		/^[\x21-\x7e]{1,4096}$/.test(input)
			? { value: input }
			: { problem: 'must be printable ASCII without spaces, as it travels in a header' },
	);
