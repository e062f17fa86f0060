import type { Output } from '../../src/contract/index.ts';
import type { Column } from '../render.ts';

export type EventRow = Output<'listEvents'>['items'][number];

/** The columns of an event, in the log and when it is followed. */
export const eventFields: readonly Column<EventRow>[] = [
	{ title: 'TIME', value: (row) => row.timestamp, as: 'time' },
	{
		title: 'SEVERITY',
		value: (row) => row.severity,
		tone: ({ severity }) => (severity === 'info' ? undefined : severity === 'warning' ? 'warn' : 'bad'),
	},
	{ title: 'TYPE', value: (row) => row.type },
	{ title: 'MESSAGE', value: (row) => row.message, as: 'prose' },
	{ title: 'ID', value: (row) => row.id, wide: true },
	{ title: 'KIND', value: (row) => row.kind, wide: true },
	{ title: 'CLIENT', value: (row) => row.client_id, wide: true },
	{ title: 'AGENT', value: (row) => row.agent_id, wide: true },
	{ title: 'INSTANCE', value: (row) => row.instance_id, wide: true },
];
