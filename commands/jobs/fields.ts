import type { Output } from '../../src/contract/index.ts';
import type { Column, Tone } from '../render.ts';

type Row = Output<'listJobs'>['items'][number];

const STATES: Readonly<Record<Row['state'], Tone>> = { running: 'good', waiting: 'bad', paused: 'warn' };

/** What is shown of a job, in lists and alone. */
export const jobFields: readonly Column<Row>[] = [
	{ title: 'Name', value: ({ name }) => name },
	{ title: 'State', value: ({ state }) => state, tone: ({ state }) => STATES[state] },
	{ title: 'Last start', value: ({ last_started_at }) => last_started_at, as: 'time' },
	{ title: 'Last end', value: ({ last_ended_at }) => last_ended_at, as: 'time' },
	{ title: 'Result', value: ({ last_result }) => last_result, tone: ({ last_result }) => (last_result === 'failed' ? 'bad' : undefined) },
	{
		title: 'Duration',
		value: ({ last_duration_ms }) => (last_duration_ms === null ? null : last_duration_ms / 1000),
		as: 'seconds',
	},
	{ title: 'Next due', value: ({ next_due_at }) => next_due_at, as: 'time' },
	{ title: 'Error', value: ({ last_error }) => last_error, as: 'prose' },
	{ title: 'Every', value: ({ every_seconds }) => every_seconds, as: 'seconds', wide: true },
	{ title: 'Changed', value: ({ last_changed }) => last_changed, wide: true },
	{ title: 'Runs', value: ({ runs }) => runs, wide: true },
	{ title: 'Requested', value: ({ requested_at }) => requested_at, as: 'time', wide: true },
	{ title: 'Owner', value: ({ owner }) => owner, wide: true },
	{ title: 'Token', value: ({ token }) => token, wide: true },
	{ title: 'Summary', value: ({ summary }) => summary, as: 'prose', wide: true },
];
