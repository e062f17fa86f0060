import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import {
	addClient,
	type Client,
	type Counts,
	clientByEmail,
	clientById,
	clientByName,
	clientCounts,
	endedHosts,
	listClientRows,
	removeClient,
	saveClient,
} from '../store/clients.ts';
import { type Caller, clientOf } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { NO_FIGURES, type SavingsFigures, savingsByClient, savingsOf, sharesOf } from './savings.ts';
import { defaultSettings } from './settings.ts';
import { issueClientToken } from './tokens.ts';

const clientPages = pagesOf('clients.list');

type Row = Output<'listClients'>['items'][number];

const show = (client: Client, counts: Counts, saved: SavingsFigures | undefined): Row => ({
	id: client.id,
	name: client.name,
	email: client.email,
	status: client.status,
	agentsOnline: counts.online,
	agentsTotal: counts.total,
	instances: counts.active,
	totalSavings: (saved?.savingsMicros ?? 0) / 1_000_000,
	savingsMeasured: saved !== undefined && saved.measuredMs > 0,
	savingsShares: sharesOf(saved ?? NO_FIGURES),
	lastSync: isoOr(client.last_sync_at),
	createdAt: iso(client.created_at),
	maxAgents: client.max_agents,
	maxInstances: client.max_instances,
	testClient: client.test_client === 1,
});

const NONE: Counts = { online: 0, offline: 0, total: 0, active: 0, zombie: 0 };

/** #2 */
export const listClients =
	(context: Context) =>
	async (input: Valid<'listClients'>): Promise<Output<'listClients'>> => {
		const rows = await listClientRows(context.store.read, {
			limit: input.limit,
			after: clientPages.after(input.cursor),
			name: input.name ?? null,
		});
		const counts = await clientCounts(
			context.store.read,
			rows.map((row) => row.id),
		);
		const saved = await savingsByClient(
			context.store.read,
			rows.map((row) => row.id),
			context.clock.now(),
		);
		return clientPages.page(
			rows,
			input.limit,
			(row) => show(row, counts.get(row.id) ?? NONE, saved.get(row.id)),
			(row) => row.id,
		);
	};

/** #8 (D-45: one state; D-15: the token is shown here and never again). Errors: 409 DUPLICATE_CLIENT, DUPLICATE_EMAIL. */
export const createClient =
	(context: Context) =>
	(input: Valid<'createClient'>, caller: Caller): Promise<Output<'createClient'>> =>
		context.unit(caller, async (tx, journal) => {
			if ((await clientByName.first(tx, { name: input.name })) !== undefined) {
				throw new SpotError('conflict', 'DUPLICATE_CLIENT', `a client named "${input.name}" exists already`, {
					hint: `see: spotctl clients show ${input.name}`,
				});
			}
			const email = input.email ?? null;
			if (email !== null && (await clientByEmail.first(tx, { email })) !== undefined) {
				throw new SpotError('conflict', 'DUPLICATE_EMAIL', `a client with the address "${email}" exists already`, {
					hint: 'see: spotctl clients list',
				});
			}
			const client: Client = {
				id: context.ids.uuid(),
				name: input.name,
				email,
				status: 'active',
				max_agents: input.max_agents ?? null,
				max_instances: input.max_instances ?? null,
				test_client: input.test_client === true ? 1 : 0,
				last_sync_at: null,
				created_at: context.clock.now(),
			};
			await addClient(tx, client);
			const { token, row } = await issueClientToken(context, tx, client.id, 'first', null, caller);
			journal.event('client_created', `client ${client.name} was created`, { clientId: client.id });
			journal.notify('client_created', 'Client created', `client ${client.name} was created`, { clientId: client.id });
			journal.audit('clients.create', 'client', client.id, client.id, null, {
				name: client.name,
				email,
				max_agents: client.max_agents,
				max_instances: client.max_instances,
			});
			return { success: true, client: { id: client.id, name: client.name, email, token, token_id: row.id, status: client.status } };
		});

