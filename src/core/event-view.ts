import type { Output } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import type { StreamEvent } from '../contract/sse.ts';
import type { EventRecord } from '../store/events.ts';

type Shown = Output<'listEvents'>['items'][number];

/** What an event is about, by how its type begins; the first that fits. */
const KINDS: ReadonlyArray<readonly [Shown['kind'], RegExp]> = [
	['notification', /^notification$/],
	['command', /^(?:command_|manual_switch_requested$)/],
	['switch', /switch/],
	['emergency', /^(?:emergency_|failover_|termination_notice|rebalance_|primary_silent)/],
	['replica', /^(?:replicas?_|standby_)/],
	['instance', /^(?:instance_|machine_|host_|extra_machine|surplus_machine|unexpected_host|terminated_host|guess_|heartbeat_|cleanup_)/],
	['agent', /^(?:agent_|logical_id_)/],
	['client', /^(?:client_|token_)/],
];

/** Which kind of thing an event of this type is about. */
export const kindOf = (type: string): Shown['kind'] => KINDS.find(([, form]) => form.test(type))?.[0] ?? 'system';

const metadataOf = (text: string | null): Shown['metadata'] => {
	if (text === null) return null;
	const value: unknown = JSON.parse(text);
	return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
};

/** An event as everybody sees it. */
export const shownEvent = (row: EventRecord): Shown => ({
	id: row.id,
	type: row.type,
	kind: kindOf(row.type),
	severity: row.severity,
	client_id: row.client_id,
	agent_id: row.agent_id,
	instance_id: row.instance_id,
	message: row.message,
	metadata: metadataOf(row.metadata),
	timestamp: iso(row.created_at),
});

/** An event of a stream; `id` is where its reader is after it, null where that is no further than before. */
export const sentEvent = (row: EventRecord, id: string | null): StreamEvent => ({ event: row.type, id, data: shownEvent(row) });
