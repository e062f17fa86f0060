import { Command } from 'commander';
import type { Context } from '../context.ts';
import { listNotificationsCommand } from './list.ts';
import { readNotificationsCommand } from './read.ts';
import { testWebhookCommand } from './test-webhook.ts';
import { webhooksCommand } from './webhooks/index.ts';

export const notificationsCommand = (context: Context): Command =>
	new Command('notifications')
		.addCommand(listNotificationsCommand(context))
		.addCommand(readNotificationsCommand(context))
		.addCommand(webhooksCommand(context))
		.addCommand(testWebhookCommand(context));
