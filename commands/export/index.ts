import { Command } from 'commander';
import type { Context } from '../context.ts';
import { exportSavingsCommand } from './savings.ts';
import { exportStatsCommand } from './stats.ts';
import { exportSwitchesCommand } from './switches.ts';

export const exportCommand = (context: Context): Command =>
	new Command('export')
		.addCommand(exportSavingsCommand(context))
		.addCommand(exportSwitchesCommand(context))
		.addCommand(exportStatsCommand(context));
