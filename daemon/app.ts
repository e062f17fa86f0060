import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, type HTTPMethods } from 'fastify';
import { renderError } from '../src/contract/envelope.ts';
import { operations } from '../src/contract/index.ts';
import type { Method, Operation } from '../src/contract/operation.ts';
import type { CoreName, DaemonName, Handler, Handlers } from '../src/core/caller.ts';
import type { Core } from '../src/core/index.ts';
import type { Clock, Ids } from '../src/deps.ts';
import { SpotError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import type { Metrics } from '../src/metrics.ts';
import { createFailureLimiter } from './auth.ts';
import { asProblem, createFailureLog, sendProblem } from './failures.ts';
import { readBody } from './input.ts';
import type { OpenDashboard } from './open-dashboard.ts';
import { createOutbox } from './outbox.ts';
import { createReadTurns } from './read-turns.ts';
import { type AnyHandler, createRoute, type RawAnswer, type Route, type RouteDeps } from './route.ts';
import { createStreams } from './streams.ts';

/** What of the configuration the HTTP face needs. */
export type AppSettings = {
	readonly trustProxy: boolean | readonly string[];
	readonly openDashboard: OpenDashboard;
	readonly corsOrigins: readonly string[];
	/** What is listened on. */
	readonly host: string;
	/** Bytes. */
	readonly bodyLimit: number;
	readonly failedAuthPerMinute: number;
};

/** Handlers of the operations that speak about the daemon; those with raw rendering may choose their status. */
export type DaemonHandlers = {
	readonly [N in DaemonName]: (...call: Parameters<Handler<N>>) => ReturnType<Handler<N>> | RawAnswer | Promise<RawAnswer>;
};

export type AppOptions = {
	readonly core: Pick<Core, 'authenticate' | 'explain' | 'handlers' | 'onAccessChange'>;
	readonly settings: AppSettings;
	readonly log: Log;
	readonly metrics: Metrics;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly daemonHandlers: DaemonHandlers;
};

const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Above the longest URL that Node's parser lets in (16 KiB of request head), so that length never decides what is found. */
const LONGEST_PARAMETER = 65_536;

const JSON_MEDIA = 'application/json';

const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+[ \t]*(?:;|$)/;

const CORS_HEADERS = ['Content-Type', 'Authorization', 'X-Request-ID', 'X-Response-Format', 'X-Client-ID', 'Last-Event-ID'];

const EXPOSED_HEADERS = ['X-Request-Id', 'Retry-After', 'X-Next-Cursor', 'Content-Disposition'];

const colons = (path: string): string => path.replaceAll(/\{([a-z_]+)\}/g, ':$1');

const methodNotAllowed = (allowed: readonly string[]): SpotError =>
	new SpotError('method', 'METHOD_NOT_ALLOWED', `this path answers ${allowed.join(', ')} only`, { hint: 'see: GET /openapi.json' });

/** Requests that Node's parser refused never reach a route; they are answered on the socket itself. */
const answerBadRequest = (error: Error & { code?: string }, socket: Socket, requestId: string): void => {
	if (error.code === 'ECONNRESET' || !socket.writable) {
		socket.destroy();
		return;
	}
	const [line, code, message] =
		error.code === 'HPE_HEADER_OVERFLOW'
			? ['431 Request Header Fields Too Large', 'HEADERS_TOO_LARGE', 'the address and headers of the request are too long']
			: error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
				? ['408 Request Timeout', 'REQUEST_TIMEOUT', 'the request did not arrive in time']
				: ['400 Bad Request', 'BAD_REQUEST', 'this is not a valid HTTP request'];
	const body = renderError(new SpotError('invalid', code, message), requestId);
	socket.end(
		`HTTP/1.1 ${line}\r\nContent-Type: application/json; charset=utf-8\r\nX-Request-ID: ${requestId}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
	);
};

/** Problems that Fastify found before a route was reached. */
const frameworkProblem = (error: FastifyError, bodyLimit: number): SpotError => {
	if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
		return new SpotError('too_large', 'PAYLOAD_TOO_LARGE', `the body is larger than ${bodyLimit} bytes`, {
			hint: 'send less; the limit is server.bodyLimit',
		});
	const { statusCode } = error;
	return statusCode !== undefined && statusCode >= 400 && statusCode < 500
		? new SpotError('invalid', 'BAD_REQUEST', 'this request cannot be read', { cause: error })
		: asProblem(error);
};

const noSchemas = (): never => {
	throw new Error('no route has a schema of Fastify');
};

const createServer = (options: AppOptions, badUrl: (request: FastifyRequest, reply: FastifyReply) => void): FastifyInstance => {
	const { settings, ids } = options;
	const prefix = ids.uuid().slice(0, 6);
	let number = 0;
	const nextId = (): string => `${prefix}-${(number++).toString(36)}`;
	const app = fastify({
		logger: false,
		genReqId: nextId,
		requestIdHeader: false,
		trustProxy: typeof settings.trustProxy === 'boolean' ? settings.trustProxy : [...settings.trustProxy],
		bodyLimit: settings.bodyLimit,
		// Agents keep one session and poll every 15 to 60 s; a shorter one would mean a new connection for each poll.
		keepAliveTimeout: 80_000,
		connectionTimeout: 120_000,
		requestTimeout: 60_000,
		http: { headersTimeout: 20_000 },
		// A request that comes in on an open connection while the daemon drains is still served, then the connection closes.
		return503OnClosing: false,
		routerOptions: { ignoreTrailingSlash: true, maxParamLength: LONGEST_PARAMETER },
		rewriteUrl: ({ url, headers }) => {
			// Fastify refuses a body whose media type has no valid form before any route is asked; here it is JSON whatever it is called.
			const type = headers['content-type'];
			if (type !== undefined && type !== JSON_MEDIA && !MEDIA_TYPE.test(type)) headers['content-type'] = JSON_MEDIA;
			return url ?? '/';
		},
		clientErrorHandler: (error, socket) => answerBadRequest(error, socket as Socket, nextId()),
		frameworkErrors: (_, request, reply) => badUrl(request, reply),
		// Operations bring their own schemas; what Fastify would load for its own (ajv, fast-json-stringify: 100 files, 2 MB) has nothing to do.
		schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
	});
	app.server.maxConnections = 50_000;
	app.removeAllContentTypeParsers();
	app.addContentTypeParser('*', { parseAs: 'string' }, (_, text, done) => done(null, readBody(text as string)));
	return app;
};

/** The daemon's HTTP face: every operation of the contract, and the refusals that belong to none of them. */
export const createApp = (options: AppOptions): FastifyInstance => {
	const { core, clock, log, metrics, settings, daemonHandlers } = options;
	const streams = createStreams(core);
	const deps: RouteDeps = {
		core,
		clock,
		log,
		metrics,
		limiter: createFailureLimiter(clock, settings.failedAuthPerMinute),
		failures: createFailureLog(log, clock),
		countFailedLogin: metrics.counter('spotctl_failed_logins_total', 'Requests without a valid token'),
		openDashboard: settings.openDashboard,
		corsOrigins: settings.corsOrigins,
		host: settings.host,
		streams,
		outbox: createOutbox(),
		readTurns: createReadTurns(),
	};
	const handlers: Handlers<CoreName> & DaemonHandlers = { ...core.handlers, ...daemonHandlers };
	const routes = new Map<string, Route>();
	for (const [name, operation] of Object.entries(operations) as [keyof typeof handlers, Operation][]) {
		routes.set(`${operation.method} ${operation.path}`, createRoute(operation, handlers[name] as AnyHandler, deps));
	}

	const app = createServer(options, (request, reply) => {
		// The deletion probe must never be told anything but 403 about an id that is nobody's, however it is written (endpoints.md X20).
		const id = request.method === 'GET' ? /^\/api\/agents\/([^/?]+)\/?(?:\?|$)/.exec(request.url)?.[1] : undefined;
		const probe = routes.get('GET /api/agents/{agent_id}');
		if (id !== undefined && probe !== undefined) {
			Object.assign(request, { params: { agent_id: id }, query: {} });
			probe(request, reply);
			return;
		}
		sendProblem(reply, new SpotError('invalid', 'BAD_REQUEST', 'the address has a broken percent-encoding'), request.id);
	});
	// Event streams never end by themselves, and the server closes when its last connection does.
	app.addHook('preClose', async () => streams.end());
	registerRoutes(app, routes, settings.corsOrigins);

	app.setNotFoundHandler((request, reply) => {
		if (![...METHODS, 'HEAD', 'OPTIONS'].includes(request.method)) {
			reply.header('allow', METHODS.join(', '));
			sendProblem(reply, methodNotAllowed(METHODS), request.id);
			return;
		}
		sendProblem(reply, new SpotError('missing', 'NOT_FOUND', 'no such path', { hint: 'see: GET /openapi.json' }), request.id);
	});
	app.setErrorHandler((error: FastifyError, request, reply) => {
		const problem = frameworkProblem(error, settings.bodyLimit);
		if (problem.status >= 500) deps.failures(problem, { operation: null, request_id: request.id });
		// The rest of the body is read and dropped, since closing on a client that still sends would take the answer from it.
		if (problem.kind === 'too_large') reply.removeHeader('connection');
		sendProblem(reply, problem, request.id);
	});
	return app;
};

/** Routes that read no body: what is sent, whatever it is and however long, is dropped as it comes, so that whoever sends it hears the answer. */
const UNREAD: ReadonlySet<string> = new Set(
	Object.values<Operation>(operations).flatMap(({ ignoresBody, method, path }) => (ignoresBody ? `${method} ${path}` : [])),
);

const dropBodies = (app: FastifyInstance): void => {
	app.removeAllContentTypeParsers();
	app.addContentTypeParser('*', (_, body, done) => {
		body.once('end', () => done(null, undefined));
		body.once('error', (error) => done(error));
		body.resume();
	});
};

const registerRoutes = (app: FastifyInstance, routes: ReadonlyMap<string, Route>, corsOrigins: readonly string[]): void => {
	const known = new Map<string, HTTPMethods[]>();
	for (const [key, handler] of routes) {
		const [method = 'GET', path = '/'] = key.split(' ') as [HTTPMethods, string];
		known.set(path, [...(known.get(path) ?? []), method]);
		// A HEAD on a route of the agents could claim a command.
		const route = { method, url: colons(path), exposeHeadRoute: !path.startsWith('/api/agents'), handler };
		if (UNREAD.has(key)) {
			app.register((within, _, done) => {
				dropBodies(within);
				within.route(route);
				done();
			});
		} else app.route(route);
	}
	const everything = corsOrigins.includes('*');
	if (corsOrigins.length > 0) {
		app.register(cors, {
			origin: everything ? '*' : [...corsOrigins],
			methods: [...METHODS],
			allowedHeaders: CORS_HEADERS,
			exposedHeaders: EXPOSED_HEADERS,
			maxAge: 600,
			strictPreflight: false,
		});
	}
	for (const [path, methods] of known) {
		const head = methods.includes('GET') && !path.startsWith('/api/agents') ? ['HEAD'] : [];
		const allowed = [...methods, ...head, 'OPTIONS'];
		const refused = [...METHODS, 'HEAD' as const].filter((method) => !allowed.includes(method));
		const refuse = (request: FastifyRequest, reply: FastifyReply) => {
			reply.header('allow', allowed.join(', '));
			sendProblem(reply, methodNotAllowed(allowed), request.id);
		};
		if (refused.length > 0) app.route({ method: refused, url: colons(path), exposeHeadRoute: false, handler: refuse });
		app.route({
			method: 'OPTIONS',
			url: colons(path),
			handler: (request, reply) => void reply.header('x-request-id', request.id).header('allow', allowed.join(', ')).code(204).send(),
		});
	}
};
