import { Command } from 'commander';
import type { Context } from '../context.ts';
import { section } from '../render.ts';
import { agentFields } from './fields.ts';

export const showAgentCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show an agent: settings, machines, logical ids')
		.argument('<agent>', 'id of the agent')
		.addHelpText('after', '\nExample:\n  $ spotctl agents show 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11')
		.action(async (agent: string) => run(context, agent));

const runShow = async (context: Context, agent: string): Promise<void> => {
	const api = await context.api();
	const data = await api.showAgent({ agent_id: agent });
	await context.print.one({
		data,
		id: data.id,
		fields: [
			...agentFields.map((field) => ({ ...field, wide: false })),
			{ title: 'Auto terminate', value: ({ autoTerminateEnabled }) => autoTerminateEnabled },
			{ title: 'Terminate wait', value: ({ terminateWaitSeconds }) => terminateWaitSeconds, as: 'seconds' },
			{ title: 'Manual replica', value: ({ manualReplicaEnabled }) => manualReplicaEnabled },
			{ title: 'Min savings', value: ({ minSavingsPercent }) => minSavingsPercent, as: 'percent' },
			{ title: 'Risk threshold', value: ({ riskThreshold }) => riskThreshold },
			{ title: 'Max per day', value: ({ maxSwitchesPerDay }) => maxSwitchesPerDay },
			{ title: 'Max per week', value: ({ maxSwitchesPerWeek }) => maxSwitchesPerWeek },
			{ title: 'Min pool hours', value: ({ minPoolDurationHours }) => minPoolDurationHours },
			{ title: 'Config version', value: ({ configVersion }) => configVersion },
			{ title: 'Spot price', value: ({ spotPrice }) => spotPrice, as: 'usd' },
			{ title: 'On-demand price', value: ({ ondemandPrice }) => ondemandPrice, as: 'usd' },
			{ title: 'Last switch', value: ({ lastSwitchAt }) => lastSwitchAt, as: 'time' },
			{ title: 'Logical ids', value: ({ logicalIds }) => logicalIds },
			{ title: 'Deleted', value: ({ deletedAt }) => deletedAt, as: 'time' },
		],
		sections: [
			section('Hosts', data.hosts, [
				{ title: 'Instance', value: ({ instanceId }) => instanceId },
				{
					title: 'Role',
					value: ({ role }) => role,
					tone: ({ role }) => (role === 'primary' ? 'good' : role === 'zombie' ? 'warn' : undefined),
				},
				{ title: 'Mode', value: ({ mode }) => mode },
				{ title: 'AZ', value: ({ az }) => az },
				{ title: 'Registered', value: ({ registeredAt }) => registeredAt, as: 'time' },
				{ title: 'Last seen', value: ({ lastSeenAt }) => lastSeenAt, as: 'time' },
				{ title: 'Zombie since', value: ({ zombieAt }) => zombieAt, as: 'time' },
				{ title: 'Hold', value: ({ hold }) => hold },
				{ title: 'Handle', value: ({ handle }) => handle },
			]),
		],
	});
};
