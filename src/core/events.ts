import type { Output, Valid } from '../contract/index.ts';
import { listEventRows } from '../store/events.ts';
import { agentIdOf } from './agent-id.ts';
import { type Caller, clientScope } from './caller.ts';
import type { Context } from './context.ts';
import { shownEvent } from './event-view.ts';
import { pagesOf } from './paging.ts';

const eventPages = pagesOf('events.list');

/** The event log, newest first. One statement, and one more each for `agent_id` and `since`. */
export const listEvents =
	(context: Context) =>
	async (input: Valid<'listEvents'>, caller: Caller): Promise<Output<'listEvents'>> => {
		const after = eventPages.afterNumber(input.cursor);
		const rows = await listEventRows(context.store.read, {
			clientId: clientScope(caller) ?? input.client_id ?? null,
			agentId: input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller),
			type: input.type ?? null,
			severity: input.severity ?? null,
			since: input.since,
			limit: input.limit,
			after,
		});
		return eventPages.page(rows, input.limit, shownEvent, ({ id }) => String(id));
	};
