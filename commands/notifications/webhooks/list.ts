import { Command } from 'commander';
import { clientFilter } from '../../clients/find.ts';
import type { Context } from '../../context.ts';
import { allOption, limitOption } from '../../options.ts';
import { type Extent, pages } from '../../paging.ts';
import { webhookFields } from './fields.ts';

type Options = Extent & { readonly client?: string };

export const listWebhooksCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List webhooks, newest first')
		.option('--client <client>', 'only those of this client (name or id)')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl notifications webhooks list -o wide')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = await clientFilter(context, client);
	await context.print.list({
		pages: pages(context, extent, (page) => api.listWebhooks({ ...page, ...filter })),
		columns: webhookFields,
		id: ({ id }) => id,
		empty: 'no webhooks',
	});
};
