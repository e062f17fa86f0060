import { z } from 'zod';
import { id, isoOrNull, isoTime, paging, success, text, textOrNull } from './fields.ts';
import { operation } from './operation.ts';
import { Shares } from './savings.ts';

const limitField = z.number().int().min(0).max(10_000_000).nullish();

const ClientRow = z.object({
	id: z.string(),
	name: z.string(),
	email: textOrNull,
	status: z.enum(['active', 'inactive']),
	agentsOnline: z.number().int(),
	agentsTotal: z.number().int(),
	instances: z.number().int(),
	totalSavings: z.number(),
	/** Savings are sums of cost segments (spec section 11); false until a client has any that is measured. */
	savingsMeasured: z.boolean(),
	savingsShares: Shares,
	lastSync: isoOrNull,
	createdAt: isoTime,
	maxAgents: z.number().int().nullable(),
	maxInstances: z.number().int().nullable(),
	testClient: z.boolean(),
});

const limits = { max_agents: limitField, max_instances: limitField, test_client: z.boolean().nullish() };

/** #2. Cursor paged; `name` finds one client by its exact name or id. */
export const listClients = operation({
	id: 'clients.list',
	method: 'GET',
	path: '/api/admin/clients',
	access: 'read',
	summary: 'All clients, newest first',
	input: z.object({ ...paging, name: z.string().max(255).optional() }),
	output: ClientRow,
	rendering: 'list',
	legacyBare: true,
});

/** #8. The token is in this answer and in no other. An e-mail address is one whatever its letters: it is kept in lower case. */
export const createClient = operation({
	id: 'clients.create',
	method: 'POST',
	path: '/api/admin/clients/create',
	access: 'admin',
	summary: 'Create a client and its first token',
	input: z.object({ name: text(80), email: z.email().max(254).toLowerCase().nullish(), ...limits }),
	output: z.object({
		success: z.boolean(),
		client: z.object({
			id: z.string(),
			name: z.string(),
			email: textOrNull,
			token: z.string(),
			token_id: z.string(),
			status: z.enum(['active', 'inactive']),
		}),
	}),
	status: 201,
	idempotent: true,
});

/** Limits, status and the mark of a test client. Keys that are left out stay as they are; null lifts a limit. */
export const updateClient = operation({
	id: 'clients.update',
	method: 'PATCH',
	path: '/api/admin/clients/{client_id}',
	access: 'admin',
	summary: 'Change limits, status or the test mark of a client',
	input: z.object({ client_id: id, status: z.enum(['active', 'inactive']).nullish(), ...limits }),
	output: z.object({ success: z.boolean(), client: ClientRow }),
});

/** #9 */
export const deleteClient = operation({
	id: 'clients.delete',
	method: 'DELETE',
	path: '/api/admin/clients/{client_id}',
	access: 'admin',
	summary: 'Delete a client and everything below it',
	input: z.object({ client_id: id }),
	output: success.extend({ message: z.string() }),
});

/** #18. A bad token answers 401 `valid:false`, an inactive client 403, never 404 or 500. */
export const validateToken = operation({
	id: 'clients.validate',
	method: 'GET',
	path: '/api/client/validate',
	access: 'client',
	summary: 'Check a client token',
	ofOneCall: true,
	input: z.object({ client_id: z.string().optional() }),
	output: z.object({ valid: z.boolean(), client_id: z.string(), name: z.string(), client_name: z.string(), email: textOrNull }),
});

/** #19 */
export const showClient = operation({
	id: 'clients.show',
	method: 'GET',
	path: '/api/client/{client_id}',
	access: 'client',
	summary: 'Summary of one client',
	input: z.object({ client_id: id }),
	output: ClientRow.extend({
		clientStatus: z.enum(['active', 'inactive']),
		agents: z.object({ online: z.number().int(), offline: z.number().int(), total: z.number().int() }),
		instanceCounts: z.object({ active: z.number().int(), zombie: z.number().int(), terminated: z.number().int() }),
		configuration: z.object({
			defaultAutoTerminate: z.boolean(),
			defaultTerminateWaitSeconds: z.number().int(),
			defaultAutoSwitchEnabled: z.boolean(),
		}),
	}),
	legacyBare: true,
});
