import { Option } from 'commander';
import type { Api } from '../../src/contract/index.ts';
import type { Column, Tone } from '../render.ts';

type Row = Awaited<ReturnType<Api['listInstances']>>['instances'][number];

const TONES: Partial<Record<Row['role'], Tone>> = { primary: 'good', zombie: 'warn', ended: 'warn', terminated: 'dim' };

/** What is shown of a machine, in lists and alone. */
export const instanceFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Client', value: ({ clientName }) => clientName },
	{ title: 'Role', value: ({ role }) => role, tone: ({ role }) => TONES[role] },
	{ title: 'Type', value: ({ instanceType }) => instanceType },
	{ title: 'AZ', value: ({ az }) => az },
	{ title: 'Mode', value: ({ currentMode }) => currentMode },
	{ title: 'Spot', value: ({ spotPrice }) => spotPrice, as: 'usd' },
	{ title: 'On-demand', value: ({ ondemandPrice }) => ondemandPrice, as: 'usd' },
	{ title: 'Agent', value: ({ agentId }) => agentId },
	{ title: 'Agent status', value: ({ agentStatus }) => agentStatus },
	{ title: 'Pool', value: ({ currentPoolId }) => currentPoolId, wide: true },
	{ title: 'Region', value: ({ region }) => region, wide: true },
	{ title: 'Status', value: ({ instanceStatus }) => instanceStatus, wide: true },
	{ title: 'Active', value: ({ isActive }) => isActive, wide: true },
	{ title: 'Logical id', value: ({ logicalAgentId }) => logicalAgentId, wide: true },
	{ title: 'Created', value: ({ createdAt }) => createdAt, as: 'time', wide: true },
	{ title: 'Client id', value: ({ clientId }) => clientId, wide: true },
];

/** Says whose machine is meant, where an admin's token does not. */
export const clientOption = (): Option => new Option('--client <client>', 'the client it belongs to (name or id)');
