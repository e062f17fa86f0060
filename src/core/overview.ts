import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { listClientRows } from '../store/clients.ts';
import { type JobRow, jobRows } from '../store/jobs.ts';
import { isOutage } from '../store/open.ts';
import {
	activePools,
	agentsByStatus,
	agentsHeard,
	agentsOfClients,
	clientsNow,
	DAY_MS,
	emergenciesByKind,
	emergenciesSince,
	lastOffline,
	newestDowntimes,
} from '../store/overview.ts';
import type { AgentStatus } from '../store/schema.ts';
import { switchesOfFleet } from '../store/switch-tally.ts';
import { type Caller, clientOf } from './caller.ts';
import type { Context } from './context.ts';
import { shown } from './emergencies.ts';
import { jobState } from './job-handlers.ts';
import { pagesOf } from './paging.ts';
import { dollars, percentOf } from './percent.ts';
import { savingsOf, sharesOf } from './savings.ts';
import type { Job } from './scheduler.ts';

const healthPages = pagesOf('agents.health');
const emergencyPages = pagesOf('emergencies.events');

const EVERYBODY = { clientId: null };

const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);

/** Agents that are not deleted. */
const living = (counts: ReadonlyMap<AgentStatus, number>): number => sum(counts.values()) - (counts.get('deleted') ?? 0);

const NO_ENGINE = 'Decision Engine Not Loaded';

/** #1. Six statements: indexes, counters of a row an agent and cause, and the sums of the books. */
export const adminStats = (context: Context) => async (): Promise<Output<'adminStats'>> => {
	const { read } = context.store;
	const now = context.clock.now();
	const [clients, agents, pools, switches, savings] = await Promise.all([
		clientsNow(read, now),
		agentsByStatus(read, null),
		activePools(read),
		switchesOfFleet(read, ['manual', 'model', 'emergency']),
		savingsOf(read, EVERYBODY, now),
	]);
	const { all: total, manual, model, emergency } = switches;
	const automatic = total - manual - emergency;
	const [online, offline, all] = [agents.get('online') ?? 0, agents.get('offline') ?? 0, sum(agents.values())];
	const totalSavings = dollars(savings.savingsMicros);
	return {
		totalAccounts: clients.total,
		activeAccounts: clients.active,
		agentsOnline: online,
		agentsOffline: offline,
		agentsTotal: all,
		poolsCovered: pools,
		totalSavings,
		savingsShares: sharesOf(savings),
		totalSwitches: total,
		manualSwitches: manual,
		modelSwitches: model,
		automaticSwitches: automatic,
		emergencySwitches: emergency,
		backendHealth: NO_ENGINE,
		decisionEngineLoaded: false,
		mlModelsLoaded: false,
		total_clients: clients.total,
		total_agents: all,
		agents_online: online,
		agents_offline: offline,
		total_savings: totalSavings,
		total_switches: total,
		manual_switches: manual,
		automatic_switches: automatic,
		emergency_switches: emergency,
		backend_health: NO_ENGINE,
		decision_engine_loaded: false,
		ml_model_active: false,
	};
};

type Status = Output<'systemHealth'>;

/** What the page shows of the database's own rows; null while it does not answer. */
const stored = async (context: Context, jobs: readonly Job[]): Promise<Pick<Status, 'agents' | 'backgroundJobs'> | null> => {
	const { store } = context;
	try {
		const [counts, rows] = await Promise.all([agentsByStatus(store.read, null), jobRows.all(store.read, { now: store.leaseNow() })]);
		const known = new Map(rows.map((row) => [row.name, row]));
		return {
			agents: { total: living(counts), online: counts.get('online') ?? 0, offline: counts.get('offline') ?? 0 },
			backgroundJobs: jobs.map(({ name }) => {
				const row = known.get(name);
				return {
					name,
					state: jobState(row),
					lastResult: row?.result ?? null,
					lastEndedAt: isoOr(row?.ended_at ?? null),
					nextDueAt: row?.paused === 1 ? null : isoOr(row?.due_at ?? null),
					lastError: row?.error ?? null,
				};
			}),
		};
	} catch (error) {
		if (isOutage(store.dialect, error)) return null;
		throw error;
	}
};

