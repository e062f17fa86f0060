import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

/** A client as a command names it. */
export type FoundClient = { readonly id: string; readonly name: string };

const isForbidden = (error: unknown): boolean => error instanceof SpotError && error.kind === 'forbidden';

const noClient = (named: string): SpotError =>
	new SpotError('missing', 'NOT_FOUND', `no client "${named}"`, { hint: 'see: spotctl clients list' });

/** The one client a client's own token may speak of. */
const ownClient = async (context: Context, named: string): Promise<FoundClient> => {
	const { client_id: id, name } = await (await context.api()).validateToken({});
	if (named === id || named === name) return { id, name };
	throw new SpotError('forbidden', 'FORBIDDEN', `the token in use belongs to client "${name}", not to "${named}"`, {
		hint: 'use an admin token',
	});
};

/** The client with this id or name; the id wins. Errors: NOT_FOUND. */
export const findClient = async (context: Context, named: string): Promise<FoundClient> => {
	if (named.trim() === '') throw noClient(named);
	const api = await context.api();
	try {
		const { items } = await api.listClients({ name: named, limit: 2 });
		const found = items.find(({ id }) => id === named) ?? items.find(({ name }) => name === named);
		if (found) return { id: found.id, name: found.name };
	} catch (error) {
		if (isForbidden(error)) return ownClient(context, named);
		throw error;
	}
	throw noClient(named);
};

/** The id behind `--client`, where one was given. */
export const clientFilter = async (context: Context, named: string | undefined): Promise<{ client_id?: string }> =>
	named === undefined ? {} : { client_id: (await findClient(context, named)).id };
