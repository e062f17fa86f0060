import { Command } from 'commander';
import type { Api } from '../../src/contract/index.ts';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import type { Column } from '../render.ts';

type Row = Awaited<ReturnType<Api['listAgentHistory']>>['items'][number];

const columns: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Logical id', value: ({ logicalAgentId }) => logicalAgentId },
	{ title: 'Status', value: ({ status }) => status, tone: ({ status }) => (status === 'deleted' ? 'dim' : undefined) },
	{ title: 'Instance', value: ({ instanceId }) => instanceId },
	{ title: 'Type', value: ({ instanceType }) => instanceType },
	{ title: 'AZ', value: ({ az }) => az },
	{ title: 'Mode', value: ({ currentMode }) => currentMode },
	{ title: 'Installed', value: ({ installedAt }) => installedAt, as: 'time' },
	{ title: 'Last heartbeat', value: ({ lastHeartbeat }) => lastHeartbeat, as: 'time' },
	{ title: 'Ended', value: ({ terminatedAt }) => terminatedAt, as: 'time' },
	{ title: 'Region', value: ({ region }) => region, wide: true },
	{ title: 'Enabled', value: ({ enabled }) => enabled, wide: true },
	{ title: 'Auto switch', value: ({ autoSwitchEnabled }) => autoSwitchEnabled, wide: true },
	{ title: 'Manual replica', value: ({ manualReplicaEnabled }) => manualReplicaEnabled, wide: true },
	{ title: 'Created', value: ({ createdAt }) => createdAt, as: 'time', wide: true },
	{ title: 'Updated', value: ({ updatedAt }) => updatedAt, as: 'time', wide: true },
];

type Options = Extent & { readonly client: string };

export const historyAgentsCommand = (context: Context, run = runHistory): Command =>
	new Command('agents')
		.description('List every agent a client has had, deleted ones included, newest first')
		.requiredOption('--client <client>', 'whose (name or id)')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl history agents --client acme\n  $ spotctl history agents --client acme --all -o csv')
		.action(async (options: Options) => run(context, options));

const runHistory = async (context: Context, { client, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const { id: client_id } = await findClient(context, client);
	await context.print.list({
		pages: pages(context, extent, (page) => api.listAgentHistory({ ...page, client_id })),
		columns,
		id: ({ id }) => id,
		empty: 'no agents',
	});
};
