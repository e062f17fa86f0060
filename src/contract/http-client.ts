import { type Clock, systemClock } from '../deps.ts';
import { kindOfStatus, SpotError } from '../errors.ts';
import { type Api, operations } from './index.ts';
import { isStreamed, type Operation } from './operation.ts';
import { readEvents } from './sse.ts';

/** What a client over HTTP may be told. */
export type HttpOptions = {
	/** How long one call may take, the answer read included; 30 s unless told otherwise. */
	readonly timeoutMs?: number;
	/** Ends every call that is running. A call may carry a signal of its own as well. */
	readonly signal?: AbortSignal;
	/** Hears a line for each request and answer, tokens hidden. */
	readonly trace?: (line: string) => void;
	readonly clock?: Clock;
};

type Request = { readonly method: Operation['method']; readonly url: string; readonly body: string | undefined };
type Answer = {
	readonly status: number;
	readonly requestId: string | undefined;
	readonly retryAfter: string | undefined;
	readonly text: string;
};
type Json = { readonly [key: string]: unknown };

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A path parameter. Empty text and dots would be taken for another path on the way; they name nothing anywhere. */
const segment = (value: unknown): string => {
	const text = String(value ?? '');
	if (text === '' || text === '.' || text === '..') throw new SpotError('missing', 'NOT_FOUND', `nothing is named "${text}"`);
	return encoded(text);
};

const encoded = (text: string): string => {
	try {
		return encodeURIComponent(text);
	} catch (cause) {
		throw new SpotError('invalid', 'VALIDATION_ERROR', 'the text has broken Unicode in it', { cause });
	}
};

const requestOf = (server: string, operation: Operation, input: Json): Request => {
	const inPath = new Set<string>();
	const path = operation.path.replace(/\{([a-z_]+)\}/g, (_, name: string) => {
		inPath.add(name);
		return segment(input[name]);
	});
	const rest = Object.entries(input).filter(([name, value]) => !inPath.has(name) && value !== undefined);
	if (operation.method !== 'GET' && operation.method !== 'DELETE') {
		return { method: operation.method, url: `${server}${path}`, body: JSON.stringify(Object.fromEntries(rest)) };
	}
	const query = rest.filter(([, value]) => value !== null).map(([name, value]) => `${name}=${encoded(String(value))}`);
	return { method: operation.method, url: `${server}${path}${query.length > 0 ? `?${query.join('&')}` : ''}`, body: undefined };
};

const codeOf = (error: unknown): string => {
	if (typeof error !== 'object' || error === null) return '';
	if ('code' in error && typeof error.code === 'string') return error.code;
	return 'cause' in error ? codeOf(error.cause) : '';
};

const isForeignProtocol = (error: unknown): boolean =>
	codeOf(error) === 'ERR_SSL_WRONG_VERSION_NUMBER' ||
	codeOf(error).startsWith('HPE_') ||
	(error instanceof Error && error.name === 'HTTPParserError');

/** What a failed connection means to whoever typed the command; an error of no connection is a bug and stays as it is. */
const unreachable = (server: string, error: unknown): unknown => {
	if (isForeignProtocol(error)) return notDaemon(server, 'it does not speak HTTP as asked', error);
	const code = codeOf(error);
	if (code === '') return error;
	if (/^(UND_ERR_SOCKET|UND_ERR_BODY_TIMEOUT|ECONNRESET|EPIPE)$/.test(code)) {
		return new SpotError('unavailable', 'CONNECTION_LOST', `the connection to ${server} broke before an answer came`, {
			hint: 'what was asked may have happened all the same: look before you repeat it',
			cause: error,
		});
	}
	if (/CERT|TLS|SSL|SELF_SIGNED/.test(code)) {
		return new SpotError('unavailable', 'CERTIFICATE_REFUSED', `the certificate of ${server} is not accepted (${code})`, {
			hint: 'NODE_EXTRA_CA_CERTS=FILE names further authorities to trust',
			cause: error,
		});
	}
	return new SpotError('unavailable', 'DAEMON_UNREACHABLE', `no daemon answers at ${server}`, {
		hint: 'start one: spotctl serve  (or run with --local)',
		cause: error,
	});
};

const notDaemon = (server: string, why: string, cause?: unknown): SpotError =>
	new SpotError('unavailable', 'NOT_A_DAEMON', `what answers at ${server} is not a spotctl daemon: ${why}`, {
		hint: 'check the address: --server, SPOTCTL_SERVER or client.server',
		cause,
	});

