import type { Api } from '../../src/contract/index.ts';
import type { Column } from '../render.ts';

type Row = Awaited<ReturnType<Api['listClients']>>['items'][number];

/** What is shown of a client, in lists and alone. */
export const clientFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Name', value: ({ name }) => name },
	{ title: 'Status', value: ({ status }) => status, tone: ({ status }) => (status === 'active' ? 'good' : 'warn') },
	{ title: 'Online', value: ({ agentsOnline }) => agentsOnline },
	{ title: 'Agents', value: ({ agentsTotal }) => agentsTotal },
	{ title: 'Instances', value: ({ instances }) => instances },
	{ title: 'Last sync', value: ({ lastSync }) => lastSync, as: 'time' },
	{ title: 'Created', value: ({ createdAt }) => createdAt, as: 'time' },
	{ title: 'Email', value: ({ email }) => email, wide: true },
	{ title: 'Max agents', value: ({ maxAgents }) => maxAgents ?? 'unlimited', wide: true },
	{ title: 'Max instances', value: ({ maxInstances }) => maxInstances ?? 'unlimited', wide: true },
	{ title: 'Savings', value: ({ totalSavings, savingsMeasured }) => (savingsMeasured ? totalSavings : null), as: 'usd', wide: true },
	{ title: 'Test', value: ({ testClient }) => testClient, wide: true },
];
