import type { CleanupLogTable } from './schema.ts';
import { statement } from './statement.ts';

/** Books what a host says it has removed of its snapshots and images. */
export const addCleanup = statement<Omit<CleanupLogTable, 'id'>>()((db, v) =>
	db.insertInto('cleanup_log').values({
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		handle: v('handle'),
		deleted_snapshots: v('deleted_snapshots'),
		deleted_amis: v('deleted_amis'),
		failed: v('failed'),
		reported_at: v('reported_at'),
	}),
);
