import { Command } from 'commander';
import type { Context } from '../context.ts';
import { replicaFields } from './fields.ts';

export const showReplicaCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show a replica')
		.argument('<replica>', 'id of the replica')
		.addHelpText('after', '\nExample:\n  $ spotctl replicas show 5b0e7a52-0b6e-4c6e-8d9b-0f6f2f1a7c33')
		.action(async (replica: string) => run(context, replica));

const runShow = async (context: Context, replica: string): Promise<void> => {
	const api = await context.api();
	const data = await api.showReplica({ replica_id: replica });
	await context.print.one({ data, id: data.id, fields: replicaFields.map((field) => ({ ...field, wide: false })) });
};
