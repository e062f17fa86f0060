import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { clientOption, instanceFields } from './fields.ts';

type Options = { readonly client?: string };

export const showInstanceCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show a machine')
		.argument('<instance>', 'id of the machine')
		.addOption(clientOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances show i-0abc1234def567890')
		.action(async (instance: string, options: Options) => run(context, instance, options));

const runShow = async (context: Context, instance: string, { client }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.showInstance({ instance_id: instance, ...(await clientFilter(context, client)) });
	await context.print.one({
		data,
		id: data.id,
		fields: [
			...instanceFields.map((field) => ({ ...field, wide: false })),
			{ title: 'Hostname', value: ({ hostname }) => hostname },
			{ title: 'AMI', value: ({ amiId }) => amiId },
			{ title: 'Private IP', value: ({ privateIp }) => privateIp },
			{ title: 'Public IP', value: ({ publicIp }) => publicIp },
			{ title: 'Last seen', value: ({ lastSeenAt }) => lastSeenAt, as: 'time' },
			{ title: 'Last switch', value: ({ lastSwitchAt }) => lastSwitchAt, as: 'time' },
			{ title: 'Zombie since', value: ({ zombieAt }) => zombieAt, as: 'time' },
			{ title: 'Terminated', value: ({ terminatedAt }) => terminatedAt, as: 'time' },
			{ title: 'Hold', value: ({ hold }) => hold },
			{ title: 'Held until', value: ({ holdUntil }) => holdUntil, as: 'time' },
			{ title: 'Held because', value: ({ holdReason }) => holdReason },
		],
	});
};
