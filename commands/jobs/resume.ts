import { Command } from 'commander';
import type { Context } from '../context.ts';

export const resumeJobCommand = (context: Context, run = runResume): Command =>
	new Command('resume')
		.description('Let a paused job run again; a daemon takes it within two seconds')
		.argument('<job>', 'name of the job')
		.addHelpText('after', '\nExample:\n  $ spotctl jobs resume answers')
		.action(async (job: string) => run(context, job));

const runResume = async (context: Context, name: string): Promise<void> => {
	const api = await context.api();
	const data = await api.resumeJob({ name });
	await context.print.one({ data, id: data.job.name, fields: [], note: data.message });
};
