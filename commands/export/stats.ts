import { Command } from 'commander';
import type { Context } from '../context.ts';
import { type Target, writeExport } from './write.ts';

export const exportStatsCommand = (context: Context, run = runExport): Command =>
	new Command('stats')
		.description('Active clients with their savings as CSV, the highest first')
		.option('--out <file>', 'write this file instead of stdout')
		.addHelpText('after', '\nExample:\n  $ spotctl export stats > stats.csv')
		.action(async (options: Target) => run(context, options));

const runExport = async (context: Context, target: Target): Promise<void> =>
	writeExport(context, await (await context.api()).exportStats({}, context.signal), target);
