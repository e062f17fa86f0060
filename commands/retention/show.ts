import { Command } from 'commander';
import type { Context } from '../context.ts';
import { ruleFields } from './fields.ts';

export const showRetentionCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show what is deleted when it is old: rules, rows that are due, and the last run')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl retention show -o wide\n\nDays are settings of the daemon, retention.*; 0 keeps rows for ever. Tables without a rule, and why: -o yaml.',
		)
		.action(async () => run(context));

const runShow = async (context: Context): Promise<void> => {
	const api = await context.api();
	const output = await api.showRetention({});
	await context.print.list({ pages: [output.rules], columns: ruleFields, id: ({ rule }) => rule, empty: 'no rules', output });
};
