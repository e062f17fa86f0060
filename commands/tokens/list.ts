import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { pages } from '../paging.ts';
import { tokenFields } from './fields.ts';

export const listTokensCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List the tokens of a client, newest first, without their secrets')
		.argument('<client>', 'name or id')
		.addHelpText('after', '\nExample:\n  $ spotctl tokens list acme')
		.action(async (client: string) => run(context, client));

const runList = async (context: Context, named: string): Promise<void> => {
	const api = await context.api();
	const client = await findClient(context, named);
	await context.print.list({
		pages: pages(context, { all: true }, (page) => api.listTokens({ ...page, client_id: client.id })),
		columns: tokenFields,
		id: ({ id }) => id,
		empty: `client ${JSON.stringify(client.name)} has no tokens`,
	});
};
