import type { Output, Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import { type ActivityRow, listActivityRows } from '../store/activity.ts';
import { agentIdOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';

const activityPages = pagesOf('activity.list');

type Row = Output<'listActivity'>['items'][number];

/** The icons of the original's page (endpoints.md #4); everything else is an event. */
const KINDS: Readonly<Record<'switch' | 'agent', readonly string[]>> = {
	switch: ['switch_completed', 'manual_switch_requested'],
	agent: ['agent_registered'],
};

const kindOf = (type: string): Row['type'] => (KINDS.switch.includes(type) ? 'switch' : KINDS.agent.includes(type) ? 'agent' : 'event');

const show = (row: ActivityRow): Row => ({
	id: row.id,
	type: kindOf(row.type),
	text: row.message,
	time: iso(row.created_at),
	severity: row.severity,
	message: row.message,
	timestamp: iso(row.created_at),
	clientId: row.client_id,
	clientName: row.client_name,
	eventType: row.type,
	agentId: row.agent_id,
	instanceId: row.instance_id,
});

const typesOf = (type: string | undefined): { types: readonly string[] | null; notTypes: readonly string[] } => {
	if (type === undefined || type === '') return { types: null, notTypes: [] };
	if (type === 'switch' || type === 'agent') return { types: KINDS[type], notTypes: [] };
	return type === 'event' ? { types: null, notTypes: Object.values(KINDS).flat() } : { types: [type], notTypes: [] };
};

/** #4 (D-50: errors and what is critical are in it). Two statements; a third where an agent is named. */
export const listActivity =
	(context: Context) =>
	async (input: Valid<'listActivity'>, caller: Caller): Promise<Output<'listActivity'>> => {
		const rows = await listActivityRows(context.store.read, {
			clientId: input.client_id ?? null,
			agentId: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			severity: input.severity ?? null,
			...typesOf(input.type),
			since: input.since,
			limit: input.limit,
			before: activityPages.afterNumber(input.cursor),
		});
		return activityPages.page(rows, input.limit, show, ({ id }) => String(id));
	};
