import { drive, inTurn, type Load, median, type Stretch } from './drive.ts';
import type { FloorAnswers } from './floor.ts';
import { type Agent, get, heartbeat, pricingReport } from './requests.ts';
import { type Server, startFloor } from './servers.ts';
import { askOnce, openConnections, type World } from './world.ts';

export type Routine = Exclude<keyof FloorAnswers, 'notice'>;
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

/** A floor that answers as many bytes as this daemon does; `notice` is what it answers to a notice. */
export const floorFor = async ({ daemon, agents }: World, notice?: string): Promise<Server> => {
	const [agent] = agents;
	if (agent === undefined) throw new Error('no agent');
	const answer = (routine: Routine): Promise<string> => askOnce(daemon.port, senders[routine](agent)());
	return startFloor({
		heartbeat: await answer('heartbeat'),
		poll: await answer('poll'),
		pricing: await answer('pricing'),
		...(notice !== undefined && { notice }),
	});
};

const middleOf = (stretches: readonly Stretch[]): Stretch => {
	const wanted = median(stretches.map((each) => each.perSecond));
	const byDistance = [...stretches].sort((a, b) => Math.abs(a.perSecond - wanted) - Math.abs(b.perSecond - wanted));
	const [middle] = byDistance;
	if (middle === undefined) throw new Error('nothing was measured');
	return middle;
};

/** One stretch on new connections, since servers close those that rest for as long as the other side is measured. */
const stretch = async (port: number, load: Load, warm: number, seconds: number, pids: readonly number[]): Promise<Stretch> => {
	const { connections, during, close } = await openConnections(port);
	try {
		await during(drive(connections, load, warm, pids));
		return await during(drive(connections, load, seconds, pids));
	} finally {
		close();
	}
};

/** What the floor answers here and now, in heartbeats a second: how fast the machine is. */
export const floorRate = async ({ agents, database }: World, floor: Server, { warm, seconds }: Timing): Promise<number> =>
	(await stretch(floor.port, loadOf('heartbeat', agents), warm / 4, seconds / 2, [floor.pid, ...database.pids])).perSecond;

/** Alternates floor and daemon under the same requests; the first pair warms both up fully, later ones only briefly. */
export const compare = async (routine: Routine, { agents, daemon, database }: World, floor: Server, timing: Timing): Promise<Compared> => {
	const load = loadOf(routine, agents);
	const floors: Stretch[] = [];
	const ours: Stretch[] = [];
	for (let pair = 0; pair < timing.pairs; pair++) {
		const warm = pair === 0 ? timing.warm : timing.warm / 4;
		floors.push(await stretch(floor.port, load, warm, timing.seconds, [floor.pid]));
		ours.push(await stretch(daemon.port, load, warm, timing.seconds, [daemon.pid, ...database.pids]));
	}
	const shares = ours.map((each, pair) => each.perSecond / (floors[pair]?.perSecond ?? Number.NaN));
	return { floor: middleOf(floors), ours: middleOf(ours), share: median(shares), shares };
};
