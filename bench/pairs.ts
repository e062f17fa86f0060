import { drive, inTurn, type Load, median, type Stretch } from './drive.ts';
import type { FloorAnswers } from './floor.ts';
import { type Agent, get, heartbeat, pricingReport } from './requests.ts';
import { type Server, startFloor } from './servers.ts';
import { askOnce, openConnections, type World } from './world.ts';

export type Routine = keyof FloorAnswers;
export const ROUTINES: readonly Routine[] = ['heartbeat', 'poll', 'pricing'];

/** How long and how often each load is measured. */
export type Timing = { readonly pairs: number; readonly warm: number; readonly seconds: number };

/** The floor and ours, measured in turns. */
export type Compared = {
	readonly floor: Stretch;
	readonly ours: Stretch;
	/** Median of the share within each pair: the machine's own swings touch both halves of one. */
	readonly share: number;
	readonly shares: readonly number[];
};

const senders: Readonly<Record<Routine, (agent: Agent) => () => Buffer>> = {
	heartbeat: (agent) => {
		const bytes = heartbeat(agent);
		return () => bytes;
	},
	poll: (agent) => {
		const bytes = get(agent, 'pending-commands');
		return () => bytes;
	},
	pricing: pricingReport,
};

const EXPECTED: Readonly<Record<Routine, string>> = {
	heartbeat: '"acknowledged":true',
	poll: '"commands":[]',
	pricing: '"records_inserted":6',
};

const loadOf = (routine: Routine, agents: readonly Agent[]): Load => {
	const next = inTurn(agents.map((agent) => senders[routine](agent)));
	return { next: () => next()(), expect: EXPECTED[routine] };
};

/** A floor that answers as many bytes as this daemon does. */
export const floorFor = async ({ daemon, agents }: World): Promise<Server> => {
	const [agent] = agents;
	if (agent === undefined) throw new Error('no agent');
	const answer = (routine: Routine): Promise<string> => askOnce(daemon.port, senders[routine](agent)());
	return startFloor({ heartbeat: await answer('heartbeat'), poll: await answer('poll'), pricing: await answer('pricing') });
};

const middleOf = (stretches: readonly Stretch[]): Stretch => {
	const wanted = median(stretches.map((each) => each.perSecond));
	const byDistance = [...stretches].sort((a, b) => Math.abs(a.perSecond - wanted) - Math.abs(b.perSecond - wanted));
	const [middle] = byDistance;
	if (middle === undefined) throw new Error('nothing was measured');
	return middle;
};

/** Alternates floor and daemon under the same requests; the first pair warms both up fully, later ones only briefly. */
export const compare = async (routine: Routine, world: World, floor: Server, timing: Timing): Promise<Compared> => {
	const load = loadOf(routine, world.agents);
	const floorSide = await openConnections(floor.port);
	const ourSide = await openConnections(world.daemon.port);
	const pids = [world.daemon.pid, ...world.database.pids];
	const floors: Stretch[] = [];
	const ours: Stretch[] = [];
	try {
		for (let pair = 0; pair < timing.pairs; pair++) {
			const warm = pair === 0 ? timing.warm : timing.warm / 4;
			await floorSide.during(drive(floorSide.connections, load, warm, [floor.pid]));
			floors.push(await floorSide.during(drive(floorSide.connections, load, timing.seconds, [floor.pid])));
			await ourSide.during(drive(ourSide.connections, load, warm, pids));
			ours.push(await ourSide.during(drive(ourSide.connections, load, timing.seconds, pids)));
		}
	} finally {
		floorSide.close();
		ourSide.close();
	}
	const shares = ours.map((each, pair) => each.perSecond / (floors[pair]?.perSecond ?? Number.NaN));
	return { floor: middleOf(floors), ours: middleOf(ours), share: median(shares), shares };
};
