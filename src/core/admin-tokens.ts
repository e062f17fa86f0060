import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import type { Db } from '../store/statement.ts';
import {
	type AdminToken,
	addAdminToken,
	adminTokenByHash,
	adminTokensCalled,
	endAdminToken,
	listAdminTokenRows,
	liveAdminTokenNamed,
	otherAdministrator,
} from '../store/tokens.ts';
import { actorOf, type Caller } from './caller.ts';
import type { Context } from './context.ts';
import type { CoreDeps } from './core-deps.ts';
import { openJournal, writeJournals } from './journal.ts';
import { pagesOf } from './paging.ts';
import { hashToken, prefixOf } from './secrets.ts';
import { tokenState } from './tokens.ts';

const BOOTSTRAP = 'bootstrap';
const tokenPages = pagesOf('admin_tokens.list');

const rowFor = (
	deps: Pick<CoreDeps, 'ids' | 'clock'>,
	token: string,
	name: string,
	scope: AdminToken['scope'],
	by: string,
	lifetimeSeconds: number | null,
): AdminToken => {
	const now = deps.clock.now();
	return {
		id: deps.ids.uuid(),
		name,
		live_name: name,
		hash: hashToken(token),
		prefix: prefixOf(token),
		scope,
		created_by: by,
		created_at: now,
		last_used_at: null,
		expires_at: lifetimeSeconds === null ? null : now + lifetimeSeconds * 1000,
		revoked_at: null,
	};
};

export const listAdminTokens =
	(context: Context) =>
	async (input: Valid<'listAdminTokens'>): Promise<Output<'listAdminTokens'>> => {
		const now = context.clock.now();
		const rows = await listAdminTokenRows(context.store.read, { limit: input.limit, after: tokenPages.after(input.cursor) });
		return tokenPages.page(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				name: row.name,
				prefix: row.prefix,
				scope: row.scope,
				state: tokenState(row, now),
				created_at: iso(row.created_at),
				created_by: row.created_by,
				last_used_at: isoOr(row.last_used_at),
				expires_at: isoOr(row.expires_at),
				revoked_at: isoOr(row.revoked_at),
			}),
			(row) => row.id,
		);
	};

/** Errors: 409 DUPLICATE_ADMIN_TOKEN while a live token has the name. */
export const createAdminToken =
	(context: Context) =>
	(input: Valid<'createAdminToken'>, caller: Caller): Promise<Output<'createAdminToken'>> =>
		context.unit(caller, async (tx, journal) => {
			const taken = await liveAdminTokenNamed.first(tx, { name: input.name });
			if (taken !== undefined) {
				throw new SpotError('conflict', 'DUPLICATE_ADMIN_TOKEN', `an admin token named "${input.name}" exists already`, {
					hint: 'see: spotctl admin-tokens list',
				});
			}
			const token = context.ids.token('spa_');
			const row = rowFor(context, token, input.name, input.scope, actorOf(caller), input.expires_in_seconds ?? null);
			await addAdminToken(tx, row);
			journal.audit('admin_tokens.create', 'admin_token', row.id, null, null, {
				name: row.name,
				scope: row.scope,
				expires_at: isoOr(row.expires_at),
			});
			journal.event('admin_token_created', `admin token "${row.name}" (${row.scope}) was made`, null, { severity: 'warning' });
			return { success: true, token, token_id: row.id, name: row.name, scope: row.scope, expires_at: isoOr(row.expires_at) };
		});

/** Errors: 404; 409 LAST_ADMIN_TOKEN when nobody could administer afterwards. */
export const revokeAdminToken =
	(context: Context) =>
	(input: Valid<'revokeAdminToken'>, caller: Caller): Promise<Output<'revokeAdminToken'>> =>
		context.unit(caller, async (tx, journal) => {
			const rows = await adminTokensCalled.all(tx, { called: input.token_id });
			const now = context.clock.now();
			const row = rows.find((each) => each.id === input.token_id) ?? rows.find((each) => each.live_name === input.token_id);
			if (row === undefined)
				throw new SpotError('missing', 'NOT_FOUND', `no admin token "${input.token_id.slice(0, 80)}"`, {
					hint: 'see: spotctl admin-tokens list',
				});
			const isLast =
				row.scope === 'admin' &&
				tokenState(row, now) === 'active' &&
				context.settings.adminToken === null &&
				(await otherAdministrator.first(tx, { except: row.id, now })) === undefined;
			if (isLast) {
				throw new SpotError('conflict', 'LAST_ADMIN_TOKEN', `"${row.name}" is the last admin token: nobody could administer without it`, {
					hint: 'make another first: spotctl admin-tokens create NAME --scope admin',
				});
			}
			await endAdminToken.later(tx, { id: row.id, revoked_at: row.revoked_at ?? now });
			journal.audit('admin_tokens.revoke', 'admin_token', row.id, null, { state: tokenState(row, now) }, { state: 'revoked' });
			journal.event('admin_token_revoked', `admin token "${row.name}" was revoked`, null, { severity: 'warning' });
			journal.changed('token', row.hash);
			return { success: true, name: row.name, message: `admin token "${row.name}" is refused from now on` };
		});

const liveAdmin = async (tx: Db, now: number): Promise<boolean> => (await otherAdministrator.first(tx, { except: '', now })) !== undefined;

/**
 * Sees to it that somebody can act as admin: registers `existing` (what the file of an earlier start holds) unless its hash is known,
 * revoked or not; makes a token when the database has no live one. Null when neither is needed. One transaction: two daemons that
 * start together make one token each at most, and both work.
 */
export const ensureAdminToken = (
	deps: CoreDeps,
	existing: string | null,
): Promise<{ readonly token: string; readonly created: boolean } | null> =>
	deps.store.transact(async (tx) => {
		const now = deps.clock.now();
		const known = existing === null ? undefined : await adminTokenByHash.first(tx, { hash: hashToken(existing) });
		if (existing !== null && known !== undefined && tokenState(known, now) === 'active') return { token: existing, created: false };
		if (await liveAdmin(tx, now)) return null;
		const token = existing !== null && known === undefined ? existing : deps.ids.token('spa_');
		let name = BOOTSTRAP;
		for (let n = 2; (await liveAdminTokenNamed.first(tx, { name })) !== undefined; n++) name = `${BOOTSTRAP}-${n}`;
		const row = rowFor(deps, token, name, 'admin', 'spotctl serve', null);
		await addAdminToken(tx, row);
		const journal = openJournal(deps.clock, deps.ids, 'spotctl serve', null);
		journal.audit('admin_tokens.create', 'admin_token', row.id, null, null, { name, scope: 'admin', by: 'spotctl serve' });
		await writeJournals(tx, [journal]);
		return { token, created: token !== existing };
	});
