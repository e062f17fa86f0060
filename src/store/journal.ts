import { sql } from 'kysely';
import { addFacts, type NewFact } from './ledger.ts';
import { multiRow } from './multi-row.ts';
import type { AuditTable, ChangeLogTable, EventTable, NotificationTable } from './schema.ts';
import { among, type Db, inList, statement } from './statement.ts';
import { queueDeliveries, queueDelivery } from './webhook-queue.ts';

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

const EVENT = ['type', 'severity', 'client_id', 'agent_id', 'instance_id', 'message', 'metadata', 'request_id', 'created_at'] as const;
const addEvents = multiRow('event', EVENT, '');

/** The newest event that told the same of an agent since a time. Found at once where it is recent; without one, the agent's events are read. */
export const sameEvent = statement<{ agent_id: string; type: string; message: string; since: number }>()((db, v) =>
	db
		.selectFrom('event')
		.select('id')
		.where('agent_id', '=', v('agent_id'))
		.where('type', '=', v('type'))
		.where('message', '=', v('message'))
		.where('created_at', '>', v('since'))
		.orderBy('id', 'desc')
		.limit(sql.lit(1)),
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

const CHANGE = ['origin', 'topic', 'key', 'at'] as const;
const addChanges = multiRow('change_log', ['origin', 'topic', 'key', 'at'], '');

/**
 * Adds a notification; where the same was told within the time, that row is counted up instead: its id makes the insert a duplicate. Its
 * source row is the client, so that one without a client adds none.
 */
const addNotification = statement<NewNotification & { since: number }>()((db, v, dialect) =>
	db
		.insertInto('notification')
		.columns(['id', 'client_id', 'agent_id', 'type', 'title', 'message', 'severity', 'is_read', 'count', 'created_at', 'last_at'])
		.expression((eb) =>
			eb
				.selectFrom('client')
				.select((row) => [
					row.fn
						.coalesce(
							row
								.selectFrom('notification as n')
								.select('n.id')
								.where('n.agent_id', '=', v('agent_id'))
								.where('n.type', '=', v('type'))
								.where('n.last_at', '>', v('since'))
								.orderBy('n.last_at', 'desc')
								.limit(sql.lit(1)),
							row.val(v('id')),
						)
						.as('id'),
					row.val(v('client_id')).as('client_id'),
					row.val(v('agent_id')).as('agent_id'),
					row.val(v('type')).as('type'),
					row.val(v('title')).as('title'),
					row.val(v('message')).as('message'),
					row.val(v('severity')).as('severity'),
					row.lit(0).as('is_read'),
					row.lit(1).as('count'),
					row.val(v('created_at')).as('created_at'),
					row.val(v('created_at')).as('last_at'),
				])
				.where('client.id', '=', v('client_id')),
		)
		.modifyEnd(
			sql`${dialect.onConflict(['id'])} count = notification.count + 1, is_read = 0, ${sql.join(
				['last_at', 'title', 'message', 'severity'].map((column) => sql`${sql.ref(column)} = ${dialect.incoming(column)}`),
			)}`,
		),
);

/** From so many on, one look for what was told already costs less than one for each. */
const SET = 6;

const NOTIFICATION = [
	'id',
	'client_id',
	'agent_id',
	'type',
	'title',
	'message',
	'severity',
	'is_read',
	'count',
	'created_at',
	'last_at',
] as const;
const addManyNotifications = multiRow('notification', NOTIFICATION, '');

const toldOf = statement<{ agents: readonly string[]; since: number }>()((db, v, dialect) =>
	db
		.selectFrom('notification')
		.select(['id', 'agent_id', 'type'])
		.where(inList(dialect, 'agent_id', v('agents')))
		.where('last_at', '>', v('since')),
);

const countUp = statement<Pick<NotificationTable, 'id' | 'last_at' | 'title' | 'message' | 'severity'>>()((db, v) =>
	db
		.updateTable('notification')
		.set((eb) => ({
			count: eb('count', '+', 1),
			is_read: 0 as const,
			last_at: v('last_at'),
			title: v('title'),
			message: v('message'),
			severity: v('severity'),
		}))
		.where('id', '=', v('id')),
);

/** Many notifications at once: the same rule, with one read and one insert for all that are new. */
const addNotifications = async (tx: Db, notifications: readonly NewNotification[], anyWebhook: boolean): Promise<void> => {
	const agents = [...new Set(notifications.flatMap(({ agent_id }) => agent_id ?? []))];
	const since = Math.min(...notifications.map(({ created_at }) => created_at)) - REPEAT_MS;
	const told = new Map((await toldOf.all(tx, { agents, since })).map((row) => [`${row.agent_id} ${row.type}`, row.id]));
	const fresh: NewNotification[] = [];
	const repeats: Array<Parameters<typeof countUp.later>[1]> = [];
	for (const notification of notifications) {
		const key = `${notification.agent_id} ${notification.type}`;
		const known = notification.agent_id === null ? undefined : told.get(key);
		if (known === undefined) {
			fresh.push(notification);
			told.set(key, notification.id);
		} else repeats.push({ ...notification, id: known, last_at: notification.created_at });
	}
	await addManyNotifications(
		tx,
		fresh.map((row) => {
			const full: NotificationTable = { ...row, is_read: 0, count: 1, last_at: row.created_at };
			return NOTIFICATION.map((column) => full[column]);
		}),
	);
	for (const repeat of repeats) await countUp.later(tx, repeat);
	if (anyWebhook) await queueDeliveries.later(tx, { ids: [...fresh, ...repeats].map(({ id }) => id), created_at: since + REPEAT_MS });
};

/** What one transaction has to say: written at its end, in this order. */
export type Written = {
	readonly events: readonly NewEvent[];
	readonly notifications: readonly NewNotification[];
	readonly audits: readonly NewAudit[];
	readonly changes: readonly NewChange[];
	/** By machine and kind. */
	readonly facts: ReadonlyMap<string, NewFact>;
	/** Whether a webhook may want the notifications: else none is looked for. */
	readonly anyWebhook: boolean;
};

/** Writes events, notifications (repeats counted), audit rows, what caches must forget, and what goes into the books. */
export const writeJournal = async (tx: Db, written: Written): Promise<void> => {
	if (written.events.length > 1)
		await addEvents(
			tx,
			written.events.map((event) => EVENT.map((column) => event[column])),
		);
	else for (const event of written.events) await addEvent.later(tx, event);
	for (const audit of written.audits) await addAudit.later(tx, audit);
	if (written.notifications.length < SET)
		for (const notification of written.notifications) {
			await addNotification.later(tx, { ...notification, since: notification.created_at - REPEAT_MS });
			if (written.anyWebhook) await queueDelivery.later(tx, notification);
		}
	else await addNotifications(tx, written.notifications, written.anyWebhook);
	if (written.changes.length > 1)
		await addChanges(
			tx,
			written.changes.map((change) => CHANGE.map((column) => change[column])),
		);
	else for (const change of written.changes) await addChange.later(tx, change);
	await addFacts(tx, [...written.facts.values()]);
};

/** Rows of the change log after `after`, and those of `ids` that were missing before; oldest first, at most 5,000. */
export const changesAfter = async (
	db: Db,
	after: number,
	ids: readonly number[],
): Promise<Array<Omit<ChangeLogTable, 'id'> & { id: number }>> => {
	const fresh = await newChanges.all(db, { after });
	if (ids.length === 0) return fresh;
	const late = await db
		.selectFrom('change_log')
		.selectAll()
		.where(among(db, 'id', ids))
		.execute();
	return [...late, ...fresh];
};

const newChanges = statement<{ after: number }>()((db, v) =>
	db.selectFrom('change_log').selectAll().where('id', '>', v('after')).orderBy('id').limit(sql.lit(5000)),
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
	const bound = await tx
		.selectFrom('change_log')
		.select('id')
		.where('at', '<', before)
		.orderBy('at', 'desc')
		.limit(sql.lit(1))
		.executeTakeFirst();
	if (bound === undefined) return 0;
	const first = await tx.selectFrom('change_log').select('id').orderBy('id').limit(sql.lit(1)).executeTakeFirst();
	const last = Math.min(bound.id, (first?.id ?? 0) + 5000);
	const result = await tx.deleteFrom('change_log').where('id', '<=', last).where('at', '<', before).executeTakeFirst();
	return Number(result.numDeletedRows);
};
