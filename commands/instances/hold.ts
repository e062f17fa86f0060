import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { clientOption } from './fields.ts';

type Options = { readonly client?: string };

export const holdInstanceCommand = (context: Context, run = runHold): Command =>
	new Command('hold')
		.description('Keep a zombie running: no agent is told to terminate it')
		.argument('<instance>', 'id of the machine')
		.addOption(clientOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances hold i-0abc1234def567890')
		.action(async (instance: string, options: Options) => run(context, instance, options));

const runHold = async (context: Context, instance: string, { client }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.holdInstance({ instance_id: instance, hold: true, ...(await clientFilter(context, client)) });
	await context.print.one({ data, id: instance, fields: [{ title: 'Hold', value: ({ hold }) => hold }], note: data.message });
};
