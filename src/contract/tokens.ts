import { z } from 'zod';
import { id, isoOrNull, isoTime, paging, success, text, textOrNull } from './fields.ts';
import { operation } from './operation.ts';

const TokenRow = z.object({
	id: z.string(),
	name: z.string(),
	/** The first characters, for recognising it; never enough to use it. */
	prefix: z.string(),
	state: z.enum(['active', 'expired', 'revoked']),
	created_at: isoTime,
	created_by: z.string(),
	last_used_at: isoOrNull,
	expires_at: isoOrNull,
	revoked_at: isoOrNull,
});

const AdminTokenRow = TokenRow.extend({ scope: z.enum(['read', 'operate', 'admin']) });

const DAY_SECONDS = 86_400;

/** Seconds a token stays valid; at most ten years. */
const lifetime = z.number().int().min(1).max(315_360_000).nullish();

export const listTokens = operation({
	id: 'tokens.list',
	method: 'GET',
	path: '/api/admin/clients/{client_id}/tokens',
	access: 'read',
	summary: 'Tokens of a client, newest first, without their secrets',
	input: z.object({ client_id: id, ...paging }),
	output: TokenRow,
	rendering: 'list',
});

export const createToken = operation({
	id: 'tokens.create',
	method: 'POST',
	path: '/api/admin/clients/{client_id}/tokens',
	access: 'admin',
	summary: 'Add a token to a client; the others stay valid',
	input: z.object({ client_id: id, name: text(80).nullish(), expires_in_seconds: lifetime }),
	output: z.object({ success: z.boolean(), token: z.string(), token_id: z.string(), expires_at: isoOrNull }),
	status: 201,
});

/** Overlap: how many seconds the older tokens of the client go on being valid (0 ends them at once); a day unless given. */
export const rotateToken = operation({
	id: 'tokens.rotate',
	method: 'POST',
	path: '/api/admin/clients/{client_id}/tokens/rotate',
	access: 'admin',
	summary: 'New token now, the older ones end after the overlap',
	input: z.object({
		client_id: id,
		overlap_seconds: z
			.number()
			.int()
			.min(0)
			.max(31_536_000)
			.nullable()
			.default(DAY_SECONDS)
			.transform((value) => value ?? DAY_SECONDS),
		name: text(80).nullish(),
	}),
	output: z.object({
		success: z.boolean(),
		token: z.string(),
		token_id: z.string(),
		old_tokens_end_at: isoTime,
		old_tokens: z.number().int(),
	}),
	status: 201,
});

export const revokeToken = operation({
	id: 'tokens.revoke',
	method: 'DELETE',
	path: '/api/admin/clients/{client_id}/tokens/{token_id}',
	access: 'admin',
	summary: 'End a token now; refused within one second on every daemon',
	input: z.object({ client_id: id, token_id: id }),
	output: success.extend({ message: z.string() }),
});

/** #10. Ends every older token at once, as the original documented. */
export const regenerateToken = operation({
	id: 'tokens.regenerate',
	method: 'POST',
	path: '/api/admin/clients/{client_id}/regenerate-token',
	access: 'admin',
	summary: 'Replace the token; the old ones end at once',
	input: z.object({ client_id: id }),
	output: z.object({ success: z.boolean(), token: z.string(), token_id: z.string(), message: z.string() }),
});

/** #11. 410 TOKEN_NOT_RECOVERABLE unless `security.tokenRevealKey` is set (design.md, decided 6). */
export const revealToken = operation({
	id: 'tokens.reveal',
	method: 'GET',
	path: '/api/admin/clients/{client_id}/token',
	access: 'admin',
	summary: 'Show the newest token of a client, where that is configured',
	ofOneCall: true,
	input: z.object({ client_id: id }),
	output: z.object({ token: z.string(), client_name: z.string() }),
});

export const listAdminTokens = operation({
	id: 'admin_tokens.list',
	method: 'GET',
	path: '/api/admin/tokens',
	access: 'admin',
	summary: 'Admin tokens, newest first, without their secrets',
	input: z.object({ ...paging }),
	output: AdminTokenRow,
	rendering: 'list',
});

export const createAdminToken = operation({
	id: 'admin_tokens.create',
	method: 'POST',
	path: '/api/admin/tokens',
	access: 'admin',
	summary: 'Create a named admin token',
	input: z.object({ name: text(80), scope: z.enum(['read', 'operate', 'admin']), expires_in_seconds: lifetime }),
	output: z.object({
		success: z.boolean(),
		token: z.string(),
		token_id: z.string(),
		name: z.string(),
		scope: z.enum(['read', 'operate', 'admin']),
		expires_at: isoOrNull,
	}),
	status: 201,
});

export const revokeAdminToken = operation({
	id: 'admin_tokens.revoke',
	method: 'DELETE',
	path: '/api/admin/tokens/{token_id}',
	access: 'admin',
	summary: 'End an admin token now, by id or name',
	input: z.object({ token_id: id }),
	output: success.extend({ message: z.string(), name: textOrNull }),
});
