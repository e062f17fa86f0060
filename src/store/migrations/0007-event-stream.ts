import type { Step } from '../migrate.ts';

/** Ways into the event log: by what it tells and how bad it is, newest first, and by time. Every step can be run again. */
export const eventStream: readonly Step[] = [
	{ name: 'event-type', ddl: () => 'create index event_type on event (type, id)' },
	{ name: 'event-severity', ddl: () => 'create index event_severity on event (severity, id)' },
	{ name: 'event-created', ddl: () => 'create index event_created on event (created_at)' },
];
