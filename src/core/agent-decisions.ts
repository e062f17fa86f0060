import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { agentsAndPrimaries, newestEventsOf, reportsOfHosts } from '../store/statistics.ts';
import type { Context } from './context.ts';
import { pagesOf } from './paging.ts';
import { usd } from './report.ts';

const decisionPages = pagesOf('agents.decisions');

type Row = Output<'agentDecisions'>['items'][number];
type Report = Awaited<ReturnType<typeof reportsOfHosts.all>>[number];

const MINUTE = 60_000;
/** A heartbeat is fresh, and a host active, for this long (spec section 14). */
const FRESH_MS = 5 * MINUTE;
const ACTIVE_MS = 10 * MINUTE;
/** Reports arrive every five minutes: five of them fit in here. */
const SHOWN_MS = 30 * MINUTE;
const SHOWN = 5;

/** How long ago, in the words of the page that shows it. */
export const agoOf = (at: number | null, now: number): string | null => {
	if (at === null) return null;
	const minutes = Math.floor((now - at) / MINUTE);
	if (minutes < 1) return '< 1 min ago';
	return minutes < 60 ? `${minutes} min ago` : `${Math.floor(minutes / 60)}h ago`;
};

const reportOf = (report: Report): Row['pricingHealth']['recentReports'][number] => ({
	time: iso(report.observed_at),
	onDemandPrice: usd(report.ondemand_micros) ?? 0,
	spotPrice: usd(report.current_micros) ?? 0,
	pricesKnown: { onDemand: report.ondemand_micros !== null, spot: report.current_micros !== null },
});

/** #21. Four statements whatever the number of agents. */
export const agentDecisions =
	(context: Context) =>
	async (input: Valid<'agentDecisions'>): Promise<Output<'agentDecisions'>> => {
		const { read } = context.store;
		const now = context.clock.now();
		const agents = await agentsAndPrimaries(read, {
			clientId: input.client_id,
			after: decisionPages.after(input.cursor),
			limit: input.limit,
		});
		const handles = agents.flatMap(({ p_handle }) => p_handle ?? []);
		const [reports, events] = await Promise.all([
			handles.length === 0 ? [] : reportsOfHosts.all(read, { client_id: input.client_id, handles, since: now - SHOWN_MS }),
			newestEventsOf(
				read,
				agents.map(({ id }) => id),
			),
		]);
		const byHandle = new Map<string, Report[]>();
		for (const report of reports) {
			const list = byHandle.get(report.handle);
			if (list === undefined) byHandle.set(report.handle, [report]);
			else list.push(report);
		}
		return decisionPages.page(
			agents,
			input.limit,
			(agent): Row => {
				const own = agent.p_handle === null ? [] : (byHandle.get(agent.p_handle) ?? []);
				const recent = own.filter(({ arrived_at }) => now - arrived_at <= ACTIVE_MS).length;
				const fresh = agent.heartbeat_at !== null && now - agent.heartbeat_at <= FRESH_MS;
				const isHealthy = fresh && recent > 0 && agent.status === 'online';
				const shown = own.slice(0, SHOWN).map(reportOf);
				return {
					agentId: agent.id,
					agentName: agent.logical_agent_id,
					status: agent.status,
					currentMode: agent.p_mode,
					currentPoolId: agent.p_mode === 'spot' ? agent.p_pool : null,
					isHealthy,
					lastHeartbeat: agoOf(agent.heartbeat_at, now),
					lastHeartbeatAt: isoOr(agent.heartbeat_at),
					lastDecision: { type: null, time: null, elapsed: null },
					decisionHistory: [],
					recentActivity: {
						pricingReports: shown,
						systemEvents: (events.get(agent.id) ?? []).map((event) => ({
							type: event.type,
							severity: event.severity,
							message: event.message,
							time: iso(event.created_at),
						})),
						healthStatus: {
							overall: isHealthy ? 'healthy' : 'unhealthy',
							heartbeat: fresh ? 'active' : 'stale',
							activity: recent > 0 ? 'active' : 'inactive',
							recentReportsCount: recent,
							decisionCount: 0,
						},
					},
					pricingHealth: { status: recent > 0 ? 'healthy' : 'unhealthy', recentReportsCount: recent, recentReports: shown },
				};
			},
			({ id }) => id,
			(a, b) => Number(b.status === 'online') - Number(a.status === 'online'),
		);
	};
