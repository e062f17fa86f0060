import { Writable } from 'node:stream';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { type AppSettings, createApp } from '../../daemon/app.ts';
import { type Name, operations } from '../../src/contract/index.ts';
import type { Operation } from '../../src/contract/operation.ts';
import type { Caller, Principal } from '../../src/core/caller.ts';
import type { Clock } from '../../src/deps.ts';
import { systemClock, systemIds } from '../../src/deps.ts';
import { SpotError } from '../../src/errors.ts';
import { openLog } from '../../src/log.ts';
import { createMetrics, type Metrics } from '../../src/metrics.ts';

const admin = (scope: 'read' | 'operate' | 'admin'): Principal => ({ kind: 'admin', scope, tokenId: scope, name: scope });
const client = (id: string): Principal => ({ kind: 'client', clientId: id, tokenId: `t-${id}`, name: id });

/** The tokens of the fake core; `slow` is looked up asynchronously. */
export const PRINCIPALS: Readonly<Record<string, Principal>> = {
	acme: client('acme'),
	other: client('other'),
	slow: client('acme'),
	read: admin('read'),
	operate: admin('operate'),
	admin: admin('admin'),
};

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

type Call = { readonly name: Name; readonly input: Record<string, unknown>; readonly caller: Caller };

export type AppWorld = {
	readonly app: FastifyInstance;
	readonly calls: Call[];
	readonly metrics: Metrics;
	/** Replaces what an operation answers; an Error is thrown, a function is called with the caller. */
	answer(name: Name, payload: unknown): void;
	send(options: InjectOptions & { readonly token?: string }): Promise<Answer>;
	log(): Record<string, unknown>[];
	advance(ms: number): void;
	readonly state: { databaseDown: boolean };
};

export type Answer = {
	readonly status: number;
	readonly headers: Record<string, unknown>;
	readonly text: string;
	readonly body: Record<string, unknown>;
};

export const collector = () => {
	const chunks: string[] = [];
	const stream = new Writable({
		write: (chunk, _, done) => {
			chunks.push(String(chunk));
			done();
		},
	});
	return { stream, text: () => chunks.join('') };
};

/** What a streamed operation answers: these parts, then its end. */
export const parts = async function* <T>(...all: T[]): AsyncGenerator<T> {
	yield* all;
};

const authenticate =
	(state: { databaseDown: boolean }) =>
	(token: string): Principal | Promise<Principal> => {
		if (state.databaseDown)
			throw new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer', { extras: { retry_after_seconds: 2 } });
		if (token === 'inactive') throw new SpotError('forbidden', 'INACTIVE_CLIENT', 'Client account is not active');
		const known = Object.hasOwn(PRINCIPALS, token) ? PRINCIPALS[token] : undefined;
		if (known === undefined) throw new SpotError('unauthenticated', 'INVALID_TOKEN', 'Invalid client token');
		return token === 'slow' ? Promise.resolve(known) : known;
	};

/** The HTTP face over a core that answers whatever a test wants. */
export const appWorld = async (settings: Partial<AppSettings> = {}, level = 'debug'): Promise<AppWorld> => {
	const out = collector();
	let now = Date.parse('2021-03-04T05:06:07Z');
	const clock: Clock = { ...systemClock, now: () => now };
	const { log } = await openLog({ level, format: 'json', stream: out.stream, now: clock.now });
	const calls: Call[] = [];
	const answers = new Map<Name, unknown>();
	const state = { databaseDown: false };
	const handlers = Object.fromEntries(
		(Object.entries(operations) as [Name, Operation][]).map(([name, operation]) => [
			name,
			(input: Record<string, unknown>, caller: Caller) => {
				calls.push({ name, input, caller });
				const payload = answers.has(name)
					? answers.get(name)
					: operation.rendering === 'list'
						? { items: [], nextCursor: null }
						: operation.rendering === 'csv'
							? { fileName: 'x.csv', chunks: parts('a,b\r\n') }
							: operation.rendering === 'sse'
								? parts({ event: 'connected', id: null, data: {} })
								: { success: true };
				if (payload instanceof Error) throw payload;
				if (typeof payload === 'function') return payload(caller);
				return payload;
			},
		]),
	) as unknown as Parameters<typeof createApp>[0]['core']['handlers'] & Parameters<typeof createApp>[0]['daemonHandlers'];
	const metrics = createMetrics('1.2.3');
	const app = createApp({
		core: { handlers, authenticate: authenticate(state), explain: (error) => error, onAccessChange: () => undefined },
		settings: {
			host: '127.0.0.1',
			trustProxy: false,
			openDashboard: 'off',
			corsOrigins: [],
			bodyLimit: 1_048_576,
			failedAuthPerMinute: 20,
			...settings,
		},
		log,
		metrics,
		clock,
		ids: systemIds,
		daemonHandlers: handlers,
	});
	await app.ready();
	return {
		app,
		calls,
		metrics,
		state,
		answer: (name, payload) => void answers.set(name, payload),
		advance: (ms) => {
			now += ms;
		},
		log: () =>
			out
				.text()
				.split('\n')
				.filter((line) => line !== '')
				.map((line) => JSON.parse(line) as Record<string, unknown>),
		send: async ({ token, ...options }) => {
			const response = await app.inject({ ...options, headers: { ...(token === undefined ? {} : bearer(token)), ...options.headers } });
			const isJson = String(response.headers['content-type']).startsWith('application/json') && response.body !== '';
			return {
				status: response.statusCode,
				headers: response.headers,
				text: response.body,
				body: isJson ? (JSON.parse(response.body) as Record<string, unknown>) : {},
			};
		},
	};
};

/** Every operation with a path that can be called, for tests that walk them all. */
export const everyOperation = (): { name: Name; operation: Operation; url: string }[] =>
	(Object.entries(operations) as [Name, Operation][]).map(([name, operation]) => ({
		name,
		operation,
		url: operation.path.replaceAll(/\{([a-z_]+)\}/g, 'some-$1'),
	}));
