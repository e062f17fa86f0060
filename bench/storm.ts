import { watchCpu } from './drive.ts';
import { type Crowd, type Latency, ROUTINE, storm, stormRaw, timeNotices, timeRaw } from './notices.ts';
import { floorFor } from './pairs.ts';
import { openRaw } from './raw.ts';
import type { Line } from './report.ts';
import { type DatabaseName, makeFolder, startDaemon, startDatabase } from './servers.ts';
import { countPromoted, expectPromoted, makeReady, move, type Standby, touch } from './standbys.ts';
import { confirm, sendCold, sendThrice, watchIdle } from './storm-cases.ts';
import { coldLines, crowdLines, idleLine, latencyLine, type Measured, thriceLine } from './storm-report.ts';
import { populate } from './world.ts';

/** How much of everything. */
export type StormSize = {
	/** Runs of which the median counts. */
	readonly runs: number;
	/** Agents with ready replicas that are told at once. */
	readonly agents: number;
	/** Notices of one run beside routine requests. */
	readonly notices: number;
	readonly idleAgents: number;
	readonly idleSeconds: number;
};

/** Agents that send the routine requests, and those that get a notice without a replica. */
const ROUTINE_AGENTS = 200;
const COLD_AGENTS = 100;
const THRICE_AGENTS = 100;

const PROMOTED = {
	success: true,
	action: 'replica_promoted',
	message: 'i-000000000000000be is the primary now; this machine may stop',
	new_instance_id: 'i-000000000000000be',
	replica_id: '00000000-0000-7000-8000-000000000000',
	failover_time_ms: 12,
	emergency_id: '00000000-0000-7000-8000-000000000000',
};
/** As long as ours: keys of the object at the top level and in `data`. */
const FLOOR_ANSWER = JSON.stringify({ status: 'success', error: null, data: PROMOTED, ...PROMOTED });

/** Part 2's figures on one database: notices, storms, repeats, cold notices, and what an idle fleet costs. */
export const measureStorm = async (
	name: DatabaseName,
	folder: string,
	nodeArgs: readonly string[],
	size: StormSize,
	say: (text: string) => void,
): Promise<{ lines: Line[]; title: string }> => {
	const lines: Line[] = [];
	const add = (...more: Line[]): void => {
		lines.push(...more);
		for (const line of more) say(`${line.work}: ${line.figure}`);
	};
	const database = await startDatabase(name, folder);
	try {
		const daemon = await startDaemon(database, folder, nodeArgs);
		const total = size.agents + ROUTINE_AGENTS + COLD_AGENTS;
		say(`${database.title}: registering ${total} agents, bringing up ${size.agents} replicas`);
		const world = await populate(database, daemon, total);
		const [told, routine] = [world.agents.slice(0, size.agents), world.agents.slice(size.agents, size.agents + ROUTINE_AGENTS)];
		const cold = world.agents.slice(size.agents + ROUTINE_AGENTS);
		const floor = await floorFor({ ...world, agents: routine }, FLOOR_ANSWER);
		const raw = await openRaw(database, size.agents);
		let standbys = await makeReady(world, told, true);

		/** These have a new primary: their next replica is ordered without asking, and brought up again. */
		const again = async (promoted: readonly Standby[]): Promise<void> => {
			const gone = new Set(promoted);
			const moved = move(promoted);
			standbys = [...standbys.filter((standby) => !gone.has(standby)), ...(await makeReady(world, moved, false))];
		};

		const latencies: Measured<Latency> = { floor: [], raw: [], ours: [] };
		for (let run = 0; run < size.runs; run++) {
			const part = standbys.slice(0, size.notices);
			await touch(world, part);
			latencies.floor.push(await timeNotices(floor.port, part, routine, null));
			latencies.raw.push(await timeRaw(raw, part.length));
			latencies.ours.push(await timeNotices(daemon.port, part, routine, expectPromoted));
			await confirm(world, part);
			await again(part);
		}
		add(latencyLine(name, ROUTINE, latencies));

		const crowds: Measured<Crowd> = { floor: [], raw: [], ours: [] };
		const correct: number[] = [];
		let states: Record<string, number> = {};
		let cost: { each: readonly number[]; cores: readonly number[] } = { each: [], cores: [] };
		for (let run = 0; run < size.runs; run++) {
			await touch(world, standbys);
			crowds.floor.push(await storm(floor.port, standbys, null));
			crowds.raw.push(await stormRaw(raw, standbys.length));
			const finish = watchCpu([daemon.pid, ...database.pids]);
			crowds.ours.push(await storm(daemon.port, standbys, expectPromoted));
			const used = finish(standbys.length);
			cost = { each: used.cpuPerRequest, cores: used.cores };
			correct.push(await countPromoted(world, standbys));
			states = await confirm(world, standbys);
			await again(standbys);
		}
		add(...crowdLines(name, size.agents, crowds, Math.min(...correct), states, cost));

		if (name === 'mariadb') {
			const second = await startDaemon(database, folder, nodeArgs);
			const part = standbys.slice(0, THRICE_AGENTS);
			await touch(world, part);
			add(thriceLine(name, part.length, await sendThrice(world, second, part)));
			await second.stop();
		}
		add(...coldLines(name, await sendCold(world, cold)));
		await raw.close();
		await floor.stop();
		await daemon.stop();
		say(`${database.title}: registering ${size.idleAgents} agents`);
		add(idleLine(name, size.idleSeconds, await watchIdle(name, makeFolder(folder).path, nodeArgs, size.idleAgents, size.idleSeconds)));
		return { lines, title: database.title };
	} finally {
		await database.stop();
	}
};
