import { Command } from 'commander';
import type { Input } from '../../../src/contract/index.ts';
import { SpotError } from '../../../src/errors.ts';
import { SEVERITIES } from '../../activity/fields.ts';
import type { Context } from '../../context.ts';
import { oneOf, onOff } from '../../options.ts';
import { KEEP_IT, secretFields, typesOf, webhookFields } from './fields.ts';

type Options = {
	readonly name?: string;
	readonly url?: string;
	readonly minSeverity?: Input<'updateWebhook'>['min_severity'];
	readonly types?: string;
	readonly enabled?: boolean;
	readonly rotateSecret?: boolean;
};

export const updateWebhookCommand = (context: Context, run = runUpdate): Command =>
	new Command('update')
		.description('Change a webhook, or give it a new secret')
		.argument('<webhook>', 'id of the webhook')
		.option('--name <name>', 'what it is called')
		.option('--url <url>', 'address of the receiver')
		.addOption(oneOf('--min-severity <severity>', 'the least severity that is sent', SEVERITIES))
		.option('--types <types>', 'only these types, comma separated; all sends every type')
		.option('--enabled <on|off>', 'whether anything is sent; what is queued waits', onOff)
		.option('--rotate-secret', 'make a new secret, which is shown once; the old one signs nothing more')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl notifications webhooks update configured --rotate-secret\n  $ spotctl notifications webhooks update 0d5c2f4e-93b1-7f0e-8a55-7c1f1c9e2b60 --enabled off',
		)
		.action(async (webhook: string, options: Options) => run(context, webhook, options));

const runUpdate = async (context: Context, webhook: string, options: Options): Promise<void> => {
	const { name, url, minSeverity, types, enabled, rotateSecret } = options;
	if (Object.values(options).every((value) => value === undefined))
		throw new SpotError('invalid', 'USAGE', 'nothing to change', { hint: 'see: spotctl notifications webhooks update --help' });
	const api = await context.api();
	const data = await api.updateWebhook({
		webhook_id: webhook,
		name,
		url,
		min_severity: minSeverity,
		types: types === undefined ? undefined : types === 'all' ? null : typesOf(types),
		enabled,
		rotate_secret: rotateSecret,
	});
	const shown = webhookFields.map(({ title, value }) => ({ title, value: ({ webhook: row }: typeof data) => value(row) }));
	await context.print.one({
		data,
		id: data.webhook.id,
		fields: data.secret === null ? shown : secretFields,
		note: data.secret === null ? 'changed' : KEEP_IT,
	});
};
