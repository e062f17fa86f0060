import type { Output } from '../../src/contract/index.ts';
import type { Column, Tone } from '../render.ts';
import { relative } from '../text.ts';

type Row = Output<'showEmergency'>;

const TONES: Readonly<Record<string, Tone>> = {
	open: 'warn',
	'failed-over': 'good',
	'stood-by': 'good',
	recovered: 'good',
	unconfirmed: 'bad',
	told: 'bad',
	escalated: 'warn',
	overtaken: 'dim',
	deleted: 'dim',
};

/** Two minutes are all there is: what is near is counted in seconds. */
const NEAR = 600_000;

/** How far off a time is. */
export const timeLeft = (time: unknown, now: number): string => {
	const left = Date.parse(String(time)) - now;
	return left >= 1000 && left < NEAR ? `in ${Math.floor(left / 1000)}s` : relative(String(time), now);
};

/** A deadline is counted down to for as long as it matters: what has ended has none. */
const countdown = (time: unknown, now: number, { state }: Row): string => (state === 'open' ? timeLeft(time, now) : '-');

/** What is shown of an emergency, in lists and alone. */
export const emergencyFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Agent', value: ({ logical_agent_id }) => logical_agent_id },
	{ title: 'Kind', value: ({ kind }) => kind },
	{ title: 'Received', value: ({ received_at }) => received_at, as: 'time' },
	{ title: 'State', value: ({ state }) => state, tone: ({ state }) => TONES[state] },
	{ title: 'Step', value: ({ step }) => step },
	{ title: 'Instance', value: ({ instance_id }) => instance_id },
	{ title: 'New instance', value: ({ new_instance_id }) => new_instance_id },
	{ title: 'Deadline', value: ({ deadline_at }) => deadline_at, as: countdown },
	{ title: 'Failover', value: ({ failover_ms }) => (failover_ms === null ? null : failover_ms / 1000), as: 'seconds' },
	{ title: 'Message', value: ({ message }) => message, as: 'prose', wide: true },
	{ title: 'Replica', value: ({ replica_id }) => replica_id, wide: true },
	{ title: 'Pool', value: ({ pool_id }) => pool_id, wide: true },
	{ title: 'Reports', value: ({ reports }) => reports, wide: true },
	{ title: 'Agent id', value: ({ agent_id }) => agent_id, wide: true },
	{ title: 'Client id', value: ({ client_id }) => client_id, wide: true },
];

/** The stages of an emergency, in the order they are meant to happen. */
export const STAGES: ReadonlyArray<{ readonly title: string; readonly at: (row: Row) => string | null }> = [
	{ title: 'Signal seen', at: ({ signal_at }) => signal_at },
	{ title: 'Received', at: ({ received_at }) => received_at },
	{ title: 'Planned', at: ({ planned_at }) => planned_at },
	{ title: 'Launched', at: ({ launched_at }) => launched_at },
	{ title: 'Ready', at: ({ ready_at }) => ready_at },
	{ title: 'Promoted', at: ({ promoted_at }) => promoted_at },
	{ title: 'First heartbeat', at: ({ confirmed_at }) => confirmed_at },
	{ title: 'Ended', at: ({ ended_at }) => ended_at },
];

/** The same as columns, without what every list shows. */
export const stageFields: readonly Column<Row>[] = STAGES.filter(({ title }) => title !== 'Received').map(({ title, at }) => ({
	title,
	value: at,
	as: 'time',
	wide: true,
}));
