import { Command } from 'commander';
import type { Context } from '../context.ts';

export const checkConfigCommand = (context: Context, run = runCheck): Command =>
	new Command('check')
		.description('Check the configuration; every problem at once, exit code 2 when there is one')
		.addHelpText('after', '\nExample:\n  $ spotctl config check\n  $ spotctl config check --config /etc/spotctl/config.yaml')
		.action(async () => run(context));

const runCheck = async (context: Context): Promise<void> => {
	const { files, warnings } = await context.config();
	await context.print.one({
		data: { valid: true, files, warnings },
		id: 'valid',
		fields: [
			{ title: 'Valid', value: ({ valid }) => valid },
			{ title: 'Files', value: (checked) => checked.files },
			{ title: 'Warnings', value: (checked) => checked.warnings.length },
		],
	});
};
