import type { Step } from '../migrate.ts';

/** The newest notifications of a client are the newest of those that are read and of those that are not: that index does it. */
export const leanNotifications: readonly Step[] = [
	{ name: 'no-notification-client', ddl: (t) => t.dropIndex('notification', 'notification_client') },
];
