import { Command, Option } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { integer, oneOf } from '../options.ts';
import type { Column } from '../render.ts';
import { clientOption } from './fields.ts';

type Options = { readonly client?: string; readonly days?: number; readonly hours?: number; readonly interval?: 'hour' | 'day' };

export const instancePricesCommand = (context: Context, run = runPrices): Command =>
	new Command('prices')
		.description('Show the prices of the pools of a machine’s type and region over time, oldest first')
		.argument('<instance>', 'id of the machine')
		.addOption(clientOption())
		.addOption(new Option('--days <n>', 'how many days back, up to 90 (7 unless given)').argParser(integer(1, 90)).conflicts('hours'))
		.addOption(new Option('--hours <n>', 'how many hours back, up to 2160').argParser(integer(1, 2160)))
		.addOption(oneOf('--interval <interval>', 'a row an hour, or a row a day', ['hour', 'day']))
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl instances prices i-0abc1234def567890 --hours 24\n  $ spotctl instances prices i-0abc1234def567890 --days 30 --interval day -o csv',
		)
		.action(async (instance: string, options: Options) => run(context, instance, options));

const runPrices = async (context: Context, instance: string, { client, ...range }: Options): Promise<void> => {
	const api = await context.api();
	const output = await api.instancePriceHistory({ instance_id: instance, ...(await clientFilter(context, client)), ...range });
	type Row = (typeof output)['series'][number];
	const ofPool = ({ id, az, key }: (typeof output)['pools'][number]): Column<Row> => ({
		title: az === '' ? id : az,
		value: (row) => {
			const price = row[key];
			return typeof price === 'number' ? price : null;
		},
		as: 'usd',
	});
	await context.print.list<Row>({
		output,
		pages: [output.series],
		columns: [
			{ title: 'Time', value: ({ time }) => time },
			{ title: 'On-demand', value: ({ onDemand, onDemandKnown }) => (onDemandKnown ? onDemand : null), as: 'usd' },
			...output.pools.map(ofPool),
			{ title: 'Interpolated', value: ({ synthetic }) => synthetic.map((key) => key.replace(/^pool_/, '')), wide: true },
		],
		id: ({ time }) => time,
		empty: 'no price of its type and region is known in this time',
	});
};
