import { Command } from 'commander';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';

type Options = { readonly yes?: boolean };

export const revokeAdminTokenCommand = (context: Context, run = runRevoke): Command =>
	new Command('revoke')
		.description('End an admin token now; every daemon refuses it within a second')
		.argument('<token>', 'name or id of the token')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl admin-tokens revoke grafana')
		.action(async (token: string, options: Options) => run(context, token, options));

const runRevoke = async (context: Context, named: string, { yes }: Options): Promise<void> => {
	await context.confirm({ what: `revokes admin token ${JSON.stringify(named)}; whoever sends it loses access`, yes });
	const api = await context.api();
	const data = await api.revokeAdminToken({ token_id: named });
	await context.print.one({ data, id: named, fields: [], note: data.message });
};
