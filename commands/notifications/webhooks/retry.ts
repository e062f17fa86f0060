import { Command } from 'commander';
import { SpotError } from '../../../src/errors.ts';
import type { Context } from '../../context.ts';

type Options = { readonly webhook?: string; readonly all?: boolean };

export const retryDeliveriesCommand = (context: Context, run = runRetry): Command =>
	new Command('retry')
		.description('Send what was given up for a webhook again')
		.argument('[delivery]', 'id of the delivery')
		.option('--webhook <webhook>', 'every dead one for this webhook')
		.option('--all', 'every dead one')
		.addHelpText('after', '\nExample:\n  $ spotctl notifications webhooks retry --webhook configured')
		.action(async (delivery: string | undefined, options: Options) => run(context, delivery, options));

const runRetry = async (context: Context, delivery: string | undefined, { webhook, all }: Options): Promise<void> => {
	const ways = [delivery !== undefined, webhook !== undefined, all === true].filter((way) => way).length;
	if (ways !== 1)
		throw new SpotError('invalid', 'USAGE', 'say which: one delivery, --webhook or --all', {
			hint: 'see: spotctl notifications webhooks dead',
		});
	const api = await context.api();
	const data = await api.retryWebhookDeliveries({ delivery_id: delivery, webhook_id: webhook });
	await context.print.one({ data, id: String(data.retried), fields: [], note: `${data.retried} will be sent again within seconds` });
};
