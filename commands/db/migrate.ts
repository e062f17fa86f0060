import { Command } from 'commander';
import type { Context } from '../context.ts';

type Options = { readonly dryRun?: boolean };

export const migrateDatabaseCommand = (context: Context, run = runMigrate): Command =>
	new Command('migrate')
		.description('Bring the schema of the database up to date')
		.option('-n, --dry-run', 'print the statements it would run, and run none')
		.addHelpText('after', '\nExample:\n  $ spotctl db migrate --dry-run\n  $ spotctl db migrate')
		.action(async (options: Options) => run(context, options));

const runMigrate = async (context: Context, { dryRun }: Options): Promise<void> => {
	const { config } = await context.config();
	const { url } = config.database;
	const [database, { maskUrl }] = await Promise.all([import('../../src/core/database.ts'), import('../../src/config/show.ts')]);
	if (dryRun) {
		const statements = await database.plannedMigration(url, context.clock);
		return context.print.list({
			pages: [statements.map((statement) => ({ sql: `${statement.replace(/\s+/g, ' ').trim()};` }))],
			columns: [{ title: 'SQL', value: ({ sql }) => sql }],
			id: ({ sql }) => sql,
			empty: 'the schema is current: nothing to run',
		});
	}
	const applied = await database.migrateDatabase(url, context.clock);
	await context.print.one({
		data: { database: maskUrl(url), applied },
		id: String(applied.length),
		fields: [
			{ title: 'Database', value: (done) => done.database },
			{ title: 'Applied', value: (done) => done.applied.length },
		],
		note: applied.length === 0 ? 'the schema was current already' : 'the schema is current now',
	});
};
