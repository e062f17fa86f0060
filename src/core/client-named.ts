import { SpotError } from '../errors.ts';
import { type Client, clientById } from '../store/clients.ts';
import type { Db } from '../store/statement.ts';

/** 404 for a client that nobody knows. */
export const noClient = (id: string): SpotError =>
	new SpotError('missing', 'NOT_FOUND', `no client "${id.slice(0, 80)}"`, { hint: 'see: spotctl clients list' });

/** A client by id. Errors: 404. */
export const clientNamed = async (db: Db, id: string): Promise<Client> => {
	const client = await clientById.first(db, { id });
	if (client === undefined) throw noClient(id);
	return client;
};
