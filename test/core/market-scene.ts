import { expect } from 'vitest';
import { configure, poll } from '../helpers/replica-calls.ts';
import type { World } from '../helpers/world.ts';
import { makeAgent, rowsOf } from './agent-scene.ts';

/** Dollars an hour by zone of us-east-1; a zone that is left out has no pool. */
export type Prices = Readonly<Partial<Record<'a' | 'b' | 'c' | 'd', number>>>;

let types = 0;

/** An agent that polls for launch orders, of an instance type nobody else has, so that its market is its own. */
export const onMarket = async (world: World, prices: Prices) => {
	const type = `t${++types}.large`;
	const agent = await makeAgent(world, undefined, { instance_type: type });
	const spot_pools = Object.entries(prices).map(([zone, price]) => ({
		pool_id: `${type}.us-east-1${zone}`,
		instance_type: type,
		az: `us-east-1${zone}`,
		price,
	}));
	if (spot_pools.length > 0) {
		const reported = await agent.client.call('pricingReport', {
			agent_id: agent.id,
			instance: { instance_type: type, region: 'us-east-1' },
			pricing: { on_demand_price: 1, spot_pools },
		});
		expect(reported.body).toMatchObject({ records_inserted: spot_pools.length });
	}
	await poll(agent.client, agent.id);
	return { ...agent, type, pool: (zone: string) => `${type}.us-east-1${zone}` };
};

/** An agent in manual mode whose market is its own and whose order was not fetched yet. */
export const manualOnMarket = async (world: World, prices: Prices) => {
	const agent = await onMarket(world, prices);
	expect((await configure(agent.client, agent.id, { manualReplicaEnabled: true })).status).toBe(200);
	return agent;
};

/** Manual mode with no replica: the one that was ordered at once has been deleted while manual mode was off and on again in between. */
export const emptySlot = async (world: World, prices: Prices = { a: 0.04, b: 0.03, c: 0.05 }) => {
	const agent = await onMarket(world, prices);
	await agent.client.toggle(agent.id, false);
	await configure(agent.client, agent.id, { manualReplicaEnabled: true });
	expect(await rowsOf(world).liveReplicas(agent.id)).toEqual([]);
	return agent;
};
