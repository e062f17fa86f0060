import type { Client } from './clients.ts';
import type { Db } from './statement.ts';

/** Active clients in the order of their ids, at most `limit`. */
export const activeClients = (db: Db, after: string | null, limit: number): Promise<Client[]> => {
	let query = db.selectFrom('client').selectAll().where('status', '=', 'active');
	if (after !== null) query = query.where('id', '>', after);
	return query.orderBy('id').limit(limit).execute();
};
