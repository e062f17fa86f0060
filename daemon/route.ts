import type { FastifyReply, FastifyRequest } from 'fastify';
import { renderSuccess } from '../src/contract/envelope.ts';
import { checkInput, invalidCursor } from '../src/contract/invalid-input.ts';
import { type Download, isStreamed, type Operation, type Page } from '../src/contract/operation.ts';
import type { EventStream } from '../src/contract/sse.ts';
import { actorOf, type Caller, checkAccess, checkOwnClient, clientScope, type Principal } from '../src/core/caller.ts';
import type { Core } from '../src/core/index.ts';
import type { Clock } from '../src/deps.ts';
import { KINDS, SpotError } from '../src/errors.ts';
import { type Log, scrubUrl } from '../src/log.ts';
import type { Metrics } from '../src/metrics.ts';
import { credentialOf, type FailureLimiter, isLocal, requireCredential, tooManyFailures } from './auth.ts';
import { asProblem, type FailureLog, sendProblem, setHeaders } from './failures.ts';
import { createMerge } from './input.ts';
import { checkHost, checkOrigin, isOpen, type OpenDashboard, openPrincipal } from './open-dashboard.ts';
import type { Outbox } from './outbox.ts';
import type { ReadTurns } from './read-turns.ts';
import { sharedLook } from './shared-look.ts';
import { type Begun, begin, eventTexts, type Streams, setDownloadHeaders, setStreamHeaders, streamOf } from './streams.ts';

/** What every route needs. */
export type RouteDeps = {
	readonly core: Pick<Core, 'authenticate' | 'explain'>;
	readonly clock: Clock;
	readonly log: Log;
	readonly metrics: Metrics;
	readonly limiter: FailureLimiter;
	readonly failures: FailureLog;
	readonly countFailedLogin: () => void;
	readonly openDashboard: OpenDashboard;
	readonly corsOrigins: readonly string[];
	/** What the daemon listens on. */
	readonly host: string;
	readonly streams: Streams;
	readonly outbox: Outbox;
	readonly readTurns: ReadTurns;
};

/** A ready answer of a raw operation: metrics, or health with a status of its own. */
export class RawAnswer {
	readonly status: number;
	readonly contentType: string;
	readonly body: string;

	constructor(status: number, contentType: string, body: string) {
		this.status = status;
		this.contentType = contentType;
		this.body = body;
	}
}

/** A handler of any operation, once its types have been checked by whoever declared it. */
export type AnyHandler = (input: never, caller: Caller) => unknown;

export type Route = (request: FastifyRequest, reply: FastifyReply) => void;

/** What an idempotency key may be long; more is refused rather than cut, since two cut keys could be the same. */
const LONGEST_KEY = 128;

/** One request on its way; the handler sees it as its {@link Caller}. */
class Call implements Caller {
	principal: Principal | null = null;
	idempotencyKey: string | null = null;
	/** No credential at all, answered because the dashboard is open. */
	open = false;
	readonly requestId: string;
	readonly request: FastifyRequest;
	readonly reply: FastifyReply;
	readonly startedAt: number;

	constructor(request: FastifyRequest, reply: FastifyReply, startedAt: number) {
		this.requestId = request.id;
		this.request = request;
		this.reply = reply;
		this.startedAt = startedAt;
	}

	get lastEventId(): string | null {
		const id = this.request.headers['last-event-id'];
		return typeof id === 'string' && id !== '' ? id : null;
	}

	gone(): boolean {
		// Of the request: an answer has no socket while those before it on its connection are unanswered.
		const { socket } = this.request.raw;
		return this.reply.raw.destroyed || socket?.destroyed === true || socket?.writable === false;
	}
}

type Asker = { readonly call: Call; readonly input: object };
/** An answer as it was written for the first who asked for it bare, or whole. */
type Texts = { bare?: Body; whole?: Body };
/** Long ones are encoded once, not for every caller. */
type Body = string | Buffer;
const LONG = 16_384;
type Found = { readonly payload: unknown; readonly texts: Texts };

/** What of a caller decides what a read answers: whose rows it may see, and how much of them. */
const rightsOf = (principal: Principal | null): string => {
	if (principal?.kind === 'client') return `client ${principal.clientId}`;
	return principal?.kind === 'admin' ? `admin ${principal.scope}` : (principal?.kind ?? 'nobody');
};

