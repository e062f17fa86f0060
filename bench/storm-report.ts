import { median } from './drive.ts';
import type { Crowd, Latency } from './notices.ts';
import type { Line } from './report.ts';
import type { DatabaseName } from './servers.ts';
import type { StormSize } from './storm.ts';
import type { Cold, Idle } from './storm-cases.ts';

/** Runs of bare Fastify, of the bare database and of ours, in turns. */
export type Measured<T> = { readonly floor: T[]; readonly raw: T[]; readonly ours: T[] };

/** What issue 3 asks for ("Must reach"). */
const TARGETS = {
	sqlite: { noticeMs: 20, stormMs: 600 },
	mariadb: { noticeMs: 50, stormMs: 800 },
	idleShare: 0.01,
} as const;

const onDatabase = { sqlite: 'SQLite', mariadb: 'MariaDB' } as const;
const ms = (value: number): string => (value < 10 ? value.toFixed(1) : value.toFixed(0));
const seconds = (value: number): string => (value / 1000).toFixed(2);
const blank = { each: '', cores: '' } as const;

const range = (values: readonly number[], show: (value: number) => string): string =>
	values.length > 1 ? ` (${show(Math.min(...values))}-${show(Math.max(...values))})` : '';

export const latencyLine = (database: DatabaseName, routine: number, { floor, raw, ours }: Measured<Latency>): Line => {
	const p99 = (runs: readonly Latency[]): number => median(runs.map((run) => run.p99));
	const target = TARGETS[database].noticeMs;
	return {
		work: `notice with ready replica, ${routine} requests/s beside it, ${onDatabase[database]}`,
		floor: `p99 ${ms(p99(floor))} ms Fastify, ${ms(p99(raw))} ms database`,
		ours: `p50 ${ms(median(ours.map((run) => run.median)))} ms, longest ${ms(Math.max(...ours.map((run) => run.longest)))} ms`,
		figure: `p99 ${ms(p99(ours))} ms${range(
			ours.map((run) => run.p99),
			ms,
		)}`,
		target: `p99 ${target} ms`,
		met: p99(ours) < target,
		...blank,
	};
};

const share = (part: number, whole: number): string => `${part.toLocaleString('en-US')} of ${whole.toLocaleString('en-US')}`;

export const crowdLines = (
	database: DatabaseName,
	agents: number,
	{ floor, raw, ours }: Measured<Crowd>,
	correct: number,
	states: Readonly<Record<string, number>>,
	cost: { readonly each: readonly number[]; readonly cores: readonly number[] },
): Line[] => {
	const last = (runs: readonly Crowd[]): number => median(runs.map((run) => run.last));
	const target = TARGETS[database].stormMs;
	const failedOver = states['failed-over'] ?? 0;
	return [
		{
			work: `storm: ${agents.toLocaleString('en-US')} notices at once, all promoted, ${onDatabase[database]}`,
			floor: `${seconds(last(floor))} s Fastify, ${seconds(last(raw))} s database`,
			ours: `half of them after ${seconds(median(ours.map((run) => run.median)))} s`,
			figure: `${seconds(last(ours))} s${range(
				ours.map((run) => run.last),
				seconds,
			)}`,
			target: `${target / 1000} s`,
			met: last(ours) <= target,
			each: cost.each.map((value) => value.toFixed(3)).join(' + '),
			cores: cost.cores.map((value) => value.toFixed(2)).join(' + '),
		},
		{
			work: `agents with exactly one live primary after it, ${onDatabase[database]}`,
			floor: '',
			ours: share(correct, agents),
			figure: share(correct, agents),
			target: share(agents, agents),
			met: correct === agents,
			...blank,
		},
		{
			work: `emergencies ended failed-over after the first heartbeats, ${onDatabase[database]}`,
			floor: '',
			ours: Object.entries(states)
				.map(([state, count]) => `${state} ${count}`)
				.join(', '),
			figure: share(failedOver, agents),
			target: share(agents, agents),
			met: failedOver === agents,
			...blank,
		},
	];
};

export const thriceLine = (database: DatabaseName, agents: number, { promoted, booked }: { promoted: number; booked: number }): Line => ({
	work: `each notice three times through two daemons, ${onDatabase[database]}`,
	floor: '',
	ours: `one emergency with three reports: ${share(booked, agents)}`,
	figure: `one promotion each: ${share(promoted, agents)}`,
	target: 'one each',
	met: promoted === agents && booked === agents,
	...blank,
});

export const coldLines = (database: DatabaseName, { agents, ordered, promoted, again }: Cold): Line[] => [
	{
		work: `cold notice: the order is in the next poll, ${onDatabase[database]}`,
		floor: '',
		ours: again.length === 0 ? '' : `after a refused launch: ${ms(median(again))} ms, longest ${ms(Math.max(...again))} ms`,
		figure: share(ordered, agents),
		target: '100 %',
		met: ordered === agents,
		...blank,
	},
	{
		work: `cold notice: promoted when ready, every second launch refused once, ${onDatabase[database]}`,
		floor: '',
		ours: share(promoted, agents),
		figure: `${((promoted * 100) / agents).toFixed(0)} %`,
		target: '100 %',
		met: promoted === agents,
		...blank,
	},
];

export const idleLine = (database: DatabaseName, watched: number, { agents, daemon, database: theirs, alone }: Idle): Line => {
	const percent = (cores: number): string => `${(cores * 100).toFixed(2)} %`;
	return {
		work: `idle: ${agents.toLocaleString('en-US')} agents, nothing sent for ${watched} s, ${onDatabase[database]}`,
		floor: database === 'sqlite' ? '' : `${percent(alone)} database alone`,
		ours: database === 'sqlite' ? percent(daemon) : `${percent(daemon)} + ${percent(theirs)}`,
		figure: `${percent(daemon + theirs)} of a core`,
		target: 'below 1 %',
		met: daemon + theirs < TARGETS.idleShare,
		...blank,
	};
};

export const stormNotes = (machine: string, databases: readonly string[], size: StormSize): string =>
	[
		`Notices: measured on ${machine}, ${[...new Set(databases)].join(', ')}; medians of ${size.runs} runs (lowest to highest).`,
		`A notice is the classic agent's termination-imminent, its answer read and checked: success, and the machine of the replica. ${size.notices} notices a run at 25/s beside the routine of 200 agents; in the storm each agent has a connection of its own, open before.`,
		'Floors: bare Fastify answering a constant to the same notices (and the same routine), and the database alone on the same driver (one update of an agent, two of hosts, commit; ten connections on MariaDB), in turns with ours.',
		'After a storm the database is asked: one primary an agent, the machine of its replica, and the old one a zombie.',
	].join('\n');
