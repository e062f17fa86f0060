import { parseArgs } from 'node:util';
import { median } from './drive.ts';
import { timeHelp } from './help.ts';
import { watchMemory } from './memory.ts';
import { compare, floorFor, floorRate, ROUTINES, type Timing } from './pairs.ts';
import { machine } from './processes.ts';
import { measureReads } from './reads.ts';
import { FULL, TENTH } from './reads-fill.ts';
import { readNotes } from './reads-report.ts';
import { busySwitchLine, helpLine, type Line, markdown, memoryLine, notes, routineLines, switchLine } from './report.ts';
import { measureRetention, type RetentionSize, retentionNotes } from './retention.ts';
import { type DatabaseName, makeFolder, type Server, startDaemon, startDatabase } from './servers.ts';
import { measureStorm, type StormSize } from './storm.ts';
import { stormNotes } from './storm-report.ts';
import { measureStreams } from './streams.ts';
import { driveSwitches, verifySwitches } from './switches.ts';
import { AGENTS, CONNECTIONS, finishBooks, populate, type World } from './world.ts';

const USAGE = `npm run bench -- [WORK ...] [options]
  WORK             heartbeat, poll, pricing, switch, memory, help, storm, retention, streams or reads (all but the last four)
  --only LIST      the same, comma separated
  --database NAME  sqlite, mariadb or both (both)
  --pairs N        pairs of floor and ours, runs of switches and of storms (3)
  --seconds N      measured, of each half of a pair (6)
  --warm N         before the first pair; later ones take a quarter (4)
  --memory N       seconds of load at each of two rates (20; the figure of the issue needs 300)
  --agents N       agents of the storm (1000); five times as many are idle
  --rows N         old rows that retention deletes (100000; the figure of the issue needs 1000000)
  --streams N      open event streams (1000)
  --idle N         seconds in which nothing is sent (30)
  --full           for reads: 200,000 switches, 2 million prices and 500,000 cost segments instead of a tenth
  --routes TEXT    for reads: only routes whose path holds it (a regular expression)
  --apart          for reads: no two connections ask for the same
  --clients N      for reads: among so many clients the agents and their history are divided
  --folder PATH    where the SQLite file goes (the system's temporary folder)
  --node ARGS      for the daemon's Node, such as '--cpu-prof --cpu-prof-dir=/tmp/profiles'
  --check          ends with 9 when a target is missed
`;

const USUAL = [...ROUTINES, 'switch', 'memory', 'help'] as const;
const WORK = [...USUAL, 'storm', 'retention', 'streams', 'reads'] as const;

const { values: given, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		only: { type: 'string' },
		database: { type: 'string', default: 'both' },
		pairs: { type: 'string', default: '3' },
		seconds: { type: 'string', default: '6' },
		warm: { type: 'string', default: '4' },
		memory: { type: 'string', default: '20' },
		agents: { type: 'string', default: '1000' },
		idle: { type: 'string', default: '30' },
		streams: { type: 'string', default: '1000' },
		rows: { type: 'string', default: '100000' },
		folder: { type: 'string' },
		node: { type: 'string', default: '' },
		full: { type: 'boolean', default: false },
		routes: { type: 'string', default: '' },
		apart: { type: 'boolean', default: false },
		clients: { type: 'string', default: '10' },
		check: { type: 'boolean', default: false },
		help: { type: 'boolean', default: false },
	},
});

const positive = (name: 'pairs' | 'seconds' | 'warm' | 'memory' | 'agents' | 'clients' | 'idle' | 'rows' | 'streams'): number => {
	const value = Number(given[name]);
	if (!(value > 0)) throw new Error(`--${name} is not a positive number: ${given[name]}`);
	return value;
};

const say = (text: string): boolean => process.stderr.write(`${text}\n`);

const nodeArgs = given.node.split(' ').filter((arg) => arg !== '');

const measure = async (name: DatabaseName, wanted: ReadonlySet<string>, folder: string, lines: Line[]): Promise<string> => {
	const timing: Timing = { pairs: Math.ceil(positive('pairs')), seconds: positive('seconds'), warm: positive('warm') };
	const add = (...more: Line[]): void => {
		lines.push(...more);
		for (const line of more) say(`${line.work}: ${line.figure}`);
	};
	const database = await startDatabase(name, folder);
	try {
		say(`${database.title}: registering ${AGENTS} agents`);
		const daemon = await startDaemon(database, folder, nodeArgs);
		const world = await populate(database, daemon);
		const floor = await floorFor(world);
		for (const routine of ROUTINES) {
			if (wanted.has(routine)) add(...routineLines(name, routine, await compare(routine, world, floor, timing)));
		}
		let cycles = 0;
		if (wanted.has('switch')) {
			if (wanted.has('pricing')) {
				const { stretch, done } = await driveSwitches(world, timing.seconds);
				cycles += done;
				add(busySwitchLine(name, stretch));
				say(`the books were up to date after ${(await finishBooks(world)).toFixed(0)} s`);
			}
			const { line, done } = await measureSwitches(name, world, floor, timing, cycles);
			cycles = done;
			add(line);
		}
		await floor.stop();
		await daemon.stop();
		if (!wanted.has('memory')) return database.title;
		for (const rate of ['realistic', 'full'] as const) {
			const fresh = await startDaemon(database, folder, nodeArgs);
			const { switches, ...run } = await watchMemory({ ...world, daemon: fresh }, rate, positive('memory'));
			cycles += switches;
			add(memoryLine(name, run));
			await fresh.stop();
		}
		await verifySwitches(world, cycles);
		return database.title;
	} finally {
		await database.stop();
	}
};

