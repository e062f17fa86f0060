import { Command } from 'commander';
import type { Context } from '../context.ts';
import { historySwitchesCommand } from './switches.ts';

export const historyCommand = (context: Context): Command => new Command('history').addCommand(historySwitchesCommand(context));
