import type { Output, Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import {
	listNotificationRows,
	readNotification as markRead,
	notificationById,
	READ_AT_ONCE,
	readNotifications,
} from '../store/notifications.ts';
import type { NotificationTable } from '../store/schema.ts';
import { agentIdOf } from './agent-id.ts';
import { type Caller, clientScope } from './caller.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';

const notificationPages = pagesOf('notifications.list');

type Row = Output<'listNotifications'>['items'][number];

const show = (row: NotificationTable): Row => ({
	id: row.id,
	message: row.message,
	severity: row.severity,
	isRead: row.is_read === 1,
	time: iso(row.last_at),
	title: row.title,
	type: row.type,
	clientId: row.client_id,
	agentId: row.agent_id,
	count: row.count,
	createdAt: iso(row.created_at),
});

const cursorOf = (row: NotificationTable): string => `${row.last_at}:${row.id}`;

/** #65. One statement; a second where an agent is named. */
export const listNotifications =
	(context: Context) =>
	async (input: Valid<'listNotifications'>, caller: Caller): Promise<Output<'listNotifications'>> => {
		const after = notificationPages.afterPair(input.cursor);
		const rows = await listNotificationRows(context.store.read, {
			clientId: clientScope(caller) ?? input.client_id ?? null,
			agentId: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			type: input.type ?? null,
			severity: input.severity ?? null,
			unread: input.unread ?? null,
			since: input.since,
			limit: input.limit,
			after: after === null ? null : { at: after.first, id: after.id },
		});
		return notificationPages.page(rows, input.limit, show, cursorOf);
	};

/** #66. What is unknown and what is another client's are answered alike. */
export const readNotification =
	(context: Context) =>
	(input: Valid<'readNotification'>, caller: Caller): Promise<Output<'readNotification'>> =>
		context.unit(caller, async (tx, journal) => {
			const row = await notificationById.first(tx, { id: input.notif_id });
			const scope = clientScope(caller);
			const isNamed = row !== undefined && (scope === null || row.client_id === scope);
			if (!isNamed) return { success: true, marked_count: 0, found: false };
			if ((await markRead.run(tx, { id: row.id })) === 0) return { success: true, marked_count: 0, found: true };
			journal.audit('notifications.read', 'notification', row.id, row.client_id, { read: false }, { read: true });
			return { success: true, marked_count: 1, found: true };
		});

/** #67. A transaction for each thousand; what is told meanwhile stays unread. */
export const readAllNotifications =
	(context: Context) =>
	async (input: Valid<'readAllNotifications'>, caller: Caller): Promise<Output<'readAllNotifications'>> => {
		const clientId = clientScope(caller) ?? input.client_id ?? null;
		const until = context.clock.now();
		let marked = 0;
		for (;;) {
			const some = await context.unit(caller, async (tx, journal) => {
				const count = await readNotifications(tx, clientId, until);
				if (count > 0)
					journal.audit('notifications.read_all', 'notification', '*', clientId, { unread: count }, { unread: 0, told_until: iso(until) });
				return count;
			});
			marked += some;
			if (some < READ_AT_ONCE) return { success: true, marked_count: marked };
		}
	};
