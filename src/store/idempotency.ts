import type { IdempotencyTable } from './schema.ts';
import { among, type Db, statement } from './statement.ts';

/** The answer a request got, by the hash of its key. */
export const answerByKey = statement<{ key_hash: string }>()((db, v) =>
	db.selectFrom('idempotency').selectAll().where('key_hash', '=', v('key_hash')),
);

/** Remembers an answer; the unique key decides between two repeats at once. */
export const addAnswer = statement<IdempotencyTable>()((db, v) =>
	db.insertInto('idempotency').values({
		key_hash: v('key_hash'),
		body_hash: v('body_hash'),
		status: v('status'),
		answer: v('answer'),
		created_at: v('created_at'),
	}),
);

/** Forgets answers given before a moment, oldest first, at most `limit`; returns how many. */
export const removeAnswers = async (tx: Db, before: number, limit: number): Promise<number> => {
	const old = await tx
		.selectFrom('idempotency')
		.select('key_hash')
		.where('created_at', '<', before)
		.orderBy('created_at')
		.limit(limit)
		.execute();
	if (old.length === 0) return 0;
	const keys = old.map((row) => row.key_hash);
	return Number(
		(
			await tx
				.deleteFrom('idempotency')
				.where(among(tx, 'key_hash', keys))
				.executeTakeFirst()
		).numDeletedRows,
	);
};
