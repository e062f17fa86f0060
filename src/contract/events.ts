import { z } from 'zod';
import { EVENT_KINDS, EVENT_TYPES } from './event-log.ts';
import { instant, isoTime, paging, textOrNull } from './fields.ts';
import { operation } from './operation.ts';

const EventRow = z.object({
	/** Its number in the log. Numbers are given before they are committed: a later event can have a lower one. */
	id: z.number().int(),
	type: z.string(),
	kind: z.enum(EVENT_KINDS),
	severity: z.enum(['info', 'warning', 'error', 'critical']),
	client_id: textOrNull,
	agent_id: textOrNull,
	instance_id: textOrNull,
	message: z.string(),
	metadata: z.record(z.string(), z.unknown()).nullable(),
	timestamp: isoTime,
});

const KNOWN: ReadonlySet<string> = new Set([...EVENT_KINDS, ...EVENT_TYPES]);

const list = z
	.string()
	.max(1000)
	.optional()
	.transform((text, context) => {
		const words = (text ?? '').split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim()]));
		const unknown = words.find((word) => !KNOWN.has(word));
		if (unknown === undefined) return words;
		context.addIssue({
			code: 'custom',
			message: `"${unknown.slice(0, 64)}" is no kind of an event (${EVENT_KINDS.join(', ')}), and no type (such as switch_completed)`,
		});
		return z.NEVER;
	});

/**
 * X13. A client token hears of its own client, an admin of every one, or of `client_id`. `types` keeps only events of these types or kinds,
 * comma separated; a word that is neither is refused. Events: `connected` first, `heartbeat` every 30 s, the events of the log under their type, `gap` where some may have been
 * missed (`reason`: pruned, unknown, late, stalled), `closing` before the daemon ends the stream (`reason`). Continues after the
 * header `Last-Event-ID`, or `last_event_id`; what cannot be continued begins with `gap`. An id is opaque; `0` is the begin of the log. Delivery is
 * at least once: `data.id` says which events are the same. Errors: 503 and 429 TOO_MANY_STREAMS, 503 STOPPING.
 */
export const streamEvents = operation({
	id: 'events.stream',
	method: 'GET',
	path: '/api/events/stream',
	access: 'client',
	summary: 'What happens, as server-sent events',
	input: z.object({ client_id: z.string().max(255).optional(), types: list, last_event_id: z.string().max(4096).optional() }),
	output: EventRow,
	rendering: 'sse',
});

/** The log that the stream sends, newest first. A client token sees its own. `type` is exact. */
export const listEvents = operation({
	id: 'events.list',
	method: 'GET',
	path: '/api/admin/events',
	access: 'client',
	summary: 'What happened, newest first',
	input: z.object({
		...paging,
		limit: z.coerce.number().int().min(1).max(1000).default(1000),
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
		type: z.string().max(64).optional(),
		severity: z.enum(['info', 'warning', 'error', 'critical']).optional(),
		since: instant,
	}),
	output: EventRow,
	rendering: 'list',
});
