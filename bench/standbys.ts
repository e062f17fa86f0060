import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from './connection.ts';
import { type Agent, agentPath, get, heartbeat, registration, request, ZONES } from './requests.ts';
import { CONNECTIONS, nextInstanceId, openConnections, type World } from './world.ts';

/** An agent with a ready replica: the machine that is to be its primary. */
export type Standby = { readonly agent: Agent; readonly replicaId: string; readonly machine: Agent };

/** Longest wait for something the daemon does by itself. */
const PATIENCE_MS = 30_000;

/** An answer that must be a success. */
export const carry = async (connection: Connection, step: string, bytes: Buffer): Promise<Record<string, unknown>> => {
	const { status, body } = await connection.ask(bytes);
	if (status !== 200 && status !== 201) throw new Error(`${step} answered ${status}: ${JSON.stringify(body)}`);
	return body;
};

/** Carries out `work` for every element, as many at once as there are connections. */
export const onConnections = async <T>(
	port: number,
	items: readonly T[],
	work: (connection: Connection, item: T) => Promise<void>,
	count = CONNECTIONS,
): Promise<void> => {
	const waiting = [...items];
	const { connections, during, close } = await openConnections(port, Math.min(count, items.length));
	const one = async (connection: Connection): Promise<void> => {
		for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(connection, item);
	};
	try {
		await during(Promise.all(connections.map(one)));
	} finally {
		close();
	}
};

/** A launch order as the agent reads it. */
export type Order = { readonly id: string; readonly az: string };

/** What the agent's poll for launch orders holds. */
export const pollOrders = async (connection: Connection, agent: Agent): Promise<readonly Order[]> => {
	const { replicas } = await carry(connection, 'poll for launches', get(agent, 'replicas?status=launching'));
	return (replicas as Array<{ id: string; az: string }>).map(({ id, az }) => ({ id, az }));
};

/** Polls until there is a launch order; with how many polls that took. */
export const awaitOrder = async (connection: Connection, agent: Agent): Promise<{ order: Order; polls: number }> => {
	for (let polls = 1, until = performance.now() + PATIENCE_MS; performance.now() < until; polls++) {
		const [order] = await pollOrders(connection, agent);
		if (order !== undefined) return { order, polls };
		await delay(100);
	}
	throw new Error(`${agent.logicalId} was given no launch order within ${PATIENCE_MS / 1000} s`);
};

/**
 * Launches what was ordered as the classic agent does: PUT, then `ready`; the agent on the new machine registers after that and
 * polls for orders of its own from the start (contract/clients.md), which is how the daemon knows that it can launch.
 */
export const launch = async (connection: Connection, agent: Agent, { id, az }: Order): Promise<Standby> => {
	const machine: Agent = { ...agent, instanceId: nextInstanceId(), zone: Math.max(0, ZONES.indexOf(az)) };
	const path = agentPath(agent, `replicas/${id}`);
	await carry(connection, 'attach', request('PUT', path, agent.token, { instance_id: machine.instanceId, status: 'syncing' }));
	await carry(connection, 'ready', request('POST', `${path}/status`, agent.token, { status: 'ready', sync_completed_at: now() }));
	const { agent_id: handle } = await carry(
		connection,
		'register the new machine',
		request('POST', '/api/agents/register', agent.token, registration(machine)),
	);
	machine.handle = String(handle);
	await pollOrders(connection, machine);
	return { agent, replicaId: id, machine };
};

const now = (): string => new Date().toISOString();

/** Turns the manual replica of these agents on, if `order` says so, and brings every replica up. */
export const makeReady = async (world: World, agents: readonly Agent[], order: boolean): Promise<Standby[]> => {
	const { daemon, operatorToken } = world;
	const ready: Standby[] = [];
	await onConnections(daemon.port, agents, async (connection, agent) => {
		const config = request('POST', `/api/client/agents/${agent.id}/config`, operatorToken, { manualReplicaEnabled: true });
		if (order) await carry(connection, 'turn the manual replica on', config);
		ready.push(await launch(connection, agent, (await awaitOrder(connection, agent)).order));
	});
	return ready;
};

/** A sign of life of every machine, so that none is silent when its notice comes. */
export const touch = (world: World, standbys: readonly Standby[]): Promise<void> =>
	onConnections(
		world.daemon.port,
		standbys.flatMap(({ agent, machine }) => [agent, machine]),
		async (connection, host) => void (await carry(connection, 'heartbeat', heartbeat(host))),
	);

const NOTICE_MS = 120_000;

/** The classic agent's termination notice. */
export const notice = (agent: Agent): Buffer =>
	request('POST', agentPath(agent, 'termination-imminent'), agent.token, {
		instance_id: agent.instanceId,
		termination_time: new Date(Date.now() + NOTICE_MS).toISOString().replace(/\.\d{3}Z$/, 'Z'),
		detected_at: now(),
	});

/** What it sends before that. */
export const signal = (agent: Agent): Buffer =>
	request('POST', agentPath(agent, 'create-emergency-replica'), agent.token, {
		signal_type: 'termination-notice',
		instance_id: agent.instanceId,
		termination_time: new Date(Date.now() + NOTICE_MS).toISOString().replace(/\.\d{3}Z$/, 'Z'),
	});

/** Throws unless this is the answer of a failover that is done. */
export const expectPromoted = (standby: Standby, status: number, text: string): void => {
	const body = JSON.parse(text) as Record<string, unknown>;
	if (status === 200 && body['success'] === true && body['new_instance_id'] === standby.machine.instanceId) return;
	throw new Error(`the notice of ${standby.agent.logicalId} answered ${status}: ${text.slice(0, 500)}`);
};

/** The agents as they are now that their replicas have taken over. */
export const move = (standbys: readonly Standby[]): Agent[] =>
	standbys.map(({ agent, machine }) =>
		Object.assign(agent, { instanceId: machine.instanceId, zone: machine.zone, handle: machine.handle }),
	);

/** Looks into the database, past the daemon: how many of these agents have exactly one primary, the machine of their replica, and a zombie. */
export const countPromoted = async ({ database }: World, standbys: readonly Standby[]): Promise<number> => {
	const rows = await database.query(
		"select agent_id, handle, instance_id, role, primary_of from host where role = 'primary' or primary_of is not null",
	);
	const roles = new Map((await database.query('select instance_id, role from host')).map((row) => [row['instance_id'], row['role']]));
	const primaries = new Map<unknown, Array<Record<string, unknown>>>();
	for (const row of rows) primaries.set(row['agent_id'], [...(primaries.get(row['agent_id']) ?? []), row]);
	return standbys.filter(({ agent, machine }) => {
		const [row, ...more] = primaries.get(agent.id) ?? [];
		const isOne = row !== undefined && more.length === 0 && row['role'] === 'primary' && row['primary_of'] === agent.id;
		return (
			isOne && row['handle'] === machine.handle && row['instance_id'] === machine.instanceId && roles.get(agent.instanceId) === 'zombie'
		);
	}).length;
};
