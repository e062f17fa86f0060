import { setTimeout as delay } from 'node:timers/promises';
import { watchCpu } from './drive.ts';
import { type Agent, agentPath, heartbeat, request } from './requests.ts';
import { type BenchDatabase, type Daemon, startDaemon, startDatabase } from './servers.ts';
import { awaitOrder, carry, launch, notice, onConnections, pollOrders, type Standby, signal } from './standbys.ts';
import { finishBooks, populate, type World } from './world.ts';

/** What became of emergencies whose new primaries were heard: by state. */
export const confirm = async (world: World, standbys: readonly Standby[]): Promise<Record<string, number>> => {
	await onConnections(world.daemon.port, standbys, async (connection, { machine }) => {
		await carry(connection, 'heartbeat of the new primary', heartbeat(machine));
	});
	const wanted = new Set(standbys.map(({ agent }) => agent.instanceId));
	let states: Record<string, number> = {};
	for (let attempt = 0; attempt < 50; attempt++) {
		states = {};
		const rows = await world.database.query("select instance_id, outcome from emergency where kind = 'termination'");
		for (const row of rows) {
			const state = String(row['outcome'] ?? 'open');
			if (wanted.has(String(row['instance_id']))) states[state] = (states[state] ?? 0) + 1;
		}
		if ((states['failed-over'] ?? 0) === standbys.length) break;
		await delay(200);
	}
	return states;
};

const generations = async (database: BenchDatabase): Promise<Map<string, number>> =>
	new Map((await database.query('select id, generation from agent')).map((row) => [String(row['id']), Number(row['generation'])]));

/** Notices that each come three times at once; how many agents were promoted once, and have one emergency that knows of three reports. */
export const sendThrice = async (
	world: World,
	second: Daemon,
	standbys: readonly Standby[],
): Promise<{ promoted: number; booked: number }> => {
	const before = await generations(world.database);
	const to = (port: number): Promise<void> =>
		onConnections(
			port,
			standbys,
			async (connection, { agent, machine }) => {
				const body = await carry(connection, 'notice', notice(agent));
				if (body['success'] !== true || body['new_instance_id'] !== machine.instanceId)
					throw new Error(`a repeat of the notice of ${agent.logicalId} answered ${JSON.stringify(body)}`);
			},
			standbys.length,
		);
	await Promise.all([to(world.daemon.port), to(second.port), to(world.daemon.port)]);
	const after = await generations(world.database);
	const emergencies = await world.database.query("select instance_id, reports from emergency where kind = 'termination'");
	const switches = await world.database.query('select old_instance_id from switch_record where success = 1');
	const count = (rows: Array<Record<string, unknown>>, key: string, id: string): number => rows.filter((row) => row[key] === id).length;
	return {
		promoted: standbys.filter(
			({ agent }) =>
				(after.get(agent.id) ?? 0) - (before.get(agent.id) ?? 0) === 1 && count(switches, 'old_instance_id', agent.instanceId) === 1,
		).length,
		booked: standbys.filter(({ agent }) => {
			const [row, ...more] = emergencies.filter((each) => each['instance_id'] === agent.instanceId);
			return row !== undefined && more.length === 0 && Number(row['reports']) === 3;
		}).length,
	};
};

/** What cold notices came to. */
export type Cold = {
	readonly agents: number;
	/** The launch order was in the next poll after the notice. */
	readonly ordered: number;
	/** The new machine became the primary with its word that it is ready. */
	readonly promoted: number;
	/** Milliseconds from the refusal of a launch to the next order. */
	readonly again: readonly number[];
};

/** Notices of agents that have no replica. Every second launch is refused once, as EC2 does without capacity. */
export const sendCold = async (world: World, agents: readonly Agent[]): Promise<Cold> => {
	let ordered = 0;
	const again: number[] = [];
	const standbys: Standby[] = [];
	await onConnections(world.daemon.port, [...agents.entries()], async (connection, [index, agent]) => {
		// As it does every 30 s: a host that never asks for launch orders cannot launch, and gets none.
		await pollOrders(connection, agent);
		await carry(connection, 'heartbeat', heartbeat(agent));
		const first = await carry(connection, 'signal', signal(agent));
		const answer = await carry(connection, 'notice', notice(agent));
		const isOpen = [first, answer].every((body) => typeof body['action'] === 'string' && typeof body['emergency_id'] === 'string');
		if (!isOpen || answer['success'] !== false)
			throw new Error(`the cold notice of ${agent.logicalId} answered ${JSON.stringify(first)}, then ${JSON.stringify(answer)}`);
		let [order] = await pollOrders(connection, agent);
		if (order !== undefined) ordered++;
		else order = (await awaitOrder(connection, agent)).order;
		if (index % 2 === 1) {
			const failed = { status: 'failed', error_message: 'InsufficientInstanceCapacity' };
			await carry(connection, 'refused launch', request('POST', agentPath(agent, `replicas/${order.id}/status`), agent.token, failed));
			const refusedAt = performance.now();
			order = (await awaitOrder(connection, agent)).order;
			again.push(performance.now() - refusedAt);
		}
		standbys.push(await launch(connection, agent, order));
	});
	const rows = await world.database.query("select agent_id, instance_id from host where role = 'primary' and primary_of = agent_id");
	const primary = new Map(rows.map((row) => [row['agent_id'], row['instance_id']]));
	return {
		agents: agents.length,
		ordered,
		promoted: standbys.filter(({ agent, machine }) => primary.get(agent.id) === machine.instanceId).length,
		again,
	};
};

/** Cores used while nobody sends anything: by the daemon, by its database, and by the database once the daemon is gone. */
export type Idle = { readonly agents: number; readonly daemon: number; readonly database: number; readonly alone: number };

/** A fleet that registered and says nothing more, on a database of its own. */
export const watchIdle = async (
	name: BenchDatabase['name'],
	folder: string,
	nodeArgs: readonly string[],
	agents: number,
	seconds: number,
): Promise<Idle> => {
	const database = await startDatabase(name, folder);
	try {
		const daemon = await startDaemon(database, folder, nodeArgs);
		await populate(database, daemon, agents);
		await finishBooks({ daemon });
		const finish = watchCpu([daemon.pid, ...database.pids]);
		await delay(seconds * 1000);
		const [, ours = 0, theirs = 0] = finish(1).cores;
		await daemon.stop();
		await delay(1000);
		const rest = watchCpu([...database.pids]);
		await delay(Math.min(5, seconds) * 1000);
		const [, alone = 0] = rest(1).cores;
		return { agents, daemon: ours, database: theirs, alone };
	} finally {
		await database.stop();
	}
};