const measureSwitches = async (name: DatabaseName, world: World, floor: Server, timing: Timing, before: number) => {
	const { pairs, warm, seconds } = timing;
	let done = before + (await driveSwitches(world, warm)).done;
	const stretches = [];
	const floors = [];
	for (let run = 0; run < pairs; run++) {
		floors.push(await floorRate(world, floor, timing));
		const { stretch, done: more } = await driveSwitches(world, seconds);
		stretches.push(stretch);
		done += more;
	}
	await verifySwitches(world, done);
	const wanted = median(stretches.map((each) => each.perSecond));
	const [middle] = stretches.sort((a, b) => Math.abs(a.perSecond - wanted) - Math.abs(b.perSecond - wanted));
	if (middle === undefined) throw new Error('nothing was measured');
	return { line: switchLine(name, middle, median(floors)), done };
};

const stormSize = (): StormSize => {
	const agents = Math.ceil(positive('agents'));
	return {
		runs: Math.ceil(positive('pairs')),
		agents,
		notices: Math.min(200, agents),
		idleAgents: 5 * agents,
		idleSeconds: positive('idle'),
	};
};

const readsPlan = () => ({
	agents: Math.ceil(positive('agents')),
	size: given.full ? FULL : TENTH,
	seconds: Math.min(2, positive('seconds')),
	only: new RegExp(given.routes),
	apart: given.apart,
	clients: Math.ceil(positive('clients')),
});

const retentionSize = (): RetentionSize => ({ rows: Math.ceil(positive('rows')) });

type Alone = (name: DatabaseName, path: string) => Promise<{ readonly lines: Line[]; readonly title: string }>;

/** What needs a database of its own, in the order in which it is measured. */
const ALONE: Readonly<Record<'storm' | 'reads' | 'retention' | 'streams', Alone>> = {
	storm: (name, path) => measureStorm(name, path, nodeArgs, stormSize(), (text) => void say(text)),
	reads: (name, path) => measureReads(name, path, nodeArgs, readsPlan(), (text) => void say(text)),
	retention: (name, path) => measureRetention(name, path, nodeArgs, retentionSize(), (text) => void say(text)),
	streams: (name, path) =>
		measureStreams(name, path, nodeArgs, { streams: Math.ceil(positive('streams')), seconds: positive('idle') }, (text) => void say(text)),
};

const main = async (): Promise<void> => {
	if (given.help) {
		process.stdout.write(USAGE);
		return;
	}
	const named = [...positionals, ...(given.only?.split(',') ?? [])];
	const wanted = new Set<string>(named.length === 0 ? USUAL : named);
	for (const name of wanted) if (!WORK.some((known) => known === name)) throw new Error(`there is no work "${name}"\n${USAGE}`);
	const databases: DatabaseName[] = given.database === 'both' ? ['sqlite', 'mariadb'] : [given.database as DatabaseName];
	if (!databases.every((name) => name === 'sqlite' || name === 'mariadb')) throw new Error(`--database does not know "${given.database}"`);
	const folder = makeFolder(given.folder);
	process.once('SIGINT', () => {
		folder.remove();
		process.exit(130);
	});
	const loads = [...wanted].some((name) => name !== 'help' && !Object.hasOwn(ALONE, name));
	const lines: Line[] = [];
	const titles: string[] = [];
	try {
		if (loads) for (const name of databases) titles.push(await measure(name, wanted, folder.path, lines));
		for (const [work, measureAlone] of Object.entries(ALONE)) {
			if (!wanted.has(work)) continue;
			for (const name of databases) {
				const result = await measureAlone(name, makeFolder(folder.path).path);
				lines.push(...result.lines);
				titles.push(result.title);
			}
		}
		if (wanted.has('help')) lines.push(helpLine(timeHelp()));
	} finally {
		folder.remove();
	}
	const about = [
		...(loads ? [notes(machine(), titles, AGENTS, CONNECTIONS)] : []),
		...(wanted.has('storm') ? [stormNotes(machine(), titles, stormSize())] : []),
		...(wanted.has('reads') ? [readNotes(machine(), titles, readsPlan())] : []),
		...(wanted.has('streams') ? [`Streams measured on ${machine()}, ${titles.join('; ')}.`] : []),
		...(wanted.has('retention') ? [retentionNotes(machine(), titles, retentionSize())] : []),
	];
	process.stdout.write(`\n${markdown(lines)}\n\n${about.join('\n\n')}\n`);
	if (given.check && lines.some((line) => line.met === false)) process.exitCode = 9;
};

await main();
