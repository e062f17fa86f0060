import { Command } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import type { Context } from '../context.ts';
import { oneOf } from '../options.ts';

type Options = { readonly kind: Input<'simulateNotice'>['kind'] };

export const simulateNoticeCommand = (context: Context, run = runSimulate): Command =>
	new Command('simulate-notice')
		.description('Act as if AWS had sent a notice to the primary of an agent; only for clients marked with --test')
		.argument('<agent>', 'id of the agent')
		.addOption(
			oneOf('--kind <kind>', 'a recommendation to move, or the two-minute notice', ['rebalance', 'termination']).makeOptionMandatory(),
		)
		.addHelpText('after', '\nExample:\n  $ spotctl agents simulate-notice 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --kind termination')
		.action(async (agent: string, options: Options) => run(context, agent, options));

const runSimulate = async (context: Context, agent: string, { kind }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.simulateNotice({ agent_id: agent, kind });
	await context.print.one({
		data,
		id: data.emergency_id ?? agent,
		fields: [
			{ title: 'Action', value: ({ action }) => action },
			{ title: 'Message', value: ({ message }) => message },
			{ title: 'Replica', value: ({ replica_id }) => replica_id },
			{ title: 'New instance', value: ({ new_instance_id }) => new_instance_id },
			{ title: 'Emergency', value: ({ emergency_id }) => emergency_id },
		],
		note: data.emergency_id === null ? undefined : `see: spotctl emergencies show ${data.emergency_id}`,
	});
};
