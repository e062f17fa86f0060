import { Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { oneOf, seconds } from '../options.ts';
import { LONGEST_LIFE_SECONDS } from '../tokens/fields.ts';

type Options = { readonly scope: 'read' | 'operate' | 'admin'; readonly expires?: number };

export const createAdminTokenCommand = (context: Context, run = runCreate): Command =>
	new Command('create')
		.description('Create an admin token, which is shown only now')
		.argument('<name>', 'whose it is, or what it is for')
		.addOption(
			oneOf('--scope <scope>', 'read, operate (agents and switches too) or admin (clients and tokens too)', [
				'read',
				'operate',
				'admin',
			]).makeOptionMandatory(),
		)
		.addOption(
			new Option('--expires <duration>', 'how long it is valid, such as 90d; for ever unless given').argParser(
				seconds(1, LONGEST_LIFE_SECONDS),
			),
		)
		.addHelpText('after', '\nExample:\n  $ spotctl admin-tokens create grafana --scope read')
		.action(async (name: string, options: Options) => run(context, name, options));

const runCreate = async (context: Context, name: string, { scope, expires }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.createAdminToken({ name, scope, expires_in_seconds: expires });
	await context.print.one({
		data,
		id: data.token,
		fields: [
			{ title: 'ID', value: ({ token_id }) => token_id },
			{ title: 'Name', value: (token) => token.name },
			{ title: 'Scope', value: (token) => token.scope },
			{ title: 'Token', value: ({ token }) => token },
			{ title: 'Expires', value: ({ expires_at }) => expires_at, as: 'time' },
		],
		note: 'Keep the token: it is not shown again.',
	});
};
