import { Command } from 'commander';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';
import { findClient } from './find.ts';

type Options = { readonly yes?: boolean };

export const deleteClientCommand = (context: Context, run = runDelete): Command =>
	new Command('delete')
		.alias('rm')
		.description('Delete a client with its agents, tokens and history')
		.argument('<client>', 'name or id')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl clients delete acme\n  $ spotctl clients delete acme --yes')
		.action(async (client: string, options: Options) => run(context, client, options));

const runDelete = async (context: Context, named: string, { yes }: Options): Promise<void> => {
	const api = await context.api();
	const { id, name } = await findClient(context, named);
	await context.confirm({ what: `deletes client ${JSON.stringify(name)} for ever, with its agents, tokens and history`, yes, typed: name });
	const data = await api.deleteClient({ client_id: id });
	await context.print.one({ data, id, fields: [], note: `deleted client ${JSON.stringify(name)}` });
};
