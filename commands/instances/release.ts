import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';
import { clientOption } from './fields.ts';

type Options = { readonly client?: string; readonly yes?: boolean };

export const releaseInstanceCommand = (context: Context, run = runRelease): Command =>
	new Command('release')
		.description('Let go of a zombie that was held: its agent is told to terminate it')
		.argument('<instance>', 'id of the machine')
		.addOption(clientOption())
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances release i-0abc1234def567890 --yes')
		.action(async (instance: string, options: Options) => run(context, instance, options));

const runRelease = async (context: Context, instance: string, { client, yes }: Options): Promise<void> => {
	await context.confirm({ what: `lets ${JSON.stringify(instance)} be terminated`, yes });
	const api = await context.api();
	const data = await api.holdInstance({ instance_id: instance, hold: false, ...(await clientFilter(context, client)) });
	await context.print.one({ data, id: instance, fields: [{ title: 'Hold', value: ({ hold }) => hold }], note: data.message });
};
