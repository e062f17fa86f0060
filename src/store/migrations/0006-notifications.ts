import type { Step } from '../migrate.ts';

/**
 * Webhooks and their deliveries, and what the lists of notifications and activity are read by: the newest first of all clients, of what is
 * unread, of a severity, of a type, and since a time. Every step can be run again.
 */
export const notifications: readonly Step[] = [
	{
		name: 'webhook',
		ddl: (t) => `create table if not exists webhook (
			id varchar(64) not null primary key, client_id varchar(64), name varchar(80) not null, url varchar(2048) not null,
			secret varchar(512) not null, sealed integer not null, min_rank integer not null, types text, enabled integer not null,
			created_by varchar(255) not null, created_at bigint not null, updated_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'webhook-client', ddl: () => 'create index webhook_client on webhook (client_id, id)' },
	{
		name: 'webhook-delivery',
		ddl: (t) => `create table if not exists webhook_delivery (
			id varchar(160) not null primary key, webhook_id varchar(64) not null, notification_id varchar(64) not null,
			status varchar(16) not null, attempts integer not null, due_at bigint, created_at bigint not null, attempted_at bigint,
			http_status integer, error varchar(300), delivered_at bigint,
			foreign key (webhook_id) references webhook (id) on delete cascade,
			foreign key (notification_id) references notification (id) on delete cascade)${t.end}`,
	},
	{ name: 'webhook-delivery-due', ddl: () => 'create index webhook_delivery_due on webhook_delivery (webhook_id, due_at)' },
	{ name: 'webhook-delivery-of', ddl: () => 'create index webhook_delivery_of on webhook_delivery (notification_id)' },
	{ name: 'webhook-delivery-status', ddl: () => 'create index webhook_delivery_status on webhook_delivery (status, id)' },
	{
		name: 'webhook-delivery-webhook-status',
		ddl: () => 'create index webhook_delivery_webhook_status on webhook_delivery (webhook_id, status, id)',
	},
	{ name: 'webhook-delivery-done', ddl: () => 'create index webhook_delivery_done on webhook_delivery (status, delivered_at)' },
	{ name: 'notification-last', ddl: () => 'create index notification_last on notification (last_at, id)' },
	{ name: 'notification-unread', ddl: () => 'create index notification_unread on notification (is_read, last_at, id)' },
	{
		name: 'notification-client-unread',
		ddl: () => 'create index notification_client_unread on notification (client_id, is_read, last_at, id)',
	},
	{ name: 'notification-severity', ddl: () => 'create index notification_severity on notification (severity, last_at, id)' },
	{ name: 'notification-type', ddl: () => 'create index notification_type on notification (type, last_at, id)' },
	{ name: 'event-at', ddl: () => 'create index event_at on event (created_at, id)' },
	{ name: 'event-severity', ddl: () => 'create index event_severity on event (severity, id)' },
	{ name: 'event-type', ddl: () => 'create index event_type on event (type, id)' },
];
