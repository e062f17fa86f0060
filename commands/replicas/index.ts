import { Command } from 'commander';
import type { Context } from '../context.ts';
import { createReplicaCommand } from './create.ts';
import { deleteReplicaCommand } from './delete.ts';
import { listReplicasCommand } from './list.ts';
import { promoteReplicaCommand } from './promote.ts';
import { showReplicaCommand } from './show.ts';

export const replicasCommand = (context: Context): Command =>
	new Command('replicas')
		.addCommand(listReplicasCommand(context))
		.addCommand(showReplicaCommand(context))
		.addCommand(createReplicaCommand(context))
		.addCommand(promoteReplicaCommand(context))
		.addCommand(deleteReplicaCommand(context));