const parsed = (text: string): unknown => {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
};

const ENVELOPE = new Set(['status', 'error', 'code', 'data', 'hint']);

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** An error answer (endpoints.md section A, R4) as the error it stands for. */
const errorOf = (answer: Answer, body: Json, hide: (text: string) => string): SpotError => {
	const extras: Record<string, unknown> = Object.fromEntries(Object.entries(body).filter(([key]) => !ENVELOPE.has(key)));
	extras['request_id'] ??= answer.requestId;
	if (answer.retryAfter !== undefined) extras['retry_after_seconds'] ??= Number(answer.retryAfter);
	const message = hide(text(body['error']) ?? `the daemon answered ${answer.status}`);
	return new SpotError(kindOfStatus(answer.status), text(body['code']) ?? `HTTP_${answer.status}`, message, {
		hint: hide(text(body['hint']) ?? '') || undefined,
		extras,
	});
};

const TOO_LARGE = new Set([413, 414, 431]);

/** The payload of an answer, out of its envelope; throws what an error answer stands for. */
const payloadOf = (server: string, operation: Operation, answer: Answer, hide: (text: string) => string): unknown => {
	const json = parsed(answer.text);
	const good = answer.status >= 200 && answer.status < 300;
	if (isObject(json) && !good && (json['status'] === 'error' || (operation.rendering !== 'raw' && text(json['error']))))
		throw errorOf(answer, json, hide);
	if (operation.rendering === 'raw') {
		const body = json ?? answer.text;
		// An unhealthy daemon answers its report with 503: that is the answer, not a failure to answer.
		if ((good || answer.status === 503) && operation.output.safeParse(body).success) return body;
	} else if (!isStreamed(operation) && good && isObject(json) && json['status'] === 'success' && 'data' in json) {
		if (operation.rendering === 'object') return json['data'];
		if (Array.isArray(json['data'])) return { items: json['data'], nextCursor: text(json['next_cursor']) ?? null };
	}
	if (TOO_LARGE.has(answer.status))
		throw new SpotError('too_large', `HTTP_${answer.status}`, 'the request is larger than the daemon accepts');
	if ([502, 503, 504].includes(answer.status)) {
		throw new SpotError(
			'unavailable',
			`HTTP_${answer.status}`,
			`${server} answered ${answer.status}: nothing serves behind it at the moment`,
			{
				hint: 'try again in a few seconds; see: spotctl health',
			},
		);
	}
	throw notDaemon(server, `it answered ${answer.status} ${json === undefined ? 'without JSON' : 'in another form'}`);
};

/** Hides the caller's token, and what JSON shows under a name that ends in "token". */
const hider =
	(token: string | null) =>
	(shown: string): string => {
		const hidden = shown.replace(/("(?:[a-z_]*_)?(?:token|secret)"\s*:\s*")[^"]*"/gi, '$1***"');
		return token === null || token === '' ? hidden : hidden.replaceAll(token, '***');
	};

type Received = {
	readonly status: number;
	header(name: string): string | undefined;
	readonly body: AsyncIterable<Uint8Array> & { text(): Promise<string> };
};

/** Sends a request; `silenceMs` is how long a body that has begun may be silent, 0 for ever. */
const open = async (request: Request, token: string | null, signal: AbortSignal, accept: string, silenceMs: number): Promise<Received> => {
	const { request: undici } = await import('undici');
	const { statusCode, headers, body } = await undici(request.url, {
		method: request.method,
		headers: {
			accept,
			// A proxy that injects a token may ask for bare answers; this client reads the envelope.
			'x-response-format': 'envelope',
			...(token === null ? {} : { authorization: `Bearer ${token}` }),
			...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
		},
		...(request.body === undefined ? {} : { body: request.body }),
		signal,
		headersTimeout: 0,
		bodyTimeout: silenceMs,
	});
	return { status: statusCode, header: (name) => [headers[name]].flat()[0], body };
};

const read = async ({ status, header, body }: Received): Promise<Answer> => ({
	status,
	requestId: header('x-request-id'),
	retryAfter: header('retry-after'),
	text: await body.text(),
});

const MEDIA: Readonly<Record<string, string>> = { csv: 'text/csv', sse: 'text/event-stream' };

/** Streams are silent for at most the time between two heartbeats of the daemon. */
const QUIET_STREAM_MS = 90_000;

const silenceOf = ({ rendering }: Operation, timeoutMs: number): number =>
	rendering === 'sse' ? QUIET_STREAM_MS : rendering === 'csv' ? timeoutMs : 0;

const textOf = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
	const decoder = new TextDecoder();
	for await (const chunk of body) yield decoder.decode(chunk, { stream: true });
	const rest = decoder.decode();
	if (rest !== '') yield rest;
};

