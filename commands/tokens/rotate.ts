import { Command, Option } from 'commander';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { seconds, yesOption } from '../options.ts';

type Options = { readonly overlap: number; readonly name?: string; readonly yes?: boolean };

export const rotateTokenCommand = (context: Context, run = runRotate): Command =>
	new Command('rotate')
		.description('Give a client a new token; the older ones end after the overlap')
		.argument('<client>', 'name or id')
		.addOption(
			new Option('--overlap <duration>', 'how long the older tokens stay valid').argParser(seconds(0, 31_536_000)).default(86_400, '24h'),
		)
		.option('--name <name>', 'what the new token is for')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl tokens rotate acme --overlap 24h')
		.action(async (client: string, options: Options) => run(context, client, options));

const runRotate = async (context: Context, named: string, { overlap, name, yes }: Options): Promise<void> => {
	const api = await context.api();
	const client = await findClient(context, named);
	if (overlap === 0)
		await context.confirm({ what: `ends every token of client ${JSON.stringify(client.name)} at once; its agents lose access`, yes });
	const data = await api.rotateToken({ client_id: client.id, overlap_seconds: overlap, name });
	await context.print.one({
		data,
		id: data.token,
		fields: [
			{ title: 'ID', value: ({ token_id }) => token_id },
			{ title: 'Token', value: ({ token }) => token },
			{ title: 'Old tokens', value: ({ old_tokens }) => old_tokens },
			{ title: 'Old tokens end', value: ({ old_tokens_end_at }) => old_tokens_end_at, as: 'time' },
		],
		note: 'Keep the token: it is not shown again.',
	});
};
