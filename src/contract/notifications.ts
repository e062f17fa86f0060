import { z } from 'zod';
import { flag, id, instant, isoTime, paging, rows, success, textOrNull } from './fields.ts';
import { operation } from './operation.ts';

export const Severity = z.enum(['info', 'warning', 'error', 'critical']);

/** A row of #65. */
export const NotificationRow = z.object({
	id: z.string(),
	message: z.string(),
	severity: Severity,
	isRead: z.boolean(),
	/** When it was told last: a repeat within ten minutes raises `count` and makes it unread. */
	time: isoTime,
	title: z.string(),
	type: z.string(),
	clientId: z.string(),
	agentId: textOrNull,
	count: z.number().int(),
	createdAt: isoTime,
});

/** #65 */
export const listNotifications = operation({
	id: 'notifications.list',
	method: 'GET',
	path: '/api/notifications',
	access: 'client',
	summary: 'Notifications, those told last first',
	input: z.object({
		...paging,
		limit: rows(10),
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
		type: z.string().max(64).optional(),
		severity: Severity.optional(),
		unread: flag,
		since: instant,
	}),
	output: NotificationRow,
	rendering: 'list',
	legacyBare: true,
});

/** #66. 200 whatever the id: an unknown one is in the original too, and another client's is told from it by nobody. `found` says whether the caller has such a notification. */
export const readNotification = operation({
	id: 'notifications.read',
	method: 'POST',
	path: '/api/notifications/{notif_id}/mark-read',
	access: 'client',
	summary: 'Mark a notification as read',
	input: z.object({ notif_id: id }),
	output: success.extend({ marked_count: z.number().int(), found: z.boolean() }),
});

/** #67. A client's token marks its own; an admin those of `client_id`, or all. */
export const readAllNotifications = operation({
	id: 'notifications.read_all',
	method: 'POST',
	path: '/api/notifications/mark-all-read',
	access: 'client',
	summary: 'Mark every notification as read',
	input: z.object({ client_id: z.string().max(255).nullish() }),
	output: success.extend({ marked_count: z.number().int() }),
});
