import { Command } from 'commander';
import type { Context } from '../context.ts';
import { jobFields } from './fields.ts';

export const listJobsCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List background jobs: last run, what became of it, and when the next is due')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl jobs list -o wide\n\nA job is running while a daemon holds its lease, waiting while none does, paused until it is resumed.',
		)
		.action(async () => run(context));

const runList = async (context: Context): Promise<void> => {
	const api = await context.api();
	const { items } = await api.listJobs({});
	await context.print.list({ pages: [items], columns: jobFields, id: ({ name }) => name, empty: 'no jobs' });
};
