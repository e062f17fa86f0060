import { createHash } from 'node:crypto';
import { iso } from '../contract/instant.ts';
import {
	AT_ONCE,
	claimDelivery,
	type DueDelivery,
	dueDeliveries,
	enabledWebhooks,
	removeDelivered,
	saveAttempt,
	type Webhook,
} from '../store/webhooks.ts';
import type { Context } from './context.ts';
import type { JobContext } from './lease.ts';
import { addressGuard } from './webhook-post.ts';
import { secretOf, signedHeaders } from './webhook-secret.ts';

/** How long a receiver may take for an answer. */
export const TIMEOUT_MS = 10_000;
/** When an attempt that was never heard of again is made again: the daemon that made it was killed. */
const LOST_MS = 60_000;
const FIRST_WAIT_MS = 10_000;
const LONGEST_WAIT_MS = 3_600_000;
/** With the waits between them, thirteen hours. */
export const MOST_ATTEMPTS = 20;
/** A run looks again at who is idle while somebody is slow, and begins nothing new after this. */
const LOOK_MS = 2_000;
const RUN_MS = 60_000;
const KEEP_MS = 7 * 86_400_000;

/** The wait after an attempt: doubled each time up to an hour, less up to a fifth, so that what failed together is not tried together. */
export const waitAfter = (deliveryId: string, attempts: number): number => {
	const full = Math.min(FIRST_WAIT_MS * 2 ** (attempts - 1), LONGEST_WAIT_MS);
	const share = createHash('sha256').update(`${deliveryId} ${attempts}`).digest().readUInt32BE(0) / 2 ** 32;
	return Math.round(full * (1 - share / 5));
};

/** What came of one request. */
export type Attempt = { readonly status: number | null; readonly text: string | null; readonly error: string | null };

const CONTROLS = /[\p{Cc}\p{Cs}]+/gu;

const said = (error: unknown): string => {
	const { code, message } = error as { code?: unknown; message?: unknown };
	const text = typeof message === 'string' && message !== '' ? message : String(code ?? 'no answer');
	return text.replace(CONTROLS, ' ').slice(0, 250);
};

/** Sends one signed request; whatever goes wrong is in the answer. Not delivered is what is not answered 2xx: a redirect is not followed. */
export const attempt = async (
	context: Context,
	webhook: Webhook,
	deliveryId: string,
	count: number,
	payload: Readonly<Record<string, unknown>>,
): Promise<Attempt> => {
	const { clock, settings, postWebhook, closing } = context;
	const secret = secretOf(context, webhook);
	if (secret === null)
		return { status: null, text: null, error: 'its secret was sealed with another security.tokenRevealKey; give it a new one' };
	if (postWebhook === undefined) return { status: null, text: null, error: 'this program calls no webhooks' };
	const body = JSON.stringify(payload);
	try {
		const { status, text } = await postWebhook({
			url: webhook.url,
			headers: signedHeaders(secret, deliveryId, count, clock.now(), body),
			body,
			timeoutMs: TIMEOUT_MS,
			signal: closing,
			refuse: addressGuard(settings.webhook?.allowed ?? []),
		});
		const error =
			status >= 200 && status < 300
				? null
				: status >= 300 && status < 400
					? `answered ${status}; redirects are not followed`
					: `answered ${status}`;
		return { status, text, error };
	} catch (error) {
		return { status: null, text: null, error: said(error) };
	}
};

const payloadOf = ({ id, notification, client_name }: DueDelivery): Readonly<Record<string, unknown>> => ({
	id,
	event: 'notification',
	notification: {
		id: notification.id,
		type: notification.type,
		title: notification.title,
		message: notification.message,
		severity: notification.severity,
		count: notification.count,
		client_id: notification.client_id,
		client_name,
		agent_id: notification.agent_id,
		created_at: iso(notification.created_at),
		last_at: iso(notification.last_at),
	},
});

