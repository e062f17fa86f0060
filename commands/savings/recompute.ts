import { Command } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import { findClient } from '../clients/find.ts';
import type { Context } from '../context.ts';

type Options = { readonly client?: string; readonly agent?: string; readonly dryRun?: boolean };
type Page = Output<'recomputeSavings'>;
/** A machine whose books differed, or a sum that did. */
type Difference = Page['differences'][number] | Page['totals'][number];

export const recomputeSavingsCommand = (context: Context, run = runRecompute): Command =>
	new Command('recompute')
		.description('Book machines anew from the facts, add up their sums, and mend what differs')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those of this agent')
		.option('-n, --dry-run', 'say what differs, and change nothing')
		.addHelpText(
			'after',
			'\nExamples:\n  $ spotctl savings recompute --dry-run\n  $ spotctl savings recompute --client acme\n\nLists the machines whose books differed, and the sums that were not those of the machines; none is right.',
		)
		.action(async (options: Options) => run(context, options));

const runRecompute = async (context: Context, { client, agent, dryRun }: Options): Promise<void> => {
	const api = await context.api();
	const scope = { agent_id: agent, client_id: client === undefined ? undefined : (await findClient(context, client)).id };
	let machines = 0;
	let changed = 0;
	let sums = 0;
	const found = async function* (): AsyncGenerator<readonly Difference[]> {
		let cursor: string | null = null;
		do {
			const page: Output<'recomputeSavings'> = await api.recomputeSavings({ ...scope, dry_run: dryRun === true, cursor });
			machines += page.machines;
			changed += page.differences.length;
			sums += page.totals.length;
			yield [...page.differences, ...page.totals];
			cursor = page.next_cursor;
		} while (cursor !== null);
	};
	await context.print.list({
		pages: found(),
		columns: [
			{ title: 'Instance', value: (row) => ('period' in row ? `sum of ${row.period}` : row.instanceId) },
			{ title: 'Agent or client', value: (row) => ('period' in row ? row.clientId : row.agentId) },
			{ title: 'Cost before', value: ({ costBefore }) => costBefore, as: 'usd' },
			{ title: 'Cost after', value: ({ costAfter }) => costAfter, as: 'usd' },
			{ title: 'Baseline before', value: ({ baselineBefore }) => baselineBefore, as: 'usd' },
			{ title: 'Baseline after', value: ({ baselineAfter }) => baselineAfter, as: 'usd' },
		],
		id: (row) => ('period' in row ? `${row.clientId} ${row.period}` : row.instanceId),
		empty: 'no difference',
	});
	context.note(
		`booked ${machines} machines anew: ${changed} ${changed === 1 ? 'differs' : 'differ'}${sums === 0 ? '' : `, and so do ${sums} sums`}${dryRun ? '; nothing was changed' : ''}`,
	);
};
