import { Command } from 'commander';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

export const testWebhookCommand = (context: Context, run = runTest): Command =>
	new Command('test-webhook')
		.description('Send a signed request to a webhook now, and show what comes back')
		.argument('<webhook>', 'id of the webhook')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl notifications test-webhook configured\n\nThe exit code is 0 when it was taken (2xx), 9 when it was not.',
		)
		.action(async (webhook: string) => run(context, webhook));

const runTest = async (context: Context, webhook: string): Promise<void> => {
	const api = await context.api();
	const data = await api.testWebhook({ webhook_id: webhook });
	await context.print.one({
		data,
		id: data.delivery_id,
		fields: [
			{ title: 'Delivery', value: ({ delivery_id }) => delivery_id },
			{ title: 'URL', value: ({ url }) => url },
			{ title: 'Status', value: ({ http_status }) => http_status, tone: ({ success }) => (success ? 'good' : 'bad') },
			{ title: 'Error', value: ({ error_message }) => error_message },
			{ title: 'Answer', value: ({ answer }) => answer, as: 'prose' },
			{ title: 'Took', value: ({ duration_ms }) => duration_ms / 1000, as: 'seconds' },
		],
	});
	if (!data.success)
		throw new SpotError('ended_badly', 'WEBHOOK_FAILED', `the webhook did not take it: ${data.error_message ?? 'no answer'}`);
};
