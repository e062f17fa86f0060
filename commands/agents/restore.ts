import { Command } from 'commander';
import type { Context } from '../context.ts';

export const restoreAgentCommand = (context: Context, run = runRestore): Command =>
	new Command('restore')
		.description('Bring a deleted agent back, with the settings from before its deletion')
		.argument('<agent>', 'id of the agent')
		.addHelpText('after', '\nExample:\n  $ spotctl agents restore 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11')
		.action(async (agent: string) => run(context, agent));

const runRestore = async (context: Context, agent: string): Promise<void> => {
	const api = await context.api();
	const data = await api.restoreAgent({ agent_id: agent });
	await context.print.one({
		data,
		id: data.agent_id,
		fields: [
			{ title: 'ID', value: ({ agent_id }) => agent_id },
			{ title: 'Enabled', value: ({ enabled }) => enabled },
			{ title: 'Auto switch', value: ({ auto_switch_enabled }) => auto_switch_enabled },
			{ title: 'Manual replica', value: ({ manual_replica_enabled }) => manual_replica_enabled },
		],
		note: data.enabled ? data.message : `${data.message}; let it act: spotctl agents enable ${data.agent_id}`,
	});
};
