import type { Stretch } from './drive.ts';
import type { timeHelp } from './help.ts';
import { JUDGED_SECONDS, type MemoryRun } from './memory.ts';
import type { Compared, Routine } from './pairs.ts';
import type { DatabaseName } from './servers.ts';

/** One line of the table. `met` is null where nothing was asked for or the run was too short to say. */
export type Line = {
	readonly work: string;
	readonly floor: string;
	readonly ours: string;
	readonly figure: string;
	readonly target: string;
	readonly met: boolean | null;
	/** Processor time of one request in milliseconds: daemon, then database. */
	readonly each: string;
	readonly cores: string;
};

/** What issue 2 asks for ("Must reach"). */
const TARGETS = {
	sqlite: { heartbeat: 45, poll: 50, pricing: 16, switches: 600 },
	mariadb: { heartbeat: 45, poll: 50, pricing: 18, switches: 300 },
	cpuMs: 0.12,
	memoryMb: 150,
	helpMs: 100,
} as const;

const WORK: Readonly<Record<Routine, string>> = {
	heartbeat: 'heartbeat',
	poll: 'poll with nothing pending',
	pricing: 'pricing report, 6 pools',
};

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const sum = (values: readonly number[], digits: number): string => values.map((value) => value.toFixed(digits)).join(' + ');
export const onDatabase = { sqlite: 'SQLite', mariadb: 'MariaDB' } as const;

const routineLine = (database: DatabaseName, routine: Routine, { floor, ours, share, shares }: Compared): Line => {
	const target = TARGETS[database][routine];
	const percent = share * 100;
	const spread = shares.map((each) => Math.round(each * 100));
	return {
		work: `${WORK[routine]}, ${onDatabase[database]}`,
		floor: `${whole(floor.perSecond)}/s`,
		ours: `${whole(ours.perSecond)}/s`,
		figure: `${percent.toFixed(0)} % (${Math.min(...spread)}-${Math.max(...spread)})`,
		target: `${target} %`,
		met: percent >= target,
		each: sum(ours.cpuPerRequest, 3),
		cores: sum(ours.cores, 2),
	};
};

const cpuLine = (database: DatabaseName, { floor, ours }: Compared): Line => {
	const each = ours.cpuPerRequest.reduce((sum, ms) => sum + ms, 0);
	return {
		work: `CPU per heartbeat, daemon + database, ${onDatabase[database]}`,
		floor: `${(floor.cpuPerRequest[0] ?? 0).toFixed(3)} ms`,
		ours: `${sum(ours.cpuPerRequest, 3)} ms`,
		figure: `${each.toFixed(3)} ms`,
		target: `${TARGETS.cpuMs} ms`,
		met: each <= TARGETS.cpuMs,
		each: '',
		cores: '',
	};
};

export const routineLines = (database: DatabaseName, routine: Routine, compared: Compared): Line[] =>
	routine === 'heartbeat'
		? [routineLine(database, routine, compared), cpuLine(database, compared)]
		: [routineLine(database, routine, compared)];

/** `floor`: heartbeats a second of the floor between the runs. A cycle has none of its own; beside it stands how fast the machine is. */
export const switchLine = (database: DatabaseName, stretch: Stretch, floor: number): Line => ({
	work: `whole switch cycles, ${onDatabase[database]}`,
	floor: `${whole(floor)}/s (heartbeats)`,
	ours: `${whole(stretch.perSecond)}/s`,
	figure: `${whole(stretch.perSecond)}/s, ${((100 * stretch.perSecond) / floor).toFixed(2)} % of the floor's heartbeats`,
	target: `${TARGETS[database].switches}/s`,
	met: stretch.perSecond >= TARGETS[database].switches,
	each: sum(stretch.cpuPerRequest, 3),
	cores: sum(stretch.cores, 2),
});

/** Switches while the books read what the pricing reports before said, each of them a new price. */
export const busySwitchLine = (database: DatabaseName, stretch: Stretch): Line => ({
	work: `whole switch cycles while the books read the pricing reports before, ${onDatabase[database]}`,
	floor: '',
	ours: `${whole(stretch.perSecond)}/s`,
	figure: `${whole(stretch.perSecond)}/s`,
	target: '',
	met: null,
	each: sum(stretch.cpuPerRequest, 3),
	cores: sum(stretch.cores, 2),
});

export const memoryLine = (database: DatabaseName, run: MemoryRun): Line => ({
	work: `memory after ${whole(run.seconds)} s at ${whole(run.perSecond)} requests/s, ${onDatabase[database]}`,
	floor: '',
	ours: `${run.samples.map((mb) => mb.toFixed(0)).join(' ')} MB`,
	figure: `peak ${run.peak.toFixed(0)} MB, ${run.slope >= 0 ? '+' : ''}${run.slope.toFixed(1)} MB/min`,
	target: `${TARGETS.memoryMb} MB, level`,
	met: run.peak >= TARGETS.memoryMb ? false : run.level,
	each: '',
	cores: '',
});

export const helpLine = ({ help, nothing }: ReturnType<typeof timeHelp>): Line => ({
	work: '`spotctl --help` beside `node -e 0`',
	floor: `${whole(nothing)} ms`,
	ours: `${whole(help)} ms`,
	figure: `+${whole(help - nothing)} ms`,
	target: `+${TARGETS.helpMs} ms`,
	met: help - nothing <= TARGETS.helpMs,
	each: '',
	cores: '',
});

const HEAD = ['work', 'floor', 'ours', 'figure', 'target', '', 'CPU ms each: daemon + database', 'cores: client + daemon + database'];

/** The lines as a Markdown table, aligned so that it reads on a terminal as well. */
export const markdown = (lines: readonly Line[]): string => {
	const verdict = ({ met }: Line): string => (met === null ? 'not judged' : met ? 'ok' : 'miss');
	const rows = [
		HEAD,
		...lines.map((line) => [line.work, line.floor, line.ours, line.figure, line.target, verdict(line), line.each, line.cores]),
	];
	const widths = HEAD.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
	const text = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
	text.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
	return text.join('\n');
};

export const notes = (machine: string, databases: readonly string[], agents: number, connections: number): string =>
	[
		`Measured on ${machine}, ${databases.join(', ')}.`,
		`${agents} agents on ${connections} keep-alive connections, one process each for client, daemon and database; log level info.`,
		'Floor: bare Fastify answering a constant of the same size to the same requests, in turns with ours; shares are medians of the pairs (lowest to highest).',
		`Memory is judged from ${JUDGED_SECONDS} s on.`,
	].join('\n');
