import { Command } from 'commander';
import type { Context } from '../context.ts';
import { clientFields } from './fields.ts';
import { findClient } from './find.ts';

export const showClientCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show a client')
		.argument('<client>', 'name or id')
		.addHelpText('after', '\nExample:\n  $ spotctl clients show acme')
		.action(async (client: string) => run(context, client));

const runShow = async (context: Context, named: string): Promise<void> => {
	const api = await context.api();
	const { id } = await findClient(context, named);
	const data = await api.showClient({ client_id: id });
	await context.print.one({
		data,
		id: data.id,
		fields: [
			...clientFields.map((field) => ({ ...field, wide: false })),
			{ title: 'Active machines', value: ({ instanceCounts }) => instanceCounts.active },
			{ title: 'Zombies', value: ({ instanceCounts }) => instanceCounts.zombie },
			{ title: 'Terminated', value: ({ instanceCounts }) => instanceCounts.terminated },
		],
	});
};
