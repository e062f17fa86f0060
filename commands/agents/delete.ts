import { Command } from 'commander';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';

type Options = { readonly yes?: boolean };

export const deleteAgentCommand = (context: Context, run = runDelete): Command =>
	new Command('delete')
		.alias('rm')
		.description('Delete an agent; its primary machine runs on, its replicas are ended')
		.argument('<agent>', 'id of the agent')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl agents delete 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --yes')
		.action(async (agent: string, options: Options) => run(context, agent, options));

const runDelete = async (context: Context, agent: string, { yes }: Options): Promise<void> => {
	await context.confirm({ what: `deletes agent ${JSON.stringify(agent)} until it is restored, and ends its replicas`, yes });
	const api = await context.api();
	const data = await api.deleteAgent({ agent_id: agent });
	await context.print.one({ data, id: data.agent_id, fields: [], note: `${data.message}; undo: spotctl agents restore ${data.agent_id}` });
};
