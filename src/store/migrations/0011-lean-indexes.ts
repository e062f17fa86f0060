import type { Step } from '../migrate.ts';

const dropped = (table: string, index: string): Step => ({
	name: `no-${index.replaceAll('_', '-')}`,
	ddl: (t) => t.dropIndex(table, index),
});

/**
 * Indexes that every switch wrote and that another one can do the work of. Orders that a machine stands for are found among the machines
 * of their agent; notifications, read or not, are the newest of those that are read and of those that are not.
 */
export const leanIndexes: readonly Step[] = [
	dropped('host', 'host_guess_command'),
	dropped('host', 'host_guess_replica'),
	dropped('host', 'host_tentative_command'),
	dropped('host', 'host_tentative_replica'),
	dropped('notification', 'notification_last'),
];
