import { expect } from 'vitest';
import { configure, poll, remove } from '../helpers/replica-calls.ts';
import type { ClientActor, World } from '../helpers/world.ts';
import { type AgentScene, makeAgent, newMachine, type Zone } from './agent-scene.ts';

/** The launch order the primary gets with its next poll; fails when there is none. */
export const fetchOrder = async ({ client }: Pick<AgentScene, 'client'>, handle: string) => {
	const { status, body } = await poll(client, handle);
	expect(status).toBe(200);
	const [order] = body.replicas;
	if (order === undefined) throw new Error('no launch order was served');
	return order;
};

/** An agent without a replica that fetches launch orders, as classic does. */
export const pollingAgent = async (world: World, machine: object = {}): Promise<AgentScene> => {
	const agent = await makeAgent(world, undefined, machine);
	await poll(agent.client, agent.id);
	return agent;
};

/** An agent in manual mode whose primary has fetched its launch order. */
export const orderedReplica = async (world: World, machine: object = {}) => {
	const agent = await pollingAgent(world, machine);
	expect((await configure(agent.client, agent.id, { manualReplicaEnabled: true })).status).toBe(200);
	return { agent, order: await fetchOrder(agent, agent.id) };
};

/** An agent without a logical id of its own, in manual mode, whose launch order was fetched. */
export const selfNamed = async (world: World, known?: ClientActor) => {
	const client = known ?? (await world.client());
	const instanceId = newMachine();
	const { body } = await client.register(instanceId);
	await poll(client, body.agent_id);
	await configure(client, body.agent_id, { manualReplicaEnabled: true });
	const agent: AgentScene = { client, id: body.agent_id, logicalId: instanceId, instanceId };
	return { agent, order: await fetchOrder(agent, agent.id) };
};

export const zoneOf = (az: string | undefined): Zone => (az?.at(-1) ?? 'b') as Zone;
/** A zone that is neither the primary's nor the given one. */
export const otherZone = (az: string | undefined): Zone => (['b', 'c', 'd'] as const).find((zone) => zone !== zoneOf(az)) ?? 'b';

/** Names the machine of a replica, as classic does after its launch. */
export const put = ({ client }: Pick<AgentScene, 'client'>, handle: string, replicaId: string, instanceId: string) =>
	client.call('attachReplica', { agent_id: handle, replica_id: replicaId, instance_id: instanceId, status: 'syncing' });

export const say = ({ client }: Pick<AgentScene, 'client'>, handle: string, replicaId: string, status: string, more: object = {}) =>
	client.call('replicaStatus', { agent_id: handle, replica_id: replicaId, status, ...more });

/** A replica whose machine was named and has not called. */
export const syncingReplica = async (world: World) => {
	const { agent, order } = await orderedReplica(world);
	const instanceId = newMachine();
	expect((await put(agent, agent.id, order.id, instanceId)).status).toBe(200);
	return { agent, id: order.id, instanceId };
};

/** A replica that was deleted and whose machine runs on. */
export const deletedReplica = async (world: World) => {
	const made = await syncingReplica(world);
	expect((await remove(made.agent.client, made.agent.id, made.id)).status).toBe(200);
	return made;
};

/** An agent with a ready replica whose own agent has registered. */
export const readyReplica = async (world: World, machine: object = {}) => {
	const { agent, order } = await orderedReplica(world, machine);
	const instanceId = newMachine();
	expect((await put(agent, agent.id, order.id, instanceId)).status).toBe(200);
	const joined = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: order.az, ...machine });
	expect([joined.status, joined.body.role]).toEqual([200, 'replica']);
	return { agent, replica: { id: order.id, instanceId, handle: joined.body.agent_id, az: order.az } };
};

/** The two-minute notice as the classic agent's second call brings it. */
export const imminent = (world: World, { client }: Pick<AgentScene, 'client'>, handle: string, more: object = {}) =>
	client.call('terminationImminent', {
		agent_id: handle,
		termination_time: new Date(world.now() + 120_000).toISOString(),
		detected_at: new Date(world.now()).toISOString(),
		...more,
	});

/** As rows are. */
export const emergenciesOf = (world: World, agentId: string) =>
	world.store.read.selectFrom('emergency').selectAll().where('agent_id', '=', agentId).orderBy('received_at').orderBy('id').execute();
export const replicasOf = (world: World, agentId: string) =>
	world.store.read.selectFrom('replica').selectAll().where('agent_id', '=', agentId).orderBy('id').execute();
