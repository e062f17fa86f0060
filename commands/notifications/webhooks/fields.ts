import type { Output } from '../../../src/contract/index.ts';
import type { Column } from '../../render.ts';

type Row = Output<'listWebhooks'>['items'][number];

/** What is shown of a webhook, in lists and alone. */
export const webhookFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Name', value: ({ name }) => name },
	{ title: 'URL', value: ({ url }) => url },
	{ title: 'From', value: ({ min_severity }) => min_severity },
	{ title: 'Types', value: ({ types }) => types },
	{ title: 'Enabled', value: ({ enabled }) => enabled, tone: ({ enabled }) => (enabled ? 'good' : 'dim') },
	{ title: 'Client id', value: ({ client_id }) => client_id, wide: true },
	{ title: 'Secret sealed', value: ({ secret_sealed }) => secret_sealed, wide: true },
	{ title: 'Created', value: ({ created_at }) => created_at, as: 'time', wide: true },
	{ title: 'Created by', value: ({ created_by }) => created_by, wide: true },
];

/** The same with the secret that is shown once. */
export const secretFields: readonly Column<Output<'createWebhook'>>[] = [
	...webhookFields.map(({ title, value }) => ({ title, value: (row: Output<'createWebhook'>) => value(row.webhook) })),
	{ title: 'Secret', value: ({ secret }) => secret },
];

/** What is said of a secret that was just shown. */
export const KEEP_IT = 'Keep the secret: it is not shown again.';

/** Types as they are typed: `agent_offline,switch_failed`. */
export const typesOf = (typed: string): string[] =>
	typed
		.split(',')
		.map((type) => type.trim())
		.filter((type) => type !== '');
