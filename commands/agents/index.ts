import { Command } from 'commander';
import type { Context } from '../context.ts';
import { deleteAgentCommand } from './delete.ts';
import { disableAgentCommand } from './disable.ts';
import { enableAgentCommand } from './enable.ts';
import { listAgentsCommand } from './list.ts';
import { restoreAgentCommand } from './restore.ts';
import { setAgentCommand } from './set.ts';
import { showAgentCommand } from './show.ts';
import { simulateNoticeCommand } from './simulate-notice.ts';

export const agentsCommand = (context: Context): Command =>
	new Command('agents')
		.addCommand(listAgentsCommand(context))
		.addCommand(showAgentCommand(context))
		.addCommand(setAgentCommand(context))
		.addCommand(enableAgentCommand(context))
		.addCommand(disableAgentCommand(context))
		.addCommand(deleteAgentCommand(context))
		.addCommand(restoreAgentCommand(context))
		.addCommand(simulateNoticeCommand(context));
