import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import type { Db } from '../store/statement.ts';
import {
	addClientToken,
	type ClientToken,
	clientTokensCalled,
	endClientToken,
	endTokensOfClient,
	listClientTokens,
	newestSealedToken,
} from '../store/tokens.ts';
import { actorOf, type Caller } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { hashToken, prefixOf, seal, unseal } from './secrets.ts';

const tokenPages = pagesOf('tokens.list');

/** Active, expired or revoked, at a moment. */
export const tokenState = (row: { revoked_at: number | null; expires_at: number | null }, now: number): 'active' | 'expired' | 'revoked' =>
	row.revoked_at !== null ? 'revoked' : row.expires_at !== null && row.expires_at <= now ? 'expired' : 'active';

/** Makes a 256-bit token and stores its SHA-256 (decided 6); sealed as well where it may be shown again. */
export const issueClientToken = async (
	context: Context,
	tx: Db,
	clientId: string,
	name: string,
	lifetimeSeconds: number | null,
	caller: Caller,
): Promise<{ token: string; row: ClientToken }> => {
	const token = context.ids.token('spt_');
	const now = context.clock.now();
	const key = context.settings.tokenRevealKey;
	const row: ClientToken = {
		id: context.ids.uuid(),
		client_id: clientId,
		name,
		hash: hashToken(token),
		prefix: prefixOf(token),
		sealed: key === null ? null : seal(key, token, clientId),
		created_by: actorOf(caller),
		created_at: now,
		last_used_at: null,
		expires_at: lifetimeSeconds === null ? null : now + lifetimeSeconds * 1000,
		revoked_at: null,
	};
	await addClientToken(tx, row);
	return { token, row };
};

export const listTokens =
	(context: Context) =>
	async (input: Valid<'listTokens'>): Promise<Output<'listTokens'>> => {
		const after = tokenPages.afterPair(input.cursor);
		const client = await clientNamed(context.store.read, input.client_id);
		const now = context.clock.now();
		const rows = await listClientTokens(context.store.read, {
			clientId: client.id,
			limit: input.limit,
			after: after === null ? null : { at: after.first, id: after.id },
		});
		return tokenPages.page(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				name: row.name,
				prefix: row.prefix,
				state: tokenState(row, now),
				created_at: iso(row.created_at),
				created_by: row.created_by,
				last_used_at: isoOr(row.last_used_at),
				expires_at: isoOr(row.expires_at),
				revoked_at: isoOr(row.revoked_at),
			}),
			(row) => `${row.created_at}:${row.id}`,
		);
	};

export const createToken =
	(context: Context) =>
	(input: Valid<'createToken'>, caller: Caller): Promise<Output<'createToken'>> =>
		context.unit(caller, async (tx, journal) => {
			const client = await clientNamed(tx, input.client_id);
			const { token, row } = await issueClientToken(
				context,
				tx,
				client.id,
				input.name ?? 'token',
				input.expires_in_seconds ?? null,
				caller,
			);
			journal.audit('tokens.create', 'token', row.id, client.id, null, {
				name: row.name,
				prefix: row.prefix,
				expires_at: isoOr(row.expires_at),
			});
			journal.event('token_created', `client ${client.name} has a new token "${row.name}" (${row.prefix}…)`, { clientId: client.id });
			return { success: true, token, token_id: row.id, expires_at: isoOr(row.expires_at) };
		});

/** Makes the new token and ends every older one at `endsAt`, in one transaction. */
const replace = (context: Context, clientId: string, name: string, overlapSeconds: number, caller: Caller, action: string) =>
	context.unit(caller, async (tx, journal) => {
		const client = await clientNamed(tx, clientId);
		const { token, row } = await issueClientToken(context, tx, client.id, name, null, caller);
		const now = context.clock.now();
		const endsAt = now + overlapSeconds * 1000;
		const ended = await endTokensOfClient(tx, client.id, row.id, endsAt, now);
		const when = overlapSeconds === 0 ? 'ended at once' : `end at ${iso(endsAt)}`;
		journal.audit(action, 'token', row.id, client.id, { tokens: ended.length }, { prefix: row.prefix, old_tokens_end_at: iso(endsAt) });
		journal.event(
			'token_regenerated',
			`client ${client.name} has a new token (${row.prefix}…); ${ended.length} older ones ${when}`,
			{ clientId: client.id },
			{ severity: 'warning' },
		);
		journal.notify(
			'token_regenerated',
			'Token replaced',
			`a new token was made; ${ended.length} older ones ${when}`,
			{ clientId: client.id },
			'warning',
		);
		journal.changed('client', client.id);
		return { token, row, endsAt, ended: ended.length };
	});

