import type { Output } from '../../src/contract/index.ts';
import type { Column, Tone } from '../render.ts';

type Row = Output<'listActivity'>['items'][number];

/** How a severity looks, wherever there is one. */
export const SEVERITY_TONES: Readonly<Record<Row['severity'], Tone | undefined>> = {
	info: undefined,
	warning: 'warn',
	error: 'bad',
	critical: 'bad',
};

export const SEVERITIES = ['info', 'warning', 'error', 'critical'] as const;

export const activityFields: readonly Column<Row>[] = [
	{ title: 'Time', value: ({ time }) => time, as: 'time' },
	{ title: 'Severity', value: ({ severity }) => severity, tone: ({ severity }) => SEVERITY_TONES[severity] },
	{ title: 'Client', value: ({ clientName }) => clientName },
	{ title: 'Event', value: ({ eventType }) => eventType },
	{ title: 'Text', value: ({ text }) => text, as: 'prose' },
	{ title: 'ID', value: ({ id }) => id, wide: true },
	{ title: 'Kind', value: ({ type }) => type, wide: true },
	{ title: 'Instance', value: ({ instanceId }) => instanceId, wide: true },
	{ title: 'Agent id', value: ({ agentId }) => agentId, wide: true },
	{ title: 'Client id', value: ({ clientId }) => clientId, wide: true },
];
