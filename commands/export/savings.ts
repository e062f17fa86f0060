import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { outOption, type Shares, sharesOption, type Target, writeExport } from './write.ts';

type Options = Target & Shares & { readonly client: string };

export const exportSavingsCommand = (context: Context, run = runExport): Command =>
	new Command('savings')
		.description('Savings of a client by month as CSV, newest first, with how much of each is measured')
		.requiredOption('--client <client>', 'whose (name or id)')
		.addOption(outOption())
		.addOption(sharesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl export savings --client acme --out savings.csv')
		.action(async (options: Options) => run(context, options));

const runExport = async (context: Context, { client, shares, ...target }: Options): Promise<void> =>
	writeExport(context, target, async () => {
		const { id } = await findClient(context, client);
		return (await context.api()).exportSavings({ client_id: id, shares }, context.signal);
	});
