import type { Api } from '../../src/contract/index.ts';
import type { Column } from '../render.ts';

type Row = Awaited<ReturnType<Api['listTokens']>>['items'][number];

/** What is shown of a token; never the token. */
export const tokenFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Name', value: ({ name }) => name },
	{ title: 'Prefix', value: ({ prefix }) => prefix },
	{ title: 'State', value: ({ state }) => state, tone: ({ state }) => (state === 'active' ? 'good' : 'dim') },
	{ title: 'Created', value: ({ created_at }) => created_at, as: 'time' },
	{ title: 'Last used', value: ({ last_used_at }) => last_used_at, as: 'time' },
	{ title: 'Expires', value: ({ expires_at }) => expires_at, as: 'time' },
	{ title: 'Created by', value: ({ created_by }) => created_by, wide: true },
	{ title: 'Revoked', value: ({ revoked_at }) => revoked_at, as: 'time', wide: true },
];

/** What is shown of an admin token. */
export const adminTokenFields: readonly Column<Row & { readonly scope: string }>[] = [
	...tokenFields.slice(0, 2),
	{ title: 'Scope', value: ({ scope }) => scope },
	...tokenFields.slice(2),
];

/** How long a token may be made to last. */
export const LONGEST_LIFE_SECONDS = 315_360_000;
