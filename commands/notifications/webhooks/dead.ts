import { Command } from 'commander';
import type { Output } from '../../../src/contract/index.ts';
import { SEVERITY_TONES } from '../../activity/fields.ts';
import type { Context } from '../../context.ts';
import { allOption, limitOption, oneOf } from '../../options.ts';
import { type Extent, pages } from '../../paging.ts';
import type { Column } from '../../render.ts';

type Row = Output<'listWebhookDeliveries'>['items'][number];
type Options = Extent & { readonly webhook?: string; readonly state?: Row['state'] };

const fields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Webhook', value: ({ webhook_id }) => webhook_id },
	{ title: 'State', value: ({ state }) => state },
	{ title: 'Attempts', value: ({ attempts }) => attempts },
	{ title: 'Last', value: ({ attempted_at }) => attempted_at, as: 'time' },
	{ title: 'Error', value: ({ last_error }) => last_error, as: 'prose' },
	{ title: 'Severity', value: ({ severity }) => severity, tone: ({ severity }) => SEVERITY_TONES[severity] },
	{ title: 'Message', value: ({ message }) => message, as: 'prose' },
	{ title: 'Next', value: ({ next_attempt_at }) => next_attempt_at, as: 'time', wide: true },
	{ title: 'Created', value: ({ created_at }) => created_at, as: 'time', wide: true },
	{ title: 'Type', value: ({ type }) => type, wide: true },
	{ title: 'Client id', value: ({ client_id }) => client_id, wide: true },
];

export const deadDeliveriesCommand = (context: Context, run = runDead): Command =>
	new Command('dead')
		.description('List notifications that were given up for a webhook; retry sends them again')
		.option('--webhook <webhook>', 'only those for this webhook')
		.addOption(oneOf('--state <state>', 'those in another state instead', ['pending', 'delivered', 'dead']))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl notifications webhooks dead\n  $ spotctl notifications webhooks dead --state pending -o wide',
		)
		.action(async (options: Options) => run(context, options));

const runDead = async (context: Context, { webhook, state, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	await context.print.list({
		pages: pages(context, extent, (page) => api.listWebhookDeliveries({ ...page, webhook_id: webhook, state })),
		columns: fields,
		id: ({ id }) => id,
		empty: `no ${state ?? 'dead'} deliveries`,
	});
};
