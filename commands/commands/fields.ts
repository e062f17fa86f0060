import type { Output } from '../../src/contract/index.ts';
import type { Column, Tone } from '../render.ts';

type Row = Output<'showCommand'>;

const TONES: Readonly<Record<Row['status'], Tone | undefined>> = {
	pending: 'warn',
	claimed: 'warn',
	completed: 'good',
	failed: 'bad',
	expired: 'bad',
	cancelled: 'dim',
};

/** What is shown of a command, in lists and alone. */
export const commandFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Type', value: ({ command_type }) => command_type },
	{ title: 'Status', value: ({ status }) => status, tone: ({ status }) => TONES[status] },
	{ title: 'Instance', value: ({ instance_id }) => instance_id },
	{ title: 'To', value: ({ target_pool_id, target_mode }) => target_pool_id ?? target_mode },
	{ title: 'New instance', value: ({ new_instance_id }) => new_instance_id },
	{ title: 'Created', value: ({ created_at }) => created_at, as: 'time' },
	{ title: 'Outcome', value: ({ outcome }) => outcome },
	{ title: 'Message', value: ({ message }) => message, as: 'prose' },
	{ title: 'Agent', value: ({ agent_id }) => agent_id, wide: true },
	{ title: 'Trigger', value: ({ trigger }) => trigger, wide: true },
	{ title: 'Created by', value: ({ created_by }) => created_by, wide: true },
	{ title: 'Reason', value: ({ reason }) => reason, as: 'prose', wide: true },
	{ title: 'Priority', value: ({ priority }) => priority, wide: true },
	{ title: 'Terminate wait', value: ({ terminate_wait_seconds }) => terminate_wait_seconds, as: 'seconds', wide: true },
	{ title: 'Expires', value: ({ expires_at }) => expires_at, as: 'time', wide: true },
	{ title: 'Claimed', value: ({ claimed_at }) => claimed_at, as: 'time', wide: true },
	{ title: 'Launched', value: ({ launched_at }) => launched_at, as: 'time', wide: true },
	{ title: 'Reported', value: ({ reported_at }) => reported_at, as: 'time', wide: true },
	{ title: 'Completed', value: ({ completed_at }) => completed_at, as: 'time', wide: true },
];
