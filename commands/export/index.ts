import { Command } from 'commander';
import type { Context } from '../context.ts';
import { exportStatsCommand } from './stats.ts';
import { exportSwitchesCommand } from './switches.ts';

export const exportCommand = (context: Context): Command =>
	new Command('export').addCommand(exportSwitchesCommand(context)).addCommand(exportStatsCommand(context));
