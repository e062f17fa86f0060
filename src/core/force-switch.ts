import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { addCommand, type Command, openSwitchOf } from '../store/commands.ts';
import { type Agent, type Host, livenessOf, lockAgent, primaryOf } from '../store/hosts.ts';
import { hostPrice, newestPrice, onDemandPrice, poolById } from '../store/prices.ts';
import type { HostLivenessTable, Mode } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { actorOf, type Caller } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { zoneOf } from './orders.ts';
import { usd } from './report.ts';

/** 100 emergency, 75 manual, 50 model urgent, 25 model normal, 10 scheduled (spec section 5). */
export const MANUAL_PRIORITY = 75;

/** A host that polls does so every 15 s; after this long without a poll it never will (clients.md section 3). */
const POLL_PATIENCE_MS = 2 * 60_000;

export type Wanted = { readonly mode: Mode; readonly poolId: string | null };

const invalid = (message: string, field: string, hint?: string): SpotError =>
	new SpotError('invalid', 'VALIDATION_ERROR', message, { hint, extras: { details: { [field]: [message] } } });

/** Reads the target in the spellings clients use: `pool` means spot, a pool without a target too (endpoints.md #32). */
export const wantedOf = (
	input: Pick<Valid<'forceSwitch'>, 'target' | 'target_type' | 'target_mode' | 'pool_id' | 'target_pool' | 'target_pool_id'>,
): Wanted => {
	const poolId = input.pool_id ?? input.target_pool ?? input.target_pool_id;
	const target =
		(input.target ?? input.target_type ?? input.target_mode ?? (poolId === null ? null : 'spot'))?.toLowerCase().replace('-', '') ?? null;
	if (target === 'ondemand') {
		if (poolId !== null) throw invalid('an on-demand target takes no pool', 'pool_id', 'leave the pool out, or ask for spot');
		return { mode: 'ondemand', poolId: null };
	}
	if (target === 'spot' || target === 'pool') {
		if (poolId === null)
			throw invalid(
				'a spot target needs a pool: without one the agent would launch on-demand',
				'pool_id',
				'see: spotctl instances options INSTANCE',
			);
		return { mode: 'spot', poolId };
	}
	throw invalid(
		target === null
			? 'no target was given: spot with a pool, or ondemand'
			: `"${target.slice(0, 40)}" is no target: spot, pool or ondemand`,
		'target',
	);
};

type Plan = {
	readonly agent: Agent;
	readonly host: Host;
	readonly wanted: Wanted;
	readonly wait: number;
	readonly warnings: readonly string[];
};

/**
 * #32: queues a manual switch of the current primary, or with `dry_run` says what it would do. Errors: 404, 409 NOT_PRIMARY with the
 * primary, ALREADY_THERE, SWITCH_OPEN with the command, AGENT_NEVER_POLLS; 400 for a pool that is unknown or does not fit.
 */
