import { Command } from 'commander';
import type { Context } from '../context.ts';
import { adminTokenFields } from '../tokens/fields.ts';

export const listAdminTokensCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List admin tokens, newest first, without their secrets')
		.addHelpText('after', '\nExample:\n  $ spotctl admin-tokens list')
		.action(async () => run(context));

const runList = async (context: Context): Promise<void> => {
	const api = await context.api();
	const { items } = await api.listAdminTokens({});
	await context.print.list({ pages: [items], columns: adminTokenFields, id: ({ id }) => id, empty: 'no admin tokens in the database' });
};
