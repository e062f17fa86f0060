import { Command } from 'commander';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';
import { findReplica } from './fields.ts';

type Options = { readonly yes?: boolean };

export const deleteReplicaCommand = (context: Context, run = runDelete): Command =>
	new Command('delete')
		.alias('rm')
		.description('Terminate a replica and its machine')
		.argument('<replica>', 'id of the replica')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl replicas delete 5b0e7a52-0b6e-4c6e-8d9b-0f6f2f1a7c33 --yes')
		.action(async (replica: string, options: Options) => run(context, replica, options));

const runDelete = async (context: Context, replica: string, { yes }: Options): Promise<void> => {
	const api = await context.api();
	const { agentId, words } = await findReplica(context, replica);
	await context.confirm({ what: `terminates ${words}`, yes });
	const data = await api.deleteReplica({ agent_id: agentId, replica_id: replica });
	await context.print.one({
		data,
		id: data.replica_id,
		fields: [
			{ title: 'ID', value: ({ replica_id }) => replica_id },
			{ title: 'Terminated', value: ({ terminated_at }) => terminated_at, as: 'time' },
		],
		note: data.message,
	});
};