const keyOf = ({ headers }: FastifyRequest): string | null => {
	const key = headers['x-request-id'];
	if (typeof key !== 'string' || key === '') return null;
	if (key.length <= LONGEST_KEY) return key;
	throw new SpotError('invalid', 'VALIDATION_ERROR', `X-Request-ID: is longer than ${LONGEST_KEY} characters`, {
		extras: { details: { 'X-Request-ID': ['is too long'] } },
	});
};

/** Makes the function that answers one operation. Everything that can be known beforehand is; nothing waits but reads of people for their turn, unless the core does. */
export const createRoute = (operation: Operation, handle: AnyHandler, deps: RouteDeps): Route => {
	const { core, clock, log, limiter } = deps;
	const { access, rendering, status, legacyBare, idempotent, routine, id } = operation;
	const run = handle as unknown as (input: object, caller: Caller) => unknown;
	const merge = createMerge(operation);
	const meter = deps.metrics.route(id);
	const validates = id === 'clients.validate';
	const isStream = isStreamed(operation);
	const open = isOpen(operation, deps.openDashboard);
	const nobody = openPrincipal(operation);
	const isRead = operation.method === 'GET' && !routine && !operation.daemonOnly && !isStream && !operation.ofOneCall;
	/** A list that is bounded by what it is of, and has no pages: no cursor can be of it. */
	const isWhole = rendering === 'list' && !('cursor' in operation.input.shape);
	const level = routine || operation.method === 'GET' ? 'debug' : 'info';

	const identify = (call: Call): Principal | null | Promise<Principal> => {
		const { request } = call;
		if (access === 'public') return null;
		if ((open || access === 'metrics') && credentialOf(request, operation) === null) {
			call.open = open || isLocal(request);
			if (call.open && open) {
				checkHost(request.headers.host, request.socket.localAddress, deps.host, deps.corsOrigins);
				checkOrigin(request.headers.origin, deps.corsOrigins);
			}
			if (call.open) return open ? nobody : null;
		}
		return core.authenticate(requireCredential(request, operation));
	};

	const note = (call: Call, answered: number): void => {
		const ms = clock.elapsed() - call.startedAt;
		meter.record(answered, ms);
		const heard = answered === 401 || answered === 429 ? 'debug' : level;
		if (!log.isLevelEnabled(heard)) return;
		const { method, url } = call.request;
		log[heard](
			{
				operation: id,
				status: answered,
				ms: Math.round(ms * 100) / 100,
				request_id: call.requestId,
				actor: actorOf(call),
				method,
				// Cut last: half a token is no token to the mask.
				path: scrubUrl(url.slice(0, 400)).slice(0, 200),
			},
			'request',
		);
	};

	const fail = (call: Call, error: unknown): void => {
		const problem = asProblem(core.explain(error));
		if (problem.status >= 500) deps.failures(problem, { operation: id, request_id: call.requestId, actor: actorOf(call) });
		const invalidToken = validates && (problem.status === 401 || problem.status === 403);
		sendProblem(call.reply, problem, call.requestId, invalidToken ? { valid: false } : undefined);
		note(call, problem.status);
	};

	const refuse = (call: Call, error: unknown): void => {
		if (!(error instanceof SpotError) || error.kind !== 'unauthenticated') {
			fail(call, error);
			return;
		}
		deps.countFailedLogin();
		const wait = limiter.failed(call.request.ip);
		fail(call, wait > 0 && !validates ? tooManyFailures(wait) : error);
	};

	const bodyOf = (call: Call, payload: unknown, texts: Texts | null): Body => {
		const asked = legacyBare ? call.request.headers['x-response-format'] : undefined;
		const bare = legacyBare && (asked === 'bare' || (call.open && asked !== 'envelope'));
		// A bare list has no place for it.
		const next = bare && rendering === 'list' ? (payload as Page<unknown>).nextCursor : null;
		if (next !== null) call.reply.header('x-next-cursor', next);
		const name = bare ? 'bare' : 'whole';
		const known = texts?.[name];
		if (known !== undefined) return known;
		const text = renderSuccess(rendering, payload as object, bare);
		if (texts === null) return text;
		texts[name] = text.length < LONG ? text : Buffer.from(text);
		return texts[name];
	};

	/** Sends what goes on: nothing is sent before its first part is there, so that an error before that is an answer. */
	const stream = (call: Call, payload: unknown): void => {
		const { reply } = call;
		const token = credentialOf(call.request, operation) ?? '';
		const events = rendering === 'sse' ? eventTexts(payload as EventStream, () => deps.streams.refusal(token)) : null;
		const texts = events ?? (payload as Download).chunks;
		const send = (begun: Begun): void => {
			let forget = (): void => undefined;
			try {
				if (call.gone() || call.request.method === 'HEAD') void begun.rest.return?.()?.catch(() => undefined);
				setHeaders(reply, call.requestId);
				if (rendering === 'csv') setDownloadHeaders(reply, payload as Download);
				else setStreamHeaders(reply);
				reply.code(status);
				if (call.request.method === 'HEAD') {
					reply.send('');
					note(call, status);
					return;
				}
				const body = streamOf(begun, (error) => {
					forget();
					if (error !== null)
						deps.failures(asProblem(core.explain(error)), { operation: id, request_id: call.requestId, actor: actorOf(call) });
					note(call, status);
				});
				if (events !== null) forget = deps.streams.add(token, clientScope(call), events.stop);
				reply.send(body);
			} catch (error) {
				forget();
				fail(call, error);
			}
		};
		begin(texts).then(send, (error: unknown) => fail(call, error));
	};

	const send = (call: Call, answered: number, body: Body): void => {
		try {
			call.reply.send(body);
		} catch (error) {
			fail(call, error);
			return;
		}
		note(call, answered);
	};

	const finish = (call: Call, payload: unknown, texts: Texts | null = null): void => {
		if (isStream) {
			stream(call, payload);
			return;
		}
		let answered = operation.statusOf?.(payload as never) ?? status;
		try {
			const { reply } = call;
			const raw = payload instanceof RawAnswer ? payload : null;
			const body = raw?.body ?? bodyOf(call, payload, texts);
			setHeaders(reply, call.requestId);
			if (raw !== null) {
				answered = raw.status;
				reply.header('content-type', raw.contentType);
			}
			reply.code(answered);
			if (isRead) send(call, answered, body);
			else deps.outbox(() => send(call, answered, body));
		} catch (error) {
			fail(call, error);
		}
	};

	const work = (call: Call, input: object): void => {
		let result: unknown;
		try {
			result = run(input, call);
		} catch (error) {
			fail(call, error);
			return;
		}
		if (!(result instanceof Promise)) finish(call, result);
		else
			result.then(
				(payload) => finish(call, payload),
				(error: unknown) => fail(call, error),
			);
	};

	/** What people ask, once for all who ask the same with the same rights meanwhile; null: nobody is there to be answered any more. */
	const read = sharedLook<Found | null, Asker>(
		clock,
		async (askers) => {
			const first = askers.find(({ call }) => !call.gone());
			return first === undefined ? null : { payload: await run(first.input, first.call), texts: {} };
		},
		deps.readTurns,
	);

	const proceed = (call: Call, principal: Principal | null): void => {
		let input: object;
		let question = '';
		try {
			call.principal = principal;
			if (principal !== null || !call.open) checkAccess(operation, principal);
			if (isStream) deps.streams.check();
			if (idempotent) call.idempotencyKey = keyOf(call.request);
			if (isWhole) {
				const { cursor = '' } = call.request.query as { readonly cursor?: unknown };
				if (cursor !== '') throw invalidCursor();
			}
			input = checkInput(operation.input, merge(call.request));
			checkOwnClient(operation, principal, input);
			if (isRead) question = `${rightsOf(principal)} ${JSON.stringify(input)}`;
		} catch (error) {
			fail(call, error);
			return;
		}
		if (!isRead) work(call, input);
		else
			read(question, { call, input }).then(
				(found) => {
					// The client gave up while others had their turn.
					if (found === null || call.gone()) note(call, KINDS.interrupted.status);
					else finish(call, found.payload, found.texts);
				},
				(error: unknown) => fail(call, error),
			);
	};

	return (request, reply) => {
		const call = new Call(request, reply, clock.elapsed());
		let principal: Principal | null | Promise<Principal>;
		try {
			principal = identify(call);
		} catch (error) {
			refuse(call, error);
			return;
		}
		if (!(principal instanceof Promise)) proceed(call, principal);
		else
			principal.then(
				(known) => proceed(call, known),
				(error: unknown) => refuse(call, error),
			);
	};
};
