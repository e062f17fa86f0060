import { Command } from 'commander';
import type { Context } from '../context.ts';
import { pages } from '../paging.ts';
import { adminTokenFields } from '../tokens/fields.ts';

export const listAdminTokensCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List admin tokens, newest first, without their secrets')
		.addHelpText('after', '\nExample:\n  $ spotctl admin-tokens list')
		.action(async () => run(context));

const runList = async (context: Context): Promise<void> => {
	const api = await context.api();
	await context.print.list({
		pages: pages(context, { all: true }, (page) => api.listAdminTokens(page)),
		columns: adminTokenFields,
		id: ({ id }) => id,
		empty: 'no admin tokens in the database',
	});
};
