import { expect } from 'vitest';
import type { AgentTable, CommandTable, HostTable } from '../../src/store/schema.ts';
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

/** Another machine of the image: the same logical id. Answers its handle and role. */
export const joinAgent = async ({ client, logicalId }: AgentScene, zone: 'a' | 'b' | 'c' | 'd' = 'b', machine: object = {}) => {
	const instanceId = newMachine();
	const { status, body } = await client.register(instanceId, { logical_agent_id: logicalId, az: `us-east-1${zone}`, ...machine });
	expect(status).toBe(200);
	return { instanceId, handle: body.agent_id, role: body.role, answer: body };
};

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
	const { read } = world.store;
	const found = async <T>(row: Promise<T | undefined>): Promise<T> => {
		const value = await row;
		if (value === undefined) throw new Error('no such row');
		return value;
	};
	return {
		host: (handle: string): Promise<HostTable> =>
			found(read.selectFrom('host').selectAll().where('handle', '=', handle).executeTakeFirst()),
		hostOfMachine: (client: ClientActor, instanceId: string): Promise<HostTable> =>
			found(
				read.selectFrom('host').selectAll().where('client_id', '=', client.id).where('instance_id', '=', instanceId).executeTakeFirst(),
			),
		agent: (id: string): Promise<AgentTable> => found(read.selectFrom('agent').selectAll().where('id', '=', id).executeTakeFirst()),
		command: (id: string): Promise<CommandTable> => found(read.selectFrom('command').selectAll().where('id', '=', id).executeTakeFirst()),
		liveness: (handle: string) => found(read.selectFrom('host_liveness').selectAll().where('handle', '=', handle).executeTakeFirst()),
		events: async (agentId: string): Promise<string[]> =>
			(await read.selectFrom('event').select('type').where('agent_id', '=', agentId).orderBy('id').execute()).map(({ type }) => type),
		notifications: (agentId: string) =>
			read.selectFrom('notification').selectAll().where('agent_id', '=', agentId).orderBy('created_at').orderBy('id').execute(),
		switches: (agentId: string) =>
			read.selectFrom('switch_record').selectAll().where('agent_id', '=', agentId).orderBy('generation').orderBy('created_at').execute(),
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
