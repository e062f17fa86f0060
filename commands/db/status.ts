import { Command } from 'commander';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

export const databaseStatusCommand = (context: Context, run = runStatus): Command =>
	new Command('status')
		.description('Compare the schema of the database with this program; exit code 10 unless it is current')
		.addHelpText('after', '\nExample:\n  $ spotctl db status\n  $ spotctl db status --database mysql://user:password@host:3306/spotctl')
		.action(async () => run(context));

const PROBLEMS = {
	empty: ['the database is empty', 'run: spotctl db migrate'],
	older: ['the schema is older than this spotctl', 'run: spotctl db migrate   (or start with: spotctl serve --migrate)'],
	newer: ['the schema is newer than this spotctl', 'run the newer spotctl'],
	foreign: ["the database holds tables that are not spotctl's", 'give spotctl a database of its own'],
} as const;

const runStatus = async (context: Context): Promise<void> => {
	const { config } = await context.config();
	const [{ databaseState }, { maskUrl }] = await Promise.all([import('../../src/core/database.ts'), import('../../src/config/show.ts')]);
	const found = await databaseState(config.database.url, context.clock);
	await context.print.one({
		data: { database: maskUrl(config.database.url), ...found },
		id: found.state,
		fields: [
			{ title: 'Database', value: ({ database }) => database },
			{ title: 'State', value: ({ state }) => state, tone: ({ state }) => (state === 'current' ? 'good' : 'warn') },
			{ title: 'Applied', value: ({ applied }) => applied.length },
			{ title: 'Pending', value: ({ pending }) => pending.length },
			{ title: 'Unknown', value: ({ unknown }) => unknown },
			{ title: 'Foreign', value: ({ foreign }) => foreign },
		],
	});
	if (found.state === 'current') return;
	const [what, hint] = PROBLEMS[found.state];
	throw new SpotError('schema', `SCHEMA_${found.state.toUpperCase()}`, what, { hint });
};
