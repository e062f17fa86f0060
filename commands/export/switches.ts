import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { outOption, type Target, writeExport } from './write.ts';

export const exportSwitchesCommand = (context: Context, run = runExport): Command =>
	new Command('switches')
		.description('Every switch of a client as CSV, newest first')
		.requiredOption('--client <client>', 'whose (name or id)')
		.addOption(outOption())
		.addHelpText('after', '\nExample:\n  $ spotctl export switches --client acme --out switches.csv')
		.action(async (options: Target & { client: string }) => run(context, options));

const runExport = async (context: Context, { client, ...target }: Target & { client: string }): Promise<void> =>
	writeExport(context, target, async () => {
		const { id } = await findClient(context, client);
		return (await context.api()).exportSwitches({ client_id: id }, context.signal);
	});
