import { Command } from 'commander';
import type { Context } from '../context.ts';

export const pauseJobCommand = (context: Context, run = runPause): Command =>
	new Command('pause')
		.description('Keep every daemon from running a job until it is resumed; a run under way changes nothing more')
		.argument('<job>', 'name of the job')
		.addHelpText('after', '\nExample:\n  $ spotctl jobs pause answers')
		.action(async (job: string) => run(context, job));

const runPause = async (context: Context, name: string): Promise<void> => {
	const api = await context.api();
	const data = await api.pauseJob({ name });
	await context.print.one({ data, id: data.job.name, fields: [], note: data.message });
};
