import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import type { Agent } from '../store/agents.ts';
import { addCommand, type Command } from '../store/commands.ts';
import type { Host } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import { actorOf, type Caller } from './caller.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import type { Journal } from './journal.ts';
import { zoneOf } from './orders.ts';
import { usd } from './report.ts';
import { checkTarget, type Facts, invalid, readFacts, readiness, type Wanted, wantedOf } from './switch-target.ts';

/** 100 emergency, 75 manual, 50 model urgent, 25 model normal, 10 scheduled (spec section 5). */
export const MANUAL_PRIORITY = 75;

type Plan = { readonly agent: Agent; readonly host: Host; readonly wanted: Wanted; readonly wait: number };

/** What a switch is ordered with; the rest follows from the facts. */
export type Asked = {
	readonly wanted: Wanted;
	readonly priority: number;
	readonly reason: string | null;
	/** Seconds the old machine runs on; 0: it is not ended. */
	readonly wait: number;
	readonly dryRun: boolean;
};

/** How long the old machine runs on, in seconds; 0 where it is not to be ended (D-31). `asked` overrides the agent's auto-terminate. */
export const waitOf = (agent: Agent, asked: boolean | null | undefined): number =>
	(asked ?? agent.auto_terminate_enabled === 1) ? agent.terminate_wait_seconds : 0;

/**
 * Queues a switch of the agent's primary, or with `dryRun` says what it would do: the one way an operator's switch is ordered (#32, #45,
 * X31). Errors: 400 for a pool that is unknown or does not fit, 409 ALREADY_THERE, SWITCH_OPEN, AGENT_NEVER_POLLS.
 */
export const queueSwitch = async (
	context: Context,
	tx: Db,
	journal: Journal,
	caller: Caller,
	facts: Facts,
	{ wanted, priority, reason, wait, dryRun }: Asked,
): Promise<Output<'forceSwitch'>> => {
	const { agent, host, from, to } = facts;
	checkTarget(facts, wanted);
	const now = context.clock.now();
	const warnings = readiness(facts, context.liveness.pending(host.handle)?.commands_polled_at ?? null, now);
	const expiresAt = now + context.settings.expireMs.manual;
	const commandId = dryRun ? null : context.ids.uuid();
	if (commandId !== null) {
		await addCommand.later(
			tx,
			switchCommand(
				{ agent, host, wanted, wait },
				{ id: commandId, now, expiresAt, createdBy: actorOf(caller), requestId: caller.requestId, priority, trigger: 'manual', reason },
			),
		);
		const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
		const where = wanted.poolId ?? 'on-demand';
		journal.event(
			'manual_switch_requested',
			`${actorOf(caller)} asked ${agent.logical_agent_id} to switch from ${host.instance_id} to ${where}`,
			about,
			{ metadata: { command_id: commandId, ...wanted, warnings, ...(reason === null ? {} : { reason }) } },
		);
		journal.notify('switch_queued', 'Manual switch queued', `${agent.logical_agent_id} will switch to ${where}`, about, 'warning');
		journal.audit(
			'instances.switch',
			'instance',
			host.instance_id,
			agent.client_id,
			{ mode: host.mode, pool_id: host.pool_id },
			{ command_id: commandId, ...wanted },
		);
		journal.changed('agent', agent.id);
	}
	return {
		success: true,
		command_id: commandId,
		message: dryRun ? 'nothing was queued (dry run)' : `switch to ${wanted.poolId ?? 'on-demand'} queued`,
		dry_run: dryRun,
		warnings: [...warnings],
		from: { instance_id: host.instance_id, mode: host.mode, pool_id: host.pool_id, price: usd(from) },
		to: {
			mode: wanted.mode,
			pool_id: wanted.poolId,
			price: usd(to.micros),
			price_observed_at: isoOr(to.observedAt),
			price_age_seconds: to.observedAt === null ? null : Math.max(0, Math.round((now - to.observedAt) / 1000)),
		},
		saving_per_hour: from === null || to.micros === null ? null : usd(from - to.micros),
		terminate_wait_seconds: wait,
		expires_at: dryRun ? null : iso(expiresAt),
	};
};

/**
 * #32: queues a manual switch of the current primary, or with `dry_run` says what it would do. Errors: 404, 409 NOT_PRIMARY with the
 * primary, ALREADY_THERE, SWITCH_OPEN with the command, AGENT_NEVER_POLLS; 400 for a pool that is unknown or does not fit.
 */
export const forceSwitch =
	(context: Context) =>
	(input: Valid<'forceSwitch'>, caller: Caller): Promise<Output<'forceSwitch'>> =>
		context.sharedUnit(caller, async (tx, journal) => {
			const wanted = wantedOf(input);
			const named = await instanceOf(tx, input.instance_id, input.client_id, caller);
			const facts = await readFacts(tx, named, wanted);
			if (input.new_instance_type !== null && input.new_instance_type !== facts.host.instance_type) {
				throw invalid(
					`no agent can change the instance type (to "${input.new_instance_type}")`,
					'new_instance_type',
					'leave new_instance_type out',
				);
			}
			return queueSwitch(context, tx, journal, caller, facts, {
				wanted,
				priority: MANUAL_PRIORITY,
				reason: null,
				wait: waitOf(facts.agent, input.auto_terminate),
				dryRun: input.dry_run === true,
			});
		});

type Order = {
	readonly id: string;
	readonly now: number;
	readonly expiresAt: number;
	readonly createdBy: string;
	readonly requestId: string;
	readonly priority: number;
	readonly trigger: string;
	readonly reason: string | null;
};

/** A pending switch for the primary of this generation. */
const switchCommand = ({ agent, host, wanted, wait }: Plan, order: Order): Command => ({
	id: order.id,
	client_id: agent.client_id,
	agent_id: agent.id,
	handle: host.handle,
	generation: agent.generation,
	command_type: 'switch',
	status: 'pending',
	outcome: null,
	message: null,
	open_switch_of: agent.id,
	awaits_machine: 0,
	instance_id: host.instance_id,
	instance_type: host.instance_type,
	region: host.region,
	target_mode: wanted.mode,
	target_pool_id: wanted.poolId,
	target_az: wanted.poolId === null ? null : zoneOf(wanted.poolId),
	new_instance_id: null,
	new_handle: null,
	priority: order.priority,
	terminate_wait_seconds: wait,
	trigger_type: order.trigger,
	created_by: order.createdBy,
	reason: order.reason,
	request_id: order.requestId,
	claim_id: null,
	created_at: order.now,
	expires_at: order.expiresAt,
	claimed_at: null,
	lease_until: null,
	launched_at: null,
	reported_at: null,
	acknowledged_at: null,
	acknowledged_success: null,
	completed_at: null,
	due_at: order.expiresAt,
});
