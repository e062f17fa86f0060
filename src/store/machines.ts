import { type Agent, addLogicalId } from './agents.ts';
import { atMost, type Db, statement } from './statement.ts';

const hostsOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('host').select('handle').where('agent_id', '=', v('agent_id')).limit(atMost(2)),
);
const switchesOf = statement<{ agent_id: string }>()((db, v) =>
	db.selectFrom('switch_record').select('id').where('agent_id', '=', v('agent_id')).limit(atMost(1)),
);
const replicasOf = statement<{ handle: string }>()((db, v) =>
	db.selectFrom('replica').select('id').where('handle', '=', v('handle')).limit(atMost(1)),
);

/** Whether an agent has one machine and no switch is booked of it. */
export const hasOneMachine = async (db: Db, agentId: string): Promise<boolean> =>
	(await hostsOf.all(db, { agent_id: agentId })).length === 1 && (await switchesOf.first(db, { agent_id: agentId })) === undefined;

/** Whether any replica, whatever became of it, is or was this machine. */
export const isBookedAsReplica = async (db: Db, handle: string): Promise<boolean> => (await replicasOf.first(db, { handle })) !== undefined;

/** Lets a name that meant one agent of a client mean another. */
export const moveLogicalId = statement<{ client_id: string; logical_id: string; from: string; to: string }>()((db, v) =>
	db
		.updateTable('logical_id')
		.set({ agent_id: v('to') })
		.where('client_id', '=', v('client_id'))
		.where('logical_id', '=', v('logical_id'))
		.where('agent_id', '=', v('from')),
);

/**
 * Hands the history and the names of an agent without hosts over to another of its client and deletes it. Its live replica fails and its
 * open emergency is overtaken: whatever was ordered for it is for nobody now. Both agents are locked by whoever calls this.
 */
export const foldAgent = async (tx: Db, from: Agent, into: Agent, now: number): Promise<void> => {
	for (const table of ['event', 'notification', 'cleanup_log', 'command'] as const)
		await tx.updateTable(table).set({ agent_id: into.id }).where('agent_id', '=', from.id).execute();
	await tx
		.updateTable('replica')
		.set({ agent_id: into.id, live_of: null, status: 'failed', ended_at: now })
		.where('live_of', '=', from.id)
		.execute();
	await tx
		.updateTable('emergency')
		.set({ agent_id: into.id, open_of: null, step: 'ended', outcome: 'overtaken', ended_at: now })
		.where('open_of', '=', from.id)
		.execute();
	for (const table of ['replica', 'emergency'] as const)
		await tx.updateTable(table).set({ agent_id: into.id }).where('agent_id', '=', from.id).execute();
	const names = await tx.selectFrom('logical_id').select('logical_id').where('agent_id', '=', from.id).execute();
	await tx.deleteFrom('agent').where('id', '=', from.id).execute();
	for (const { logical_id } of names) await addLogicalId.later(tx, { client_id: into.client_id, logical_id, agent_id: into.id });
};
