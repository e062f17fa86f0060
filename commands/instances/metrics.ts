import { Command } from 'commander';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { clientOption } from './fields.ts';

type Options = { readonly client?: string };

export const instanceMetricsCommand = (context: Context, run = runMetrics): Command =>
	new Command('metrics')
		.description('Show uptime, switches and savings of a machine')
		.argument('<instance>', 'id of the machine')
		.addOption(clientOption())
		.addHelpText('after', '\nExample:\n  $ spotctl instances metrics i-0abc1234def567890')
		.action(async (instance: string, options: Options) => run(context, instance, options));

type Shares = { readonly measured: number; readonly estimated: number; readonly unknown: number };

const told = ({ measured, estimated, unknown }: Shares): string =>
	measured + estimated + unknown === 0 ? 'nothing booked yet' : `${measured} % measured, ${estimated} % estimated, ${unknown} % unknown`;

const runMetrics = async (context: Context, instance: string, { client }: Options): Promise<void> => {
	const api = await context.api();
	const data = await api.instanceMetrics({ instance_id: instance, ...(await clientFilter(context, client)) });
	await context.print.one({
		data,
		id: data.id,
		fields: [
			{ title: 'ID', value: ({ id }) => id },
			{ title: 'Type', value: ({ instanceType }) => instanceType },
			{ title: 'Mode', value: ({ currentMode }) => currentMode },
			{ title: 'Pool', value: ({ currentPoolId }) => currentPoolId },
			{ title: 'Spot', value: ({ spotPrice, pricesKnown }) => (pricesKnown.spot ? spotPrice : null), as: 'usd' },
			{ title: 'On-demand', value: ({ onDemandPrice, pricesKnown }) => (pricesKnown.onDemand ? onDemandPrice : null), as: 'usd' },
			{ title: 'Uptime hours', value: ({ uptimeHours }) => uptimeHours },
			{ title: 'Last switch', value: ({ lastSwitch }) => lastSwitch, as: 'time' },
			{ title: 'Switches', value: ({ totalSwitches }) => totalSwitches },
			{ title: 'Switches 7d', value: ({ switchesLast7Days }) => switchesLast7Days },
			{ title: 'Switches 30d', value: ({ switchesLast30Days }) => switchesLast30Days },
			{ title: 'Savings', value: ({ totalSavings }) => totalSavings, as: 'usd' },
			{ title: 'Savings rest on', value: ({ savingsShares }) => told(savingsShares.total) },
			{ title: 'Savings 30d', value: ({ savingsLast30Days }) => savingsLast30Days, as: 'usd' },
			{ title: 'Savings 30d rest on', value: ({ savingsShares }) => told(savingsShares.last30Days) },
			{ title: 'Savings count from', value: ({ savingsCountFrom }) => savingsCountFrom, as: 'time', wide: true },
		],
	});
};
