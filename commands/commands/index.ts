import { Command } from 'commander';
import type { Context } from '../context.ts';
import { cancelCommandCommand } from './cancel.ts';
import { listCommandsCommand } from './list.ts';
import { showCommandCommand } from './show.ts';

export const commandsCommand = (context: Context): Command =>
	new Command('commands')
		.addCommand(listCommandsCommand(context))
		.addCommand(showCommandCommand(context))
		.addCommand(cancelCommandCommand(context));
