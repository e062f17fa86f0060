import { Command } from 'commander';
import type { Api } from '../src/contract/index.ts';
import { SpotError } from '../src/errors.ts';
import type { Context } from './context.ts';
import type { Column } from './render.ts';

type Found = Awaited<ReturnType<Api['search']>>;
type Hit = { readonly kind: string } & Pick<Found['agents'][number], 'id' | 'name' | 'status' | 'client'>;

const columns: readonly Column<Hit>[] = [
	{ title: 'Kind', value: ({ kind }) => kind },
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Name', value: ({ name }) => name },
	{ title: 'Status', value: ({ status }) => status },
	{ title: 'Client', value: ({ client }) => client },
];

export const searchCommand = (context: Context, run = runSearch): Command =>
	new Command('search')
		.description('Find clients, machines and agents by id, name or a part of it; at most ten of each')
		.argument('<text>', 'at least two characters')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl search i-0abc\n  $ spotctl search web -o json\n\nWhat begins with the text is found wherever it is; what only holds it, among the newest rows of each kind.',
		)
		.action(async (text: string) => run(context, text));

const runSearch = async (context: Context, q: string): Promise<void> => {
	if (q.trim().length < 2)
		throw new SpotError('invalid', 'USAGE', 'the text to search for needs at least two characters', {
			hint: 'type more of it, or list everything: spotctl agents list',
		});
	const api = await context.api();
	const output = await api.search({ q });
	const of = (kind: string, hits: readonly Omit<Hit, 'kind'>[]): Hit[] => hits.map((hit) => ({ ...hit, kind }));
	const rows = [...of('client', output.clients), ...of('instance', output.instances), ...of('agent', output.agents)];
	await context.print.list({ pages: [rows], columns, id: ({ id }) => id, empty: 'nothing found', output });
};
