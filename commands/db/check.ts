import { Command } from 'commander';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

export const checkDatabaseCommand = (context: Context, run = runCheck): Command =>
	new Command('check')
		.description('Check the integrity of the database; exit code 9 when something is wrong')
		.addHelpText('after', '\nExample:\n  $ spotctl db check\n  $ spotctl db check -o json')
		.action(async () => run(context));

const runCheck = async (context: Context): Promise<void> => {
	const { config } = await context.config();
	const { checkDatabase } = await import('../../src/core/database.ts');
	const findings = await checkDatabase(config.database.url, context.clock);
	await context.print.list({
		pages: [findings],
		columns: [
			{ title: 'Check', value: ({ check }) => check },
			{
				title: 'Result',
				value: ({ problems }) => (problems.length === 0 ? 'ok' : 'wrong'),
				tone: ({ problems }) => (problems.length === 0 ? 'good' : 'bad'),
			},
			{ title: 'Problems', value: ({ problems }) => problems },
		],
		id: ({ check }) => check,
		empty: 'nothing was checked',
	});
	const wrong = findings.filter(({ problems }) => problems.length > 0);
	if (wrong.length === 0) return;
	throw new SpotError(
		'ended_badly',
		'DATABASE_DAMAGED',
		`the database is not sound: ${wrong.length} of ${findings.length} checks found something`,
		{
			hint: 'keep a copy of it before anything else; see: spotctl db check -o json',
		},
	);
};
