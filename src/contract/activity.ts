import { z } from 'zod';
import { instant, isoTime, paging, textOrNull } from './fields.ts';
import { Severity } from './notifications.ts';
import { operation } from './operation.ts';

/** A row of #4, with the names of v5 beside those of the original. */
export const ActivityRow = z.object({
	/** The event's own, the same in every answer. */
	id: z.number().int(),
	type: z.enum(['switch', 'agent', 'event']),
	text: z.string(),
	time: isoTime,
	severity: Severity,
	message: z.string(),
	timestamp: isoTime,
	clientId: textOrNull,
	clientName: textOrNull,
	/** What it is in the log of events: `switch_completed`, `replica_failed` … */
	eventType: z.string(),
	agentId: textOrNull,
	instanceId: textOrNull,
});

/** #4. `type` is switch, agent or event, or the exact type of an event. */
export const listActivity = operation({
	id: 'activity.list',
	method: 'GET',
	path: '/api/admin/activity',
	access: 'read',
	summary: 'What happened, newest first',
	input: z.object({
		...paging,
		limit: z.coerce.number().int().min(1).max(1000).default(50),
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
		type: z.string().max(64).optional(),
		severity: Severity.optional(),
		since: instant,
	}),
	output: ActivityRow,
	rendering: 'list',
	legacyBare: true,
});
