import { operations } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { asUnavailable } from '../store/open.ts';
import { listActivity } from './activity.ts';
import * as adminTokens from './admin-tokens.ts';
import { agentDecisions } from './agent-decisions.ts';
import * as agentDeletion from './agent-deletion.ts';
import * as agentSettings from './agent-settings.ts';
import * as agentSwitches from './agent-switches.ts';
import * as agents from './agents.ts';
import { createAuth } from './auth.ts';
import { reconcileSavings } from './bill-routes.ts';
import { bulkExecute } from './bulk.ts';
import type { Handlers } from './caller.ts';
import * as clients from './clients.ts';
import * as commands from './commands.ts';
import type { Context } from './context.ts';
import type { CoreDeps } from './core-deps.ts';
import { createCounters } from './counters.ts';
import { createDirectory } from './directory.ts';
import * as emergencies from './emergencies.ts';
import { createEventStreams } from './event-stream.ts';
import { createEventTail } from './event-tail.ts';
import { listEvents } from './events.ts';
import * as exportHandlers from './exports.ts';
import { createFeed } from './feed.ts';
import { createFleetGauges } from './fleet-gauges.ts';
import { forceSwitch } from './force-switch.ts';
import * as growth from './growth.ts';
import { idempotent } from './idempotency.ts';
import type { Core } from './index.ts';
import { instanceMetrics } from './instance-metrics.ts';
import * as instances from './instances.ts';
import * as jobHandlers from './job-handlers.ts';
import { JOBS } from './jobs.ts';
import { createLiveness } from './liveness.ts';
import * as models from './models.ts';
import { createNoticeLane } from './notice-lane.ts';
import * as notices from './notices.ts';
import * as notifications from './notifications.ts';
import * as overview from './overview.ts';
import * as poolAnalytics from './pool-analytics.ts';
import { createPoolSignals } from './pool-signals.ts';
import * as priceAlerts from './price-alerts.ts';
import * as priceHistory from './price-history.ts';
import { watchPrices } from './price-watch.ts';
import { createPriceWriter } from './price-writer.ts';
import * as prices from './prices.ts';
import { promoteInstance } from './promote-instance.ts';
import { recomputeSavings } from './recompute.ts';
import { registerHost } from './register.ts';
import { attachReplica } from './replica-attach.ts';
import { createReplica } from './replica-create.ts';
import { listHostReplicas, replicaConfig } from './replica-polls.ts';
import { replicaStatus, replicaSync } from './replica-status.ts';
import * as replicas from './replicas.ts';
import { runRetention, showRetention } from './retention.ts';
import * as routine from './routine.ts';
import { exportSavings, savingsTotals } from './savings-export.ts';
import * as savings from './savings-routes.ts';
import { createScheduler, type Job } from './scheduler.ts';
import { search } from './search.ts';
import { createSharedUnit } from './shared-unit.ts';
import * as statistics from './statistics.ts';
import { servingMark } from './sweeps.ts';
import { switchReport } from './switch-report.ts';
import * as terminations from './terminations.ts';
import * as tokens from './tokens.ts';
import { createUnit, createUnits } from './unit.ts';
import { keepConfiguredWebhook } from './webhook-configured.ts';
import * as deliveries from './webhook-deliveries.ts';
import { createAnyWebhook } from './webhook-wanted.ts';
import * as webhooks from './webhooks.ts';

const SERVING_MS = 1_000;
const TOUCH_MS = 10_000;

