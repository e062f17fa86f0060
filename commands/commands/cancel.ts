import { Command } from 'commander';
import type { Context } from '../context.ts';

export const cancelCommandCommand = (context: Context, run = runCancel): Command =>
	new Command('cancel')
		.description('Cancel a command; one that an agent has taken may be carried out all the same')
		.argument('<command>', 'id of the command')
		.addHelpText('after', '\nExample:\n  $ spotctl commands cancel 3d1f6c0a-52c1-4a8e-b0f0-6a0e5a1d9f42')
		.action(async (command: string) => run(context, command));

const runCancel = async (context: Context, id: string): Promise<void> => {
	const api = await context.api();
	const data = await api.cancelCommand({ command_id: id });
	await context.print.one({
		data,
		id: data.command.id,
		fields: [
			{ title: 'ID', value: ({ command }) => command.id },
			{ title: 'Status', value: ({ command }) => command.status },
			{ title: 'Was', value: ({ was }) => was },
		],
		note: data.message,
	});
};
