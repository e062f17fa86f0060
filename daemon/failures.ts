import type { FastifyReply } from 'fastify';
import { renderError } from '../src/contract/envelope.ts';
import type { Clock } from '../src/deps.ts';
import { SpotError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';

/** How often the same kind of outage is worth a line: a lost database fails every request. */
const QUIET_MS = 1000;

/** What an error of any kind becomes on the wire; a bug keeps its text for the log. */
export const asProblem = (error: unknown): SpotError =>
	error instanceof SpotError
		? error
		: new SpotError('bug', 'SERVER_ERROR', 'unexpected error', { hint: 'look for the request_id in the log of the daemon', cause: error });

/** Headers that every answer carries. */
export const setHeaders = (reply: FastifyReply, requestId: string): FastifyReply =>
	reply
		.header('content-type', JSON_TYPE)
		.header('x-request-id', requestId)
		.header('x-content-type-options', 'nosniff')
		.header('cache-control', 'no-store');

/** Answers a problem (R4). */
export const sendProblem = (reply: FastifyReply, problem: SpotError, requestId: string, more?: Readonly<Record<string, unknown>>): void => {
	const { status } = problem;
	setHeaders(reply, requestId).code(status);
	if (status === 503 || status === 429) {
		const seconds = problem.extras['retry_after_seconds'];
		reply.header('retry-after', String(typeof seconds === 'number' ? Math.max(1, Math.ceil(seconds)) : 2));
	} else if (status === 401) reply.header('www-authenticate', 'Bearer');
	reply.send(renderError(problem, requestId, more));
};

/** Where the log says what went wrong. */
export type FailureLog = (problem: SpotError, fields: Readonly<Record<string, unknown>>) => void;

/** Logs failures of the server: bugs always with their cause, an outage at most once a second with how many lines were left out. What is not built (501) failed nowhere. */
export const createFailureLog = (log: Log, clock: Clock): FailureLog => {
	const outages = new Map<string, { at: number; silent: number }>();
	return (problem, fields) => {
		const { code, status, cause, message } = problem;
		const err = cause ?? problem;
		if (status === 501) return;
		if (status !== 503) {
			log.error({ ...fields, status, code, err }, 'request failed');
			return;
		}
		const now = clock.now();
		const known = outages.get(code);
		if (known !== undefined && now - known.at < QUIET_MS && now >= known.at) {
			known.silent++;
			return;
		}
		log.error({ ...fields, status, code, err, ...(known !== undefined && known.silent > 0 ? { left_out: known.silent } : {}) }, message);
		outages.set(code, { at: now, silent: 0 });
	};
};
