import { Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { decimal } from '../options.ts';

type Options = { readonly pool?: string; readonly excludeZone?: string[]; readonly maxHourlyCost?: number };

const LEAST_COST = 0.000001;

export const createReplicaCommand = (context: Context, run = runCreate): Command =>
	new Command('create')
		.description('Order a replica of an agent, in the pool given or in the best one there is')
		.argument('<agent>', 'id of the agent')
		.option('--pool <pool>', 'the pool to launch it in')
		.option('--exclude-zone <zone...>', 'not in these availability zones')
		.addOption(new Option('--max-hourly-cost <usd>', 'only in a pool that costs no more').argParser(decimal(LEAST_COST, 1000)))
		.addHelpText(
			'after',
			'\nExamples:\n  $ spotctl replicas create 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --pool c5.large.us-east-1b\n  $ spotctl replicas create 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --exclude-zone us-east-1a us-east-1c --max-hourly-cost 0.05',
		)
		.action(async (agent: string, options: Options) => run(context, agent, options));

const runCreate = async (context: Context, agent: string, { pool, excludeZone, maxHourlyCost }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.createReplica({ agent_id: agent, pool_id: pool, exclude_zones: excludeZone, max_hourly_cost: maxHourlyCost });
	await context.print.one({
		data,
		id: data.replica_id,
		fields: [
			{ title: 'ID', value: ({ replica_id }) => replica_id },
			{ title: 'Status', value: ({ status }) => status },
			{ title: 'Pool', value: ({ pool: chosen }) => chosen?.id },
			{ title: 'AZ', value: ({ pool: chosen }) => chosen?.az },
			{ title: 'Hourly', value: ({ hourly_cost }) => hourly_cost, as: 'usd' },
		],
		note: `${data.message}; see: spotctl replicas show ${data.replica_id}`,
	});
};
