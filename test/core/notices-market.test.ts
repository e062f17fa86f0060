import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, type World } from '../helpers/world.ts';
import { makeAgent, rowsOf } from './agent-scene.ts';
import { emergenciesOf, imminent } from './replica-scene.ts';

describeEachDatabase('a notice', ({ freshUrl }) => {
	const open = async (): Promise<World> => openWorld(await freshUrl(), { jobs: [] });

	it('orders a replica also while the prices cannot be read: a look-up that fails stops no failover', async () => {
		const world = await open();
		try {
			const { client, id } = await makeAgent(world);
			await sql`alter table price_clean rename to price_clean_away`.execute(world.store.ddl);
			const { status } = await imminent(world, { client }, id);
			await sql`alter table price_clean_away rename to price_clean`.execute(world.store.ddl);
			expect(status).toBe(200);
			const agent = (await world.store.read.selectFrom('host').select('agent_id').where('handle', '=', id).executeTakeFirstOrThrow())
				.agent_id;
			expect((await emergenciesOf(world, agent)).length).toBe(1);
			expect((await rowsOf(world).liveReplicas(agent)).map(({ status: state }) => state)).toEqual(['launching']);
		} finally {
			await world.close();
		}
	});
});
