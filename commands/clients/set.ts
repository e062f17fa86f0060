import { Command, Option } from 'commander';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';
import { type Limit, limit, limitOf, oneOf } from '../options.ts';
import type { Column } from '../render.ts';
import { clientFields } from './fields.ts';
import { findClient } from './find.ts';

type Options = {
	readonly maxAgents?: Limit;
	readonly maxInstances?: Limit;
	readonly status?: 'active' | 'inactive';
	readonly test?: boolean;
};

export const setClientCommand = (context: Context, run = runSet): Command =>
	new Command('set')
		.description('Change limits, status or the test mark of a client')
		.argument('<client>', 'name or id')
		.addOption(new Option('--max-agents <number>', 'most agents it may have, or unlimited').argParser(limit))
		.addOption(new Option('--max-instances <number>', 'most machines it may have, or unlimited').argParser(limit))
		.addOption(oneOf('--status <status>', 'an inactive client is refused with all its agents', ['active', 'inactive']))
		.option('--test', 'mark it as a client for tests')
		.option('--no-test', 'take that mark away')
		.addHelpText('after', '\nExample:\n  $ spotctl clients set acme --max-agents 50\n  $ spotctl clients set acme --max-agents unlimited')
		.action(async (client: string, options: Options) => run(context, client, options));

const runSet = async (context: Context, named: string, options: Options): Promise<void> => {
	const { maxAgents, maxInstances, status, test } = options;
	if (Object.keys(options).length === 0) {
		throw new SpotError('invalid', 'USAGE', 'nothing to change was given', { hint: 'see: spotctl clients set --help' });
	}
	const api = await context.api();
	const { id } = await findClient(context, named);
	const data = await api.updateClient({
		client_id: id,
		max_agents: limitOf(maxAgents),
		max_instances: limitOf(maxInstances),
		status,
		test_client: test,
	});
	await context.print.one({
		data,
		id,
		fields: clientFields.map(
			({ as, ...field }): Column<typeof data> => ({
				...field,
				...(as === undefined ? {} : { as: typeof as === 'string' ? as : (cell, now, { client }) => as(cell, now, client) }),
				value: ({ client }) => field.value(client),
				tone: ({ client }) => field.tone?.(client),
				wide: false,
			}),
		),
	});
};
