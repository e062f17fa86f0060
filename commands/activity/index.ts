import { Command, Option } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { activityFields, SEVERITIES } from './fields.ts';
import { followActivity } from './follow.ts';

type Filter = Input<'listActivity'>;
type Options = Extent & {
	readonly follow?: boolean;
	readonly client?: string;
	readonly agent?: string;
	readonly type?: string;
	readonly severity?: Filter['severity'];
	readonly since?: string;
};

export const activityCommand = (context: Context, run = runActivity): Command =>
	new Command('activity')
		.addOption(new Option('-f, --follow', 'the last 20, then each as it happens, until interrupted').conflicts(['limit', 'all']))
		.option('--client <client>', 'only what is of this client (name or id)')
		.option('--agent <agent>', 'only what is of this agent')
		.option('--type <type>', 'switch, agent, event, or the exact type of an event such as replica_failed')
		.addOption(oneOf('--severity <severity>', 'only this severity', SEVERITIES))
		.option('--since <time>', 'only what happened since, such as 2026-11-23T12:00:00Z')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText(
			'after',
			'\nExamples:\n  $ spotctl activity --severity critical\n  $ spotctl activity --client acme --since 2026-11-23T12:00:00Z --all -o csv\n  $ spotctl activity --follow -o jsonl',
		)
		.action(async (options: Options) => run(context, options));

const runActivity = async (context: Context, { follow, client, agent, type, severity, since, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = { ...(await clientFilter(context, client)), agent_id: agent, type, severity, since };
	await context.print.list({
		pages: follow ? followActivity(context, filter) : pages(context, extent, (page) => api.listActivity({ ...page, ...filter })),
		columns: activityFields,
		id: ({ id }) => String(id),
		empty: 'nothing happened',
	});
};
