import { Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { type Limit, limit, limitOf } from '../options.ts';

type Options = { readonly email?: string; readonly maxAgents?: Limit; readonly maxInstances?: Limit; readonly test?: boolean };

export const createClientCommand = (context: Context, run = runCreate): Command =>
	new Command('create')
		.description('Create a client and its first token, which is shown only now')
		.argument('<name>', 'shown in lists and reports')
		.option('--email <address>', 'whom to write to')
		.addOption(new Option('--max-agents <number>', 'most agents it may have, or unlimited').argParser(limit))
		.addOption(new Option('--max-instances <number>', 'most machines it may have, or unlimited').argParser(limit))
		.option('--test', 'marks it as a client for tests')
		.addHelpText('after', '\nExample:\n  $ spotctl clients create acme\n  $ (umask 077; spotctl clients create acme --quiet > acme.token)')
		.action(async (name: string, options: Options) => run(context, name, options));

const runCreate = async (context: Context, name: string, { email, maxAgents, maxInstances, test }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.createClient({
		name,
		email,
		max_agents: limitOf(maxAgents),
		max_instances: limitOf(maxInstances),
		test_client: test,
	});
	await context.print.one({
		data,
		id: data.client.token,
		fields: [
			{ title: 'ID', value: ({ client }) => client.id },
			{ title: 'Name', value: ({ client }) => client.name },
			{ title: 'Email', value: ({ client }) => client.email, wide: true },
			{ title: 'Token', value: ({ client }) => client.token },
		],
		note: 'Keep the token: it is not shown again. Agents send it; make another with: spotctl tokens create',
	});
};
