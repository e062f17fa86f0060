import type { Output, Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { type Agent, lockAgent } from '../store/agents.ts';
import { type AgentSwitch, listAgentSwitches } from '../store/analytics.ts';
import { type Host, primaryOf } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import { agentIdOf, agentOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import { agentDeleted } from './calling-host.ts';
import type { Context } from './context.ts';
import { MANUAL_PRIORITY, queueSwitch, waitOf } from './force-switch.ts';
import { pricedPools } from './market.ts';
import { pagesOf } from './paging.ts';
import { WAITING } from './prices.ts';
import { dollars } from './report.ts';
import { invalid, isThere, readFacts, type Wanted, wantedOf } from './switch-target.ts';

const switchPages = pagesOf('agents.switch_history');

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Prices a recommendation shows (endpoints.md #44). */
const SEEN_MS = 5 * MINUTE;
const ALTERNATIVES = 5;
/** What #45 orders with when nothing is said. */
const PRIORITY = 5;
const REASON = 'Manual command';

/** #44 */
export const switchRecommendation =
	(context: Context) =>
	async (input: Valid<'switchRecommendation'>, caller: Caller): Promise<Output<'switchRecommendation'>> => {
		const db = context.store.read;
		const agent = await agentOf(db, input.agent_id, caller);
		if (agent.status === 'deleted') throw agentDeleted(agent.id);
		const host = await primaryOf.first(db, { agent_id: agent.id });
		const pool = host?.mode === 'spot' ? host.pool_id : null;
		const around = host === undefined ? [] : await pricedPools(db, host, context.clock.now() - SEEN_MS);
		return {
			agent_id: agent.id,
			decision_type: host?.mode === 'spot' ? 'stay_spot' : 'stay_ondemand',
			recommended_pool_id: pool,
			risk_score: 0,
			risk_known: false,
			expected_savings: 0,
			confidence: 0,
			reason: agent.enabled === 0 ? 'Agent disabled' : WAITING,
			auto_switch_enabled: agent.auto_switch_enabled === 1,
			will_auto_execute: false,
			current_pool: { id: pool, name: pool, az: host?.az ?? null },
			alternative_pools: around
				.filter(({ id }) => id !== pool)
				.slice(0, ALTERNATIVES)
				.map(({ id, az, price }) => ({ id, name: id, az, spot_price: dollars(price.spot_micros) })),
			recommendation: 'stay',
			target_pool: null,
			target_type: null,
			savings_impact: 0,
		};
	};

/** The agent a call means and its primary, locked. Errors: 404, AGENT_DELETED; 409 NO_PRIMARY. */
const lockedPrimary = async (tx: Db, handle: string, caller: Caller): Promise<{ agent: Agent; host: Host }> => {
	const id = await agentIdOf(tx, handle, caller);
	const agent = await lockAgent.first(tx, { id });
	if (agent === undefined || agent.status === 'deleted') throw agentDeleted(id);
	const host = await primaryOf.first(tx, { agent_id: id });
	if (host === undefined) {
		throw new SpotError('conflict', 'NO_PRIMARY', `agent "${id}" has no machine that could switch`, {
			hint: `see: spotctl agents show ${id}`,
		});
	}
	return { agent, host };
};

/** #45 (D-16): the same order as a forced switch, where the agent and its auto-switch are on. */
export const issueSwitchCommand =
	(context: Context) =>
	(input: Valid<'issueSwitchCommand'>, caller: Caller): Promise<Output<'issueSwitchCommand'>> =>
		context.unit(caller, async (tx, journal) => {
			const { agent, host } = await lockedPrimary(tx, input.agent_id, caller);
			const { target_mode, target_pool_id, target_pool } = input;
			const wanted = wantedOf({ target: null, target_type: null, target_mode, pool_id: null, target_pool, target_pool_id });
			if (agent.enabled === 0) {
				throw new SpotError('invalid', 'AGENT_DISABLED', 'Agent is disabled', { hint: `enable it: spotctl agents enable ${agent.id}` });
			}
			if (agent.auto_switch_enabled === 0) {
				throw new SpotError('forbidden', 'AUTO_SWITCH_DISABLED', 'auto-switch is off for this agent', {
					hint: `turn it on: spotctl agents set ${agent.id} --auto-switch on   or switch by hand: spotctl instances switch ${host.instance_id}`,
					extras: { auto_switch_enabled: false },
				});
			}
			const answer = {
				agent_id: agent.id,
				target_mode: wanted.mode,
				target_pool_id: wanted.poolId,
				reason: input.reason ?? REASON,
				auto_switch_enabled: true,
				current_mode: host.mode,
				current_pool_id: host.mode === 'spot' ? host.pool_id : null,
			};
			if (isThere(host, wanted)) {
				const message = `${host.instance_id} is ${wanted.poolId === null ? 'on-demand' : `in pool "${wanted.poolId}"`} already`;
				return { ...answer, success: false, command_id: null, message, warnings: [] };
			}
			const facts = await readFacts(tx, host, wanted);
			const queued = await queueSwitch(context, tx, journal, caller, facts, {
				wanted,
				priority: input.priority ?? PRIORITY,
				reason: answer.reason,
				wait: waitOf(facts.agent, null),
				dryRun: false,
			});
			return { ...answer, success: true, command_id: queued.command_id, message: queued.message, warnings: queued.warnings };
		});

/** The cheapest pool whose price is known: of the last hour, else of the last day. Errors: 400. */
const cheapestOf = async (tx: Db, host: Host, now: number): Promise<Wanted> => {
	const priced = await pricedPools(tx, host, now - 24 * HOUR);
	const found = priced.find(({ price }) => price.observed_at >= now - HOUR) ?? priced[0];
	if (found === undefined) {
		throw invalid('no pool was given, and no price of a pool of its type and region is known', 'target_pool_id', 'name a pool');
	}
	return { mode: 'spot', poolId: found.id };
};

/** X31 */
export const agentSwitch =
	(context: Context) =>
	(input: Valid<'agentSwitch'>, caller: Caller): Promise<Output<'agentSwitch'>> =>
		context.unit(caller, async (tx, journal) => {
			const { host } = await lockedPrimary(tx, input.agent_id, caller);
			const { target_mode, target_pool_id } = input;
			const isSpot = target_mode?.toLowerCase() === 'spot';
			const wanted =
				isSpot && target_pool_id === null
					? await cheapestOf(tx, host, context.clock.now())
					: wantedOf({ target: null, target_type: null, target_mode, pool_id: null, target_pool: null, target_pool_id });
			const facts = await readFacts(tx, host, wanted);
			const wait = waitOf(facts.agent, null);
			const asked = input.terminate_wait_seconds ?? 0;
			return queueSwitch(context, tx, journal, caller, facts, {
				wanted,
				priority: MANUAL_PRIORITY,
				reason: null,
				wait: wait > 0 && asked > 0 ? asked : wait,
				dryRun: false,
			});
		});

/** When a switch happened, as #36 says it. */
const switchedAt = (row: AgentSwitch): string => iso(row.launched_at ?? row.ami_created_at ?? row.initiated_at ?? row.created_at);

/** X32 */
export const agentSwitchHistory =
	(context: Context) =>
	async (input: Valid<'agentSwitchHistory'>, caller: Caller): Promise<Output<'agentSwitchHistory'>> => {
		const db = context.store.read;
		const agentId = await agentIdOf(db, input.agent_id, caller);
		const rows = await listAgentSwitches(db, { agentId, limit: input.limit, after: switchPages.after(input.cursor) });
		const page = switchPages.page(
			rows,
			input.limit,
			(row) => ({
				id: row.id,
				old_mode: row.old_mode,
				new_mode: row.new_mode,
				old_pool_id: row.old_pool_id,
				new_pool_id: row.new_pool_id,
				old_instance_id: row.old_instance_id,
				new_instance_id: row.new_instance_id,
				trigger: row.trigger_type,
				switched_at: switchedAt(row),
				success: row.success === 1,
			}),
			(row) => row.id,
		);
		return { switches: page.items, count: page.items.length, next_cursor: page.nextCursor };
	};
