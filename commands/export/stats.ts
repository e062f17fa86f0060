import { Command } from 'commander';
import type { Context } from '../context.ts';
import { outOption, type Shares, sharesOption, type Target, writeExport } from './write.ts';

export const exportStatsCommand = (context: Context, run = runExport): Command =>
	new Command('stats')
		.description('Active clients with their savings as CSV, the highest first, with how much of each is measured')
		.addOption(outOption())
		.addOption(sharesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl export stats > stats.csv')
		.action(async (options: Target & Shares) => run(context, options));

const runExport = async (context: Context, { shares, ...target }: Target & Shares): Promise<void> =>
	writeExport(context, target, async () => (await context.api()).exportStats({ shares }, context.signal));
