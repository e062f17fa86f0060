import { type SelectQueryBuilder, sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import type { NotificationTable, Severity } from './schema.ts';
import { type Db, inList, statement } from './statement.ts';

/** Severities, the least first: their index is their rank. */
export const SEVERITIES: readonly Severity[] = ['info', 'warning', 'error', 'critical'];

const COLUMNS = ['id', 'webhook_id', 'notification_id', 'status', 'attempts', 'due_at', 'created_at'] as const;

const rank = sql<number>`case n.severity ${sql.join(
	SEVERITIES.map((severity, index) => sql`when ${sql.lit(severity)} then ${sql.lit(index)}`),
	sql` `,
)} else 0 end`;

/** Webhooks with the notifications they want, each pair once. */
const wanted = (db: Db) =>
	db
		.selectFrom('webhook as w')
		.innerJoin('notification as n', (join) => join.on(sql<boolean>`(w.client_id is null or w.client_id = n.client_id)`))
		.where('w.enabled', '=', 1)
		.where('w.min_rank', '<=', rank)
		.where(sql<boolean>`(w.types is null or instr(w.types, concat(',', n.type, ',')) > 0)`);

const rows = <Q extends ReturnType<typeof wanted>>(query: Q, at: unknown) =>
	query.select([
		sql<string>`concat(n.id, '.', w.id, '.', n.severity)`.as('id'),
		'w.id as webhook_id',
		'n.id as notification_id',
		sql.lit('pending').as('status'),
		sql.lit(0).as('attempts'),
		sql<number>`${at}`.as('due_at'),
		sql<number>`${at}`.as('created_at'),
	]) as unknown as SelectQueryBuilder<never, never, Record<(typeof COLUMNS)[number], never>>;

const once = (dialect: Dialect) => sql`${dialect.onConflict(['id'])} id = webhook_delivery.id`;

/**
 * Queues what was just told for the webhooks that want it, in the transaction that tells it: nothing told is ever unsent. A repeat that is
 * only counted is queued again where its severity is another than what was queued before, else not.
 */
export const queueDelivery = statement<Pick<NotificationTable, 'id' | 'agent_id' | 'type' | 'created_at'>>()((db, v, dialect) =>
	db
		.insertInto('webhook_delivery')
		.columns([...COLUMNS])
		.expression(
			rows(
				wanted(db).where((eb) =>
					eb(
						'n.id',
						'=',
						eb.fn.coalesce(
							eb
								.selectFrom('notification as m')
								.select('m.id')
								.where('m.agent_id', '=', v('agent_id'))
								.where('m.type', '=', v('type'))
								.where('m.last_at', '=', v('created_at'))
								.limit(sql.lit(1)),
							eb.val(v('id')),
						),
					),
				),
				v('created_at'),
			),
		)
		.modifyEnd(once(dialect)),
);

/** The same for many rows by their ids. */
export const queueDeliveries = statement<{ ids: readonly string[]; created_at: number }>()((db, v, dialect) =>
	db
		.insertInto('webhook_delivery')
		.columns([...COLUMNS])
		.expression(rows(wanted(db).where(inList(dialect, 'n.id', v('ids'))), v('created_at')))
		.modifyEnd(once(dialect)),
);