export const rotateToken =
	(context: Context) =>
	async (input: Valid<'rotateToken'>, caller: Caller): Promise<Output<'rotateToken'>> => {
		const { token, row, endsAt, ended } = await replace(
			context,
			input.client_id,
			input.name ?? 'rotated',
			input.overlap_seconds,
			caller,
			'tokens.rotate',
		);
		return { success: true, token, token_id: row.id, old_tokens_end_at: iso(endsAt), old_tokens: ended };
	};

/** #10 */
export const regenerateToken =
	(context: Context) =>
	async (input: Valid<'regenerateToken'>, caller: Caller): Promise<Output<'regenerateToken'>> => {
		const { token, row } = await replace(context, input.client_id, 'regenerated', 0, caller, 'tokens.regenerate');
		return { success: true, token, token_id: row.id, message: 'the new token is valid now; the old ones are refused' };
	};

export const revokeToken =
	(context: Context) =>
	(input: Valid<'revokeToken'>, caller: Caller): Promise<Output<'revokeToken'>> =>
		context.unit(caller, async (tx, journal) => {
			const client = await clientNamed(tx, input.client_id);
			const matching = await clientTokensCalled.all(tx, { client_id: client.id, called: input.token_id });
			const [row] = matching;
			if (row === undefined)
				throw new SpotError('missing', 'NOT_FOUND', `client "${client.name}" has no token "${input.token_id.slice(0, 80)}"`, {
					hint: `see: spotctl tokens list ${client.name}`,
				});
			if (matching.length > 1)
				throw new SpotError('conflict', 'AMBIGUOUS_TOKEN', `${matching.length} tokens are called "${input.token_id}"`, {
					hint: `use the id: spotctl tokens list ${client.name}`,
				});
			const now = context.clock.now();
			await endClientToken.later(tx, { id: row.id, now });
			journal.audit('tokens.revoke', 'token', row.id, client.id, { state: tokenState(row, now) }, { state: 'revoked' });
			journal.event(
				'token_revoked',
				`token "${row.name}" (${row.prefix}…) of client ${client.name} was revoked`,
				{ clientId: client.id },
				{ severity: 'warning' },
			);
			journal.changed('client', client.id);
			return { success: true, message: `token "${row.name}" (${row.prefix}…) is refused from now on` };
		});

/** #11: only where `security.tokenRevealKey` is set and was set when the token was made; every access is audited. Errors: 410. */
export const revealToken =
	(context: Context) =>
	(input: Valid<'revealToken'>, caller: Caller): Promise<Output<'revealToken'>> =>
		context.unit(caller, async (tx, journal) => {
			const client = await clientNamed(tx, input.client_id);
			const key = context.settings.tokenRevealKey;
			const now = context.clock.now();
			const newest = await newestSealedToken.first(tx, { client_id: client.id, now });
			const token = key === null || newest?.sealed == null ? null : unseal(key, newest.sealed, client.id);
			if (token === null) {
				throw new SpotError(
					'gone',
					'TOKEN_NOT_RECOVERABLE',
					`tokens are stored as hashes: the token of client "${client.name}" cannot be shown again`,
					{
						hint: `make a new one: spotctl tokens rotate ${client.name} --overlap 24h`,
					},
				);
			}
			journal.audit('tokens.reveal', 'token', newest?.id ?? '', client.id, null, { prefix: newest?.prefix });
			return { token, client_name: client.name };
		});
