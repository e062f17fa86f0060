import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import pino, { type DestinationStream, type Logger, type StreamEntry } from 'pino';
import { SpotError } from './errors.ts';
import { maskTokens } from './mask.ts';

/** What the daemon writes its log with: pino, one JSON object a line. */
export type Log = Logger;

/** How logs are written (settings `log.*`). */
export type LogOptions = {
	readonly level: string;
	readonly format: 'auto' | 'json' | 'pretty';
	/** Folder for `app.log` and `error.log`, beside `stream`. */
	readonly dir?: string | undefined;
	readonly stream: Writable & { readonly isTTY?: boolean };
	/** UTC milliseconds. */
	readonly now: () => number;
};

/** A log and its files. */
export type OpenLog = {
	readonly log: Log;
	/** Opens the files anew, after somebody else has moved them away (logrotate). */
	reopen(): void;
	/** Writes what is buffered and closes the files. */
	close(): void;
};

const FLUSH_MS = 500;

const SECRET_KEYS: ReadonlySet<string> = new Set(['authorization', 'token', 'client_token', 'adminToken', 'password', 'tokenRevealKey']);
/** How deep an object of a line is looked through: deeper than pino prints. */
const DEPTH = 6;

/**
 * A copy in which the values of secret keys are blanked, or the value itself where there are none: nearly every line. Looks at each object
 * once, however often others refer to it. Pino's own `redact` took 20 µs a line with its wildcards, a thirtieth of a storm of notices.
 */
const blankSecrets = (value: object, depth = 0, seen = new Map<object, unknown>()): unknown => {
	if (value instanceof Error) return value;
	if (depth > DEPTH) return '[deeper]';
	if (seen.has(value)) return seen.get(value);
	seen.set(value, '[circular]');
	let copy: Record<string, unknown> | null = null;
	for (const [key, each] of Object.entries(value)) {
		const isSecret = SECRET_KEYS.has(key) && each !== undefined;
		const shown = isSecret ? '***' : typeof each === 'object' && each !== null ? blankSecrets(each, depth + 1, seen) : each;
		if (shown === each) continue;
		copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
		copy[key] = shown;
	}
	seen.set(value, copy ?? value);
	return copy ?? value;
};

/** Blanks tokens in free text: our own wherever they stand, URLs with `?token=`, authorization headers, passwords in database URLs. */
export const scrub = (text: string): string =>
	maskTokens(text)
		.replace(/([?&](?:client_|admin_)?token=)[^&\s"']*/gi, '$1***')
		.replace(/\b(bearer\s+)[^\s"']+/gi, '$1***')
		.replace(/([a-z][a-z0-9+.-]*:\/\/[^:@/\s"']*):[^\s"'/]*@/gi, '$1:***@');

/** The same for the address of a request, where a letter of a token may be percent-encoded. */
export const scrubUrl = (url: string): string =>
	scrub(
		url.replace(/%([2-7][0-9a-f])/gi, (encoded, hex: string) => {
			const character = String.fromCharCode(Number.parseInt(hex, 16));
			return /[\w-]/.test(character) ? character : encoded;
		}),
	);

const scrubText = (value: unknown): unknown => (typeof value === 'string' ? scrub(value) : value);
const scrubAddress = (value: unknown): unknown => (typeof value === 'string' ? scrubUrl(value) : value);

/** An error for the log: what it was and where, its causes, and of a driver's own fields only those that hold no data. */
const describeError = (error: unknown, depth = 0): unknown => {
	if (!(error instanceof Error)) return scrubText(error);
	const { code, errno } = error as { code?: unknown; errno?: unknown };
	return {
		type: error.name,
		message: scrub(error.message),
		...(code === undefined ? {} : { code }),
		...(errno === undefined ? {} : { errno }),
		stack: scrub(error.stack ?? ''),
		...(error.cause === undefined || depth > 3 ? {} : { cause: describeError(error.cause, depth + 1) }),
	};
};

/** One write per turn of the event loop instead of one per line: requests that are answered together share it. */
const perTurn = (stream: Writable): DestinationStream & { flush(): void } => {
	let lines = '';
	const flush = (): void => {
		if (lines === '') return;
		const text = lines;
		lines = '';
		stream.write(text);
	};
	return {
		write: (line: string) => {
			if (lines === '') setImmediate(flush);
			lines += line;
		},
		flush,
	};
};

const consoleOf = async ({ format, stream }: LogOptions): Promise<DestinationStream> => {
	const pretty = format === 'pretty' || (format === 'auto' && stream.isTTY === true);
	if (!pretty) return 'fd' in stream ? perTurn(stream) : stream;
	const { default: prettyStream } = await import('pino-pretty');
	return prettyStream({
		destination: stream,
		colorize: stream.isTTY === true,
		ignore: 'pid,hostname',
		translateTime: 'SYS:HH:MM:ss.l',
		sync: true,
	});
};

const openFiles = (dir: string) => {
	try {
		mkdirSync(dir, { recursive: true, mode: 0o750 });
		return ['app.log', 'error.log'].map((name) => {
			const dest = join(dir, name);
			closeSync(openSync(dest, 'a', 0o640));
			const file = pino.destination({ dest, sync: true, minLength: 4096, periodicFlush: FLUSH_MS });
			// A full disk costs lines of the log, never the daemon.
			file.on('error', () => undefined);
			return { name, file };
		});
	} catch (error) {
		throw new SpotError(
			'invalid',
			'CONFIG_INVALID',
			`cannot write log files into "${dir}": ${error instanceof Error ? error.message : String(error)}`,
			{
				hint: 'check the folder and its rights, or leave log.dir (LOG_DIR) out',
				cause: error,
			},
		);
	}
};

/** Opens the log. Errors: CONFIG_INVALID when the folder cannot be written. */
export const openLog = async (options: LogOptions): Promise<OpenLog> => {
	const files = options.dir === undefined ? [] : openFiles(options.dir);
	const screen = await consoleOf(options);
	const streams: StreamEntry[] = [
		{ level: 'trace', stream: screen },
		...files.map(({ name, file }) => ({ level: name === 'error.log' ? ('error' as const) : ('trace' as const), stream: file })),
	];
	const log = pino(
		{
			level: options.level,
			base: null,
			timestamp: () => `,"time":"${new Date(options.now()).toISOString()}"`,
			formatters: { level: (level) => ({ level }), log: (line) => blankSecrets(line) as Record<string, unknown> },
			serializers: { err: describeError, error: describeError, path: scrubAddress, url: scrubAddress },
		},
		files.length === 0 ? screen : pino.multistream(streams),
	);
	return {
		log,
		reopen: () => {
			for (const { file } of files) file.reopen();
		},
		close: () => {
			if ('flush' in screen && typeof screen.flush === 'function') screen.flush();
			for (const { file } of files) {
				try {
					file.flushSync();
					file.end();
				} catch {
					// The disk is full or the file is gone: there is nowhere left to say so.
				}
			}
		},
	};
};
