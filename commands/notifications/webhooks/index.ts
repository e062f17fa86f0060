import { Command } from 'commander';
import type { Context } from '../../context.ts';
import { createWebhookCommand } from './create.ts';
import { deadDeliveriesCommand } from './dead.ts';
import { deleteWebhookCommand } from './delete.ts';
import { listWebhooksCommand } from './list.ts';
import { retryDeliveriesCommand } from './retry.ts';
import { updateWebhookCommand } from './update.ts';

export const webhooksCommand = (context: Context): Command =>
	new Command('webhooks')
		.description('Who is told of notifications over HTTP')
		.helpCommand(false)
		.addHelpText('after', '\nExample:\n  $ spotctl notifications webhooks create https://hooks.example.com/spot --min-severity error')
		.addCommand(listWebhooksCommand(context))
		.addCommand(createWebhookCommand(context))
		.addCommand(updateWebhookCommand(context))
		.addCommand(deleteWebhookCommand(context))
		.addCommand(deadDeliveriesCommand(context))
		.addCommand(retryDeliveriesCommand(context));
