import { createHash } from 'node:crypto';
import type { Operation } from '../contract/operation.ts';
import { SpotError } from '../errors.ts';
import { statement } from '../store/statement.ts';
import type { Caller, Handler } from './caller.ts';
import type { Context } from './context.ts';

const KEEP_MS = 24 * 3_600_000;

const sha = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

const remembered = statement<{ key_hash: string }>()((db, v) =>
	db.selectFrom('idempotency').selectAll().where('key_hash', '=', v('key_hash')),
);

/**
 * Repeats of a request with the same X-Request-ID, caller, path and body get the first answer again and do nothing (spec section 2,
 * "Ours"). The same key with another body or path is a new request: v4 agents send one stale id for ever. An answer that showed a
 * token is not kept: its repeat is 409 ALREADY_CREATED with the id. Only successes are remembered, for 24 hours.
 */
export const idempotent =
	<N extends never>(context: Context, operation: Operation, handler: Handler<N>): Handler<N> =>
	async (input, caller: Caller) => {
		if (caller.idempotencyKey === null) return handler(input, caller);
		const who =
			caller.principal?.kind === 'client' ? caller.principal.clientId : `${caller.principal?.kind ?? ''}:${caller.principal?.name ?? ''}`;
		const body = sha(JSON.stringify(input));
		const key = sha(JSON.stringify([who, operation.method, operation.id, caller.idempotencyKey, body]));
		const earlier = await remembered.first(context.store.read, { key_hash: key });
		if (earlier !== undefined && context.clock.now() - earlier.created_at < KEEP_MS) {
			const kept = JSON.parse(earlier.answer) as { once?: { id: string } };
			if (kept.once !== undefined) {
				throw new SpotError('conflict', 'ALREADY_CREATED', `this request was carried out before: it created "${kept.once.id}"`, {
					hint: 'its token is not shown again; make another: spotctl tokens create CLIENT',
					extras: { id: kept.once.id },
				});
			}
			return kept as never;
		}
		const answer = await handler(input, caller);
		const secret = operation.id === 'clients.create';
		const kept = secret ? { once: { id: (answer as { client: { id: string } }).client.id } } : answer;
		await context.store
			.transact((tx) =>
				tx
					.insertInto('idempotency')
					.values({
						key_hash: key,
						body_hash: body,
						status: operation.status,
						answer: JSON.stringify(kept),
						created_at: context.clock.now(),
					})
					.execute(),
			)
			.catch(() => undefined);
		return answer;
	};

/** Forgets answers older than a day, at most 1,000 at a time; returns how many. */
export const pruneAnswers = (context: Context): Promise<number> =>
	context.store.transact(async (tx) => {
		const old = await tx
			.selectFrom('idempotency')
			.select('key_hash')
			.where('created_at', '<', context.clock.now() - KEEP_MS)
			.orderBy('created_at')
			.limit(1000)
			.execute();
		if (old.length === 0) return 0;
		const keys = old.map((row) => row.key_hash);
		return Number((await tx.deleteFrom('idempotency').where('key_hash', 'in', keys).executeTakeFirst()).numDeletedRows);
	});
