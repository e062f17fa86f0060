import { Command } from 'commander';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';
import { followJob } from '../jobs/follow.ts';
import { timeoutOption, waitTime } from '../options.ts';
import { ruleFields } from './fields.ts';

/** Longer than a run may take. */
const QUARTER_OF_AN_HOUR = 15 * 60_000;

type Options = { readonly dryRun?: boolean; readonly only?: readonly string[]; readonly wait?: boolean; readonly timeout?: number };

export const runRetentionCommand = (context: Context, run = runRun): Command =>
	new Command('run')
		.description('Delete old rows now instead of within the hour; the daemon that runs the job begins within two seconds')
		.option('--dry-run', 'count what would be deleted, and delete nothing')
		.option('--only <rule>', 'a rule, as retention show lists them; may be given again', (rule: string, before: readonly string[] = []) => [
			...before,
			rule,
		])
		.option('--wait', 'follow the run until it has ended')
		.addOption(timeoutOption('15m'))
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl retention run --dry-run\n  $ spotctl retention run --only price_report --wait\n\nWith --wait the exit code is 0 when the run went well, 9 when it failed, 8 when the time was up.',
		)
		.action(async (options: Options) => run(context, options));

const runRun = async (context: Context, options: Options): Promise<void> => {
	if (options.dryRun && options.wait) {
		throw new SpotError('invalid', 'USAGE', 'a dry run is over when it is answered: there is nothing to wait for', {
			hint: 'leave --wait or --dry-run out',
		});
	}
	const timeout = waitTime(options, QUARTER_OF_AN_HOUR);
	const api = await context.api();
	const only = options.only === undefined ? null : [...options.only];
	const asked = await api.runRetention({ dry_run: options.dryRun === true, only });
	context.note(asked.message);
	const print = (output: { readonly rules: typeof asked.rules }) =>
		context.print.list({ pages: [output.rules], columns: ruleFields, id: ({ rule }) => rule, empty: 'no rules', output });
	if (!options.wait) return print(asked);
	const { problem } = await followJob(context, asked.job, timeout);
	const now = await api.showRetention({});
	const named = new Set(asked.rules.map(({ rule }) => rule));
	await print({ ...now, rules: now.rules.filter(({ rule }) => named.has(rule)) });
	if (problem) throw problem;
};
