import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { DELIVERIES_AT_ONCE, type DueDelivery, listDeliveryRows, reviveDeliveries } from '../store/webhooks.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { webhookNamed } from './webhooks.ts';

const deliveryPages = pagesOf('webhooks.deliveries');

type Row = Output<'listWebhookDeliveries'>['items'][number];

const show = (row: DueDelivery): Row => ({
	id: row.id,
	webhook_id: row.webhook_id,
	notification_id: row.notification_id,
	state: row.status,
	attempts: row.attempts,
	http_status: row.http_status,
	last_error: row.error,
	created_at: iso(row.created_at),
	attempted_at: isoOr(row.attempted_at),
	next_attempt_at: isoOr(row.due_at),
	delivered_at: isoOr(row.delivered_at),
	type: row.notification.type,
	severity: row.notification.severity,
	message: row.notification.message,
	client_id: row.notification.client_id,
});

/** Errors: 404 for the webhook. */
export const listWebhookDeliveries =
	(context: Context) =>
	async (input: Valid<'listWebhookDeliveries'>): Promise<Output<'listWebhookDeliveries'>> => {
		const webhookId = input.webhook_id === undefined ? null : (await webhookNamed(context.store.read, input.webhook_id)).id;
		const rows = await listDeliveryRows(context.store.read, {
			webhookId,
			status: input.state,
			limit: input.limit,
			after: deliveryPages.after(input.cursor),
		});
		return deliveryPages.page(rows, input.limit, show, ({ id }) => id);
	};

/** A transaction for each thousand. Errors: 404 for the webhook, and for a delivery that is not dead. */
export const retryWebhookDeliveries =
	(context: Context) =>
	async (input: Valid<'retryWebhookDeliveries'>, caller: Caller): Promise<Output<'retryWebhookDeliveries'>> => {
		const id = input.delivery_id ?? null;
		const webhookId = input.webhook_id === null || input.webhook_id === undefined ? null : input.webhook_id;
		if (webhookId !== null) await webhookNamed(context.store.read, webhookId);
		let retried = 0;
		for (;;) {
			const some = await context.unit(caller, async (tx, journal) => {
				const count = await reviveDeliveries(tx, { id, webhookId, now: context.clock.now() });
				if (id !== null && count === 0)
					throw new SpotError('missing', 'NOT_FOUND', `no dead delivery "${id.slice(0, 160)}"`, {
						hint: 'see: spotctl notifications webhooks dead',
					});
				journal.audit('webhooks.retry', 'webhook', webhookId ?? '*', null, { dead: count, delivery_id: id }, { retried: count });
				return count;
			});
			retried += some;
			if (some < DELIVERIES_AT_ONCE) return { success: true, retried };
		}
	};
