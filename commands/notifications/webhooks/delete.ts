import { Command } from 'commander';
import type { Context } from '../../context.ts';
import { yesOption } from '../../options.ts';

type Options = { readonly yes?: boolean };

export const deleteWebhookCommand = (context: Context, run = runDelete): Command =>
	new Command('delete')
		.alias('rm')
		.description('Delete a webhook with what was on its way to it')
		.argument('<webhook>', 'id of the webhook')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl notifications webhooks delete 0d5c2f4e-93b1-7f0e-8a55-7c1f1c9e2b60 --yes')
		.action(async (webhook: string, options: Options) => run(context, webhook, options));

const runDelete = async (context: Context, webhook: string, { yes }: Options): Promise<void> => {
	const api = await context.api();
	await context.confirm({ what: `deletes webhook ${JSON.stringify(webhook)}, and what was not delivered to it yet`, yes });
	const data = await api.deleteWebhook({ webhook_id: webhook });
	await context.print.one({ data, id: webhook, fields: [], note: data.message });
};
