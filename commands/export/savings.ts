import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { type Target, writeExport } from './write.ts';

export const exportSavingsCommand = (context: Context, run = runExport): Command =>
	new Command('savings')
		.description('Savings of a client by month as CSV, newest first, with how much of each is measured')
		.requiredOption('--client <client>', 'whose (name or id)')
		.option('--out <file>', 'write this file instead of stdout')
		.addHelpText('after', '\nExample:\n  $ spotctl export savings --client acme --out savings.csv')
		.action(async (options: Target & { client: string }) => run(context, options));

const runExport = async (context: Context, { client, ...target }: Target & { client: string }): Promise<void> => {
	const { id } = await findClient(context, client);
	await writeExport(context, await (await context.api()).exportSavings({ client_id: id, shares: true }, context.signal), target);
};
