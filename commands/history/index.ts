import { Command } from 'commander';
import type { Context } from '../context.ts';
import { historyAgentsCommand } from './agents.ts';

export const historyCommand = (context: Context): Command => new Command('history').addCommand(historyAgentsCommand(context));
