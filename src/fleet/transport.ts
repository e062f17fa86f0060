import type { Dict } from './python.ts';
import type { Random } from './random.ts';

/** One HTTP request. `path` starts with a slash and carries any prefix of the base URL the caller keeps. */
export type Call = {
	readonly method: 'GET' | 'POST' | 'PUT';
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: Dict | null;
};

/** What came back: an answer, or nothing after `lostAfterMs` simulated milliseconds. */
export type Reply = Answer | { readonly lostAfterMs: number };

/** An answer of a server. */
export type Answer = {
	readonly status: number;
	readonly text: string;
	/** The Retry-After header, as sent. */
	readonly retryAfter?: string | null;
};

/** Sends requests to one server. Rejects when there is no answer. */
export type Fetcher = {
	send(call: Call): Promise<Answer>;
	close(): Promise<void>;
};

/** How an agent's machine reaches the server: a {@link Fetcher} with that machine's faults in between. Never rejects. */
export type Link = (call: Call) => Promise<Reply>;

/**
 * A keep-alive pool of `connections` to the origin of `baseUrl`. A request may take 30 s of real time, as with the agents
 * (clients.md, "Common to the three agents").
 */
export const poolFetcher = (baseUrl: string, connections = 32): Fetcher => {
	const origin = new URL(baseUrl).origin;
	const open = async () => {
		const { Pool } = await import('undici');
		return new Pool(origin, { connections, pipelining: 1, keepAliveTimeout: 60_000, headersTimeout: 30_000, bodyTimeout: 30_000 });
	};
	let pool: ReturnType<typeof open> | undefined;
	return {
		send: async ({ method, path, headers, body }) => {
			pool ??= open();
			const answer = await (await pool).request({ method, path, headers, body: body === null ? null : JSON.stringify(body) });
			const [retryAfter = null] = [answer.headers['retry-after']].flat();
			return { status: answer.statusCode, text: await answer.body.text(), retryAfter };
		},
		close: async () => {
			await (await pool)?.close();
			pool = undefined;
		},
	};
};

const isRefused = (error: unknown): boolean =>
	typeof error === 'object' && error !== null && 'code' in error && error.code === 'ECONNREFUSED';

/**
 * What a load balancer does: requests go to the servers in turn, or to one at random, and on to the next when a connection is refused. A
 * connection that breaks under a request is not repeated: the request may have been served.
 */
export const balancedFetcher = (servers: readonly Fetcher[], random: Random | null = null): Fetcher => {
	let turn = 0;
	return {
		send: async (call) => {
			const first = random === null ? turn++ : random.between(0, servers.length - 1);
			for (let attempt = 0; ; attempt++) {
				try {
					return await at(servers, first + attempt).send(call);
				} catch (error) {
					if (attempt + 1 >= servers.length || !isRefused(error)) throw error;
				}
			}
		},
		close: async () => {
			for (const server of servers) await server.close();
		},
	};
};

const at = (servers: readonly Fetcher[], index: number): Fetcher => {
	const server = servers[index % servers.length];
	if (server === undefined) throw new Error('no server to send to');
	return server;
};

/** An agent's `requests.Session`: its headers are shared by all its threads and last as long as the process. */
export type Session = {
	readonly headers: Record<string, string>;
	/** The decoded answer, `{}` for an empty body; undefined for a non-2xx status, no answer or anything but JSON. */
	call(method: Call['method'], path: string, body?: Dict): Promise<{ value: unknown; lostAfterMs: number }>;
	/** The HTTP status of a GET outside the session, with the token as its only own header; undefined without an answer. */
	probe(path: string): Promise<number | undefined>;
};

/** A session with the headers of the real agents: no retry, no back-off, whatever is not a 2xx JSON answer is dropped. */
export const createSession = (link: Link, token: string): Session => {
	const plain = { accept: '*/*', authorization: `Bearer ${token}`, 'user-agent': 'python-requests/2.31.0' };
	const headers: Record<string, string> = { ...plain, 'content-type': 'application/json' };
	return {
		headers,
		call: async (method, path, body) => {
			const reply = await link({ method, path, headers: { ...headers }, body: body ?? null });
			if ('lostAfterMs' in reply) return { value: undefined, lostAfterMs: reply.lostAfterMs };
			return { value: reply.status >= 200 && reply.status < 300 ? decode(reply.text) : undefined, lostAfterMs: 0 };
		},
		probe: async (path) => {
			const reply = await link({ method: 'GET', path, headers: { ...plain }, body: null });
			return 'status' in reply ? reply.status : undefined;
		},
	};
};

const decode = (text: string): unknown => {
	if (text === '') return {};
	try {
		return JSON.parse(text) ?? undefined;
	} catch {
		return undefined;
	}
};
