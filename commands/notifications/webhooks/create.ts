import { Command } from 'commander';
import type { Input } from '../../../src/contract/index.ts';
import { SEVERITIES } from '../../activity/fields.ts';
import { clientFilter } from '../../clients/find.ts';
import type { Context } from '../../context.ts';
import { oneOf } from '../../options.ts';
import { KEEP_IT, secretFields, typesOf } from './fields.ts';

type Options = {
	readonly name?: string;
	readonly client?: string;
	readonly minSeverity?: Input<'createWebhook'>['min_severity'];
	readonly types?: string;
	readonly disabled?: boolean;
};

export const createWebhookCommand = (context: Context, run = runCreate): Command =>
	new Command('create')
		.description('Send notifications to an address, signed with a secret that is shown once')
		.argument('<url>', 'http or https address of the receiver')
		.option('--name <name>', 'what it is called; the host of the address unless given')
		.option('--client <client>', "only this client's notifications (name or id)")
		.addOption(oneOf('--min-severity <severity>', 'the least severity that is sent (info unless given)', SEVERITIES))
		.option('--types <types>', 'only these types, comma separated: agent_offline,switch_failed')
		.option('--disabled', 'send nothing yet')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl notifications webhooks create https://hooks.example.com/spot --min-severity error\n\nA request carries X-Spotctl-Signature: v1=HEX, the HMAC-SHA256 with the secret over X-Spotctl-Timestamp, a dot, and the body.',
		)
		.action(async (url: string, options: Options) => run(context, url, options));

const runCreate = async (context: Context, url: string, { name, client, minSeverity, types, disabled }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.createWebhook({
		...(await clientFilter(context, client)),
		url,
		name,
		min_severity: minSeverity,
		types: types === undefined ? undefined : typesOf(types),
		enabled: disabled === true ? false : undefined,
	});
	await context.print.one({ data, id: data.webhook.id, fields: secretFields, note: KEEP_IT });
};
