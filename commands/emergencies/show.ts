import { Command } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import type { Context } from '../context.ts';
import { type Column, section } from '../render.ts';
import { emergencyFields, STAGES, stageFields, timeLeft } from './fields.ts';

type Emergency = Output<'showEmergency'>;

export const showEmergencyCommand = (context: Context, run = runShow): Command =>
	new Command('show')
		.description('Show an emergency: its stages, and what was decided and why')
		.argument('<emergency>', 'id of the emergency')
		.addHelpText('after', '\nExample:\n  $ spotctl emergencies show 0d5c2f4e-93b1-4f0e-8a55-7c1f1c9e2b60')
		.action(async (emergency: string) => run(context, emergency));

const deadline: Column<Emergency>['as'] = (time, now, { state }) => (state === 'open' ? `${time} (${timeLeft(time, now)})` : String(time));

const fields: readonly Column<Emergency>[] = [
	...emergencyFields.map((field) => ({ ...field, wide: false, ...(field.title === 'Deadline' ? { as: deadline } : {}) })),
	...stageFields,
];

/** Seconds from the signal to a moment. */
const sinceSignal = ({ signal_at }: Emergency, at: string | null): number | null => {
	const ms = at === null ? Number.NaN : Date.parse(at) - Date.parse(signal_at);
	return Number.isNaN(ms) ? null : ms / 1000;
};

const signed: Column<unknown>['as'] = (cell) => `${Number(cell) < 0 ? '-' : '+'}${Math.abs(Number(cell)).toFixed(3)} s`;

const runShow = async (context: Context, emergency: string): Promise<void> => {
	const api = await context.api();
	const data = await api.showEmergency({ emergency_id: emergency });
	await context.print.one({
		data,
		id: data.id,
		fields,
		sections: [
			section('Timeline', STAGES, [
				{ title: 'Stage', value: ({ title }) => title.toLowerCase() },
				{ title: 'At', value: ({ at }) => at(data) },
				{ title: 'After', value: ({ at }) => sinceSignal(data, at(data)), as: signed },
			]),
			section(
				'Plan',
				data.plan,
				[
					{ title: 'After', value: ({ at }) => sinceSignal(data, at), as: signed },
					{ title: 'Step', value: ({ step }) => step },
					{ title: 'Choice', value: ({ choice }) => choice },
					{ title: 'Why', value: ({ why }) => why },
				],
				{ title: 'rejected', lines: ({ rejected }) => rejected.map(({ what, why }) => [what, why]) },
			),
		],
	});
};
