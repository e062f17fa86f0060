import type { AuditTable, ChangeLogTable, EventTable, NotificationTable } from './schema.ts';
import { type Db, statement } from './statement.ts';

/** Repeats of a notification within this time raise its counter instead (spec section 13 "Ours"). */
const REPEAT_MS = 10 * 60_000;

export type NewEvent = Omit<EventTable, 'id'>;
export type NewAudit = Omit<AuditTable, 'id'>;
export type NewChange = Omit<ChangeLogTable, 'id'>;
export type NewNotification = Omit<NotificationTable, 'is_read' | 'count' | 'last_at'>;

const addEvent = statement<NewEvent>()((db, v) =>
	db.insertInto('event').values({
		type: v('type'),
		severity: v('severity'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		instance_id: v('instance_id'),
		message: v('message'),
		metadata: v('metadata'),
		request_id: v('request_id'),
		created_at: v('created_at'),
	}),
);

const addAudit = statement<NewAudit>()((db, v) =>
	db.insertInto('audit').values({
		at: v('at'),
		actor: v('actor'),
		action: v('action'),
		entity: v('entity'),
		entity_id: v('entity_id'),
		client_id: v('client_id'),
		before_json: v('before_json'),
		after_json: v('after_json'),
		request_id: v('request_id'),
	}),
);

const addChange = statement<NewChange>()((db, v) =>
	db.insertInto('change_log').values({ origin: v('origin'), topic: v('topic'), key: v('key'), at: v('at') }),
);

const repeatNotification = statement<{
	agent_id: string;
	type: string;
	message: string;
	now: number;
	since: number;
	severity: NotificationTable['severity'];
}>()((db, v) =>
	db
		.updateTable('notification')
		.set((eb) => ({ count: eb('count', '+', 1), last_at: v('now'), message: v('message'), severity: v('severity'), is_read: 0 }))
		.where('agent_id', '=', v('agent_id'))
		.where('type', '=', v('type'))
		.where('last_at', '>', v('since')),
);

/** Adds a notification unless the same was repeated within the time: its source row is the client, so that one without a client adds none. */
const addNotification = statement<NewNotification & { since: number }>()((db, v) =>
	db
		.insertInto('notification')
		.columns(['id', 'client_id', 'agent_id', 'type', 'title', 'message', 'severity', 'is_read', 'count', 'created_at', 'last_at'])
		.expression((eb) =>
			eb
				.selectFrom('client')
				.select([
					eb.val(v('id')).as('id'),
					eb.val(v('client_id')).as('client_id'),
					eb.val(v('agent_id')).as('agent_id'),
					eb.val(v('type')).as('type'),
					eb.val(v('title')).as('title'),
					eb.val(v('message')).as('message'),
					eb.val(v('severity')).as('severity'),
					eb.lit(0).as('is_read'),
					eb.lit(1).as('count'),
					eb.val(v('created_at')).as('created_at'),
					eb.val(v('created_at')).as('last_at'),
				])
				.where('client.id', '=', v('client_id'))
				.where((where) =>
					where.not(
						where.exists(
							where
								.selectFrom('notification as n')
								.select('n.id')
								.where('n.agent_id', '=', v('agent_id'))
								.where('n.type', '=', v('type'))
								.where('n.last_at', '>', v('since')),
						),
					),
				),
		),
);

/** What one transaction has to say: written at its end, in this order. */
export type Written = {
	readonly events: readonly NewEvent[];
	readonly notifications: readonly NewNotification[];
	readonly audits: readonly NewAudit[];
	readonly changes: readonly NewChange[];
};

/** Writes events, notifications (repeats counted), audit rows and what caches must forget. */
export const writeJournal = async (tx: Db, written: Written): Promise<void> => {
	for (const event of written.events) await addEvent.later(tx, event);
	for (const audit of written.audits) await addAudit.later(tx, audit);
	for (const notification of written.notifications) {
		const { agent_id, type, message, created_at, severity } = notification;
		const since = created_at - REPEAT_MS;
		if (agent_id !== null) await repeatNotification.later(tx, { agent_id, type, message, severity, now: created_at, since });
		await addNotification.later(tx, { ...notification, since });
	}
	for (const change of written.changes) await addChange.later(tx, change);
};

/** Rows of the change log after `after`, and those of `ids` that were missing before; oldest first, at most 5,000. */
export const changesAfter = async (
	db: Db,
	after: number,
	ids: readonly number[],
): Promise<Array<Omit<ChangeLogTable, 'id'> & { id: number }>> => {
	const fresh = await newChanges.all(db, { after });
	if (ids.length === 0) return fresh;
	const late = await db.selectFrom('change_log').selectAll().where('id', 'in', ids).execute();
	return [...late, ...fresh];
};

const newChanges = statement<{ after: number }>()((db, v) =>
	db.selectFrom('change_log').selectAll().where('id', '>', v('after')).orderBy('id').limit(5000),
);

/** The newest id of the change log, 0 when empty. */
export const newestChange = async (db: Db): Promise<number> =>
	Number(
		(
			await db
				.selectFrom('change_log')
				.select((eb) => eb.fn.max('id').as('newest'))
				.executeTakeFirst()
		)?.newest ?? 0,
	);

/** Forgets changes older than `before`, at most 5,000 at a time; returns how many. */
export const pruneChanges = async (tx: Db, before: number): Promise<number> => {
	const bound = await tx.selectFrom('change_log').select('id').where('at', '<', before).orderBy('at', 'desc').limit(1).executeTakeFirst();
	if (bound === undefined) return 0;
	const first = await tx.selectFrom('change_log').select('id').orderBy('id').limit(1).executeTakeFirst();
	const last = Math.min(bound.id, (first?.id ?? 0) + 5000);
	const result = await tx.deleteFrom('change_log').where('id', '<=', last).where('at', '<', before).executeTakeFirst();
	return Number(result.numDeletedRows);
};
