import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { figureFields, monthOption } from './fields.ts';

type Options = Extent & { readonly client?: string; readonly month?: string };

export const showSavingsCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('What was saved, by client: on-demand cost of the primaries less the cost of everything that ran')
		.option('--client <client>', 'one client (name or id), line by line')
		.addOption(monthOption('only this month'))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText(
			'after',
			'\nExamples:\n  $ spotctl savings show\n  $ spotctl savings show --client acme --month 2026-11 -o json\n\nSavings may be negative. Unknown time is in no amount; see: spotctl savings explain',
		)
		.action(async (options: Options) => run(context, options));

const runShow = async (context: Context, { client, month, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	if (client === undefined) {
		await context.print.list({
			pages: pages(context, extent, (page) => api.fleetSavings({ ...page, month })),
			columns: [{ title: 'Client', value: ({ clientName }) => clientName }, ...figureFields],
			id: ({ clientId }) => clientId,
			empty: 'no clients',
		});
		return;
	}
	const { id } = await findClient(context, client);
	const data = await api.showSavings({ client_id: id, month });
	await context.print.one({
		data,
		id,
		fields: [
			{ title: 'Client', value: ({ clientName }) => clientName },
			{ title: 'Month', value: (row) => row.month ?? 'all' },
			...figureFields,
			{ title: 'Until', value: ({ until }) => until, as: 'time' },
		],
	});
};
