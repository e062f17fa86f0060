import { Command } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';

export const showTokenCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show the newest token of a client; only where security.tokenRevealKey is configured')
		.argument('<client>', 'name or id')
		.addHelpText('after', '\nExample:\n  $ spotctl tokens show acme --quiet')
		.action(async (client: string) => run(context, client));

const runShow = async (context: Context, named: string): Promise<void> => {
	const api = await context.api();
	const { id } = await findClient(context, named);
	const data = await api.revealToken({ client_id: id });
	await context.print.one({
		data,
		id: data.token,
		fields: [
			{ title: 'Client', value: ({ client_name }) => client_name },
			{ title: 'Token', value: ({ token }) => token },
		],
	});
};
