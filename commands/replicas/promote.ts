import { Command } from 'commander';
import type { Context } from '../context.ts';
import { yesOption } from '../options.ts';
import { findReplica } from './fields.ts';

type Options = { readonly agent?: string; readonly demoteOld?: boolean; readonly yes?: boolean };

export const promoteReplicaCommand = (context: Context, run = runPromote): Command =>
	new Command('promote')
		.description('Make a ready replica the primary of its agent')
		.argument('<replica>', 'id of the replica')
		.option('--demote-old', 'keep the old primary as a replica; without this it becomes a zombie')
		.option('--agent <agent>', 'id of its agent, which is looked up unless given')
		.addOption(yesOption())
		.addHelpText('after', '\nExample:\n  $ spotctl replicas promote 5b0e7a52-0b6e-4c6e-8d9b-0f6f2f1a7c33 --demote-old')
		.action(async (replica: string, options: Options) => run(context, replica, options));

const runPromote = async (context: Context, replica: string, { agent, demoteOld, yes }: Options): Promise<void> => {
	const api = await context.api();
	const { agentId, words } =
		agent === undefined
			? await findReplica(context, replica)
			: { agentId: agent, words: `replica ${JSON.stringify(replica)} of ${JSON.stringify(agent)}` };
	await context.confirm({ what: `makes ${words} the primary and the old one a ${demoteOld ? 'replica' : 'zombie'}`, yes });
	const data = await api.promoteReplica({ agent_id: agentId, replica_id: replica, ...(demoteOld ? { demote_old_primary: true } : {}) });
	await context.print.one({
		data,
		id: data.new_instance_id,
		fields: [
			{ title: 'New primary', value: ({ new_instance_id }) => new_instance_id },
			{ title: 'Old primary', value: ({ old_instance_id }) => old_instance_id },
			{ title: 'Demoted', value: ({ demoted }) => demoted },
			{ title: 'Switched', value: ({ switch_time }) => switch_time, as: 'time' },
		],
		note: data.message,
	});
};
