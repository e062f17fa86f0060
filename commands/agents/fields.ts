import type { Api } from '../../src/contract/index.ts';
import type { Column, Tone } from '../render.ts';

type Row = Awaited<ReturnType<Api['listAgents']>>['agents'][number];

const TONES: Readonly<Record<Row['status'], Tone>> = {
	online: 'good',
	offline: 'bad',
	disabled: 'dim',
	switching: 'warn',
	error: 'bad',
	deleted: 'dim',
};

/** What is shown of an agent, in lists and alone. */
export const agentFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Logical id', value: ({ logicalAgentId }) => logicalAgentId },
	{ title: 'Client', value: ({ clientName }) => clientName },
	{ title: 'Status', value: ({ status }) => status, tone: ({ status }) => TONES[status] },
	{ title: 'Instance', value: ({ instanceId }) => instanceId },
	{ title: 'Type', value: ({ instanceType }) => instanceType },
	{ title: 'AZ', value: ({ az }) => az },
	{ title: 'Mode', value: ({ currentMode }) => currentMode },
	{ title: 'Last heartbeat', value: ({ lastHeartbeatAt }) => lastHeartbeatAt, as: 'time' },
	{ title: 'Pool', value: ({ currentPoolId }) => currentPoolId, wide: true },
	{ title: 'Region', value: ({ region }) => region, wide: true },
	{ title: 'Hostname', value: ({ hostname }) => hostname, wide: true },
	{ title: 'Version', value: ({ version }) => version, wide: true },
	{ title: 'Enabled', value: ({ enabled }) => enabled, wide: true },
	{ title: 'Auto switch', value: ({ autoSwitchEnabled }) => autoSwitchEnabled, wide: true },
	{ title: 'Generation', value: ({ generation }) => generation, wide: true },
	{ title: 'Created', value: ({ createdAt }) => createdAt, as: 'time', wide: true },
	{ title: 'Client id', value: ({ clientId }) => clientId, wide: true },
];
