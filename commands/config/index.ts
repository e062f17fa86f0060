import { Command } from 'commander';
import type { Context } from '../context.ts';
import { checkConfigCommand } from './check.ts';
import { showConfigCommand } from './show.ts';

export const configCommand = (context: Context): Command =>
	new Command('config').addCommand(showConfigCommand(context)).addCommand(checkConfigCommand(context));
