import { z } from 'zod';
import { id, isoOrNull, isoTime, paging, rows, textOrNull, usdOrNull } from './fields.ts';
import { operation } from './operation.ts';
import { Shares } from './savings.ts';

const count = z.number().int();

const Report = z.object({
	time: isoTime,
	onDemandPrice: z.number(),
	spotPrice: z.number(),
	/** A price that was not reported reads 0 because the dashboard calls toFixed (D-37). */
	pricesKnown: z.object({ onDemand: z.boolean(), spot: z.boolean() }),
});

/** #21. No decision has been made by any engine yet: `lastDecision` has nulls and `decisionHistory` is empty. Reports are those of the last 30 minutes. Paged by id as #7, each page with the agents that are online first. */
export const agentDecisions = operation({
	id: 'agents.decisions',
	method: 'GET',
	path: '/api/client/{client_id}/agents/decisions',
	access: 'client',
	summary: 'Decisions and health of the agents of a client, online ones first',
	input: z.object({ client_id: id, ...paging }),
	output: z.object({
		agentId: z.string(),
		agentName: z.string(),
		status: z.string(),
		currentMode: textOrNull,
		currentPoolId: textOrNull,
		isHealthy: z.boolean(),
		lastHeartbeat: textOrNull,
		lastHeartbeatAt: isoOrNull,
		lastDecision: z.object({
			type: textOrNull,
			time: isoOrNull,
			elapsed: z.object({ value: count, unit: z.enum(['min', 'h']), minutes: count, formatted: z.string() }).nullable(),
		}),
		decisionHistory: z
			.array(
				z.object({
					type: z.string(),
					action: z.string(),
					riskScore: z.number().nullable(),
					expectedSavings: z.number().nullable(),
					currentMode: textOrNull,
					time: isoTime,
				}),
			)
			.max(5),
		recentActivity: z.object({
			pricingReports: z.array(Report).max(5),
			systemEvents: z.array(z.object({ type: z.string(), severity: z.string(), message: z.string(), time: isoTime })).max(5),
			healthStatus: z.object({
				overall: z.enum(['healthy', 'unhealthy']),
				heartbeat: z.enum(['active', 'stale']),
				activity: z.enum(['active', 'inactive']),
				recentReportsCount: count,
				decisionCount: count,
			}),
		}),
		pricingHealth: z.object({
			status: z.enum(['healthy', 'unhealthy']),
			/** Of the last 10 minutes. */
			recentReportsCount: count,
			recentReports: z.array(Report).max(5),
		}),
	}),
	rendering: 'list',
	legacyBare: true,
});

/**
 * Of an agent by any of its handles. There are no decisions yet; `success_rate` is of the booked switches and those that failed (0 to 1), `avg_downtime_seconds`
 * of those whose downtime was measured; both are 0 where their `…_known` is false. Savings come from the books and may be negative.
 */
const statisticsDeclared = {
	method: 'GET',
	access: 'client',
	input: z.object({ agent_id: id }),
	output: z.object({
		agent_id: z.string(),
		statistics: z.object({
			total_decisions: count,
			switches_executed: count,
			switches_recommended: count,
			success_rate: z.number(),
			success_rate_known: z.boolean(),
			average_confidence: z.number(),
			average_confidence_known: z.boolean(),
			last_decision_at: isoOrNull,
			decisions_by_trigger: z.object({ automatic: count, manual: count }),
			switches_by_trigger: z.record(z.string(), count),
			avg_downtime_seconds: count,
			avg_downtime_known: z.boolean(),
			total_savings_generated: z.number(),
			savings_shares: Shares,
		}),
	}),
} as const;

/** X2 */
export const agentStatistics = operation({
	...statisticsDeclared,
	id: 'agents.statistics',
	path: '/api/agents/{agent_id}/statistics',
	summary: 'Switches, downtime and savings of an agent',
});

/** X26 */
export const agentStatisticsOld = operation({
	...statisticsDeclared,
	id: 'agents.statistics_old',
	path: '/api/client/agents/{agent_id}/statistics',
	summary: 'As /api/agents/{agent_id}/statistics',
});

/** X3 */
export const instanceLogs = operation({
	id: 'instances.logs',
	method: 'GET',
	path: '/api/client/instances/{instance_id}/logs',
	access: 'client',
	summary: 'What happened to a machine, newest first',
	input: z.object({
		instance_id: id,
		client_id: z.string().max(255).optional(),
		cursor: paging.cursor,
		limit: rows(100),
	}),
	output: z.object({
		id: count,
		timestamp: isoTime,
		event_type: z.string(),
		message: z.string(),
		severity: z.string(),
		metadata: z.record(z.string(), z.unknown()),
	}),
	rendering: 'list',
});

/**
 * Active pools with their newest price of the last hour; a pool without one is counted and in no price, and a price nobody knows is null.
 * The on-demand price of a type is the mean over the regions with a pool of it where one is known.
 */
const poolsDeclared = {
	method: 'GET',
	access: 'read',
	input: z.object({}),
	output: z.object({
		total_pools: count,
		active_pools: count,
		inactive_pools: count,
		regions: z.array(
			z.object({ region: z.string(), pools: count, pools_priced: count, average_price: usdOrNull, cheapest_price: usdOrNull }),
		),
		instance_types: z.array(
			z.object({
				instance_type: z.string(),
				pools_available: count,
				pools_priced: count,
				avg_spot_price: usdOrNull,
				ondemand_price: usdOrNull,
			}),
		),
	}),
} as const;

/** X4 */
export const poolStatistics = operation({
	...poolsDeclared,
	id: 'pools.statistics',
	path: '/api/admin/pools/statistics',
	summary: 'Pools and prices by region and type',
});

/** X24 */
export const poolStatisticsOld = operation({
	...poolsDeclared,
	id: 'pools.statistics_old',
	path: '/api/admin/pool-statistics',
	summary: 'As /api/admin/pools/statistics',
});
