import type { Output } from '../../src/contract/index.ts';

type Emergency = Output<'listEmergencies'>['items'][number];
type Instant = 'signal_at' | 'received_at' | 'planned_at' | 'launched_at' | 'ready_at' | 'promoted_at' | 'confirmed_at' | 'ended_at';

/** The stages of a failover, and the whole of it as the product measures it: from the signal to the first heartbeat of the new primary. */
const STAGES: readonly (readonly [from: Instant, to: Instant])[] = [
	['signal_at', 'received_at'],
	['received_at', 'planned_at'],
	['planned_at', 'launched_at'],
	['launched_at', 'ready_at'],
	['ready_at', 'promoted_at'],
	['received_at', 'promoted_at'],
	['promoted_at', 'confirmed_at'],
	['signal_at', 'confirmed_at'],
];

/** How long one stage took in a group of emergencies, seconds. */
export type Stage = {
	readonly group: string;
	readonly stage: string;
	readonly count: number;
	readonly p50: number;
	readonly p90: number;
	readonly p99: number;
	readonly longest: number;
};

const name = (instant: Instant): string => instant.replace('_at', '');

const at = (sorted: readonly number[], share: number): number =>
	sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;

/** Percentiles by group and stage. A stage that had begun when the notice came (of a replica that stood by) is none of the failover and left out. */
export const stagesOf = (emergencies: readonly Emergency[], groupOf: (emergency: Emergency) => string): Stage[] => {
	const groups = new Map<string, Emergency[]>();
	for (const emergency of emergencies) groups.set(groupOf(emergency), [...(groups.get(groupOf(emergency)) ?? []), emergency]);
	return [...groups].sort().flatMap(([group, members]) =>
		STAGES.flatMap(([from, to]) => {
			const lengths = members.flatMap((emergency) => {
				const [begun, done] = [emergency[from], emergency[to]];
				if (begun === null || done === null) return [];
				if (from !== 'signal_at' && Date.parse(begun) < Date.parse(emergency.received_at)) return [];
				const length = Date.parse(done) - Date.parse(begun);
				return length < 0 ? [] : [length / 1_000];
			});
			if (lengths.length === 0) return [];
			const sorted = lengths.sort((one, other) => one - other);
			return [
				{
					group,
					stage: `${name(from)} -> ${name(to)}`,
					count: sorted.length,
					p50: at(sorted, 0.5),
					p90: at(sorted, 0.9),
					p99: at(sorted, 0.99),
					longest: sorted.at(-1) ?? Number.NaN,
				},
			];
		}),
	);
};

const seconds = (value: number): string => (value < 10 ? value.toFixed(3) : value.toFixed(1));

/** The stages as lines of a table. */
export const stageTable = (stages: readonly Stage[]): string[] => {
	const head = `${'seconds'.padEnd(24)}${'stage'.padEnd(26)}${['n', 'p50', 'p90', 'p99', 'max'].map((title) => title.padStart(9)).join('')}`;
	const rows = stages.map(({ group, stage, count, p50, p90, p99, longest }) => {
		const figures = [String(count), ...[p50, p90, p99, longest].map(seconds)].map((text) => text.padStart(9));
		return `${group.padEnd(24)}${stage.padEnd(26)}${figures.join('')}`;
	});
	return [head, ...rows];
};
