import { Command } from 'commander';
import type { Api } from '../../src/contract/index.ts';
import type { Context } from '../context.ts';
import { integer } from '../options.ts';
import type { Column } from '../render.ts';

type Day = Awaited<ReturnType<Api['clientsGrowth']>>['items'][number];

const columns: readonly Column<Day>[] = [
	{ title: 'Date', value: ({ date }) => date },
	{ title: 'Clients', value: ({ total }) => total },
	{ title: 'New', value: (day) => day.new },
	{ title: 'Active', value: ({ active, activeKnown }) => (activeKnown ? active : null) },
	{ title: 'Source', value: ({ source }) => source, tone: ({ source }) => (source === 'derived' ? 'warn' : undefined) },
];

export const growthCommand = (context: Context, run = runGrowth): Command =>
	new Command('growth')
		.description('Show the number of clients by day, oldest first')
		.option('--days <number>', 'how many days, today included (30 unless given)', integer(1, 365))
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl clients growth --days 90 -o csv\n\nA day is now (today), snapshot (as the last look of that day found it), or derived: nobody looked that day, so\nit counts the clients that exist now and were created by then. Days of which nothing is known are left out.',
		)
		.action(async (options: { readonly days?: number }) => run(context, options));

const runGrowth = async (context: Context, { days }: { readonly days?: number }): Promise<void> => {
	const api = await context.api();
	const { items } = await api.clientsGrowth(days === undefined ? {} : { days });
	await context.print.list({ pages: [items], columns, id: ({ date }) => date, empty: 'no days' });
};
