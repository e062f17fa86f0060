import { expect } from 'vitest';
import type { AgentTable, CommandTable, HostTable, ReplicaTable } from '../../src/store/schema.ts';
import type { ClientActor, Target, World } from '../helpers/world.ts';

let machines = 0;
/** An instance id nobody has had. */
export const newMachine = (): string => `i-${(++machines).toString(16).padStart(17, '0')}`;

/** An agent with one machine, its primary. */
export type AgentScene = { readonly client: ClientActor; readonly id: string; readonly logicalId: string; readonly instanceId: string };

/** Registers the first machine of a new agent, in zone a on spot. */
export const makeAgent = async (world: World, known?: ClientActor, machine: object = {}): Promise<AgentScene> => {
	const client = known ?? (await world.client());
	const instanceId = newMachine();
	const logicalId = `agent-of-${instanceId}`;
	const { status, body } = await client.register(instanceId, { logical_agent_id: logicalId, ...machine });
	expect(status).toBe(200);
	return { client, id: body.agent_id, logicalId, instanceId };
};

/** An availability zone of us-east-1, by its last letter. */
export type Zone = 'a' | 'b' | 'c' | 'd';

/** Another machine of the image, the same logical id, in an availability zone by its full name. Answers its handle and role. */
export const joinAt = async (
	{ client, logicalId }: Pick<AgentScene, 'client' | 'logicalId'>,
	az: string | undefined,
	machine: object = {},
) => {
	const instanceId = newMachine();
	const { status, body } = await client.register(instanceId, { logical_agent_id: logicalId, az: az ?? null, ...machine });
	expect(status).toBe(200);
	return { instanceId, handle: body.agent_id, role: body.role, answer: body };
};

/** The same in a zone of us-east-1. */
export const joinAgent = (agent: AgentScene, zone: Zone = 'b', machine: object = {}) => joinAt(agent, `us-east-1${zone}`, machine);

/** Forces a switch of the machine and lets the handle claim it; answers the command's id. */
export const orderSwitch = async (client: ClientActor, instanceId: string, handle: string, target: Target = 'b', more: object = {}) => {
	const forced = await client.force(instanceId, target, more);
	expect(forced.status).toBe(200);
	const polled = await client.poll(handle);
	expect(polled.body.commands.map((command) => command.id)).toEqual([forced.body.command_id]);
	return String(forced.body.command_id);
};

/** Rows as they are, for what no route shows. */
export const rowsOf = (world: World) => {
	const read = () => world.store.read;
	const found = async <T>(row: Promise<T | undefined>): Promise<T> => {
		const value = await row;
		if (value === undefined) throw new Error('no such row');
		return value;
	};
	const notifications = (agentId: string) =>
		read().selectFrom('notification').selectAll().where('agent_id', '=', agentId).orderBy('created_at').orderBy('id').execute();
	return {
		host: (handle: string): Promise<HostTable> =>
			found(read().selectFrom('host').selectAll().where('handle', '=', handle).executeTakeFirst()),
		hostOfMachine: (client: ClientActor, instanceId: string): Promise<HostTable> =>
			found(
				read().selectFrom('host').selectAll().where('client_id', '=', client.id).where('instance_id', '=', instanceId).executeTakeFirst(),
			),
		agent: (id: string): Promise<AgentTable> => found(read().selectFrom('agent').selectAll().where('id', '=', id).executeTakeFirst()),
		command: (id: string): Promise<CommandTable> => found(read().selectFrom('command').selectAll().where('id', '=', id).executeTakeFirst()),
		replica: (id: string): Promise<ReplicaTable> => found(read().selectFrom('replica').selectAll().where('id', '=', id).executeTakeFirst()),
		liveReplicas: (agentId: string): Promise<ReplicaTable[]> =>
			read().selectFrom('replica').selectAll().where('agent_id', '=', agentId).where('live_of', 'is not', null).orderBy('id').execute(),
		liveness: (handle: string) => found(read().selectFrom('host_liveness').selectAll().where('handle', '=', handle).executeTakeFirst()),
		/** What happened to the agent, without the events that tell of its notifications. */
		events: async (agentId: string): Promise<string[]> =>
			(
				await read()
					.selectFrom('event')
					.select('type')
					.where('agent_id', '=', agentId)
					.where('type', '<>', 'notification')
					.orderBy('id')
					.execute()
			).map(({ type }) => type),
		notifications,
		notified: async (agentId: string, type: string) => (await notifications(agentId)).filter((told) => told.type === type),
		switches: (agentId: string) =>
			read().selectFrom('switch_record').selectAll().where('agent_id', '=', agentId).orderBy('generation').orderBy('created_at').execute(),
	};
};

/** The handle and role of every machine of an agent, by instance id. */
export const rolesOf = async (world: World, agentId: string): Promise<Record<string, string>> => {
	const hosts = await world.store.read.selectFrom('host').select(['instance_id', 'role']).where('agent_id', '=', agentId).execute();
	return Object.fromEntries(hosts.map((host) => [host.instance_id, host.role]));
};

export const TIMEOUT = 120_000;

/** Lets a time pass in which the given hosts heartbeat every 20 s. */
export const heartbeatsFor = async (world: World, ms: number, client: ClientActor, handles: readonly string[]): Promise<void> => {
	for (let left = ms; left > 0; left -= 20_000) {
		await world.advance(Math.min(20_000, left), 4000);
		for (const handle of handles) await client.heartbeat(handle);
	}
};
