import { sql } from 'kysely';
import type { NotificationTable } from './schema.ts';
import { atMost, type Db, statement } from './statement.ts';
import type { DeliveryStatus, WebhookDeliveryTable, WebhookTable } from './tables/webhooks.ts';

export type Webhook = WebhookTable;
export type Delivery = WebhookDeliveryTable;
/** What is sent: a delivery with the notification as it reads now. */
export type DueDelivery = Delivery & { readonly notification: NotificationTable; readonly client_name: string };

/** Webhooks newest first, with one more than `limit`. */
export const listWebhookRows = (
	db: Db,
	{ clientId, limit, after }: { readonly clientId: string | null; readonly limit: number; readonly after: string | null },
): Promise<Webhook[]> => {
	let query = db
		.selectFrom('webhook')
		.selectAll()
		.orderBy('id', 'desc')
		.limit(limit + 1);
	if (clientId !== null) query = query.where('client_id', '=', clientId);
	if (after !== null) query = query.where('id', '<', after);
	return query.execute();
};

export const webhookById = statement<{ id: string }>()((db, v) => db.selectFrom('webhook').selectAll().where('id', '=', v('id')));

/** Those that are sent to. There are few: {@link MOST_WEBHOOKS}. */
export const enabledWebhooks = statement<object>()((db) => db.selectFrom('webhook').selectAll().where('enabled', '=', 1));

/** How many may be enabled: each has a lane of its own. */
export const MOST_WEBHOOKS = 100;

export const countWebhooks = async (db: Db): Promise<number> => {
	const row = await db
		.selectFrom('webhook')
		.select((eb) => eb.fn.countAll<number>().as('count'))
		.where('enabled', '=', 1)
		.executeTakeFirst();
	return Number(row?.count ?? 0);
};

const COLUMNS = [
	'id',
	'client_id',
	'name',
	'url',
	'secret',
	'sealed',
	'min_rank',
	'types',
	'enabled',
	'created_by',
	'created_at',
	'updated_at',
] as const satisfies readonly (keyof WebhookTable)[];

export const addWebhook = async (tx: Db, row: Webhook): Promise<void> => {
	await tx
		.insertInto('webhook')
		.values(Object.fromEntries(COLUMNS.map((column) => [column, row[column]])) as Webhook)
		.execute();
};

export const saveWebhook = statement<Omit<Webhook, 'client_id' | 'created_by' | 'created_at'>>()((db, v) =>
	db
		.updateTable('webhook')
		.set({
			name: v('name'),
			url: v('url'),
			secret: v('secret'),
			sealed: v('sealed'),
			min_rank: v('min_rank'),
			types: v('types'),
			enabled: v('enabled'),
			updated_at: v('updated_at'),
		})
		.where('id', '=', v('id')),
);

export const removeWebhook = statement<{ id: string }>()((db, v) => db.deleteFrom('webhook').where('id', '=', v('id')));

/** How many deliveries of one webhook are under way at once. */
export const AT_ONCE = 8;

const withNotification = (db: Db) =>
	db
		.selectFrom('webhook_delivery as d')
		.innerJoin('notification as n', 'n.id', 'd.notification_id')
		.innerJoin('client as c', 'c.id', 'n.client_id')
		.selectAll('d')
		.select([
			'n.client_id as n_client_id',
			'n.agent_id as n_agent_id',
			'n.type as n_type',
			'n.title as n_title',
			'n.message as n_message',
			'n.severity as n_severity',
			'n.is_read as n_is_read',
			'n.count as n_count',
			'n.created_at as n_created_at',
			'n.last_at as n_last_at',
			'c.name as client_name',
		]);

type Joined = Awaited<ReturnType<ReturnType<typeof withNotification>['execute']>>[number];

const whole = (row: Joined): DueDelivery => ({
	...row,
	notification: {
		id: row.notification_id,
		client_id: row.n_client_id,
		agent_id: row.n_agent_id,
		type: row.n_type,
		title: row.n_title,
		message: row.n_message,
		severity: row.n_severity,
		is_read: row.n_is_read,
		count: row.n_count,
		created_at: row.n_created_at,
		last_at: row.n_last_at,
	},
});

