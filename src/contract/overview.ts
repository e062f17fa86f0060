import { z } from 'zod';
import { EmergencyRow } from './emergencies.ts';
import { id, isoOrNull, isoTime, paging, textOrNull } from './fields.ts';
import { operation } from './operation.ts';
import { Shares } from './savings.ts';

const count = z.number().int();

/** A number of a query string within bounds; what is none reads as the default, what is beyond them as the bound (endpoints.md #3). */
const clamped = (unlessGiven: number, least: number, most: number) =>
	z
		.union([z.string(), z.number()])
		.optional()
		.transform((given) => {
			const value = given === undefined || given === '' ? Number.NaN : Number(given);
			return Number.isFinite(value) ? Math.min(most, Math.max(least, Math.trunc(value))) : unlessGiven;
		});

/**
 * #1. Agents of every status are in the total, deleted ones too. Switches are all that were ever booked, by what caused them; automatic
 * ones are those that neither a person nor an emergency caused. Savings come from the books (spec section 11), each client once (D-35).
 */
export const adminStats = operation({
	id: 'stats.show',
	method: 'GET',
	path: '/api/admin/stats',
	access: 'read',
	summary: 'Counters of the whole fleet',
	input: z.object({}),
	output: z.object({
		totalAccounts: count,
		activeAccounts: count,
		agentsOnline: count,
		agentsOffline: count,
		agentsTotal: count,
		poolsCovered: count,
		totalSavings: z.number(),
		savingsShares: Shares,
		totalSwitches: count,
		manualSwitches: count,
		modelSwitches: count,
		automaticSwitches: count,
		emergencySwitches: count,
		backendHealth: z.string(),
		decisionEngineLoaded: z.boolean(),
		mlModelsLoaded: z.boolean(),
		total_clients: count,
		total_agents: count,
		agents_online: count,
		agents_offline: count,
		total_savings: z.number(),
		total_switches: count,
		manual_switches: count,
		automatic_switches: count,
		emergency_switches: count,
		backend_health: z.string(),
		decision_engine_loaded: z.boolean(),
		ml_model_active: z.boolean(),
	}),
});

/**
 * #3. A day is one of these: `now`, today as it is; `snapshot`, as the last look of that day found it; `derived`, a day nobody looked
 * at: the clients that exist now and were created by its end, so that clients deleted since are not in it, and nobody knows which were
 * active (`active` is 0 there and `activeKnown` false). The series begins with the first day of which anything is known (D-36).
 * It has no pages: `days` bounds it, at a row a day and 365 rows, and `limit` and `cursor` mean nothing to it.
 */
export const clientsGrowth = operation({
	id: 'clients.growth',
	method: 'GET',
	path: '/api/admin/clients/growth',
	access: 'read',
	summary: 'Number of clients by day, oldest first',
	input: z.object({ days: clamped(30, 1, 365) }),
	output: z.object({
		date: z.string(),
		total: count,
		new: count,
		active: count,
		count,
		activeKnown: z.boolean(),
		source: z.enum(['now', 'snapshot', 'derived']),
	}),
	rendering: 'list',
	legacyBare: true,
});

/** #5. Files and models are those of the decision engine, of which there is none. `uptime` is that of the daemon that answers, in seconds. */
export const systemHealth = operation({
	id: 'system.status',
	method: 'GET',
	path: '/api/admin/system-health',
	access: 'read',
	summary: 'State of the daemon, its database, its jobs and the agents',
	input: z.object({}),
	output: z.object({
		apiStatus: z.string(),
		database: z.enum(['Connected', 'Disconnected']),
		decisionEngine: z.enum(['Loaded', 'Not Loaded']),
		connectionPool: z.string(),
		connections: z.object({ idle: count, size: count }),
		timestamp: isoTime,
		modelStatus: z.object({
			loaded: z.boolean(),
			name: z.string(),
			version: z.string(),
			filesUploaded: count,
			activeModels: z.array(z.object({ name: z.string(), version: z.string(), active: z.boolean() })),
			files: z.array(z.object({ name: z.string(), size: count, modified: isoTime })),
		}),
		decisionEngineStatus: z.object({
			loaded: z.boolean(),
			type: z.string(),
			version: z.string(),
			filesUploaded: count,
			files: z.array(z.object({ name: z.string(), size: count, modified: isoTime })),
		}),
		/** Null while the database does not answer; deleted agents are not in it. */
		agents: z.object({ total: count, online: count, offline: count }).nullable(),
		/** Null while the database does not answer. */
		backgroundJobs: z
			.array(
				z.object({
					name: z.string(),
					state: z.enum(['running', 'paused', 'waiting']),
					lastResult: z.enum(['ok', 'failed']).nullable(),
					lastEndedAt: isoOrNull,
					nextDueAt: isoOrNull,
					lastError: textOrNull,
				}),
			)
			.nullable(),
		uptime: count,
	}),
});

