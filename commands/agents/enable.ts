import { Command } from 'commander';
import type { Context } from '../context.ts';
import { runToggle } from './toggle.ts';

export const enableAgentCommand = (context: Context, run = runToggle): Command =>
	new Command('enable')
		.description('Let an agent act')
		.argument('<agent>', 'id of the agent')
		.addHelpText('after', '\nExample:\n  $ spotctl agents enable 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11')
		.action(async (agent: string) => run(context, agent, true));
