import { Command } from 'commander';
import type { Context } from '../context.ts';
import { timeoutOption, waitTime } from '../options.ts';
import { jobFields } from './fields.ts';
import { followJob } from './follow.ts';

const HALF_A_MINUTE = 30_000;

type Options = { readonly wait?: boolean; readonly timeout?: number };

export const runJobCommand = (context: Context, run = runRun): Command =>
	new Command('run')
		.description('Run a job now instead of when it is due; the daemon that holds its lease begins within two seconds')
		.argument('<job>', 'name of the job')
		.option('--wait', 'follow the run until it has ended')
		.addOption(timeoutOption('30s'))
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl jobs run offline --wait\n\nWith --wait the exit code is 0 when the run went well, 9 when it failed, 8 when the time was up.',
		)
		.action(async (job: string, options: Options) => run(context, job, options));

const runRun = async (context: Context, name: string, options: Options): Promise<void> => {
	const timeout = waitTime(options, HALF_A_MINUTE);
	const api = await context.api();
	const asked = await api.runJob({ name });
	if (!options.wait) return context.print.one({ data: asked, id: name, fields: [], note: asked.message });
	context.note(asked.message);
	const { job, problem } = await followJob(context, asked.job, timeout);
	await context.print.one({ data: job, id: name, fields: jobFields.map((field) => ({ ...field, wide: false })) });
	if (problem) throw problem;
};
