import { SEVERITIES } from '../store/webhook-queue.ts';
import { addWebhook, saveWebhook, type Webhook, webhookById } from '../store/webhooks.ts';
import type { Context } from './context.ts';
import { addressGuard, webhookAddress } from './webhook-post.ts';
import { CONFIGURED, makeSecret, secretOf } from './webhook-secret.ts';

/**
 * Makes the webhook of the configuration a row like any other, as it is configured when a daemon starts that runs jobs; where none is configured
 * any more, it is turned off. Errors: 400 for an address that webhooks do not call.
 */
export const keepConfiguredWebhook = async (context: Context): Promise<void> => {
	const { url = null, secret: given = null, minSeverity = 'warning', allowed = [] } = context.settings.webhook ?? {};
	const known = await webhookById.first(context.store.read, { id: CONFIGURED });
	const now = context.clock.now();
	if (url === null) {
		if (known?.enabled !== 1) return;
		await context.unit(null, async (tx, journal) => {
			await saveWebhook.later(tx, { ...known, enabled: 0, updated_at: now });
			journal.changed('webhook', CONFIGURED);
			journal.audit('webhooks.update', 'webhook', CONFIGURED, null, { enabled: true }, { enabled: false });
		});
		return;
	}
	const address = webhookAddress(url, addressGuard(allowed));
	const min_rank = SEVERITIES.indexOf(minSeverity);
	const secret = known === undefined ? null : secretOf(context, known);
	const isSame =
		known?.url === address && known.enabled === 1 && known.min_rank === min_rank && secret !== null && (given === null || given === secret);
	if (isSame) return;
	const keeps = known !== undefined && secret !== null && (given === null || given === secret);
	const kept = keeps ? { secret: known.secret, sealed: known.sealed } : makeSecret(context, CONFIGURED, given).kept;
	const row: Webhook = {
		id: CONFIGURED,
		client_id: null,
		name: 'configured',
		url: address,
		...kept,
		min_rank,
		types: known?.types ?? null,
		enabled: 1,
		created_by: 'configuration',
		created_at: known?.created_at ?? now,
		updated_at: now,
	};
	await context.unit(null, async (tx, journal) => {
		// Read again: two daemons may start at once, and whoever comes second finds the row.
		if ((await webhookById.first(tx, { id: CONFIGURED })) === undefined) await addWebhook(tx, row);
		else await saveWebhook.later(tx, row);
		journal.changed('webhook', CONFIGURED);
		journal.audit('webhooks.update', 'webhook', CONFIGURED, null, null, { origin: new URL(address).origin, enabled: true });
	});
};
