import { sql } from 'kysely';
import { statement } from './statement.ts';
import type { SwitchFailureTable } from './tables/overview.ts';

/** Notes a switch that failed, in the transaction that ends its order. */
export const addSwitchFailure = statement<SwitchFailureTable>()((db, v) =>
	db.insertInto('switch_failure').values({
		id: v('id'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		trigger_type: v('trigger_type'),
		at: v('at'),
	}),
);

/** The order of a failure led to a switch after all: its machine was only late. */
export const forgetSwitchFailure = statement<{ id: string }>()((db, v) => db.deleteFrom('switch_failure').where('id', '=', v('id')));

/** How many switches of a client failed since an instant. The index alone is read. */
export const failuresOfClient = statement<{ client_id: string; since: number }>()((db, v) =>
	db
		.selectFrom('switch_failure')
		.select(sql<number>`count(*)`.as('count'))
		.where('client_id', '=', v('client_id'))
		.where('at', '>=', v('since')),
);

/** How many switches of an agent failed, ever. The index alone is read. */
export const failuresOfAgent = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('switch_failure').select(sql<number>`count(*)`.as('count')).where('agent_id', '=', v('agent_id')),
);
