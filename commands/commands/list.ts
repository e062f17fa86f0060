import { Command } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { commandFields } from './fields.ts';

type Options = Extent & { readonly client?: string; readonly agent?: string; readonly status?: Input<'listCommands'>['status'] };

const STATUSES = ['open', 'pending', 'claimed', 'completed', 'failed', 'expired', 'cancelled'];

export const listCommandsCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List commands, newest first')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those for this agent')
		.addOption(oneOf('--status <status>', 'only those in this state; open: pending and claimed', STATUSES))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl commands list --status open\n  $ spotctl commands list --all -o csv')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, agent, status, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = { ...(await clientFilter(context, client)), agent_id: agent, status };
	await context.print.list({
		pages: pages(context, extent, (page) => api.listCommands({ ...page, ...filter })),
		columns: commandFields,
		id: ({ id }) => id,
		empty: 'no commands',
	});
};
