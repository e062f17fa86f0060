import type { ClientActor, World } from './world.ts';

/** A client for one run in a world of many: the next run finds nothing of it, however this one ends. */
export const withClient = async (world: World, run: (client: ClientActor) => Promise<void>): Promise<void> => {
	const client = await world.client();
	try {
		await run(client);
	} finally {
		await world.admin.call('deleteClient', { client_id: client.id });
		world.given.splice(0);
	}
};
