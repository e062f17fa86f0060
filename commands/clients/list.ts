import { Command } from 'commander';
import type { Context } from '../context.ts';
import { allOption, limitOption } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { clientFields } from './fields.ts';

type Options = Extent & { readonly name?: string };

export const listClientsCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List clients, newest first')
		.option('--name <name>', 'only the client of this name or id')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl clients list\n  $ spotctl clients list --all -o csv')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { name, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	await context.print.list({
		pages: pages(context, extent, (page) => api.listClients({ ...page, name })),
		columns: clientFields,
		id: ({ id }) => id,
		empty: 'no clients; create one: spotctl clients create NAME',
	});
};
