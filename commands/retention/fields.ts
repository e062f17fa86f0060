import type { Output } from '../../src/contract/index.ts';
import type { Column } from '../render.ts';

type Rule = Output<'showRetention'>['rules'][number];

/** What is shown of a rule. */
export const ruleFields: readonly Column<Rule>[] = [
	{ title: 'Rule', value: ({ rule }) => rule },
	{ title: 'Days', value: ({ days }) => (days === 0 ? 'for ever' : String(days)) },
	{ title: 'Due', value: ({ due, due_complete }) => (due_complete ? String(due) : `${due} or more`) },
	{ title: 'Last run', value: ({ last_started_at }) => last_started_at, as: 'time' },
	{
		title: 'Deleted',
		value: ({ last_deleted, last_complete }) => (last_complete === null ? null : last_deleted),
	},
	{
		title: 'Complete',
		value: ({ last_complete }) => (last_complete === null ? null : last_complete ? 'yes' : 'no'),
		tone: ({ last_complete }) => (last_complete === false ? 'warn' : undefined),
	},
	{ title: 'Altogether', value: ({ total_deleted }) => total_deleted },
	{ title: 'Before', value: ({ before }) => before, as: 'time', wide: true },
	{ title: 'Ended', value: ({ last_ended_at }) => last_ended_at, as: 'time', wide: true },
	{ title: 'Requested', value: ({ requested_at }) => requested_at, as: 'time', wide: true },
	{ title: 'Setting', value: ({ setting }) => setting, wide: true },
	{ title: 'What', value: ({ summary }) => summary, as: 'prose', wide: true },
];