/** Notes what came of an attempt; the last one that fails, or a receiver that says it is gone for good, leaves a dead letter. */
const conclude = async (context: JobContext, webhook: Webhook, delivery: DueDelivery, count: number, result: Attempt): Promise<boolean> => {
	const now = context.clock.now();
	const isDone = result.error === null;
	const isDead = !isDone && (count >= MOST_ATTEMPTS || result.status === 410);
	await context.unit(null, async (tx, journal) => {
		const saved = await saveAttempt.run(tx, {
			id: delivery.id,
			attempts: count,
			status: isDone ? 'delivered' : isDead ? 'dead' : 'pending',
			due_at: isDone || isDead ? null : now + waitAfter(delivery.id, count),
			http_status: result.status,
			error: result.error,
			delivered_at: isDone ? now : null,
		});
		if (saved > 0 && isDead)
			// No notification: that would be sent to webhooks.
			journal.event(
				'webhook_given_up',
				`webhook ${webhook.name} did not take a notification in ${count} attempts: ${result.error}`,
				webhook.client_id === null ? null : { clientId: webhook.client_id },
				{ severity: 'error', metadata: { webhook_id: webhook.id, delivery_id: delivery.id } },
			);
	});
	if (isDead)
		context.log.warn({ webhook_id: webhook.id, delivery_id: delivery.id, attempts: count }, 'a notification was given up for a webhook');
	return isDone;
};

/** What is due for one webhook, a few at once, until nothing is due, something fails, or the time is up. Returns how many arrived. */
const serve = async (context: JobContext, webhook: Webhook, until: number): Promise<number> => {
	const { clock, store, closing } = context;
	let arrived = 0;
	while (!closing.aborted && clock.elapsed() < until) {
		const due = await dueDeliveries(store.read, webhook.id, clock.now());
		if (due.length === 0) break;
		const now = clock.now();
		// Before anything is sent: whoever is killed from here on has left a row that comes due.
		const claimed = await context.unit(null, async (tx) => {
			const own: DueDelivery[] = [];
			for (const each of due) {
				const claim = { id: each.id, seen_attempts: each.attempts, attempts: each.attempts + 1, due_at: now + LOST_MS, now };
				if ((await claimDelivery.run(tx, claim)) > 0) own.push(each);
			}
			return own;
		});
		const results = await Promise.all(
			claimed.map(async (each) => {
				const result = await attempt(context, webhook, each.id, each.attempts + 1, payloadOf(each));
				// A request that our own end cut off says nothing of the receiver: the row comes due by itself.
				if (closing.aborted && result.error !== null) return false;
				return conclude(context, webhook, each, each.attempts + 1, result);
			}),
		);
		arrived += results.filter((done) => done).length;
		if (results.includes(false) || due.length < AT_ONCE) break;
	}
	return arrived;
};

/**
 * Sends what is due. Every webhook has a lane of its own: while one is slow, the others are looked at again every two seconds, so that nobody waits
 * for another. Returns how many notifications arrived.
 */
export const sendDue = async (context: JobContext): Promise<number> => {
	const { clock, store, closing } = context;
	if (context.postWebhook === undefined) return 0;
	const until = clock.elapsed() + RUN_MS;
	const lanes = new Map<string, Promise<void>>();
	let arrived = 0;
	let failure: { readonly error: unknown } | null = null;
	for (;;) {
		const webhooks = failure === null && !closing.aborted && clock.elapsed() < until ? await enabledWebhooks.all(store.read, {}) : [];
		for (const webhook of webhooks) {
			if (lanes.has(webhook.id)) continue;
			const lane = serve(context, webhook, until)
				.then((count) => {
					arrived += count;
				})
				.catch((error: unknown) => {
					failure ??= { error };
				})
				.finally(() => {
					lanes.delete(webhook.id);
				});
			lanes.set(webhook.id, lane);
		}
		if (lanes.size === 0) break;
		const look = new AbortController();
		await Promise.race([Promise.all(lanes.values()), clock.sleep(LOOK_MS, look.signal).catch(() => undefined)]);
		look.abort();
		if (lanes.size === 0) break;
	}
	const failed = failure as { readonly error: unknown } | null;
	if (failed !== null) throw failed.error;
	return arrived;
};

/** Forgets what arrived a week ago, a thousand at a time; what is dead stays until its notification goes, or its webhook. */
export const pruneDeliveries = (context: Context): Promise<number> =>
	context.store.transact((tx) => removeDelivered(tx, context.clock.now() - KEEP_MS));
