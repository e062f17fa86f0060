import { Command } from 'commander';
import type { Context } from '../context.ts';
import { checkDatabaseCommand } from './check.ts';
import { migrateDatabaseCommand } from './migrate.ts';
import { databaseStatusCommand } from './status.ts';

export const dbCommand = (context: Context): Command =>
	new Command('db')
		.addCommand(databaseStatusCommand(context))
		.addCommand(migrateDatabaseCommand(context))
		.addCommand(checkDatabaseCommand(context));