/** #5. Two statements. Made once for a process: its uptime counts from there. */
export const systemHealth = (context: Context, jobs: readonly Job[]) => {
	const startedAt = context.clock.elapsed();
	return async (): Promise<Status> => {
		const known = await stored(context, jobs);
		const connections = context.store.connections();
		return {
			apiStatus: 'Healthy',
			database: known === null ? 'Disconnected' : 'Connected',
			decisionEngine: 'Not Loaded',
			connectionPool: `${connections.idle}/${connections.size}`,
			connections,
			timestamp: iso(context.clock.now()),
			modelStatus: { loaded: false, name: 'None', version: 'N/A', filesUploaded: 0, activeModels: [], files: [] },
			decisionEngineStatus: { loaded: false, type: 'None', version: 'N/A', filesUploaded: 0, files: [] },
			agents: known?.agents ?? null,
			backgroundJobs: known?.backgroundJobs ?? null,
			uptime: Math.max(0, Math.floor((context.clock.elapsed() - startedAt) / 1000)),
		};
	};
};

const MINUTE = 60_000;

/** X5. Four statements. */
export const healthSummary =
	(context: Context) =>
	async (input: Valid<'healthSummary'>): Promise<Output<'healthSummary'>> => {
		const { read } = context.store;
		const now = context.clock.now();
		const clients = await listClientRows(read, { limit: input.limit, after: healthPages.after(input.cursor), name: null });
		const [heard, offline, counts] = await Promise.all([
			agentsHeard(read, now),
			lastOffline(read),
			agentsOfClients(
				read,
				clients.map(({ id }) => id),
			),
		]);
		const agentsIn = (status: AgentStatus): number => heard.find((row) => row.status === status)?.agents ?? 0;
		const watched = heard.filter(({ status }) => status !== 'deleted');
		const total = sum(watched.map(({ agents }) => agents));
		const [healthy, degraded] = [sum(watched.map((row) => row.healthy)), sum(watched.map((row) => row.degraded))];
		const page = healthPages.page(
			clients,
			input.limit,
			(client) => {
				const own = counts.filter(({ client_id }) => client_id === client.id);
				const of = (status: AgentStatus): number => own.find((row) => row.status === status)?.count ?? 0;
				return {
					client_id: client.id,
					client_name: client.name,
					online: of('online'),
					offline: of('offline'),
					total: sum(own.map(({ count }) => count)),
				};
			},
			({ id }) => id,
		);
		return {
			total_agents: total,
			online: agentsIn('online'),
			offline: agentsIn('offline'),
			deleted: agentsIn('deleted'),
			by_client: page.items,
			recent_offline: offline.map((agent) => ({
				agent_id: agent.id,
				hostname: agent.hostname,
				client_name: agent.client_name,
				last_heartbeat: isoOr(agent.heartbeat_at),
				offline_duration_minutes: agent.heartbeat_at === null ? null : Math.max(0, Math.floor((now - agent.heartbeat_at) / MINUTE)),
			})),
			heartbeat_distribution: { healthy, degraded, critical: total - healthy - degraded },
			count: page.items.length,
			next_cursor: page.nextCursor,
		};
	};

/** How many of the newest switches the downtimes are of. */
const LOOKED_AT = 5_000;

/** Mean, standard deviation and 95th percentile (nearest rank) of milliseconds, in seconds; 0 of nothing. */
export const spreadOf = (values: readonly number[]): { avg: number; stddev: number; p95: number } => {
	if (values.length === 0) return { avg: 0, stddev: 0, p95: 0 };
	const mean = sum(values) / values.length;
	const variance = sum(values.map((value) => (value - mean) ** 2)) / values.length;
	const sorted = [...values].sort((a, b) => a - b);
	const seconds = (ms: number): number => Math.round(ms) / 1000;
	return { avg: seconds(mean), stddev: seconds(Math.sqrt(variance)), p95: seconds(sorted[Math.ceil(sorted.length * 0.95) - 1] ?? 0) };
};

