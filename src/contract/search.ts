import { z } from 'zod';
import { textOrNull } from './fields.ts';
import { operation } from './operation.ts';

const KINDS = ['clients', 'instances', 'agents'] as const;
type Kind = (typeof KINDS)[number];
const isKind = (word: string): word is Kind => (KINDS as readonly string[]).includes(word);

/** What is looked for, comma separated; nothing means each kind. */
const kinds = z
	.string()
	.max(255)
	.optional()
	.transform((text, context): readonly Kind[] => {
		const words = (text ?? '').split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim().toLowerCase()]));
		const unknown = words.find((word) => !isKind(word));
		if (unknown === undefined) return words.length === 0 ? KINDS : words.filter(isKind);
		context.addIssue({ code: 'custom', message: `"${unknown.slice(0, 64)}" is none of ${KINDS.join(', ')}` });
		return z.NEVER;
	});

/** What every hit has under the names of the old search panel. */
const hit = { id: z.string(), name: z.string(), status: z.string(), client: z.string() };

const ClientHit = z.object({ ...hit, email: textOrNull, matchField: z.string() });
const InstanceHit = z.object({
	...hit,
	clientId: z.string(),
	clientName: z.string(),
	agentId: z.string(),
	instanceType: textOrNull,
	region: textOrNull,
	az: textOrNull,
});
const AgentHit = z.object({
	...hit,
	clientId: z.string(),
	clientName: z.string(),
	logicalAgentId: z.string(),
	hostname: textOrNull,
	instanceId: textOrNull,
});

const hits = { clients: z.array(ClientHit), instances: z.array(InstanceHit), agents: z.array(AgentHit) };

/**
 * At most ten hits a kind: first what begins with the text, exactly as it is written, of everything there is; then what holds it, in
 * whatever letters, of the newest `substring_rows` rows of the kind. A text below two characters finds nothing.
 */
const declared = {
	method: 'GET',
	access: 'read',
	input: z.object({ q: z.string().max(255).default(''), types: kinds }),
	output: z.object({
		query: z.string(),
		results: z.object(hits),
		total_results: z.number().int(),
		...hits,
		substring_rows: z.number().int(),
	}),
} as const;

/** X1 */
export const search = operation({
	...declared,
	id: 'search.find',
	path: '/api/admin/search',
	summary: 'Find clients, machines and agents by id, name or a part of it',
});

/** X23, the same under the old dashboard's path. */
export const searchOld = operation({ ...declared, id: 'search.find_old', path: '/api/search', summary: 'As /api/admin/search' });