const due = statement<{ webhook_id: string; now: number }>()((db, v) =>
	withNotification(db)
		.where('d.webhook_id', '=', v('webhook_id'))
		.where('d.due_at', '<=', v('now'))
		.orderBy('d.due_at')
		.limit(atMost(AT_ONCE)),
);

/** What is due for a webhook, the oldest first, {@link AT_ONCE} at most. */
export const dueDeliveries = async (db: Db, webhookId: string, now: number): Promise<DueDelivery[]> =>
	(await due.all(db, { webhook_id: webhookId, now })).map(whole);

/** Notes that an attempt begins: one that is never heard of again comes due at `due_at`. Matches only the row as it was read. */
export const claimDelivery = statement<{ id: string; seen_attempts: number; attempts: number; due_at: number; now: number }>()((db, v) =>
	db
		.updateTable('webhook_delivery')
		.set({ attempts: v('attempts'), due_at: v('due_at'), attempted_at: v('now') })
		.where('id', '=', v('id'))
		.where('status', '=', 'pending')
		.where('attempts', '=', v('seen_attempts')),
);

/** Notes how an attempt ended, unless another has begun since. */
export const saveAttempt = statement<Pick<Delivery, 'id' | 'attempts' | 'status' | 'due_at' | 'http_status' | 'error' | 'delivered_at'>>()(
	(db, v) =>
		db
			.updateTable('webhook_delivery')
			.set({
				status: v('status'),
				due_at: v('due_at'),
				http_status: v('http_status'),
				error: v('error'),
				delivered_at: v('delivered_at'),
			})
			.where('id', '=', v('id'))
			.where('status', '=', 'pending')
			.where('attempts', '=', v('attempts')),
);

/** Deliveries in a state, newest first, with one more than `limit`. */
export const listDeliveryRows = async (
	db: Db,
	filter: { readonly webhookId: string | null; readonly status: DeliveryStatus; readonly limit: number; readonly after: string | null },
): Promise<DueDelivery[]> => {
	let query = withNotification(db)
		.where('d.status', '=', filter.status)
		.orderBy('d.id', 'desc')
		.limit(filter.limit + 1);
	if (filter.webhookId !== null) query = query.where('d.webhook_id', '=', filter.webhookId);
	if (filter.after !== null) query = query.where('d.id', '<', filter.after);
	return (await query.execute()).map(whole);
};

/** How many rows one transaction changes. */
export const DELIVERIES_AT_ONCE = 1000;

/** Sets dead deliveries going again, at most {@link DELIVERIES_AT_ONCE}; returns how many. */
export const reviveDeliveries = async (
	tx: Db,
	{ id, webhookId, now }: { readonly id: string | null; readonly webhookId: string | null; readonly now: number },
): Promise<number> => {
	const result = await tx
		.updateTable('webhook_delivery')
		.set({ status: 'pending', attempts: 0, due_at: now })
		.where('id', 'in', (eb) => {
			let few = eb.selectFrom('webhook_delivery').select('id').where('status', '=', 'dead').limit(atMost(DELIVERIES_AT_ONCE));
			if (id !== null) few = few.where('id', '=', id);
			if (webhookId !== null) few = few.where('webhook_id', '=', webhookId);
			return eb.selectFrom(few.as('few')).select('few.id');
		})
		.executeTakeFirst();
	return Number(result.numUpdatedRows);
};

/** Forgets what was delivered before a time, at most {@link DELIVERIES_AT_ONCE}; returns how many. */
export const removeDelivered = async (tx: Db, before: number): Promise<number> => {
	const result = await tx
		.deleteFrom('webhook_delivery')
		.where('id', 'in', (eb) =>
			eb
				.selectFrom(
					eb
						.selectFrom('webhook_delivery')
						.select('id')
						.where('status', '=', 'delivered')
						.where('delivered_at', '<', before)
						.limit(sql.lit(DELIVERIES_AT_ONCE))
						.as('few'),
				)
				.select('few.id'),
		)
		.executeTakeFirst();
	return Number(result.numDeletedRows);
};
