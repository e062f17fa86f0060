import type { Name, Operations, Output, Valid } from '../contract/index.ts';
import { type Operation, pathParameters } from '../contract/operation.ts';
import { SpotError } from '../errors.ts';
import type { Db } from '../store/statement.ts';

/** Who is calling, once the token has been looked up. */
export type Principal =
	| { readonly kind: 'client'; readonly clientId: string; readonly tokenId: string; readonly name: string }
	| { readonly kind: 'admin'; readonly scope: 'read' | 'operate' | 'admin'; readonly tokenId: string | null; readonly name: string }
	| { readonly kind: 'local'; readonly name: string };

/** One call: who, under which request id, and whether anybody still waits for the answer. */
export type Caller = {
	/** Null only for operations with access `public`. */
	readonly principal: Principal | null;
	readonly requestId: string;
	/** X-Request-ID as the client sent it, where the operation honours it; null otherwise. */
	readonly idempotencyKey: string | null;
	/** Where a reader of events was (the header Last-Event-ID), where it says so. */
	readonly lastEventId?: string | null;
	/** Keeps the answer for repeats of this request, in the transaction that did what it answers. */
	readonly remember?: (tx: Db, answer: unknown) => Promise<void>;
	/** True when the connection was closed before an answer could be written. */
	gone(): boolean;
};

/** Operations that speak about the daemon itself; only it can answer them. */
export type DaemonName = 'apiRoot' | 'health' | 'livez' | 'readyz' | 'openapiDocument' | 'metrics';

export type CoreName = Exclude<Name, DaemonName>;

/** One handler for every operation; a missing one does not compile. */
export type Handler<N extends Name> = (input: Valid<N>, caller: Caller) => Promise<Output<N>> | Output<N>;
export type Handlers<N extends Name = CoreName> = { readonly [K in N]: Handler<K> };

const SCOPES = { read: 1, operate: 2, admin: 3 } as const;

/** How an audit row names the caller. */
export const actorOf = (caller: Caller): string => {
	const { principal } = caller;
	if (principal === null) return 'anonymous';
	if (principal.kind === 'local') return `local:${principal.name}`;
	return principal.kind === 'admin' ? `admin:${principal.name}` : `client:${principal.name}`;
};

/**
 * Refuses a caller the operation is not for, before anything is looked up, so that no answer tells what exists (endpoints.md
 * section B). Errors: 401 UNAUTHORIZED, 403 FORBIDDEN.
 */
export const checkAccess = (operation: Operation, principal: Principal | null): void => {
	const { access } = operation;
	if (access === 'public') return;
	if (principal === null)
		throw new SpotError('unauthenticated', 'UNAUTHORIZED', 'no token was sent', { hint: 'send the header Authorization: Bearer <token>' });
	if (principal.kind === 'local') return;
	if (principal.kind === 'client') {
		if (access === 'agent' || access === 'client') return;
		throw new SpotError('forbidden', 'FORBIDDEN', 'this operation needs an admin token', {
			hint: 'use an admin token; see: spotctl admin-tokens list',
		});
	}
	const needed =
		access === 'metrics' ? 'read' : access === 'agent' || access === 'client' ? (operation.method === 'GET' ? 'read' : 'operate') : access;
	if (SCOPES[principal.scope] < SCOPES[needed]) {
		throw new SpotError(
			'forbidden',
			'INSUFFICIENT_SCOPE',
			`this operation needs an admin token of scope ${needed}; this one has scope ${principal.scope}`,
			{
				hint: `create one: spotctl admin-tokens create NAME --scope ${needed}`,
			},
		);
	}
};

/** A client token may name no client but its own: 403 for any other, whether it exists or not. */
export const checkOwnClient = (operation: Operation, principal: Principal | null, input: { readonly client_id?: unknown }): void => {
	if (principal?.kind !== 'client' || input.client_id === undefined || input.client_id === null || input.client_id === principal.clientId)
		return;
	if (pathParameters(operation.path).includes('client_id') || operation.access === 'client' || operation.access === 'agent') {
		throw new SpotError('forbidden', 'FORBIDDEN', 'this token belongs to another client', {
			hint: 'use the token of that client, or an admin token',
		});
	}
};

/** The client whose rows the caller may see: its own, or null for an admin, who sees every client's. */
export const clientScope = (caller: Caller): string | null => (caller.principal?.kind === 'client' ? caller.principal.clientId : null);

/** The client a call is for, where the route takes it from the token; an admin must name it (endpoints.md section B). */
export const clientOf = (caller: Caller, named: string | null | undefined): string => {
	if (caller.principal?.kind === 'client') return caller.principal.clientId;
	if (named !== undefined && named !== null && named !== '') return named;
	throw new SpotError('invalid', 'CLIENT_REQUIRED', 'an admin token belongs to no client: say which one', {
		hint: 'add client_id=ID; see: spotctl clients list',
	});
};

export type { Operations };
