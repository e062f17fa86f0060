import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';

type Options = { readonly yes?: boolean };

export const revokeTokenCommand = (context: Context, run = runRevoke): Command =>
	new Command('revoke')
		.description('End a token now; every daemon refuses it within a second')
		.argument('<client>', 'name or id')
		.argument('<token-id>', 'id of the token; see: spotctl tokens list')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl tokens revoke acme 5f0c2e9a-7d1b-4c55-9a43-2f7f0c1f8b11')
		.action(async (client: string, tokenId: string, options: Options) => run(context, client, tokenId, options));

const runRevoke = async (context: Context, named: string, tokenId: string, { yes }: Options): Promise<void> => {
	const api = await context.api();
	const client = await findClient(context, named);
	await context.confirm({
		what: `revokes token ${JSON.stringify(tokenId)} of client ${JSON.stringify(client.name)}; agents that send it lose access`,
		yes,
	});
	const data = await api.revokeToken({ client_id: client.id, token_id: tokenId });
	await context.print.one({ data, id: tokenId, fields: [], note: data.message });
};
