import { expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, makeAgent } from './agent-scene.ts';
import { booksOf, DAY, HOUR, MINUTE, SECOND } from './ledger-scene.ts';
import { readyReplica } from './replica-scene.ts';

describeEachDatabase('time that nobody priced or vouched for', ({ freshUrl }) => {
	// Patient, so that a call an hour is enough.
	const world = shareWorld(freshUrl, { settings: { heartbeatTimeoutMs: 3 * HOUR }, must: [brokenInvariants] });
	const { explained, recomputed, settle } = booksOf(world);

	const beat = async (ms: number, agents: readonly AgentScene[]) => {
		for (let left = ms; left > 0; left -= HOUR) {
			await world.advance(Math.min(HOUR, left), 2 * MINUTE);
			for (const { client, id } of agents) await client.heartbeat(id);
		}
	};
	const says = async ({ client, id }: AgentScene, type: string, spot: number | null, onDemand: number | null, zone = 'a') => {
		const pool = spot === null ? null : `${type}.us-east-1${zone}`;
		const { status } = await client.call('pricingReport', {
			agent_id: id,
			instance: { instance_type: type, region: 'us-east-1', mode: spot === null ? 'ondemand' : 'spot', pool_id: pool },
			pricing: {
				on_demand_price: onDemand,
				current_spot_price: spot,
				spot_pools: pool === null ? [] : [{ pool_id: pool, az: `us-east-1${zone}`, price: spot }],
			},
		});
		expect(status).toBe(200);
	};
	const factsOf = async (handle: string): Promise<number> =>
		(await world.store.read.selectFrom('ledger_fact').select('id').where('handle', '=', handle).execute()).length;

	it('is unknown also for a machine that was not booked yet when an outage began, over midnights', async () => {
		const other = await makeAgent(world);
		await says(other, 'c5.large', 0.04, 0.085);
		await settle();
		const young = await makeAgent(world);
		await young.client.heartbeat(young.id);
		await world.advance(2 * SECOND, SECOND);
		await world.stop(0, 'kill');
		await world.advance(40 * HOUR, HOUR);
		await world.restart(0);
		await young.client.heartbeat(young.id);
		const called = world.now();
		await settle();
		await settle();
		const { segments } = await explained(young.id, iso(called).slice(0, 7));
		const known = segments.filter(({ quality }) => quality !== 'unknown').reduce((sum, { seconds }) => sum + seconds, 0);
		expect(known).toBeLessThan((3 * HOUR + 10 * MINUTE) / 1000);
		expect(segments.reduce((sum, { seconds }) => sum + seconds, 0)).toBeGreaterThan((40 * HOUR) / 1000);
		expect((await recomputed(young.client)).changed).toBe(0);
	});

	it('is none of a machine whose reports are read while the clock of another daemon is ahead', async () => {
		const other = await makeAgent(world);
		await says(other, 'c5.large', 0.04, 0.085);
		await settle();
		await world.advance(20 * SECOND, SECOND);
		// Written first, and dated after everything that follows.
		await world.store.transact((tx) =>
			tx
				.insertInto('ledger_fact')
				.values({
					...{ client_id: other.client.id, agent_id: other.id, handle: other.id, at: world.now() + 3 * SECOND, kind: 'heard', pending: 1 },
					...{ instance_id: null, role: null, registered: null, mode: null, pool_id: null, instance_type: null, region: null },
					...{ spot_micros: null, ondemand_micros: null },
				})
				.execute(),
		);
		world.daemons[0]?.pause();
		const young = await makeAgent(world);
		await says(young, 'c5.large', 0.0455, 0.085);
		await world.advance(20 * SECOND, 20 * SECOND);
		world.daemons[0]?.wake();
		await settle();
		expect((await explained(young.id)).segments.at(-1)).toMatchObject({ price: 0.0455, priceSource: 'own', quality: 'measured' });
		expect((await recomputed(young.client)).changed).toBe(0);
	});

	it('of a day that is over stays unknown, though the price became known late on it', async () => {
		const mute = await makeAgent(world, undefined, { instance_type: 'm9.large', mode: 'ondemand' });
		const midnight = Math.ceil(world.now() / DAY) * DAY;
		await beat(midnight - world.now() + MINUTE, [mute]);
		await beat(20 * HOUR, [mute]);
		const other = await makeAgent(world, undefined, { instance_type: 'm9.large', mode: 'ondemand' });
		await says(other, 'm9.large', null, 0.096);
		await beat(midnight + DAY - world.now() + MINUTE, [mute, other]);
		const { segments } = await explained(mute.id, iso(midnight).slice(0, 7));
		const day = segments.filter(({ start }) => Date.parse(start) >= midnight && Date.parse(start) < midnight + DAY);
		expect(day.map(({ quality, cost }) => [quality, cost])).toEqual(day.map(() => ['unknown', 0]));
		expect(day.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(DAY / 1000);
		expect((await recomputed(mute.client)).changed).toBe(0);
	});

	it('of a machine that no longer says its price is an estimate, told once, whatever others say of the pool it moves to', async () => {
		const agent = await makeAgent(world, undefined, { instance_type: 'n9.large' });
		await says(agent, 'n9.large', 0.04, null);
		await beat(3 * HOUR, [agent]);
		const other = await makeAgent(world, undefined, { instance_type: 'n9.large', az: 'us-east-1b' });
		await says(other, 'n9.large', 0.05, 0.09, 'b');
		await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId, instance_type: 'n9.large', az: 'us-east-1b' });
		await beat(MINUTE, [agent, other]);
		await settle();
		const before = await factsOf(agent.id);
		await beat(10 * MINUTE, [agent, other]);
		expect(await factsOf(agent.id)).toBe(before);
		expect((await explained(agent.id)).segments.at(-1)).toMatchObject({ quality: 'estimated', price: 0.05 });
		expect((await recomputed(agent.client)).changed).toBe(0);
	});
});

describeEachDatabase('the end of a silence', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const { alive, costs, recomputed, settle } = booksOf(world);
	const standing = async (handle: string) =>
		(await world.store.read.selectFrom('ledger_host').selectAll().where('handle', '=', handle).executeTakeFirstOrThrow()).quality;

	it('is not a call by which a standby says that it goes', async () => {
		const { agent, replica } = await readyReplica(world);
		await costs(agent, replica.handle, 'b', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id, replica.handle]);
		await settle();
		await world.stop(0, 'kill');
		await world.advance(HOUR, MINUTE);
		await world.restart(0);
		await world.advance(5 * SECOND, SECOND);
		await agent.client.heartbeat(replica.handle, { status: 'offline' });
		await alive(12 * SECOND, agent.client, [agent.id]);
		await settle();
		expect(await standing(replica.handle)).toBe('unknown');
		expect((await recomputed(agent.client)).changed).toBe(0);
		await agent.client.heartbeat(replica.handle);
		await settle();
		expect(await standing(replica.handle)).toBe('measured');
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('is booked on where its first call is noted, not the past anew', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id]);
		await world.advance(10 * MINUTE, 2 * SECOND);
		await settle();
		const statements = await world.statements(async () => {
			await agent.client.heartbeat(agent.id);
			for (let polls = 0; polls < 20; polls++) {
				await world.advance(2 * SECOND, SECOND);
				await agent.client.poll(agent.id);
			}
		});
		expect(await standing(agent.id)).toBe('measured');
		expect(statements.filter((text) => /^(\/\*later\*\/)?select.*from .cost_segment. where .handle/.test(text))).toEqual([]);
	});
});