/** Deleted agents count in `deleted` only. `by_client` has its own pages; the other figures are of all clients on each. */
const healthSummaryDeclared = {
	method: 'GET',
	access: 'read',
	input: z.object(paging),
	output: z.object({
		total_agents: count,
		online: count,
		offline: count,
		deleted: count,
		by_client: z.array(z.object({ client_id: z.string(), client_name: z.string(), online: count, offline: count, total: count })),
		recent_offline: z.array(
			z.object({
				agent_id: z.string(),
				hostname: textOrNull,
				client_name: z.string(),
				last_heartbeat: isoOrNull,
				offline_duration_minutes: count.nullable(),
			}),
		),
		/** By the last heartbeat of the primary: below 5 minutes ago, below 15, longer ago or never. */
		heartbeat_distribution: z.object({ healthy: count, degraded: count, critical: count }),
		/** Of the clients in `by_client`. */
		count,
		next_cursor: textOrNull,
	}),
} as const;

/** X5 */
export const healthSummary = operation({
	...healthSummaryDeclared,
	id: 'agents.health',
	path: '/api/admin/agents/health-summary',
	summary: 'How many agents are heard, by client',
});

/** X25 */
export const healthSummaryOld = operation({
	...healthSummaryDeclared,
	id: 'agents.health_old',
	path: '/api/admin/agent-health',
	summary: 'As /api/admin/agents/health-summary',
});

/**
 * X17. `uptime_percentage` is the share of agents online now. The downtimes are those of the newest `switches_looked_at` switches, of
 * which `switches_measured` had one; 0 where none had. Nothing cleans price data yet (`installed` false): its figures are 0 for that reason.
 */
export const operationalMetrics = operation({
	id: 'stats.operational',
	method: 'GET',
	path: '/api/admin/metrics/operational',
	access: 'read',
	summary: 'Agents online, downtimes, savings and emergencies in figures',
	input: z.object({}),
	output: z.object({
		agent_uptime: z.object({ total_agents: count, online_agents: count, uptime_percentage: z.number(), known: z.boolean() }),
		switch_downtime: z.object({
			avg_downtime_seconds: z.number(),
			stddev_downtime_seconds: z.number(),
			p95_downtime_seconds: z.number(),
			switches_measured: count,
			switches_looked_at: count,
		}),
		savings: z.object({
			total_savings: z.number(),
			baseline_cost: z.number(),
			actual_cost: z.number(),
			savings_percentage: z.number(),
			shares: Shares,
		}),
		emergency_stats: z.object({
			total_emergency_events: count,
			rebalance_count: count,
			termination_count: count,
			silent_primary_count: count,
		}),
		data_cleaner: z.object({
			total_duplicates_removed: count,
			total_gaps_interpolated: count,
			total_backfills_added: count,
			last_run_at: isoOrNull,
			installed: z.boolean(),
		}),
	}),
});

/** X18. Of each background job the last run, where it began within `days`; earlier runs are not kept. */
export const consolidationJobs = operation({
	id: 'jobs.runs',
	method: 'GET',
	path: '/api/admin/consolidation-jobs',
	access: 'read',
	summary: 'Last runs of the background jobs, newest first',
	input: z.object({ days: clamped(7, 1, 365) }),
	output: z.object({
		id: z.string(),
		job_type: z.string(),
		summary: z.string(),
		status: z.enum(['running', 'completed', 'failed', 'abandoned']),
		started_at: isoTime,
		completed_at: isoOrNull,
		duration_seconds: z.number().nullable(),
		records_changed: count.nullable(),
		error: textOrNull,
		runs: count,
	}),
	rendering: 'list',
});

/** X19 */
export const emergencyEvents = operation({
	id: 'emergencies.events',
	method: 'GET',
	path: '/api/admin/emergency-events',
	access: 'read',
	summary: 'Emergencies of the last days, of all clients, newest first',
	input: z.object({ ...paging, days: clamped(30, 1, 365) }),
	output: EmergencyRow.extend({ client_name: z.string(), event_type: z.string(), timestamp: isoTime }),
	rendering: 'list',
});

/** X28. Deleted agents count in `deleted` only. */
export const agentStats = operation({
	id: 'agents.stats',
	method: 'GET',
	path: '/api/agents/stats',
	access: 'client',
	summary: 'How many agents of the client have each status',
	input: z.object({ client_id: id.max(255).optional() }),
	output: z.object({
		total: count,
		online: count,
		offline: count,
		switching: count,
		disabled: count,
		error_count: count,
		deleted: count,
		total_agents: count,
		online_agents: count,
		offline_agents: count,
	}),
});

/**
 * X36. The share of the client's agents that was online whenever somebody looked, over all looks within `days`; a look is taken every
 * `sample_seconds`, disabled and deleted agents are left out. Null, with the reason, while nobody has looked at any.
 */
export const uptimeStats = operation({
	id: 'stats.uptime',
	method: 'GET',
	path: '/api/stats/uptime',
	access: 'client',
	summary: 'Share of time in which agents of the client were online',
	input: z.object({ client_id: id.max(255).optional(), days: clamped(30, 1, 365) }),
	output: z.object({
		uptime_percentage: z.number().nullable(),
		reason: textOrNull,
		since: isoOrNull,
		samples: count,
		sample_seconds: count,
		total_agents: count,
		online_agents: count,
	}),
});