/** Changes what is given; null lifts a limit. */
export const updateClient =
	(context: Context) =>
	async (input: Valid<'updateClient'>, caller: Caller): Promise<Output<'updateClient'>> => {
		const saved = await context.unit(caller, async (tx, journal) => {
			const before = await clientNamed(tx, input.client_id);
			const after: Client = {
				...before,
				status: input.status ?? before.status,
				max_agents: input.max_agents === undefined ? before.max_agents : input.max_agents,
				max_instances: input.max_instances === undefined ? before.max_instances : input.max_instances,
				test_client: input.test_client === undefined || input.test_client === null ? before.test_client : input.test_client ? 1 : 0,
			};
			await saveClient(tx, after);
			const seen = ({ status, max_agents, max_instances, test_client }: Client) => ({ status, max_agents, max_instances, test_client });
			journal.audit('clients.update', 'client', before.id, before.id, seen(before), seen(after));
			journal.event('client_changed', `client ${before.name} was changed`, { clientId: before.id }, { metadata: seen(after) });
			journal.changed('client', before.id);
			return after;
		});
		const counts = (await clientCounts(context.store.read, [saved.id])).get(saved.id) ?? NONE;
		return { success: true, client: show(saved, counts, await savingsOf(context.store.read, { clientId: saved.id }, context.clock.now())) };
	};

/** #9: everything below goes with it by foreign keys; the audit row stays. */
export const deleteClient =
	(context: Context) =>
	async (input: Valid<'deleteClient'>, caller: Caller): Promise<Output<'deleteClient'>> => {
		const name = await context.units([caller], 'large', async (tx, [journal]) => {
			if (journal === undefined) throw new Error('no journal');
			const client = await clientNamed(tx, input.client_id);
			await removeClient(tx, client.id);
			journal.event('client_deleted', `client ${client.name} (${client.id}) was deleted with everything below it`, null, {
				severity: 'warning',
			});
			journal.audit('clients.delete', 'client', client.id, client.id, { name: client.name, email: client.email }, null);
			journal.changed('client', client.id);
			return client.name;
		});
		context.directory.cache.forgetAll();
		return { success: true, message: `client ${name} was deleted` };
	};

/** #18 */
export const validateToken =
	(context: Context) =>
	async (input: Valid<'validateToken'>, caller: Caller): Promise<Output<'validateToken'>> => {
		const id = clientOf(caller, input.client_id);
		const known = await clientById.first(context.store.read, { id });
		// Another daemon has just deleted the client: never 404, on which the field's script would go on (endpoints.md #18).
		if (known === undefined && caller.principal?.kind === 'client')
			throw new SpotError('unauthenticated', 'INVALID_TOKEN', 'Invalid client token');
		const client = known ?? (await clientNamed(context.store.read, id));
		return { valid: true, client_id: client.id, name: client.name, client_name: client.name, email: client.email };
	};

/** #19. Five statements. */
export const showClient =
	(context: Context) =>
	async ({ client_id: clientId }: Valid<'showClient'>): Promise<Output<'showClient'>> => {
		const client = await clientNamed(context.store.read, clientId);
		const { read } = context.store;
		const [found, ended, saved] = await Promise.all([
			clientCounts(read, [client.id]),
			endedHosts(read, client.id),
			savingsOf(read, { clientId: client.id }, context.clock.now()),
		]);
		const counts = found.get(client.id) ?? NONE;
		const defaults = defaultSettings(context.settings.terminateWaitSeconds);
		return {
			...show(client, counts, saved),
			clientStatus: client.status,
			agents: { online: counts.online, offline: counts.offline, total: counts.total },
			instanceCounts: { active: counts.active, zombie: counts.zombie, terminated: ended },
			configuration: {
				defaultAutoTerminate: defaults.auto_terminate_enabled === 1,
				defaultTerminateWaitSeconds: defaults.terminate_wait_seconds,
				defaultAutoSwitchEnabled: defaults.auto_switch_enabled === 1,
			},
		};
	};