/** X17. Five statements. */
export const operationalMetrics = (context: Context) => async (): Promise<Output<'operationalMetrics'>> => {
	const { read } = context.store;
	const [counts, switches, savings, emergencies] = await Promise.all([
		agentsByStatus(read, null),
		newestDowntimes(read, LOOKED_AT),
		savingsOf(read, EVERYBODY, context.clock.now()),
		emergenciesByKind(read),
	]);
	const [total, online] = [living(counts), counts.get('online') ?? 0];
	const spread = spreadOf(switches.downtimes);
	return {
		agent_uptime: {
			total_agents: total,
			online_agents: online,
			uptime_percentage: total === 0 ? 0 : percentOf(online, total),
			known: total > 0,
		},
		switch_downtime: {
			avg_downtime_seconds: spread.avg,
			stddev_downtime_seconds: spread.stddev,
			p95_downtime_seconds: spread.p95,
			switches_measured: switches.downtimes.length,
			switches_looked_at: switches.looked,
		},
		savings: {
			total_savings: dollars(savings.savingsMicros),
			baseline_cost: dollars(savings.baselineMicros),
			actual_cost: dollars(savings.actualMicros),
			savings_percentage: savings.baselineMicros === 0 ? 0 : percentOf(savings.savingsMicros, savings.baselineMicros),
			shares: sharesOf(savings),
		},
		emergency_stats: {
			total_emergency_events: sum(emergencies.values()),
			rebalance_count: emergencies.get('rebalance') ?? 0,
			termination_count: emergencies.get('termination') ?? 0,
			silent_primary_count: emergencies.get('silent-primary') ?? 0,
		},
		data_cleaner: {
			total_duplicates_removed: 0,
			total_gaps_interpolated: 0,
			total_backfills_added: 0,
			last_run_at: null,
			installed: false,
		},
	};
};

type Run = Output<'consolidationJobs'>['items'][number];

/** Of a row that says it has begun: still at it while somebody has its lease, else ended, else left by a daemon that is gone. */
const statusOf = (row: JobRow): Run['status'] => {
	if (row.ended_at !== null && row.started_at !== null && row.ended_at >= row.started_at)
		return row.result === 'failed' ? 'failed' : 'completed';
	return row.held === 1 ? 'running' : 'abandoned';
};

/** X18. One statement. */
export const consolidationJobs =
	(context: Context, jobs: readonly Job[]) =>
	async ({ days }: Valid<'consolidationJobs'>): Promise<Output<'consolidationJobs'>> => {
		const { store, clock } = context;
		const since = clock.now() - days * DAY_MS;
		const rows = await jobRows.all(store.read, { now: store.leaseNow() });
		const summaries = new Map(jobs.map(({ name, summary }) => [name, summary]));
		const begun = rows.flatMap((row) =>
			row.started_at === null || row.started_at < since ? [] : [{ ...row, started_at: row.started_at }],
		);
		const items = begun
			.sort((a, b) => b.started_at - a.started_at || (a.name < b.name ? -1 : 1))
			.map((row): Run => {
				const status = statusOf(row);
				const ended = status === 'completed' || status === 'failed';
				return {
					id: `${row.name}-${row.started_at}`,
					job_type: row.name,
					summary: summaries.get(row.name) ?? 'A job that this daemon does not know',
					status,
					started_at: iso(row.started_at),
					completed_at: ended ? isoOr(row.ended_at) : null,
					duration_seconds: ended && row.duration_ms !== null ? row.duration_ms / 1000 : null,
					records_changed: ended ? row.changed : null,
					error: ended ? row.error : null,
					runs: row.runs,
				};
			});
		return { items, nextCursor: null };
	};

/** X19. One statement. */
export const emergencyEvents =
	(context: Context) =>
	async (input: Valid<'emergencyEvents'>): Promise<Output<'emergencyEvents'>> => {
		const after = emergencyPages.afterPair(input.cursor);
		const rows = await emergenciesSince(context.store.read, {
			since: context.clock.now() - input.days * DAY_MS,
			after: after === null ? null : { at: after.first, id: after.id },
			limit: input.limit,
		});
		return emergencyPages.page(
			rows,
			input.limit,
			(row) => ({ ...shown(row), client_name: row.client_name, event_type: row.kind, timestamp: iso(row.received_at) }),
			(row) => `${row.received_at}:${row.id}`,
		);
	};

/** X28. One statement. */
export const agentStats =
	(context: Context) =>
	async (input: Valid<'agentStats'>, caller: Caller): Promise<Output<'agentStats'>> => {
		const counts = await agentsByStatus(context.store.read, clientOf(caller, input.client_id));
		const of = (status: AgentStatus): number => counts.get(status) ?? 0;
		const total = living(counts);
		return {
			total,
			online: of('online'),
			offline: of('offline'),
			switching: of('switching'),
			disabled: of('disabled'),
			error_count: of('error'),
			deleted: of('deleted'),
			total_agents: total,
			online_agents: of('online'),
			offline_agents: of('offline'),
		};
	};
