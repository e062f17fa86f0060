import { Command } from 'commander';
import type { Context } from '../context.ts';
import { listJobsCommand } from './list.ts';
import { pauseJobCommand } from './pause.ts';
import { resumeJobCommand } from './resume.ts';
import { runJobCommand } from './run.ts';

export const jobsCommand = (context: Context): Command =>
	new Command('jobs')
		.addCommand(listJobsCommand(context))
		.addCommand(runJobCommand(context))
		.addCommand(pauseJobCommand(context))
		.addCommand(resumeJobCommand(context));
