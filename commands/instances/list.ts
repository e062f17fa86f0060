import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { instanceFields } from './fields.ts';

type Options = Extent & {
	readonly client?: string;
	readonly agent?: string;
	readonly status?: string;
	readonly mode?: string;
	readonly region?: string;
	readonly search?: string;
};

export const listInstancesCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List machines, newest first')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those of this agent')
		.addOption(oneOf('--status <status>', 'active: primaries and replicas; terminated: zombies and ended ones', ['active', 'terminated']))
		.addOption(oneOf('--mode <mode>', 'only those of this kind', ['spot', 'ondemand']))
		.option('--region <region>', 'only those in this region')
		.option('--search <text>', 'only those whose id or type has this in it')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances list --client acme --mode spot\n  $ spotctl instances list -o json --all')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, agent, status, mode, region, search, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = { ...(await clientFilter(context, client)), agent_id: agent, status, mode, region, search };
	await context.print.list({
		pages: pages(context, extent, async (page) => {
			const { instances, next_cursor: nextCursor } = await api.listInstances({ ...page, ...filter });
			return { items: instances, nextCursor };
		}),
		columns: instanceFields,
		id: ({ id }) => id,
		empty: 'no machines',
	});
};
