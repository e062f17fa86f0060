import { z } from 'zod';
import { flag, id, isoOrNull, isoTime, paging, success, text, textOrNull } from './fields.ts';
import { Severity } from './notifications.ts';
import { operation } from './operation.ts';

export const WebhookRow = z.object({
	id: z.string(),
	name: z.string(),
	/** Null: notifications of every client are sent. */
	client_id: textOrNull,
	/** Its origin only, for tokens below scope `admin`: the path of such an address often is a secret. */
	url: z.string(),
	min_severity: Severity,
	/** Types of notifications that are sent; null: all. */
	types: z.array(z.string()).nullable(),
	enabled: z.boolean(),
	/** Whether its secret is encrypted in the database, which it is where `security.tokenRevealKey` was set. */
	secret_sealed: z.boolean(),
	created_at: isoTime,
	created_by: z.string(),
	updated_at: isoTime,
});

const types = z
	.array(z.string().regex(/^[a-z0-9_]{1,64}$/, 'is no type of a notification, such as agent_offline'))
	.max(50)
	.nullish();

const url = z.string().trim().min(1).max(2048);

export const listWebhooks = operation({
	id: 'webhooks.list',
	method: 'GET',
	path: '/api/admin/webhooks',
	access: 'read',
	summary: 'Who is told of notifications over HTTP',
	input: z.object({ ...paging, client_id: z.string().max(255).optional() }),
	output: WebhookRow,
	rendering: 'list',
});

const withSecret = success.extend({
	webhook: WebhookRow,
	/** What its requests are signed with; shown this once, null where it stays as it was. */
	secret: textOrNull,
});

/** Errors: 400 for an address that is not called; 404 for the client; 409 TOO_MANY_WEBHOOKS. */
export const createWebhook = operation({
	id: 'webhooks.create',
	method: 'POST',
	path: '/api/admin/webhooks',
	access: 'admin',
	summary: 'Send notifications somewhere',
	input: z.object({
		name: text(80).nullish(),
		client_id: z.string().max(255).nullish(),
		url,
		min_severity: Severity.nullish(),
		types,
		enabled: flag,
	}),
	output: withSecret,
	status: 201,
});

/** Changes what is given; `types: null` lifts the filter. Errors: 400, 404. */
export const updateWebhook = operation({
	id: 'webhooks.update',
	method: 'PATCH',
	path: '/api/admin/webhooks/{webhook_id}',
	access: 'admin',
	summary: 'Change a webhook, or give it a new secret',
	input: z.object({
		webhook_id: id,
		name: text(80).nullish(),
		url: url.nullish(),
		min_severity: Severity.nullish(),
		types,
		enabled: flag,
		rotate_secret: flag,
	}),
	output: withSecret,
});

/** Errors: 404. */
export const deleteWebhook = operation({
	id: 'webhooks.delete',
	method: 'DELETE',
	path: '/api/admin/webhooks/{webhook_id}',
	access: 'admin',
	summary: 'Delete a webhook with what was on its way to it',
	input: z.object({ webhook_id: id }),
	output: success.extend({ message: z.string() }),
});

/** Errors: 404. What the receiver does is an answer, not an error. */
export const testWebhook = operation({
	id: 'webhooks.test',
	method: 'POST',
	path: '/api/admin/webhooks/{webhook_id}/test',
	access: 'admin',
	summary: 'Send a signed request to a webhook now, and show what comes back',
	input: z.object({ webhook_id: id }),
	output: z.object({
		success: z.boolean(),
		delivery_id: z.string(),
		url: z.string(),
		http_status: z.number().int().nullable(),
		/** Why it does not count as delivered; null where it does. */
		error_message: textOrNull,
		/** The first 500 characters of the answer. */
		answer: textOrNull,
		duration_ms: z.number().int(),
	}),
});

export const WebhookDeliveryRow = z.object({
	id: z.string(),
	webhook_id: z.string(),
	notification_id: z.string(),
	state: z.enum(['pending', 'delivered', 'dead']),
	attempts: z.number().int(),
	http_status: z.number().int().nullable(),
	last_error: textOrNull,
	created_at: isoTime,
	attempted_at: isoOrNull,
	next_attempt_at: isoOrNull,
	delivered_at: isoOrNull,
	type: z.string(),
	severity: Severity,
	message: z.string(),
	client_id: z.string(),
});

export const listWebhookDeliveries = operation({
	id: 'webhooks.deliveries',
	method: 'GET',
	path: '/api/admin/webhook-deliveries',
	access: 'read',
	summary: 'Notifications on their way to webhooks; state dead: those that were given up',
	input: z.object({
		...paging,
		webhook_id: z.string().max(64).optional(),
		state: z.enum(['pending', 'delivered', 'dead']).default('dead'),
	}),
	output: WebhookDeliveryRow,
	rendering: 'list',
});

/** Errors: 404 for a delivery that is not dead, or none. */
export const retryWebhookDeliveries = operation({
	id: 'webhooks.retry',
	method: 'POST',
	path: '/api/admin/webhook-deliveries/retry',
	access: 'operate',
	summary: 'Send what was given up again: one, those of a webhook, or all',
	input: z.object({ delivery_id: z.string().max(160).nullish(), webhook_id: z.string().max(64).nullish() }),
	output: success.extend({ retried: z.number().int() }),
});
