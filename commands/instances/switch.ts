import { Command, Option } from 'commander';
import type { Input, Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { clientFilter } from '../clients/find.ts';
import { commandFields } from '../commands/fields.ts';
import { followCommand } from '../commands/follow.ts';
import type { Context } from '../context.ts';
import { timeoutOption, waitTime, yesOption } from '../options.ts';
import type { Column } from '../render.ts';
import { clientOption } from './fields.ts';

type Options = {
	readonly pool?: string;
	readonly onDemand?: boolean;
	readonly client?: string;
	readonly keepOld?: boolean;
	readonly terminateOld?: boolean;
	readonly wait?: boolean;
	readonly timeout?: number;
	readonly dryRun?: boolean;
	readonly yes?: boolean;
};

type Plan = Output<'forceSwitch'>;

const TEN_MINUTES = 600_000;

export const switchInstanceCommand = (context: Context, run = runSwitch): Command =>
	new Command('switch')
		.description('Order the agent of a machine to move to another pool, or to on-demand')
		.argument('<instance>', 'id of the machine that is the primary now')
		.addOption(new Option('--pool <pool>', 'the pool to move to; see: spotctl instances options').conflicts('onDemand'))
		.option('--on-demand', 'move to an on-demand machine')
		.addOption(clientOption())
		.addOption(new Option('--keep-old', 'leave the old machine running').conflicts('terminateOld'))
		.option('--terminate-old', "terminate the old machine, whatever the agent's setting")
		.option('--wait', 'follow the order until it is done')
		.addOption(timeoutOption('10m'))
		.option('-n, --dry-run', 'say what would happen, and do nothing')
		.addOption(yesOption())
		.addHelpText(
			'after',
			'\nExamples:\n  $ spotctl instances switch i-0abc1234def567890 --on-demand --dry-run\n  $ spotctl instances switch i-0abc1234def567890 --pool c5.large.us-east-1b --wait --timeout 10m\n\nWith --wait the exit code is 0 when it is done, 9 when it failed, expired or was cancelled, 8 when the time was up.',
		)
		.action(async (instance: string, options: Options) => run(context, instance, options));

const planFields: readonly Column<Plan>[] = [
	{ title: 'Command', value: ({ command_id }) => command_id },
	{ title: 'Instance', value: ({ from }) => from.instance_id },
	{ title: 'From', value: ({ from }) => from.pool_id ?? from.mode },
	{ title: 'To', value: ({ to }) => to.pool_id ?? to.mode },
	{ title: 'Price now', value: ({ from }) => from.price, as: 'usd' },
	{ title: 'Price then', value: ({ to }) => to.price, as: 'usd' },
	{ title: 'Price age', value: ({ to }) => to.price_age_seconds, as: 'seconds' },
	{ title: 'Saving per hour', value: ({ saving_per_hour }) => saving_per_hour, as: 'usd' },
	{ title: 'Terminate wait', value: ({ terminate_wait_seconds }) => terminate_wait_seconds, as: 'seconds' },
	{ title: 'Expires', value: ({ expires_at }) => expires_at, as: 'time' },
];

const orderOf = (instance: string, { pool, onDemand, keepOld, terminateOld }: Options): Input<'forceSwitch'> => {
	if (pool === undefined && !onDemand) {
		throw new SpotError('invalid', 'USAGE', 'where to switch to was not said', {
			hint: `give --pool POOL or --on-demand; see: spotctl instances options ${instance}`,
		});
	}
	return {
		instance_id: instance,
		...(pool === undefined ? { target: 'ondemand' } : { target: 'pool', pool_id: pool }),
		...(keepOld || terminateOld ? { auto_terminate: terminateOld === true } : {}),
	};
};

const planText = ({ from, to, saving_per_hour: saving, terminate_wait_seconds: wait }: Plan): string => {
	const price = (value: number | null) => (value === null ? 'price unknown' : `$${value.toFixed(4)} an hour`);
	const gain =
		saving === null ? '' : `, ${saving >= 0 ? 'saving' : 'costing'} $${Math.abs(saving).toFixed(4)} an hour${saving >= 0 ? '' : ' more'}`;
	const old = wait === 0 ? 'the old machine is kept' : `the old machine is terminated after ${wait} s`;
	return `moves ${from.instance_id} from ${from.pool_id ?? from.mode ?? 'unknown'} (${price(from.price)}) to ${to.pool_id ?? to.mode} (${price(to.price)})${gain}; ${old}`;
};

/**
 * Without a terminal the instance and the target were spelled out by a script, so nothing is asked (the synopsis has no
 * --yes); at a terminal the plan is shown and the instance must be typed.
 */
const agree = async (context: Context, order: Input<'forceSwitch'>, yes: boolean | undefined): Promise<readonly string[]> => {
	if (yes || !context.tty.in || !context.tty.err) return [];
	const plan = await (await context.api()).forceSwitch({ ...order, dry_run: true });
	warn(context, plan.warnings);
	await context.confirm({ what: planText(plan), yes, typed: order.instance_id });
	return plan.warnings;
};

const warn = (context: Context, warnings: readonly string[]): void => {
	for (const warning of warnings) context.note(`spotctl: warning: ${warning}`);
};

const runSwitch = async (context: Context, instance: string, options: Options): Promise<void> => {
	const timeout = waitTime(options, TEN_MINUTES);
	const api = await context.api();
	const order = { ...orderOf(instance, options), ...(await clientFilter(context, options.client)) };
	const known = options.dryRun ? [] : await agree(context, order, options.yes);
	const plan = await api.forceSwitch({ ...order, ...(options.dryRun ? { dry_run: true } : {}) });
	warn(
		context,
		plan.warnings.filter((warning) => !known.includes(warning)),
	);
	const { command_id: commandId } = plan;
	if (!options.wait || options.dryRun || commandId === null) {
		return context.print.one({ data: plan, id: commandId ?? instance, fields: planFields, note: plan.message });
	}
	const { command, problem } = await followCommand(context, commandId, timeout);
	await context.print.one({ data: command, id: command.id, fields: commandFields.map((field) => ({ ...field, wide: false })) });
	if (problem) throw problem;
};
