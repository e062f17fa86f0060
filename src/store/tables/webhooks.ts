import type { Flag } from '../schema.ts';

/** Who is told of notifications over HTTP. `client_id` null: of every client's. */
export type WebhookTable = {
	id: string;
	client_id: string | null;
	name: string;
	url: string;
	/** What requests are signed with: AES-256-GCM ciphertext where `sealed`, else as it is. */
	secret: string;
	sealed: Flag;
	/** The least severity that is sent: 0 info, 1 warning, 2 error, 3 critical. */
	min_rank: number;
	/** `,type,type,` of the notifications that are sent; null: all. */
	types: string | null;
	enabled: Flag;
	created_by: string;
	created_at: number;
	updated_at: number;
};

export type DeliveryStatus = 'pending' | 'delivered' | 'dead';

/** One notification on its way to one webhook. */
export type WebhookDeliveryTable = {
	/** `notification.webhook.severity`: the same for every attempt, so that a receiver knows a repeat. */
	id: string;
	webhook_id: string;
	notification_id: string;
	status: DeliveryStatus;
	attempts: number;
	/** When it is tried next; an attempt under way has it in the future, so that one that was killed is tried again. Null: never by itself. */
	due_at: number | null;
	created_at: number;
	attempted_at: number | null;
	http_status: number | null;
	error: string | null;
	delivered_at: number | null;
};
