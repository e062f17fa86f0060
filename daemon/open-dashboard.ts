import type { Operation } from '../src/contract/operation.ts';
import type { Principal } from '../src/core/caller.ts';
import { SpotError } from '../src/errors.ts';

/** `server.openDashboard`: what somebody without any token may do. */
export type OpenDashboard = 'off' | 'read' | 'full';

/** Whoever has no token while the dashboard is open: an admin of the scope that the operation needs. */
export const openPrincipal = ({ access, method }: Operation): Principal => ({
	kind: 'admin',
	scope: access === 'admin' ? 'admin' : method === 'GET' ? 'read' : 'operate',
	tokenId: null,
	name: 'open-dashboard',
});

/** #8 and #10: the two answers with a token that the dashboard shows. */
const SHOWS_TOKEN: ReadonlySet<string> = new Set(['clients.create', 'tokens.regenerate']);

/** Routes about tokens, by their path: #11, the list of a client's tokens and all that makes one. */
const ABOUT_TOKENS = /\/(?:tokens?|validate)(?:\/|$)/;

/** Webhooks send requests wherever they are told to and answer a secret; the dashboard has none. */
const ABOUT_WEBHOOKS = /^\/api\/admin\/webhook(?:s|-deliveries)(?:\/|$)/;

/** #58 to #62: what the dashboard calls among the routes of agents. */
const REPLICAS = /^\/api\/agents\/\{agent_id\}\/replicas(?:\/\{replica_id\}(?:\/promote)?)?$/;

/** The routes of the dashboard: those of admins, clients and notifications, and #58 to #62. */
const isDashboards = (path: string): boolean => /^\/api\/(?:admin|client|notifications)(?:\/|$)/.test(path) || REPLICAS.test(path);

/**
 * Whether open-dashboard mode answers this operation to somebody without a token, whoever declares it: `read` only what changes nothing.
 * No answer has a token in it but those of #8 and #10, and no event stream is open: the dashboard has none.
 */
export const isOpen = ({ id, method, path, access, rendering }: Operation, mode: OpenDashboard): boolean => {
	if (mode === 'off' || access === 'public' || access === 'metrics' || rendering === 'sse') return false;
	if (mode === 'read' && method !== 'GET') return false;
	if (!isDashboards(path) || ABOUT_WEBHOOKS.test(path)) return false;
	return SHOWS_TOKEN.has(id) || !ABOUT_TOKENS.test(path);
};

/** The name or address of a Host header, without its port and the brackets of IPv6; null where it has no valid form. */
const nameOf = (host: string | undefined): string | null => {
	const url = `http://${host}`;
	if (host === undefined || /[/?#@\\\s]/.test(host) || !URL.canParse(url)) return null;
	return new URL(url).hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
};

/**
 * Refuses whoever has no token and calls this daemon by a name nobody gave it: a page of anywhere can point a name of its own at this address
 * (DNS rebinding), and to a browser its requests then have no other origin. Names are localhost, the address the connection came in on, the
 * one that is listened on, and the hosts of the listed origins. Errors: 403 HOST_NOT_ALLOWED.
 */
export const checkHost = (host: string | undefined, reached: string | undefined, listening: string, origins: readonly string[]): void => {
	const name = nameOf(host);
	const own = [reached?.replace(/^::ffff:/, ''), listening.replace(/^\[|\]$/g, '').toLowerCase()];
	const isOwn =
		name !== null &&
		(name === 'localhost' || own.includes(name) || origins.some((origin) => nameOf(origin.replace(/^[a-z]+:\/\//, '')) === name));
	if (isOwn) return;
	throw new SpotError('forbidden', 'HOST_NOT_ALLOWED', 'this daemon does not answer to this name without a token', {
		hint: 'call it by its address or by the host of an origin in server.corsOrigins, or send a token',
	});
};

/** Refuses a page that is not listed and has no token: a browser lets it send, and would only keep the answer from it. Errors: 403 ORIGIN_NOT_ALLOWED. */
export const checkOrigin = (origin: string | undefined, origins: readonly string[]): void => {
	if (origin === undefined || origins.includes(origin)) return;
	throw new SpotError('forbidden', 'ORIGIN_NOT_ALLOWED', 'pages of this origin may not call the API without a token', {
		hint: 'add it to server.corsOrigins, or send a token',
	});
};

const MEANS = {
	read: 'anybody who reaches this port reads everything of every client without a token',
	full: 'anybody who reaches this port reads and changes everything of every client without a token, and can make tokens',
} as const;

/** What the log and the start text say while the dashboard is open. */
export const openWarning = (mode: OpenDashboard): string | null =>
	mode === 'off' ? null : `OPEN DASHBOARD (server.openDashboard: ${mode}): ${MEANS[mode]}`;
