import { sql } from 'kysely';
import type { AdminTokenTable, ClientTokenTable } from './schema.ts';
import { type Db, statement } from './statement.ts';

export type ClientToken = ClientTokenTable;
export type AdminToken = AdminTokenTable;

/** A client token by its SHA-256, with what its client is. */
export const clientTokenByHash = statement<{ hash: string }>()((db, v) =>
	db
		.selectFrom('client_token as t')
		.innerJoin('client as c', 'c.id', 't.client_id')
		.select(['t.id', 't.name', 't.client_id', 't.expires_at', 't.revoked_at', 'c.status', 'c.name as client_name'])
		.where('t.hash', '=', v('hash')),
);

export const adminTokenByHash = statement<{ hash: string }>()((db, v) =>
	db.selectFrom('admin_token').selectAll().where('hash', '=', v('hash')),
);

export const addClientToken = (tx: Db, row: ClientToken): Promise<unknown> => tx.insertInto('client_token').values(row).execute();
export const addAdminToken = (tx: Db, row: AdminToken): Promise<unknown> => tx.insertInto('admin_token').values(row).execute();

/** A page of the tokens of a client, newest first, and one row more where there are more. `after` is the last of the page before. */
export const listClientTokens = (
	db: Db,
	{ clientId, limit, after }: { clientId: string; limit: number; after: { at: number; id: string } | null },
): Promise<ClientToken[]> => {
	let query = db.selectFrom('client_token').selectAll().where('client_id', '=', clientId);
	if (after !== null)
		query = query.where('created_at', '<=', after.at).where((eb) => eb.or([eb('created_at', '<', after.at), eb('id', '<', after.id)]));
	return query
		.orderBy('created_at', 'desc')
		.orderBy('id', 'desc')
		.limit(limit + 1)
		.execute();
};

/** The tokens of a client with this id, name or beginning, newest first, at most 500. */
export const clientTokensCalled = statement<{ client_id: string; called: string }>()((db, v) =>
	db
		.selectFrom('client_token')
		.selectAll()
		.where('client_id', '=', v('client_id'))
		.where((eb) => eb.or((['id', 'name', 'prefix'] as const).map((column) => eb(column, '=', v('called')))))
		.orderBy('created_at', 'desc')
		.limit(sql.lit(500)),
);

/** The newest token of a client that is valid at an instant and can be shown again. */
export const newestSealedToken = statement<{ client_id: string; now: number }>()((db, v) =>
	db
		.selectFrom('client_token')
		.selectAll()
		.where('client_id', '=', v('client_id'))
		.where('revoked_at', 'is', null)
		.where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', v('now'))]))
		.where('sealed', 'is not', null)
		.orderBy('created_at', 'desc')
		.orderBy('id', 'desc')
		.limit(sql.lit(1)),
);

/** A page of the admin tokens, newest first (ids sort by time), and one row more where there are more. */
export const listAdminTokenRows = (db: Db, { limit, after }: { limit: number; after: string | null }): Promise<AdminToken[]> => {
	const query = db.selectFrom('admin_token').selectAll();
	return (after === null ? query : query.where('id', '<', after))
		.orderBy('id', 'desc')
		.limit(limit + 1)
		.execute();
};

/** The admin tokens that have this id, or this name while they are not revoked: two at most. */
export const adminTokensCalled = statement<{ called: string }>()((db, v) =>
	db
		.selectFrom('admin_token')
		.selectAll()
		.where((eb) => eb.or([eb('id', '=', v('called')), eb('live_name', '=', v('called'))])),
);

/** Another admin token with which one can administer at an instant. */
export const otherAdministrator = statement<{ except: string; now: number }>()((db, v) =>
	db
		.selectFrom('admin_token')
		.select('id')
		.where('id', '<>', v('except'))
		.where('scope', '=', 'admin')
		// Revoked ones have none.
		.where('live_name', 'is not', null)
		.where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', v('now'))]))
		.limit(sql.lit(1)),
);

/** Ends every token of a client that is valid longer than `at`, except one; returns their hashes. */
export const endTokensOfClient = async (tx: Db, clientId: string, except: string, at: number, now: number): Promise<string[]> => {
	const rows = await tx
		.selectFrom('client_token')
		.select(['id', 'hash'])
		.where('client_id', '=', clientId)
		.where('id', '<>', except)
		.where('revoked_at', 'is', null)
		.where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)]))
		.execute();
	await tx
		.updateTable('client_token')
		.set(at <= now ? { revoked_at: now } : { expires_at: at })
		.where('client_id', '=', clientId)
		.where('id', '<>', except)
		.where('revoked_at', 'is', null)
		.where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', Math.max(at, now))]))
		.execute();
	return rows.map((row) => row.hash);
};

/** Notes when tokens were last used; never moves the time back. */
export const touchTokens = async (tx: Db, table: 'client_token' | 'admin_token', id: string, at: number): Promise<void> => {
	await tx
		.updateTable(table)
		.set({ last_used_at: at })
		.where('id', '=', id)
		.where((eb) => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', at)]))
		.execute();
};

/** The admin token that has a name while it is not revoked: at most one, the unique key sees to it. */
export const liveAdminTokenNamed = statement<{ name: string }>()((db, v) =>
	db.selectFrom('admin_token').select('id').where('live_name', '=', v('name')),
);

/** Revokes an admin token; its name is free again. */
export const endAdminToken = statement<{ id: string; revoked_at: number }>()((db, v) =>
	db
		.updateTable('admin_token')
		.set({ revoked_at: v('revoked_at'), live_name: null })
		.where('id', '=', v('id')),
);

/** Revokes a client token that is not revoked yet. */
export const endClientToken = statement<{ id: string; now: number }>()((db, v) =>
	db
		.updateTable('client_token')
		.set({ revoked_at: v('now') })
		.where('id', '=', v('id'))
		.where('revoked_at', 'is', null),
);
