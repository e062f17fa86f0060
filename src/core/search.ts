import type { Output, Valid } from '../contract/index.ts';
import { type ClientHit, NEWEST, searchAgents, searchClients, searchInstances } from '../store/search.ts';
import type { Context } from './context.ts';
import { wireStatus } from './instances.ts';

/** Below this many characters nothing is looked for. */
const LEAST = 2;

type Kind = Valid<'search'>['types'][number];

/** Which field holds the text: the one that begins with it before one that only has it. */
const matchOf = ({ id, name, email }: ClientHit, text: string): string => {
	const fields = Object.entries({ name, email: email ?? '', id }).map(([field, value]) => [field, value.toLowerCase()] as const);
	const sought = text.toLowerCase();
	const found = fields.find(([, value]) => value.startsWith(sought)) ?? fields.find(([, value]) => value.includes(sought));
	return found?.[0] ?? 'name';
};

/** X1. At most two statements a kind. */
export const search =
	(context: Context) =>
	async (input: Valid<'search'>): Promise<Output<'search'>> => {
		const { read } = context.store;
		const query = input.q.trim();
		const kinds = new Set(input.types);
		const wants = (kind: Kind): boolean => query.length >= LEAST && kinds.has(kind);
		const [clients, instances, agents] = await Promise.all([
			wants('clients') ? searchClients(read, query) : [],
			wants('instances') ? searchInstances(read, query) : [],
			wants('agents') ? searchAgents(read, query) : [],
		]);
		const results = {
			clients: clients.map((hit) => ({
				id: hit.id,
				name: hit.name,
				status: hit.status,
				client: hit.name,
				email: hit.email,
				matchField: matchOf(hit, query),
			})),
			instances: instances.map((hit) => ({
				id: hit.instance_id,
				name: hit.instance_id,
				status: wireStatus(hit.role),
				client: hit.client_name,
				clientId: hit.client_id,
				clientName: hit.client_name,
				agentId: hit.agent_id,
				instanceType: hit.instance_type,
				region: hit.region,
				az: hit.az,
			})),
			agents: agents.map((hit) => ({
				id: hit.id,
				name: hit.logical_agent_id,
				status: hit.status,
				client: hit.client_name,
				clientId: hit.client_id,
				clientName: hit.client_name,
				logicalAgentId: hit.logical_agent_id,
				hostname: hit.hostname,
				instanceId: hit.instance_id,
			})),
		};
		return { query, results, total_results: clients.length + instances.length + agents.length, ...results, substring_rows: NEWEST };
	};
