import type { Connection } from './connection.ts';
import { drive, inTurn, type Load, pace } from './drive.ts';
import { memoryMb } from './processes.ts';
import { type Agent, get, heartbeat, pricingReport } from './requests.ts';
import { switchOnce } from './switches.ts';
import { openConnections, type World } from './world.ts';

/** Below this a run says how much, but not whether it grows. */
export const JUDGED_SECONDS = 120;
/** More growth than this, in MB a minute over the second half of the run, is not level. */
const LEVEL = 1;

/** Memory of the daemon over a stretch of load. */
export type MemoryRun = {
	readonly rate: string;
	readonly perSecond: number;
	readonly seconds: number;
	/** MB at equal distances; the last is the end of the run. */
	readonly samples: readonly number[];
	readonly peak: number;
	/** MB a minute over the second half. */
	readonly slope: number;
	readonly level: boolean | null;
};

/** What a classic agent sends in five minutes (clients.md section 1), one entry a request: 61 of them, 12.2 a minute. */
const mixOf = (agent: Agent): Array<() => Buffer> => {
	const fixed = (times: number, bytes: Buffer) => Array.from({ length: times }, () => () => bytes);
	return [
		...fixed(10, heartbeat(agent)),
		...fixed(20, get(agent, 'pending-commands')),
		...fixed(10, get(agent, 'replicas?status=launching')),
		...fixed(10, get(agent, 'replicas?status=terminated')),
		...fixed(5, get(agent, 'config')),
		...fixed(5, get(agent, 'instances-to-terminate')),
		pricingReport(agent),
	];
};

/** The requests of classic agents in their proportions, evenly spread. */
export const mixedLoad = (agents: readonly Agent[]): Load => {
	// A stride that shares no factor with 61 spreads the kinds of request evenly over time and agents.
	const mixes = agents.map((agent) => mixOf(agent));
	let turn = 0;
	return {
		next: () => {
			const mix = mixes[turn % mixes.length] ?? [];
			const make = mix[(turn * 23 + Math.floor(turn / mixes.length) * 7) % mix.length];
			turn++;
			return make?.() ?? Buffer.alloc(0);
		},
		expect: '"status":"success"',
	};
};

/** Fits a line through the lowest value of each tenth of the samples: garbage that is about to be collected is no growth. */
const slopeOf = (samples: readonly number[], everySeconds: number): number => {
	const size = Math.max(1, Math.floor(samples.length / 10));
	const lows: Array<[number, number]> = [];
	for (let start = 0; start < samples.length; start += size) {
		lows.push([((start + size / 2) * everySeconds) / 60, Math.min(...samples.slice(start, start + size))]);
	}
	const mean = (pick: 0 | 1) => lows.reduce((sum, low) => sum + low[pick], 0) / lows.length;
	const [x, y] = [mean(0), mean(1)];
	const spread = lows.reduce((sum, [minute]) => sum + (minute - x) ** 2, 0);
	return spread === 0 ? 0 : lows.reduce((sum, [minute, mb]) => sum + (minute - x) * (mb - y), 0) / spread;
};

const SHOWN = 10;

/** Runs the mixed load beside one switch a second and watches the memory: `realistic` as 1,000 agents send, `full` as fast as it goes. */
export const watchMemory = async (world: World, rate: 'realistic' | 'full', seconds: number): Promise<MemoryRun & { switches: number }> => {
	const { daemon, agents, operatorToken } = world;
	// A switch changes its agent's handle, so those that switch are not those that send.
	const [switching, sending] = [agents.slice(0, 50), agents.slice(50)];
	const { connections, during, close } = await openConnections(daemon.port);
	const [forSwitches, ...forLoad] = connections;
	if (forSwitches === undefined) throw new Error('no connection');
	const everySeconds = Math.max(0.2, seconds / 300);
	const samples: number[] = [];
	const sampler = setInterval(() => samples.push(memoryMb(daemon.pid)), everySeconds * 1000);
	const load = mixedLoad(sending);
	const nextAgent = inTurn(switching);
	let switches: Promise<void> = Promise.resolve();
	const ordered = pace(1, seconds, () => {
		switches = switches.then(() => switchOnce(forSwitches, nextAgent(), operatorToken));
		return switches;
	});
	const sent =
		rate === 'full'
			? drive(forLoad, load, seconds, [daemon.pid]).then((stretch) => stretch.count)
			: pace((sending.length * 12.2) / 60, seconds, sendOn(forLoad, load));
	try {
		const [count, switched] = await during(Promise.all([sent, ordered]));
		await during(switches);
		samples.push(memoryMb(daemon.pid));
		const half = samples.slice(samples.length >> 1);
		const slope = slopeOf(half, everySeconds);
		return {
			switches: switched,
			rate,
			seconds,
			perSecond: count / seconds,
			peak: Math.max(...samples),
			samples: Array.from({ length: SHOWN }, (_, index) => samples[Math.ceil(((index + 1) * samples.length) / SHOWN) - 1] ?? 0),
			slope,
			level: seconds < JUDGED_SECONDS ? null : slope <= LEVEL,
		};
	} finally {
		clearInterval(sampler);
		close();
	}
};

/** Sends on whichever connection is free; when none is, the request waits for one. */
export const sendOn = (connections: readonly Connection[], load: Load) => {
	const free = [...connections];
	const waiting: Array<(connection: Connection) => void> = [];
	const take = (): Promise<Connection> => {
		// The one that rested longest: a connection on which nothing is ever sent is closed by the daemon.
		const connection = free.shift();
		return connection === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(connection);
	};
	return async (): Promise<void> => {
		const connection = await take();
		await new Promise<void>((resolve) => connection.send(load.next(), resolve));
		if (connection.status !== 200) throw new Error(`${connection.status}: ${connection.text()}`);
		const next = waiting.shift();
		if (next === undefined) free.push(connection);
		else next(connection);
	};
};