/** Puts the product together from its dependencies; nothing runs before `start`. */
export const createCore = (deps: CoreDeps, jobs: readonly Job[] = JOBS): Core => {
	const { store, clock, ids } = deps;
	const origin = ids.uuid();
	const counters = createCounters();
	const closing = new AbortController();
	const feed = createFeed(store, clock, origin);
	const directory = createDirectory(store, clock, feed);
	const liveness = createLiveness(store, clock);
	const anyWebhook = createAnyWebhook(store, feed);
	const parts = { store, clock, ids, origin, feed, counters, anyWebhook };
	const units = createUnits(parts);
	const unit = createUnit(units);
	const context: Context = {
		...deps,
		origin,
		feed,
		unit,
		sharedUnit: createSharedUnit(parts, unit),
		units,
		anyWebhook,
		directory,
		liveness,
		notices: { underWay: 0 },
		signals: createPoolSignals(clock),
		counters,
		closing: closing.signal,
	};
	const auth = createAuth(store, clock, feed, deps.settings.adminToken);
	const writer = createPriceWriter(store, clock, watchPrices(context));
	const lane = createNoticeLane(context);
	const scheduler = createScheduler(context, jobs);
	const tail = createEventTail(store, clock);
	const streams = createEventStreams(context, tail);
	const stops: Array<() => void> = [];
	const running = new Set<Promise<unknown>>();

	const handlers: Handlers = {
		listClients: clients.listClients(context),
		createClient: once(context, 'createClient', clients.createClient(context)),
		updateClient: clients.updateClient(context),
		deleteClient: clients.deleteClient(context),
		validateToken: clients.validateToken(context),
		showClient: clients.showClient(context),
		listTokens: tokens.listTokens(context),
		createToken: tokens.createToken(context),
		rotateToken: tokens.rotateToken(context),
		revokeToken: tokens.revokeToken(context),
		regenerateToken: tokens.regenerateToken(context),
		revealToken: tokens.revealToken(context),
		listAdminTokens: adminTokens.listAdminTokens(context),
		createAdminToken: adminTokens.createAdminToken(context),
		revokeAdminToken: adminTokens.revokeAdminToken(context),
		registerHost: registerHost(context),
		heartbeat: routine.heartbeat(context),
		readConfig: routine.readConfig(context),
		probeAgent: routine.probeAgent(context),
		uninstallHost: routine.uninstallHost(context),
		listOwnAgents: agents.listOwnAgents(context),
		hostEnded: routine.hostEnded(context),
		cleanupReport: routine.cleanupReport(context),
		instancesToTerminate: terminations.instancesToTerminate(context),
		terminationReport: once(context, 'terminationReport', terminations.terminationReport(context)),
		listAgents: agents.listAgents(context),
		listClientAgents: agents.listClientAgents(context),
		listAgentHistory: agents.listAgentHistory(context),
		showAgent: agents.showAgent(context),
		toggleAgent: agentSettings.toggleAgent(context),
		changeSettings: agentSettings.changeSettings(context),
		changeConfig: agentSettings.changeConfig(context),
		deleteAgent: agentDeletion.deleteAgent(context),
		restoreAgent: agentDeletion.restoreAgent(context),
		holdInstance: terminations.holdInstance(context),
		promoteInstance: promoteInstance(context),
		listInstances: instances.listInstances(context),
		listClientInstances: instances.listClientInstances(context),
		showInstance: instances.showInstance(context),
		instancePricing: prices.instancePricing(context),
		instanceOptions: prices.instanceOptions(context),
		forceSwitch: once(context, 'forceSwitch', forceSwitch(context)),
		switchHistory: instances.switchHistory(context),
		pendingCommands: commands.pendingCommands(context),
		commandExecuted: commands.commandExecuted(context),
		markCommandExecuted: commands.markCommandExecuted(context),
		switchReport: switchReport(context),
		listCommands: commands.listCommands(context),
		showCommand: commands.showCommand(context),
		cancelCommand: commands.cancelCommand(context),
		pricingReport: prices.pricingReport(context, writer),
		decide: prices.decide(context, writer),
		replicaConfig: replicaConfig(context),
		listHostReplicas: listHostReplicas(context),
		createReplica: createReplica(context),
		attachReplica: attachReplica(context),
		deleteReplica: replicas.deleteReplica(context),
		promoteReplica: replicas.promoteReplicaRoute(context),
		replicaStatus: replicaStatus(context),
		replicaSync: replicaSync(context),
		listClientReplicas: replicas.listClientReplicas(context),
		listReplicas: replicas.listReplicas(context),
		showReplica: replicas.showReplica(context),
		rebalanceRecommendation: notices.rebalanceRecommendation(context, lane),
		createEmergencyReplica: notices.createEmergencyReplica(context, lane),
		terminationImminent: notices.terminationImminent(context, lane),
		rebalanceNotice: notices.rebalanceNotice(context, lane),
		terminationNotice: notices.terminationNotice(context, lane),
		simulateNotice: notices.simulateNotice(context, lane),
		emergencyStatus: emergencies.emergencyStatus(context),
		listEmergencies: emergencies.listEmergencies(context),
		showEmergency: emergencies.showEmergency(context),
		clientSavings: savings.clientSavings(context),
		clientCharts: savings.clientCharts(context),
		showSavings: savings.showSavings(context),
		fleetSavings: savings.fleetSavings(context),
		explainSavings: savings.explainSavings(context),
		reconcileSavings: reconcileSavings(context),
		recomputeSavings: recomputeSavings(context),
		exportSavings: exportSavings(context),
		savingsTotals: savingsTotals(context),
		instanceMetrics: instanceMetrics(context),
		instancePriceHistory: priceHistory.instancePriceHistory(context),
		pricingHistory: priceHistory.pricingHistory(context),
		pricingHistoryAlias: priceHistory.pricingHistory(context),
		currentPricing: priceHistory.currentPricing(context),
		downtimeAnalytics: poolAnalytics.downtimeAnalytics(context),
		poolVolatility: poolAnalytics.poolVolatility(context),
		simulateSwitch: poolAnalytics.simulateSwitch(context),
		listPriceAlerts: priceAlerts.listPriceAlerts(context),
		createPriceAlert: priceAlerts.createPriceAlert(context),
		setPriceAlert: priceAlerts.setPriceAlert(context),
		deletePriceAlert: priceAlerts.deletePriceAlert(context),
		switchRecommendation: agentSwitches.switchRecommendation(context),
		issueSwitchCommand: once(context, 'issueSwitchCommand', agentSwitches.issueSwitchCommand(context)),
		flipAgent: agentSettings.flipAgent(context),
		putSettings: agentSettings.changeSettings(context),
		agentSwitch: agentSwitches.agentSwitch(context),
		agentSwitchHistory: agentSwitches.agentSwitchHistory(context),
		bulkExecute: once(context, 'bulkExecute', bulkExecute(context)),
		streamEvents: streams.handler,
		listEvents: listEvents(context),
		exportStats: exportHandlers.exportStats(context),
		exportSwitches: exportHandlers.exportSwitches(context),
		listJobs: jobHandlers.listJobs(context, jobs),
		runJob: jobHandlers.runJob(context, jobs),
		pauseJob: jobHandlers.pauseJob(context, jobs),
		resumeJob: jobHandlers.resumeJob(context, jobs),
		adminStats: overview.adminStats(context),
		clientsGrowth: growth.clientsGrowth(context),
		systemHealth: overview.systemHealth(context, jobs),
		healthSummary: overview.healthSummary(context),
		healthSummaryOld: overview.healthSummary(context),
		operationalMetrics: overview.operationalMetrics(context),
		consolidationJobs: overview.consolidationJobs(context, jobs),
		emergencyEvents: overview.emergencyEvents(context),
		agentStats: overview.agentStats(context),
		uptimeStats: growth.uptimeStats(context),
		agentDecisions: agentDecisions(context),
		agentStatistics: statistics.agentStatistics(context),
		agentStatisticsOld: statistics.agentStatistics(context),
		instanceLogs: statistics.instanceLogs(context),
		poolStatistics: statistics.poolStatistics(context),
		poolStatisticsOld: statistics.poolStatistics(context),
		search: search(context),
		searchOld: search(context),
		uploadEngine: models.withoutEngine,
		uploadModel: models.withoutEngine,
		activateModel: models.withoutEngine,
		fallbackModel: models.withoutEngine,
		listModelSessions: models.listModelSessions,
		showRetention: showRetention(context, jobs),
		runRetention: runRetention(context, jobs),
		listNotifications: notifications.listNotifications(context),
		readNotification: notifications.readNotification(context),
		readAllNotifications: notifications.readAllNotifications(context),
		listActivity: listActivity(context),
		listWebhooks: webhooks.listWebhooks(context),
		createWebhook: webhooks.createWebhook(context),
		updateWebhook: webhooks.updateWebhook(context),
		deleteWebhook: webhooks.deleteWebhook(context),
		testWebhook: webhooks.testWebhook(context),
		listWebhookDeliveries: deliveries.listWebhookDeliveries(context),
		retryWebhookDeliveries: deliveries.retryWebhookDeliveries(context),
	};

	/** Runs a piece of background work again and again; a run that is still under way is not doubled, trouble is logged. */
	const repeat = (name: string, ms: number, work: () => Promise<unknown>): void => {
		let busy = false;
		stops.push(
			clock.every(ms, () => {
				if (busy) return;
				busy = true;
				const run = work()
					.catch((error: unknown) => deps.log.warn({ job: name, err: error }, 'background work failed; it is tried again'))
					.finally(() => {
						busy = false;
						running.delete(run);
					});
				running.add(run);
			}),
		);
	};

	return {
		handlers,
		authenticate: auth.authenticate,
		explain: (error) =>
			store.dialect.isOrphan(error)
				? new SpotError('conflict', 'CONFLICT', 'what this belongs to was deleted at the same time', { cause: error })
				: asUnavailable(store.dialect, error),
		start: async ({ jobs: withJobs, alone = false }) => {
			await feed.refresh();
			stops.push(feed.start(), liveness.start());
			const markServing = servingMark(context);
			await markServing();
			repeat('serving', SERVING_MS, markServing);
			repeat('tokens', TOUCH_MS, () => auth.flush());
			if (withJobs) await keepConfiguredWebhook(context);
			if (withJobs) await scheduler.start(alone);
		},
		stop: async () => {
			closing.abort();
			for (const stop of stops.splice(0)) stop();
			tail.stop();
			await scheduler.stop();
			await Promise.allSettled([...running]);
			await writer.idle();
			await liveness.flush();
			await auth.flush();
		},
		onAccessChange: (listener) =>
			feed.onChange((topic, key) => {
				if (topic === null) listener();
				else if (topic === 'client') listener(key);
				else if (topic === 'token') listener(null);
			}),
		counters: () =>
			new Map([...counters.all(), ['agent_heartbeat_received_total', liveness.received()], ['host_cache_size', directory.cache.size]]),
		figures: [...counters.histograms, counters.deletedRows, ...createFleetGauges(store, clock)],
		lastFreshAt: () => feed.lastFreshAt(),
	};
};

const once = <N extends 'createClient' | 'forceSwitch' | 'terminationReport' | 'issueSwitchCommand' | 'bulkExecute'>(
	context: Context,
	name: N,
	handler: Handlers[N],
): Handlers[N] => idempotent(context, operations[name] as never, handler as never) as Handlers[N];
