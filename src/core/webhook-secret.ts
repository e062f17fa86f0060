import { createHmac } from 'node:crypto';
import type { Webhook } from '../store/webhooks.ts';
import type { Context } from './context.ts';
import { seal, unseal } from './secrets.ts';

/** The webhook that the configuration names. */
export const CONFIGURED = 'configured';

/** A new secret, and how its row keeps it: encrypted where `security.tokenRevealKey` is set, else as it is, since it has to be signed with. */
export const makeSecret = (
	{ ids, settings }: Pick<Context, 'ids' | 'settings'>,
	webhookId: string,
	given?: string | null,
): { readonly secret: string; readonly kept: Pick<Webhook, 'secret' | 'sealed'> } => {
	const secret = given ?? ids.token('whs_');
	const key = settings.tokenRevealKey;
	return { secret, kept: key === null ? { secret, sealed: 0 } : { secret: seal(key, secret, webhookId), sealed: 1 } };
};

/** The secret of a webhook; null where it was encrypted with another `security.tokenRevealKey`, or there is none any more. */
export const secretOf = ({ settings }: Pick<Context, 'settings'>, webhook: Webhook): string | null => {
	if (webhook.sealed === 0) return webhook.secret;
	return settings.tokenRevealKey === null ? null : unseal(settings.tokenRevealKey, webhook.secret, webhook.id);
};

/**
 * The headers of a request. The signature is HMAC-SHA256 over `timestamp.body` in hex, behind `v1=`: a receiver computes the same, compares in
 * constant time, and refuses a timestamp (UTC seconds) that is minutes old.
 */
export const signedHeaders = (secret: string, deliveryId: string, attempt: number, now: number, body: string): Record<string, string> => {
	const timestamp = String(Math.floor(now / 1000));
	return {
		'content-type': 'application/json',
		'user-agent': 'spotctl',
		'x-spotctl-delivery': deliveryId,
		'x-spotctl-attempt': String(attempt),
		'x-spotctl-timestamp': timestamp,
		'x-spotctl-signature': `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`, 'utf8').digest('hex')}`,
	};
};
