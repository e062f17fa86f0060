import type { Output, Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { maskTokens } from '../mask.ts';
import type { Db } from '../store/statement.ts';
import { SEVERITIES } from '../store/webhook-queue.ts';
import {
	addWebhook,
	countWebhooks,
	listWebhookRows,
	MOST_WEBHOOKS,
	removeWebhook,
	saveWebhook,
	type Webhook,
	webhookById,
} from '../store/webhooks.ts';
import { actorOf, type Caller } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { addressGuard, webhookAddress } from './webhook-post.ts';
import { CONFIGURED, makeSecret } from './webhook-secret.ts';
import { attempt } from './webhook-sender.ts';

const webhookPages = pagesOf('webhooks.list');

type Row = Output<'listWebhooks'>['items'][number];

const typesOf = (types: string | null): string[] | null => types?.split(',').filter((type) => type !== '') ?? null;

const keptTypes = (types: readonly string[] | null | undefined): string | null =>
	types === null || types === undefined || types.length === 0 ? null : `,${[...new Set(types)].join(',')},`;

const show = (row: Webhook): Row => ({
	id: row.id,
	name: row.name,
	client_id: row.client_id,
	url: row.url,
	min_severity: SEVERITIES[row.min_rank] ?? 'info',
	types: typesOf(row.types),
	enabled: row.enabled === 1,
	secret_sealed: row.sealed === 1,
	created_at: iso(row.created_at),
	created_by: row.created_by,
	updated_at: iso(row.updated_at),
});

/** What an audit row keeps: never the secret. Of the address, only where it leads: its path often is a secret too. */
const seen = ({ name, url, client_id, min_rank, types, enabled }: Webhook) => ({
	name,
	origin: new URL(url).origin,
	client_id,
	min_severity: SEVERITIES[min_rank],
	types: typesOf(types),
	enabled: enabled === 1,
});

const guarded = (context: Context, url: string): string => webhookAddress(url, addressGuard(context.settings.webhook?.allowed ?? []));

const aboutOf = ({ client_id }: Webhook) => (client_id === null ? null : { clientId: client_id });

/** A webhook by id. Errors: 404. */
export const webhookNamed = async (db: Db, id: string): Promise<Webhook> => {
	const row = await webhookById.first(db, { id });
	if (row === undefined)
		throw new SpotError('missing', 'NOT_FOUND', `no webhook "${id.slice(0, 80)}"`, { hint: 'see: spotctl notifications webhooks list' });
	return row;
};

/** Errors: 409 TOO_MANY_WEBHOOKS where as many are enabled as may be. */
const checkRoom = async (tx: Db): Promise<void> => {
	if ((await countWebhooks(tx)) < MOST_WEBHOOKS) return;
	throw new SpotError('conflict', 'TOO_MANY_WEBHOOKS', `${MOST_WEBHOOKS} webhooks are enabled already`, {
		hint: 'turn one off: spotctl notifications webhooks update ID --enabled off',
	});
};

export const listWebhooks =
	(context: Context) =>
	async (input: Valid<'listWebhooks'>, caller: Caller): Promise<Output<'listWebhooks'>> => {
		const { principal } = caller;
		const isAdmin = principal?.kind === 'local' || (principal?.kind === 'admin' && principal.scope === 'admin');
		const rows = await listWebhookRows(context.store.read, {
			clientId: input.client_id ?? null,
			limit: input.limit,
			after: webhookPages.after(input.cursor),
		});
		return webhookPages.page(
			rows,
			input.limit,
			(row) => (isAdmin ? show(row) : { ...show(row), url: new URL(row.url).origin }),
			({ id }) => id,
		);
	};

/** Errors: 400, 404 for the client, 409 TOO_MANY_WEBHOOKS. */
export const createWebhook =
	(context: Context) =>
	(input: Valid<'createWebhook'>, caller: Caller): Promise<Output<'createWebhook'>> =>
		context.unit(caller, async (tx, journal) => {
			const url = guarded(context, input.url);
			const client = input.client_id === null || input.client_id === undefined ? null : await clientNamed(tx, input.client_id);
			if (input.enabled !== false) await checkRoom(tx);
			const id = context.ids.uuid();
			const { secret, kept } = makeSecret(context, id);
			const now = context.clock.now();
			const row: Webhook = {
				id,
				client_id: client?.id ?? null,
				name: input.name ?? new URL(url).host.slice(0, 80),
				url,
				...kept,
				min_rank: SEVERITIES.indexOf(input.min_severity ?? 'info'),
				types: keptTypes(input.types),
				enabled: input.enabled === false ? 0 : 1,
				created_by: actorOf(caller),
				created_at: now,
				updated_at: now,
			};
			await addWebhook(tx, row);
			journal.changed('webhook', id);
			journal.audit('webhooks.create', 'webhook', id, row.client_id, null, seen(row));
			journal.event('webhook_created', `webhook ${row.name} was made`, aboutOf(row));
			return { success: true, webhook: show(row), secret };
		});

/** Errors: 400, 404. */
export const updateWebhook =
	(context: Context) =>
	(input: Valid<'updateWebhook'>, caller: Caller): Promise<Output<'updateWebhook'>> =>
		context.unit(caller, async (tx, journal) => {
			const before = await webhookNamed(tx, input.webhook_id);
			if (input.enabled === true && before.enabled === 0) await checkRoom(tx);
			const fresh = input.rotate_secret === true ? makeSecret(context, before.id) : null;
			const after: Webhook = {
				...before,
				...fresh?.kept,
				name: input.name ?? before.name,
				url: input.url === null || input.url === undefined ? before.url : guarded(context, input.url),
				min_rank:
					input.min_severity === null || input.min_severity === undefined ? before.min_rank : SEVERITIES.indexOf(input.min_severity),
				types: input.types === undefined ? before.types : keptTypes(input.types),
				enabled: input.enabled === null || input.enabled === undefined ? before.enabled : input.enabled ? 1 : 0,
				updated_at: context.clock.now(),
			};
			await saveWebhook.later(tx, after);
			journal.changed('webhook', after.id);
			const rotated = fresh === null ? {} : { secret: 'rotated' };
			journal.audit('webhooks.update', 'webhook', before.id, before.client_id, seen(before), { ...seen(after), ...rotated });
			journal.event('webhook_changed', `webhook ${after.name} was changed`, aboutOf(after));
			return { success: true, webhook: show(after), secret: fresh?.secret ?? null };
		});

/** Errors: 404; 409 for the one of the configuration. */
export const deleteWebhook =
	(context: Context) =>
	(input: Valid<'deleteWebhook'>, caller: Caller): Promise<Output<'deleteWebhook'>> =>
		context.unit(caller, async (tx, journal) => {
			const row = await webhookNamed(tx, input.webhook_id);
			if (row.id === CONFIGURED && (context.settings.webhook?.url ?? null) !== null)
				throw new SpotError('conflict', 'WEBHOOK_CONFIGURED', 'this webhook is the one of the configuration', {
					hint: 'leave notifications.webhookUrl (TERMINATION_NOTIFICATION_WEBHOOK) out and start the daemon again',
				});
			await removeWebhook.later(tx, { id: row.id });
			journal.changed('webhook', row.id);
			journal.audit('webhooks.delete', 'webhook', row.id, row.client_id, seen(row), null);
			journal.event('webhook_deleted', `webhook ${row.name} was deleted`, aboutOf(row), { severity: 'warning' });
			return { success: true, message: `webhook ${row.name} was deleted` };
		});

const excerpt = (text: string | null): string | null =>
	text === null ? null : maskTokens(text.replace(/[\p{Cc}\p{Cs}]+/gu, ' ').slice(0, 500));

/** Errors: 404. No transaction is open while the receiver is waited for. */
export const testWebhook =
	(context: Context) =>
	async (input: Valid<'testWebhook'>, caller: Caller): Promise<Output<'testWebhook'>> => {
		const webhook = await webhookNamed(context.store.read, input.webhook_id);
		const id = `test.${context.ids.uuid()}`;
		const from = context.clock.elapsed();
		const now = iso(context.clock.now());
		const { status, text, error } = await attempt(context, webhook, id, 1, {
			id,
			event: 'test',
			notification: {
				id,
				type: 'test',
				title: 'Test',
				message: `${actorOf(caller)} tests this webhook`,
				severity: SEVERITIES[webhook.min_rank] ?? 'info',
				count: 1,
				client_id: webhook.client_id,
				client_name: null,
				agent_id: null,
				created_at: now,
				last_at: now,
			},
		});
		await context.unit(caller, async (_, journal) =>
			journal.audit('webhooks.test', 'webhook', webhook.id, webhook.client_id, null, { delivery_id: id, http_status: status, error }),
		);
		return {
			success: error === null,
			delivery_id: id,
			url: webhook.url,
			http_status: status,
			error_message: error,
			answer: excerpt(text),
			duration_ms: Math.round(context.clock.elapsed() - from),
		};
	};
