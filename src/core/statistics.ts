import type { Output, Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import { eventsOfInstance, onDemandPrices, type PoolGroup, poolGroups, poolsByState } from '../store/statistics.ts';
import { failuresOfAgent } from '../store/switch-failures.ts';
import { tallyOfAgent } from '../store/switch-tally.ts';
import { agentIdOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { pagesOf } from './paging.ts';
import { dollars } from './percent.ts';
import { bucketOf } from './price-points.ts';
import { usd } from './report.ts';
import { savingsOf, sharesOf } from './savings.ts';

const logPages = pagesOf('instances.logs');

/** X2. Five statements, one more for a handle that is not the agent's own id. */
export const agentStatistics =
	(context: Context) =>
	async (input: Valid<'agentStatistics'>, caller: Caller): Promise<Output<'agentStatistics'>> => {
		const { read } = context.store;
		const agentId = await agentIdOf(read, input.agent_id, caller);
		const [tallies, failures, savings] = await Promise.all([
			tallyOfAgent(read, agentId),
			failuresOfAgent.first(read, { agent_id: agentId }),
			savingsOf(read, { clientId: null, agentId }, context.clock.now()),
		]);
		const total = (key: 'switches' | 'failed' | 'measured' | 'downtime_ms'): number => tallies.reduce((sum, tally) => sum + tally[key], 0);
		const [switches, measured] = [total('switches'), total('measured')];
		const executed = switches - total('failed');
		const tried = switches + Number(failures?.count ?? 0);
		return {
			agent_id: agentId,
			statistics: {
				total_decisions: 0,
				switches_executed: executed,
				switches_recommended: 0,
				success_rate: tried === 0 ? 0 : executed / tried,
				success_rate_known: tried > 0,
				average_confidence: 0,
				average_confidence_known: false,
				last_decision_at: null,
				decisions_by_trigger: { automatic: 0, manual: 0 },
				switches_by_trigger: Object.fromEntries(tallies.map((tally) => [tally.trigger_type, tally.switches])),
				avg_downtime_seconds: measured === 0 ? 0 : Math.round(total('downtime_ms') / measured / 1000),
				avg_downtime_known: measured > 0,
				total_savings_generated: dollars(savings.savingsMicros),
				savings_shares: sharesOf(savings),
			},
		};
	};

const metadataOf = (stored: string | null): Record<string, unknown> => {
	if (stored === null) return {};
	const value: unknown = JSON.parse(stored);
	return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
};

/** X3. Two statements. */
export const instanceLogs =
	(context: Context) =>
	async (input: Valid<'instanceLogs'>, caller: Caller): Promise<Output<'instanceLogs'>> => {
		const { read } = context.store;
		const host = await instanceOf(read, input.instance_id, input.client_id, caller);
		const rows = await eventsOfInstance(read, {
			agentId: host.agent_id,
			instanceId: host.instance_id,
			after: logPages.afterNumber(input.cursor),
			limit: input.limit,
		});
		return logPages.page(
			rows,
			input.limit,
			(event) => ({
				id: event.id,
				timestamp: iso(event.created_at),
				event_type: event.type,
				message: event.message,
				severity: event.severity,
				metadata: metadataOf(event.metadata),
			}),
			({ id }) => String(id),
		);
	};

const HOUR = 3_600_000;

const mean = (sum: number, count: number): number | null => (count === 0 ? null : usd(Math.round(sum / count)));

/** Groups of pools put together by a key, in the order of its text. */
const together = (groups: readonly PoolGroup[], key: (group: PoolGroup) => string) => {
	const found = new Map<string, PoolGroup[]>();
	for (const group of groups) found.set(key(group), [...(found.get(key(group)) ?? []), group]);
	return [...found]
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([name, members]) => {
			const total = (field: 'pools' | 'priced' | 'sum_micros'): number => members.reduce((sum, member) => sum + member[field], 0);
			const prices = members.flatMap(({ min_micros }) => min_micros ?? []);
			return {
				name,
				members,
				pools: total('pools'),
				priced: total('priced'),
				average: mean(total('sum_micros'), total('priced')),
				cheapest: prices.length === 0 ? null : usd(Math.min(...prices)),
			};
		});
};

/** X4. Three statements. */
export const poolStatistics = (context: Context) => async (): Promise<Output<'poolStatistics'>> => {
	const { read } = context.store;
	const since = bucketOf(context.clock.now() - HOUR);
	const [states, groups, quotes] = await Promise.all([poolsByState(read), poolGroups(read, since), onDemandPrices(read)]);
	const onDemand = new Map(quotes.map((quote) => [`${quote.instance_type} ${quote.region}`, Number(quote.micros)]));
	return {
		total_pools: states.active + states.inactive,
		active_pools: states.active,
		inactive_pools: states.inactive,
		regions: together(groups, ({ region }) => region).map((group) => ({
			region: group.name,
			pools: group.pools,
			pools_priced: group.priced,
			average_price: group.average,
			cheapest_price: group.cheapest,
		})),
		instance_types: together(groups, ({ instance_type }) => instance_type).map((group) => {
			const known = group.members.flatMap(({ region }) => onDemand.get(`${group.name} ${region}`) ?? []);
			return {
				instance_type: group.name,
				pools_available: group.pools,
				pools_priced: group.priced,
				avg_spot_price: group.average,
				ondemand_price: mean(
					known.reduce((sum, micros) => sum + micros, 0),
					known.length,
				),
			};
		}),
	};
};
