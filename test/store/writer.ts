// A process that commits rows one after another, several at a time, and says which were answered: for tests that kill it.

import { systemClock } from '../../src/deps.ts';
import { addClient } from '../../src/store/clients.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore } from '../../src/store/open.ts';

const store = await openStore({ url: process.argv[2] ?? '', poolSize: 4, clock: systemClock });
await migrate(store);
let next = 0;

const one = async (lane: number): Promise<void> => {
	for (;;) {
		const id = `${lane}-${next++}`;
		const row = {
			id,
			name: id,
			email: null,
			status: 'active',
			max_agents: null,
			max_instances: null,
			test_client: 0,
			last_sync_at: null,
			created_at: 1,
		} as const;
		await store.transact((tx) => addClient(tx, row));
		process.stdout.write(`${id}\n`);
	}
};

await Promise.all(Array.from({ length: 16 }, (_, lane) => one(lane)));
