import { Command } from 'commander';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

export const checkConfigCommand = (context: Context, run = runCheck): Command =>
	new Command('check')
		.description('Check the configuration; every problem at once, exit code 2 when there is one')
		.addHelpText('after', '\nExample:\n  $ spotctl config check\n  $ spotctl config check --config /etc/spotctl/config.yaml')
		.action(async () => run(context));

const runCheck = async (context: Context): Promise<void> => {
	const { files, warnings } = await context.config().catch((error: unknown) => {
		// Its hint is this command.
		if (!(error instanceof SpotError)) throw error;
		const { kind, code, message, extras, cause } = error;
		throw new SpotError(kind, code, message, { hint: 'what each setting takes: spotctl help environment', extras, cause });
	});
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
