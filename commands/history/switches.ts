import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption } from '../options.ts';
import { type Extent, pages } from '../paging.ts';

type Options = Extent & { readonly client: string; readonly instance?: string };

export const historySwitchesCommand = (context: Context, run = runSwitches): Command =>
	new Command('switches')
		.description('List the switches of a client, newest first')
		.requiredOption('--client <client>', 'whose switches (name or id)')
		.option('--instance <instance>', 'only those from or to this machine')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl history switches --client acme\n  $ spotctl history switches --client acme --all -o csv > switches.csv',
		)
		.action(async (options: Options) => run(context, options));

const runSwitches = async (context: Context, { client, instance, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const { id: client_id } = await findClient(context, client);
	await context.print.list({
		pages: pages(context, extent, (page) => api.switchHistory({ ...page, client_id, instance_id: instance })),
		columns: [
			{ title: 'Time', value: ({ timestamp }) => timestamp, as: 'time' },
			{ title: 'From', value: ({ oldInstanceId }) => oldInstanceId },
			{ title: 'To', value: ({ newInstanceId }) => newInstanceId },
			{ title: 'From pool', value: ({ fromMode, fromPool }) => (fromMode === 'ondemand' ? 'on-demand' : fromPool) },
			{ title: 'To pool', value: ({ toMode, toPool }) => (toMode === 'ondemand' ? 'on-demand' : toPool) },
			{ title: 'Trigger', value: ({ trigger }) => trigger },
			{ title: 'Price', value: ({ price, pricesKnown }) => (pricesKnown ? price : null), as: 'usd' },
			{ title: 'Saved per hour', value: ({ savingsImpact, pricesKnown }) => (pricesKnown ? savingsImpact : null), as: 'usd' },
			{ title: 'Success', value: ({ success }) => success, tone: ({ success }) => (success ? undefined : 'bad') },
			{ title: 'Downtime', value: ({ downtimeSeconds }) => downtimeSeconds, as: 'seconds', wide: true },
			{ title: 'Proved by', value: ({ evidence }) => evidence, wide: true },
			{ title: 'Agent', value: ({ agentId }) => agentId, wide: true },
			{ title: 'Command', value: ({ commandId }) => commandId, wide: true },
			{ title: 'ID', value: ({ id }) => id, wide: true },
		],
		id: ({ id }) => id,
		empty: 'no switches',
	});
};
