import { Command } from 'commander';
import type { Context } from '../context.ts';

type Options = { readonly origin?: boolean };

export const showConfigCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show every setting in force, without secrets')
		.option('--origin', 'also say where each value came from')
		.addHelpText('after', '\nExample:\n  $ spotctl config show --origin')
		.action(async (options: Options) => run(context, options));

const runShow = async (context: Context, { origin = false }: Options): Promise<void> => {
	const loaded = await context.config();
	const { describeConfig } = await import('../../src/config/show.ts');
	await context.print.list({
		pages: [describeConfig(loaded)],
		columns: [
			{ title: 'Key', value: ({ key }) => key },
			{ title: 'Value', value: ({ value }) => value },
			{
				title: 'Origin',
				value: (setting) => setting.origin,
				wide: !origin,
				tone: (setting) => (setting.origin === 'default' ? 'dim' : undefined),
			},
		],
		id: ({ key }) => key,
		empty: 'no settings',
	});
};
