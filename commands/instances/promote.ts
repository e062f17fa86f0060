import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';
import { clientOption } from './fields.ts';

type Options = { readonly client?: string; readonly yes?: boolean };

export const promoteInstanceCommand = (context: Context, run = runPromote): Command =>
	new Command('promote')
		.description('Make a machine that still calls the primary of its agent, whose primary is silent')
		.argument('<instance>', 'id of a zombie or candidate; for a replica see: spotctl replicas promote')
		.addOption(clientOption())
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances promote i-0abc1234def567890 --yes')
		.action(async (instance: string, options: Options) => run(context, instance, options));

const runPromote = async (context: Context, instance: string, { client, yes }: Options): Promise<void> => {
	await context.confirm({ what: `makes ${JSON.stringify(instance)} the primary and the old one a zombie on hold`, yes });
	const api = await context.api();
	const data = await api.promoteInstance({ instance_id: instance, ...(await clientFilter(context, client)) });
	await context.print.one({
		data,
		id: data.new_instance_id,
		fields: [
			{ title: 'New primary', value: ({ new_instance_id }) => new_instance_id },
			{ title: 'Old primary', value: ({ old_instance_id }) => old_instance_id },
			{ title: 'Agent', value: ({ agent_id }) => agent_id },
		],
		note: data.message,
	});
};
