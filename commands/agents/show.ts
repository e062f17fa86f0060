import { Command } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import type { Context } from '../context.ts';
import { timeLeft } from '../emergencies/fields.ts';
import { section } from '../render.ts';
import { agentFields } from './fields.ts';

export const showAgentCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show an agent: settings, machines, logical ids, and what is going on with it')
		.argument('<agent>', 'id of the agent')
		.addHelpText('after', '\nExample:\n  $ spotctl agents show 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11')
		.action(async (agent: string) => run(context, agent));

/** Where to look at what is going on; nothing while nothing is. */
const further = ({ openEmergency, liveReplica }: Output<'showAgent'>): string | undefined => {
	const commands = [
		openEmergency === null ? [] : `spotctl emergencies show ${openEmergency.id}`,
		liveReplica === null ? [] : `spotctl replicas show ${liveReplica.id}`,
	].flat();
	return commands.length === 0 ? undefined : `see: ${commands.join('; ')}`;
};

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
			section('Emergency', data.openEmergency === null ? [] : [data.openEmergency], [
				{ title: 'ID', value: ({ id }) => id },
				{ title: 'Kind', value: ({ kind }) => kind },
				{ title: 'Step', value: ({ step }) => step, tone: () => 'warn' },
				{ title: 'Instance', value: ({ instanceId }) => instanceId },
				{ title: 'Received', value: ({ receivedAt }) => receivedAt, as: 'time' },
				{ title: 'Deadline', value: ({ deadlineAt }) => deadlineAt, as: timeLeft },
			]),
			section('Replica', data.liveReplica === null ? [] : [data.liveReplica], [
				{ title: 'ID', value: ({ id }) => id },
				{ title: 'Status', value: ({ status }) => status, tone: ({ status }) => (status === 'ready' ? 'good' : 'warn') },
				{ title: 'Instance', value: ({ instanceId }) => instanceId },
				{ title: 'Pool', value: ({ poolId }) => poolId },
				{ title: 'Created', value: ({ createdAt }) => createdAt, as: 'time' },
			]),
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
				{ title: 'Held until', value: ({ holdUntil }) => holdUntil, as: 'time' },
				{ title: 'Held because', value: ({ holdReason }) => holdReason },
			]),
		],
		note: further(data),
	});
};
