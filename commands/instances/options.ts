import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { clientOption } from './fields.ts';

type Options = { readonly client?: string };

export const instanceOptionsCommand = (context: Context, run = runOptions): Command =>
	new Command('options')
		.description('List the pools a machine could switch to, cheapest first')
		.argument('<instance>', 'id of the machine')
		.addOption(clientOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances options i-0abc1234def567890')
		.action(async (instance: string, options: Options) => run(context, instance, options));

const runOptions = async (context: Context, instance: string, { client }: Options): Promise<void> => {
	const api = await context.api();
	const output = await api.instanceOptions({ instance_id: instance, ...(await clientFilter(context, client)) });
	await context.print.list({
		output,
		pages: [output.availablePools],
		columns: [
			{ title: 'Pool', value: ({ id }) => id },
			{ title: 'AZ', value: ({ az }) => az },
			{ title: 'Type', value: ({ instanceType }) => instanceType },
			{ title: 'Price', value: ({ price }) => price, as: 'usd' },
			{ title: 'Observed', value: ({ observedAt }) => observedAt, as: 'time' },
			{ title: 'Current', value: ({ current }) => current, tone: ({ current }) => (current ? 'good' : undefined) },
		],
		id: ({ id }) => id,
		empty: 'no pool of its type and region is known yet',
	});
};
