import type { FastifyRequest } from 'fastify';
import { isStreamed, type Operation } from '../src/contract/operation.ts';
import type { Clock } from '../src/deps.ts';
import { SpotError } from '../src/errors.ts';

const HINT = 'send the header Authorization: Bearer <token>';

const missing = (operation: Operation): SpotError => {
	const forAgents = operation.access === 'agent' || operation.access === 'client';
	return new SpotError('unauthenticated', 'UNAUTHORIZED', forAgents ? 'Missing client token' : 'Missing admin token', { hint: HINT });
};

const badFormat = (): SpotError =>
	new SpotError('unauthenticated', 'INVALID_AUTH_FORMAT', 'Invalid authorization header: it must be "Bearer <token>" or the token alone', {
		hint: HINT,
	});

/** The token of an Authorization header: `Bearer <token>` in any case, or the token alone. Errors: 401 INVALID_AUTH_FORMAT. */
export const tokenOfHeader = (header: string): string | null => {
	const trimmed = header.trim();
	if (trimmed === '') return null;
	const space = trimmed.indexOf(' ');
	if (space === -1) {
		if (/^bearer$/i.test(trimmed)) throw badFormat();
		return trimmed;
	}
	const token = trimmed.slice(space + 1).trim();
	if (trimmed.slice(0, space).toLowerCase() !== 'bearer' || /\s/.test(token)) throw badFormat();
	return token;
};

const tokenOfBody = (body: unknown): string | null => {
	if (typeof body !== 'object' || body === null) return null;
	const { client_token: first, token: alias } = body as { client_token?: unknown; token?: unknown };
	const token = typeof first === 'string' && first !== '' ? first : alias;
	return typeof token === 'string' && token !== '' ? token : null;
};

const tokenOfQuery = (query: unknown): string | null => {
	const { token } = query as { token?: unknown };
	return typeof token === 'string' && token !== '' ? token : null;
};

/**
 * The credential of a request, or null; the header wins over the body, which counts on agent and client operations only, and over
 * `?token=`, which counts on event streams and downloads only: a browser opens those without headers (endpoints.md section B).
 */
export const credentialOf = (request: FastifyRequest, operation: Operation): string | null => {
	const { authorization } = request.headers;
	if (authorization !== undefined) {
		const token = tokenOfHeader(authorization);
		if (token !== null) return token;
	}
	if (isStreamed(operation)) return tokenOfQuery(request.query);
	return operation.access === 'agent' || operation.access === 'client' ? tokenOfBody(request.body) : null;
};

/** As {@link credentialOf}; none is an error. Errors: 401 UNAUTHORIZED, INVALID_AUTH_FORMAT. */
export const requireCredential = (request: FastifyRequest, operation: Operation): string => {
	const token = credentialOf(request, operation);
	if (token === null) throw missing(operation);
	return token;
};

/** Whether nobody but this machine can have sent the request: a loopback peer that no proxy speaks through. */
export const isLocal = ({ socket, headers }: FastifyRequest): boolean => {
	const address = socket.remoteAddress ?? '';
	const loopback = address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
	return (
		loopback &&
		headers['x-forwarded-for'] === undefined &&
		headers['forwarded'] === undefined &&
		headers['x-real-ip'] === undefined &&
		headers.via === undefined
	);
};

/** Counts failed authentications by address. */
export type FailureLimiter = {
	/** Notes one failure; answers how many milliseconds the address must wait, 0 while it is within the limit. */
	failed(address: string): number;
};

const WINDOW_MS = 60_000;
const MOST_ADDRESSES = 10_000;

/** At most `perMinute` failures an address and minute; remembers the 10,000 addresses that failed last. */
export const createFailureLimiter = (clock: Clock, perMinute: number): FailureLimiter => {
	const windows = new Map<string, { count: number; readonly endsAt: number }>();
	return {
		failed: (address) => {
			const now = clock.now();
			const known = windows.get(address);
			const window = known !== undefined && known.endsAt > now ? known : { count: 0, endsAt: now + WINDOW_MS };
			window.count++;
			windows.delete(address);
			windows.set(address, window);
			if (windows.size > MOST_ADDRESSES) windows.delete(windows.keys().next().value ?? '');
			return window.count > perMinute ? window.endsAt - now : 0;
		},
	};
};

/** What somebody hears who has failed too often. */
export const tooManyFailures = (waitMs: number): SpotError =>
	new SpotError('limited', 'TOO_MANY_FAILED_LOGINS', 'too many requests without a valid token from this address', {
		hint: 'wait, then send a valid token',
		extras: { retry_after_seconds: Math.max(1, Math.ceil(waitMs / 1000)) },
	});