export const forceSwitch =
	(context: Context) =>
	(input: Valid<'forceSwitch'>, caller: Caller): Promise<Output<'forceSwitch'>> =>
		context.unit(caller, async (tx, journal) => {
			const wanted = wantedOf(input);
			const named = await instanceOf(tx, input.instance_id, input.client_id, caller);
			const plan = await prepare(context, tx, named, wanted, input);
			const { agent, host, wait, warnings } = plan;
			const [from, to] = [await priceNow(tx, host), await priceOf(tx, host, wanted)];
			const now = context.clock.now();
			const expiresAt = now + context.settings.expireMs.manual;
			const dryRun = input.dry_run === true;
			const commandId = dryRun ? null : context.ids.uuid();
			if (commandId !== null) {
				await addCommand.run(
					tx,
					switchCommand(plan, {
						id: commandId,
						now,
						expiresAt,
						createdBy: actorOf(caller),
						requestId: caller.requestId,
						priority: MANUAL_PRIORITY,
						trigger: 'manual',
						reason: null,
					}),
				);
				const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
				const where = wanted.poolId ?? 'on-demand';
				journal.event(
					'manual_switch_requested',
					`${actorOf(caller)} asked ${agent.logical_agent_id} to switch from ${host.instance_id} to ${where}`,
					about,
					{ metadata: { command_id: commandId, ...wanted, warnings } },
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
		});

const prepare = async (context: Context, tx: Db, named: Host, wanted: Wanted, input: Valid<'forceSwitch'>): Promise<Plan> => {
	const agent = await lockAgent.first(tx, { id: named.agent_id });
	const host = await primaryOf.first(tx, { agent_id: named.agent_id });
	if (agent === undefined || agent.status === 'deleted') throw agentDeleted(named.agent_id);
	if (host === undefined || host.handle !== named.handle) {
		throw new SpotError('conflict', 'NOT_PRIMARY', `${named.instance_id} is not the primary of its agent (${named.role})`, {
			hint: host === undefined ? undefined : `the primary is ${host.instance_id}: spotctl instances switch ${host.instance_id}`,
			extras: { primary: host?.instance_id ?? null, role: named.role },
		});
	}
	if (input.new_instance_type !== null && input.new_instance_type !== host.instance_type) {
		throw invalid(
			`no agent can change the instance type (to "${input.new_instance_type}")`,
			'new_instance_type',
			'leave new_instance_type out',
		);
	}
	await checkTarget(tx, host, wanted);
	const open = await openSwitchOf.first(tx, { agent_id: agent.id });
	if (open !== undefined) {
		throw new SpotError('conflict', 'SWITCH_OPEN', `a switch of this agent is ${open.status} already`, {
			hint: `see: spotctl commands show ${open.id}   or end it: spotctl commands cancel ${open.id}`,
			extras: { command_id: open.id, command_status: open.status },
		});
	}
	const terminates = input.auto_terminate ?? agent.auto_terminate_enabled === 1;
	return { agent, host, wanted, wait: terminates ? agent.terminate_wait_seconds : 0, warnings: await readiness(context, tx, agent, host) };
};

const checkTarget = async (tx: Db, host: Host, wanted: Wanted): Promise<void> => {
	if (wanted.poolId === null) {
		if (host.mode === 'ondemand')
			throw new SpotError('conflict', 'ALREADY_THERE', `${host.instance_id} is on-demand already`, {
				hint: `see: spotctl instances options ${host.instance_id}`,
			});
		return;
	}
	const pool = await poolById.first(tx, { id: wanted.poolId });
	const hint = `see: spotctl instances options ${host.instance_id}`;
	if (pool === undefined || pool.active === 0) throw invalid(`no pool "${wanted.poolId}" is known`, 'pool_id', hint);
	if (host.instance_type !== null && pool.instance_type !== host.instance_type) {
		throw invalid(`pool "${pool.id}" is of type ${pool.instance_type}, the instance of type ${host.instance_type}`, 'pool_id', hint);
	}
	if (host.region !== null && pool.region !== host.region)
		throw invalid(`pool "${pool.id}" is in ${pool.region}, the instance in ${host.region}`, 'pool_id', hint);
	if (host.mode === 'spot' && host.pool_id === pool.id)
		throw new SpotError('conflict', 'ALREADY_THERE', `${host.instance_id} is in pool "${pool.id}" already`, { hint });
};

/** Refuses a host that is known never to poll; warns about one that will not hear of it soon. */
const readiness = async (context: Context, tx: Db, agent: Agent, host: Host): Promise<string[]> => {
	const now = context.clock.now();
	const stored = await livenessOf.first(tx, { handle: host.handle });
	const pending = context.liveness.pending(host.handle);
	const polledAt = Math.max(stored?.commands_polled_at ?? 0, pending?.commands_polled_at ?? 0);
	if (polledAt === 0 && neverPolls(agent, host, stored, now)) {
		throw new SpotError(
			'conflict',
			'AGENT_NEVER_POLLS',
			`the agent on ${host.instance_id} calls, but has never asked for commands: a v4-only host cannot switch by order`,
			{
				hint: 'switch it by hand, or install the classic agent on it',
			},
		);
	}
	const warnings: string[] = [];
	if (agent.status === 'offline')
		warnings.push('the agent is offline: it will switch when it is back, if that is before the command expires');
	if (agent.enabled === 0) warnings.push('the agent is disabled: it asks for commands only when it is enabled');
	if (host.registered_at === null) warnings.push('nobody has called from this machine yet: its image may have no agent');
	return warnings;
};

const neverPolls = (agent: Agent, host: Host, stored: HostLivenessTable | undefined, now: number): boolean =>
	agent.enabled === 1 &&
	agent.status === 'online' &&
	host.registered_at !== null &&
	now - host.registered_at > POLL_PATIENCE_MS &&
	stored !== undefined &&
	stored.commands_polled_at === null;

const priceNow = async (tx: Db, host: Host): Promise<number | null> => {
	const own = await hostPrice.first(tx, { handle: host.handle });
	if (host.mode === 'ondemand') return own?.ondemand_micros ?? (await listed(tx, host))?.micros ?? null;
	if (own?.spot_micros !== null && own?.spot_micros !== undefined) return own.spot_micros;
	return host.pool_id === null ? null : ((await newestPrice.first(tx, { pool_id: host.pool_id }))?.spot_micros ?? null);
};

const listed = (tx: Db, host: Host) =>
	host.instance_type === null || host.region === null
		? Promise.resolve(undefined)
		: onDemandPrice.first(tx, { instance_type: host.instance_type, region: host.region });

const priceOf = async (tx: Db, host: Host, wanted: Wanted): Promise<{ micros: number | null; observedAt: number | null }> => {
	if (wanted.poolId === null) {
		const price = await listed(tx, host);
		return { micros: price?.micros ?? null, observedAt: price?.observed_at ?? null };
	}
	const price = await newestPrice.first(tx, { pool_id: wanted.poolId });
	return { micros: price?.spot_micros ?? null, observedAt: price?.observed_at ?? null };
};

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