const fileNameOf = (disposition: string | undefined): string => /filename="?([\w.-]+)"?/.exec(disposition ?? '')?.[1] ?? 'export.csv';

/**
 * The product over HTTP: one function per operation, against the daemon at `server` (`http://host:port`, also with a path before its
 * routes). Errors are SpotErrors: those of the daemon by its HTTP status with code, message, hint, extras and `extras.request_id`;
 * DAEMON_UNREACHABLE, DAEMON_TIMEOUT, CONNECTION_LOST and NOT_A_DAEMON (exit code 7) where there was no answer of one. An aborted
 * call rejects with the signal's reason. The token is in no message and no trace.
 */
export const httpApi = (server: string, token: string | null, options: HttpOptions = {}): Api => {
	const { timeoutMs = 30_000, clock = systemClock, trace } = options;
	const base = server.replace(/\/+$/, '');
	const hide = hider(token);

	const exchange = async (operation: Operation, input: Json, own: AbortSignal | undefined): Promise<unknown> => {
		if (token !== null && !/^[\x21-\x7e]+$/.test(token)) {
			throw new SpotError('unauthenticated', 'INVALID_TOKEN', 'the token has characters that no token has', {
				hint: 'check the file or variable it came from',
			});
		}
		const request = requestOf(base, operation, input);
		const signals = [options.signal, own].filter((signal) => signal !== undefined);
		const running = new AbortController();
		const abort = () => running.abort(signals.find((signal) => signal.aborted)?.reason);
		const late = new SpotError('unavailable', 'DAEMON_TIMEOUT', `no answer from ${base} within ${timeoutMs / 1000} s`, {
			hint: 'what was asked may have happened all the same; see: spotctl health',
		});
		for (const signal of signals) signal.addEventListener('abort', abort, { once: true });
		if (signals.some((signal) => signal.aborted)) abort();
		const cancel = clock.after(timeoutMs, () => running.abort(late));
		const started = clock.elapsed();
		trace?.(hide(`> ${request.method} ${request.url}${request.body === undefined ? '' : ` ${request.body}`}`));
		const settle = (): void => {
			cancel();
			for (const signal of signals) signal.removeEventListener('abort', abort);
		};
		const explained = (error: unknown): unknown => {
			if (running.signal.aborted) return running.signal.reason;
			if (error instanceof SpotError) return error;
			trace?.(hide(`! ${error instanceof Error ? error.message : String(error)}`));
			return unreachable(base, error);
		};
		/** The rest of an answer that goes on; what it holds is let go of when it ends, and when nobody reads it any more. */
		const followed = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
			try {
				yield* textOf(body);
			} catch (error) {
				throw explained(error);
			} finally {
				settle();
			}
		};
		let goesOn = false;
		try {
			const media = MEDIA[operation.rendering];
			const accept = media === undefined ? 'application/json' : `${media}, application/json`;
			const received = await open(request, token, running.signal, accept, silenceOf(operation, timeoutMs));
			if (media !== undefined && received.status === 200 && received.header('content-type')?.startsWith(media)) {
				cancel();
				goesOn = true;
				trace?.(`< 200 after ${Math.round(clock.elapsed() - started)} ms, ${media}`);
				const text = followed(received.body);
				if (operation.rendering === 'sse') return readEvents(text);
				return { fileName: fileNameOf(received.header('content-disposition')), chunks: text };
			}
			const answer = await read(received);
			const took = Math.round(clock.elapsed() - started);
			trace?.(
				`< ${answer.status} in ${took} ms${answer.requestId ? `, request ${answer.requestId}` : ''} ${hide(answer.text).slice(0, 4000)}`,
			);
			return payloadOf(base, operation, answer, hide);
		} catch (error) {
			throw explained(error);
		} finally {
			if (!goesOn) settle();
		}
	};

	const entries = Object.entries(operations as Record<string, Operation>);
	const calls = entries.map(([name, operation]) => [name, (input: Json, signal?: AbortSignal) => exchange(operation, input, signal)]);
	return Object.fromEntries(calls) as Api;
};
