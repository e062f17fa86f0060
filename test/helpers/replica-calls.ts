import type { Actor } from './world.ts';

/** The poll for launch orders: what it serves is under a lease from then on. */
export const poll = (client: Actor, handle: string) => client.call('listHostReplicas', { agent_id: handle, status: 'launching' });

/** The launch orders that a poll is handed. */
export const orderIds = async (client: Actor, handle: string) => (await poll(client, handle)).body.replicas.map((order) => order.id);

/** The machines that `?status=terminated` names. */
export const leftovers = async (client: Actor, handle: string) =>
	(await client.call('listHostReplicas', { agent_id: handle, status: 'terminated' })).body.replicas.map((replica) => replica.instance_id);

/** The machines that the terminate list names. */
export const doomed = async (client: Actor, handle: string) =>
	(await client.terminations(handle)).body.instances.map((instance) => instance.instance_id);

/** {@link leftovers} and {@link doomed}: the two lists from which an agent learns what must end. */
export const bothLists = async (client: Actor, handle: string) => [await leftovers(client, handle), await doomed(client, handle)];

export const create = (client: Actor, handle: string, more: object = {}) => client.call('createReplica', { agent_id: handle, ...more });
export const remove = (client: Actor, handle: string, replicaId: string) =>
	client.call('deleteReplica', { agent_id: handle, replica_id: replicaId });
export const promote = (client: Actor, handle: string, replicaId: string, more: object = {}) =>
	client.call('promoteReplica', { agent_id: handle, replica_id: replicaId, ...more });
export const configure = (client: Actor, handle: string, change: object) => client.call('changeConfig', { agent_id: handle, ...change });
