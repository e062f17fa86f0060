import { Command } from 'commander';
import type { Api } from '../src/contract/index.ts';
import type { Context } from './context.ts';

type Stats = Awaited<ReturnType<Api['adminStats']>>;

/** How well the time behind a savings figure is known, in one line; nothing where no time is booked. */
const sharesText = ({ measured, estimated, unknown, seconds }: Stats['savingsShares']): string | null =>
	seconds === 0 ? null : `${measured} % measured, ${estimated} % estimated, ${unknown} % without a price`;

export const statsCommand = (context: Context, run = runStats): Command =>
	new Command('stats')
		.description('Counters of the whole fleet: clients, agents, pools, switches and savings')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl stats\n  $ spotctl stats -o json\n\nSavings are baseline less cost of everything booked so far, and may be negative; see how well they are known.',
		)
		.action(async () => run(context));

const runStats = async (context: Context): Promise<void> => {
	const api = await context.api();
	const data = await api.adminStats({});
	await context.print.one({
		data,
		id: String(data.agentsTotal),
		fields: [
			{ title: 'Clients', value: ({ totalAccounts }) => totalAccounts },
			{ title: 'Active clients', value: ({ activeAccounts }) => activeAccounts },
			{ title: 'Agents', value: ({ agentsTotal }) => agentsTotal },
			{ title: 'Online', value: ({ agentsOnline }) => agentsOnline },
			{
				title: 'Offline',
				value: ({ agentsOffline }) => agentsOffline,
				tone: ({ agentsOffline }) => (agentsOffline > 0 ? 'bad' : undefined),
			},
			{ title: 'Pools', value: ({ poolsCovered }) => poolsCovered },
			{ title: 'Switches', value: ({ totalSwitches }) => totalSwitches },
			{ title: 'By hand', value: ({ manualSwitches }) => manualSwitches },
			{ title: 'Automatic', value: ({ automaticSwitches }) => automaticSwitches },
			{ title: 'In emergencies', value: ({ emergencySwitches }) => emergencySwitches },
			{ title: 'Savings', value: ({ totalSavings }) => totalSavings, as: 'usd' },
			{ title: 'Of the time', value: ({ savingsShares }) => sharesText(savingsShares) },
			{ title: 'Decision engine', value: ({ decisionEngineLoaded: loaded }) => (loaded ? 'loaded' : 'not loaded') },
		],
	});
};
