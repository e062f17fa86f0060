import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { agentFields } from './fields.ts';

type Options = Extent & { readonly client?: string; readonly status?: string };

const STATUSES = ['online', 'offline', 'disabled', 'switching', 'error', 'deleted'];

export const listAgentsCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List agents, deleted ones included, newest first')
		.option('--client <client>', 'only those of this client (name or id)')
		.addOption(oneOf('--status <status>', 'only those in this state', STATUSES))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl agents list --client acme --status offline')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, status, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = { ...(await clientFilter(context, client)), status };
	await context.print.list({
		pages: pages(context, extent, async (page) => {
			const { agents, next_cursor: nextCursor } = await api.listAgents({ ...page, ...filter });
			return { items: agents, nextCursor };
		}),
		columns: agentFields,
		id: ({ id }) => id,
		empty: 'no agents',
	});
};
