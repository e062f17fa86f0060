import { Command } from 'commander';
import type { Context } from '../context.ts';
import { runRetentionCommand } from './run.ts';
import { showRetentionCommand } from './show.ts';

export const retentionCommand = (context: Context): Command =>
	new Command('retention').addCommand(showRetentionCommand(context)).addCommand(runRetentionCommand(context));
