import { Command } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { emergencyFields, stageFields } from './fields.ts';

type Filter = Input<'listEmergencies'>;
type Options = Extent & {
	readonly client?: string;
	readonly agent?: string;
	readonly kind?: Filter['kind'];
	readonly state?: Filter['state'];
};

export const listEmergenciesCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List emergencies, newest first')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those of this agent')
		.addOption(oneOf('--kind <kind>', 'only those of this kind', ['termination', 'rebalance', 'silent-primary']))
		.addOption(oneOf('--state <state>', 'only those that go on, or that are over', ['open', 'ended']))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl emergencies list --state open\n  $ spotctl emergencies list --client acme --all -o csv')
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, agent, kind, state, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = { ...(await clientFilter(context, client)), agent_id: agent, kind, state };
	await context.print.list({
		pages: pages(context, extent, (page) => api.listEmergencies({ ...page, ...filter })),
		columns: [...emergencyFields, ...stageFields],
		id: ({ id }) => id,
		empty: 'no emergencies',
	});
};
