import type { NotificationTable, Severity } from './schema.ts';
import { atMost, type Db, statement } from './statement.ts';

/** Where a page begins: after the row that was last told at `at` and has this id. */
export type NotificationCursor = { readonly at: number; readonly id: string };

export type NotificationFilter = {
	readonly clientId: string | null;
	readonly agentId: string | null;
	readonly type: string | null;
	readonly severity: Severity | null;
	readonly unread: boolean | null;
	/** UTC milliseconds; what was told at that time or later. */
	readonly since: number | null;
	readonly limit: number;
	readonly after: NotificationCursor | null;
};

const selected = (db: Db, filter: NotificationFilter, unread: boolean | null) => {
	const { after } = filter;
	let query = db
		.selectFrom('notification')
		.selectAll()
		.orderBy('last_at', 'desc')
		.orderBy('id', 'desc')
		.limit(atMost(filter.limit + 1));
	if (filter.clientId !== null) query = query.where('client_id', '=', filter.clientId);
	if (filter.agentId !== null) query = query.where('agent_id', '=', filter.agentId);
	if (filter.type !== null) query = query.where('type', '=', filter.type);
	if (filter.severity !== null) query = query.where('severity', '=', filter.severity);
	if (unread !== null) query = query.where('is_read', '=', unread ? 0 : 1);
	if (filter.since !== null) query = query.where('last_at', '>=', filter.since);
	if (after !== null)
		query = query.where('last_at', '<=', after.at).where((eb) => eb.or([eb('last_at', '<', after.at), eb('id', '<', after.id)]));
	return query;
};

/** Notifications, those told last first, with one more than `limit`. */
export const listNotificationRows = (db: Db, filter: NotificationFilter): Promise<NotificationTable[]> => {
	const { clientId, agentId, type, severity, unread } = filter;
	// No index but those of what is read and of what is not has the order, so the newest of all are looked for among the newest of both.
	const merges = unread === null && agentId === null && (clientId !== null || (type === null && severity === null));
	if (!merges) return selected(db, filter, unread).execute();
	const part = (of: boolean) => db.selectFrom(selected(db, filter, of).as('part')).selectAll();
	return db
		.selectFrom(part(true).unionAll(part(false)).as('found'))
		.selectAll()
		.orderBy('last_at', 'desc')
		.orderBy('id', 'desc')
		.limit(atMost(filter.limit + 1))
		.execute();
};

export const notificationById = statement<{ id: string }>()((db, v) => db.selectFrom('notification').selectAll().where('id', '=', v('id')));

/** Matches the row only while it is unread. */
export const readNotification = statement<{ id: string }>()((db, v) =>
	db.updateTable('notification').set({ is_read: 1 }).where('id', '=', v('id')).where('is_read', '=', 0),
);

/** How many rows one transaction marks. */
export const READ_AT_ONCE = 1000;

/** Marks at most {@link READ_AT_ONCE} as read that were told until `until`; null: of every client. Returns how many. */
export const readNotifications = async (tx: Db, clientId: string | null, until: number): Promise<number> => {
	const result = await tx
		.updateTable('notification')
		.set({ is_read: 1 })
		.where('id', 'in', (eb) => {
			let few = eb
				.selectFrom('notification')
				.select('id')
				.where('is_read', '=', 0)
				.where('last_at', '<=', until)
				.limit(atMost(READ_AT_ONCE));
			if (clientId !== null) few = few.where('client_id', '=', clientId);
			// MySQL changes no table it selects from, and takes no limit there, unless the rows are a table of their own.
			return eb.selectFrom(few.as('few')).select('few.id');
		})
		.executeTakeFirst();
	return Number(result.numUpdatedRows);
};
