import { createHash } from 'node:crypto';
import type { Operation } from '../contract/operation.ts';
import { SpotError } from '../errors.ts';
import { addAnswer, answerByKey, removeAnswers } from '../store/idempotency.ts';
import type { Caller, Handler } from './caller.ts';
import type { Context } from './context.ts';

const KEEP_MS = 24 * 3_600_000;

const sha = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/**
 * Repeats of a request with the same X-Request-ID, caller, path and body get the first answer again and do nothing (spec section 2,
 * "Ours"). The same key with another body or path is a new request: v4 agents send one stale id for ever. An answer that showed a
 * token is not kept: its repeat is 409 ALREADY_CREATED with the id. Only successes are remembered, for 24 hours, in the transaction
 * that made them; of two repeats at once one does the work and the other reads its answer.
 */
export const idempotent =
	<N extends never>(context: Context, operation: Operation, handler: Handler<N>): Handler<N> =>
	async (input, caller: Caller) => {
		if (caller.idempotencyKey === null) return handler(input, caller);
		const who =
			caller.principal?.kind === 'client' ? caller.principal.clientId : `${caller.principal?.kind ?? ''}:${caller.principal?.name ?? ''}`;
		const body = sha(JSON.stringify(input));
		const key = sha(JSON.stringify([who, operation.method, operation.id, caller.idempotencyKey, body]));
		const earlier = await kept(context, key);
		if (earlier !== undefined) return earlier as never;
		const remember: NonNullable<Caller['remember']> = (tx, answer) =>
			addAnswer.later(tx, {
				key_hash: key,
				body_hash: body,
				status: operation.status,
				answer: JSON.stringify(
					operation.id === 'clients.create' ? { once: { id: (answer as { client: { id: string } }).client.id } } : answer,
				),
				created_at: context.clock.now(),
			});
		try {
			return await handler(input, { ...caller, remember });
		} catch (error) {
			const meanwhile = error instanceof SpotError && error.kind === 'conflict' ? await kept(context, key) : undefined;
			if (meanwhile === undefined) throw error;
			return meanwhile as never;
		}
	};

/** The answer a request got before; throws 409 ALREADY_CREATED where that held a token. */
const kept = async (context: Context, key: string): Promise<unknown> => {
	const row = await answerByKey.first(context.store.read, { key_hash: key });
	if (row === undefined || context.clock.now() - row.created_at >= KEEP_MS) return undefined;
	const answer = JSON.parse(row.answer) as { once?: { id: string } };
	if (answer.once === undefined) return answer;
	throw new SpotError('conflict', 'ALREADY_CREATED', `this request was carried out before: it created "${answer.once.id}"`, {
		hint: 'its token is not shown again; make another: spotctl tokens create CLIENT',
		extras: { id: answer.once.id },
	});
};

/** Forgets answers older than a day, at most 1,000 at a time; returns how many. */
export const pruneAnswers = (context: Context): Promise<number> =>
	context.store.transact((tx) => removeAnswers(tx, context.clock.now() - KEEP_MS, 1000));
