import { Command } from 'commander';
import type { Context } from '../context.ts';
import { commandFields } from './fields.ts';

export const showCommandCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show a command')
		.argument('<command>', 'id of the command')
		.addHelpText('after', '\nExample:\n  $ spotctl commands show 3d1f6c0a-52c1-4a8e-b0f0-6a0e5a1d9f42')
		.action(async (command: string) => run(context, command));

const runShow = async (context: Context, command: string): Promise<void> => {
	const api = await context.api();
	const data = await api.showCommand({ command_id: command });
	await context.print.one({ data, id: data.id, fields: commandFields.map((field) => ({ ...field, wide: false })) });
};
