import { Command } from 'commander';
import type { Context } from '../context.ts';
import { explainSavingsCommand } from './explain.ts';
import { recomputeSavingsCommand } from './recompute.ts';
import { reconcileSavingsCommand } from './reconcile.ts';
import { showSavingsCommand } from './show.ts';

export const savingsCommand = (context: Context): Command =>
	new Command('savings')
		.addCommand(showSavingsCommand(context))
		.addCommand(explainSavingsCommand(context))
		.addCommand(reconcileSavingsCommand(context))
		.addCommand(recomputeSavingsCommand(context));
