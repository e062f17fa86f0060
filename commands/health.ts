import { Command } from 'commander';
import { SpotError } from '../src/errors.ts';
import type { Context } from './context.ts';

export const healthCommand = (context: Context, run = runHealth): Command =>
	new Command('health')
		.description('Ask the daemon how it is; exit code 7 when it is not well')
		.addHelpText('after', '\nExample:\n  $ spotctl health\n  $ spotctl health --server https://spot.example.com -o json')
		.action(async () => run(context));

const runHealth = async (context: Context): Promise<void> => {
	const api = await context.api();
	const data = await api.health({});
	const tone = data.status === 'healthy' ? ('good' as const) : ('bad' as const);
	await context.print.one({
		data,
		id: data.status,
		fields: [
			{ title: 'Status', value: ({ status }) => status, tone: () => tone },
			{ title: 'Database', value: ({ database }) => database },
			{ title: 'Version', value: ({ version }) => version },
			{ title: 'Uptime', value: ({ uptime_seconds }) => uptime_seconds, as: 'seconds' },
			{ title: 'Decision engine', value: ({ decision_engine_loaded: loaded }) => (loaded ? 'loaded' : 'not loaded') },
			{ title: 'Error', value: ({ error }) => error },
			{ title: 'Time', value: ({ timestamp }) => timestamp },
		],
	});
	if (data.status !== 'healthy') {
		throw new SpotError('unavailable', 'UNHEALTHY', `the daemon is not well: its database is ${data.database}`, { hint: data.error });
	}
};
