import { Command, Option } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';
import { decimal, integer, onOff, seconds } from '../options.ts';

type Options = {
	readonly autoSwitch?: boolean;
	readonly manualReplica?: boolean;
	readonly autoTerminate?: boolean;
	readonly terminateWait?: number;
	readonly minSavings?: number;
	readonly risk?: number;
	readonly maxPerDay?: number;
	readonly maxPerWeek?: number;
	readonly minPoolHours?: number;
	readonly dryRun?: boolean;
};

const option = <T>(flags: string, description: string, parse: (text: string) => T): Option =>
	new Option(flags, description).argParser(parse);

export const setAgentCommand = (context: Context, run = runSet): Command =>
	new Command('set')
		.description('Change settings of an agent; what is not given stays as it is')
		.argument('<agent>', 'id of the agent')
		.addOption(option('--auto-switch <on|off>', 'switch by the decision engine; on ends manual replica', onOff))
		.addOption(option('--manual-replica <on|off>', 'keep a standby machine; on ends auto switch', onOff))
		.addOption(option('--auto-terminate <on|off>', 'terminate the old machine after a switch', onOff))
		.addOption(option('--terminate-wait <duration>', 'how long the old machine is left running, such as 5m', seconds(1, 86_400)))
		.addOption(option('--min-savings <percent>', 'least saving worth a switch', decimal(0, 100)))
		.addOption(option('--risk <number>', 'risk from 0 to 1 above which it switches', decimal(0, 1)))
		.addOption(option('--max-per-day <number>', 'most switches in a day', integer(0, 1000)))
		.addOption(option('--max-per-week <number>', 'most switches in a week', integer(0, 7000)))
		.addOption(option('--min-pool-hours <hours>', 'least time to stay in a pool', decimal(0, 720)))
		.option('-n, --dry-run', 'say what would change, and change nothing')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl agents set 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --auto-switch on --terminate-wait 5m\n  $ spotctl agents set 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --manual-replica on --dry-run',
		)
		.action(async (agent: string, options: Options) => run(context, agent, options));

const changesOf = (options: Options): Omit<Input<'changeConfig'>, 'agent_id'> => ({
	auto_switch_enabled: options.autoSwitch,
	manual_replica_enabled: options.manualReplica,
	auto_terminate_enabled: options.autoTerminate,
	terminate_wait_seconds: options.terminateWait,
	min_savings_percent: options.minSavings,
	risk_threshold: options.risk,
	max_switches_per_day: options.maxPerDay,
	max_switches_per_week: options.maxPerWeek,
	min_pool_duration_hours: options.minPoolHours,
});

const runSet = async (context: Context, agent: string, options: Options): Promise<void> => {
	const { dryRun = false, ...given } = options;
	if (Object.keys(given).length === 0)
		throw new SpotError('invalid', 'USAGE', 'no setting was given', { hint: 'see: spotctl agents set --help' });
	if (options.autoSwitch && options.manualReplica) {
		throw new SpotError('invalid', 'USAGE', 'auto switch and manual replica exclude each other', {
			hint: 'turn on one of them; the other turns off by itself',
		});
	}
	const api = await context.api();
	const data = await api.changeConfig({ agent_id: agent, ...changesOf(options), ...(dryRun ? { dry_run: true } : {}) });
	for (const note of data.notes) context.note(note);
	const changed = data.changed.length === 0 ? 'nothing' : data.changed.join(', ');
	await context.print.one({
		data,
		id: agent,
		fields: [
			{ title: 'Changed', value: (answer) => answer.changed },
			{ title: 'Enabled', value: ({ enabled }) => enabled },
			{ title: 'Auto switch', value: ({ auto_switch_enabled }) => auto_switch_enabled },
			{ title: 'Manual replica', value: ({ manual_replica_enabled }) => manual_replica_enabled },
			{ title: 'Auto terminate', value: ({ auto_terminate_enabled }) => auto_terminate_enabled },
			{ title: 'Terminate wait', value: ({ terminate_wait_seconds }) => terminate_wait_seconds, as: 'seconds' },
			{ title: 'Config version', value: ({ config_version }) => config_version },
		],
		note: dryRun ? `dry run: ${changed} would change` : undefined,
	});
};
