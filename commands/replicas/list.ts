import { Command } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { replicaFields } from './fields.ts';

type Options = Extent & { readonly client?: string; readonly agent?: string; readonly status?: Input<'listReplicas'>['status'] };

const STATUSES = ['live', 'launching', 'syncing', 'ready', 'promoted', 'terminated', 'failed'];

export const listReplicasCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List replicas, newest first')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those of this agent')
		.addOption(oneOf('--status <status>', 'only those in this state; live: launching, syncing and ready', STATUSES))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl replicas list --status live\n  $ spotctl replicas list --client acme --all -o csv')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, agent, status, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = { ...(await clientFilter(context, client)), agent_id: agent, status };
	await context.print.list({
		pages: pages(context, extent, (page) => api.listReplicas({ ...page, ...filter })),
		columns: replicaFields,
		id: ({ id }) => id,
		empty: 'no replicas',
	});
};
