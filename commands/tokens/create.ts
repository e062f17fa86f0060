import { Command, Option } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { seconds } from '../options.ts';
import { LONGEST_LIFE_SECONDS } from './fields.ts';

type Options = { readonly name?: string; readonly expires?: number };

export const createTokenCommand = (context: Context, run = runCreate): Command =>
	new Command('create')
		.description('Add a token to a client; the others stay valid')
		.argument('<client>', 'name or id')
		.option('--name <name>', 'what it is for')
		.addOption(
			new Option('--expires <duration>', 'how long it is valid, such as 90d; for ever unless given').argParser(
				seconds(1, LONGEST_LIFE_SECONDS),
			),
		)
		.addHelpText('after', '\nExample:\n  $ spotctl tokens create acme --name ci --expires 90d')
		.action(async (client: string, options: Options) => run(context, client, options));

const runCreate = async (context: Context, named: string, { name, expires }: Options): Promise<void> => {
	const api = await context.api();
	const { id } = await findClient(context, named);
	const data = await api.createToken({ client_id: id, name, expires_in_seconds: expires });
	await context.print.one({
		data,
		id: data.token,
		fields: [
			{ title: 'ID', value: ({ token_id }) => token_id },
			{ title: 'Token', value: ({ token }) => token },
			{ title: 'Expires', value: ({ expires_at }) => expires_at, as: 'time' },
		],
		note: 'Keep the token: it is not shown again.',
	});
};
