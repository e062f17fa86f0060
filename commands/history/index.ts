import { Command } from 'commander';
import type { Context } from '../context.ts';
import { historyAgentsCommand } from './agents.ts';
import { historySwitchesCommand } from './switches.ts';

export const historyCommand = (context: Context): Command =>
	new Command('history').addCommand(historySwitchesCommand(context)).addCommand(historyAgentsCommand(context));
