import type { Input, Name } from '../../src/contract/index.ts';
import { operations } from '../../src/contract/index.ts';
import { type Operation, pathParameters } from '../../src/contract/operation.ts';
import type { DaemonName } from '../../src/core/caller.ts';
import { classicPrices, machine, type Sent, type TestDaemon } from './daemon.ts';

/** Ids of everything a path can name, all of one client. */
export type Scene = {
	readonly clientId: string;
	readonly token: string;
	readonly tokenId: string;
	/** The agent's public id: the handle of its first machine, a zombie now. */
	readonly agentId: string;
	/** The handle of the primary. */
	readonly handle: string;
	/** The primary. */
	readonly instanceId: string;
	readonly zombieId: string;
	/** A pending switch of the primary. */
	readonly commandId: string;
	/** The live replica of the agent, and its machine. */
	readonly replicaId: string;
	readonly standbyId: string;
	/** An open rebalance of the primary. */
	readonly emergencyId: string;
	readonly logicalId: string;
	readonly adminTokenId: string;
	/** A price alert. */
	readonly alertId: string;
	/** For names that must be new. */
	readonly tag: string;
};

let count = 0;

/** Makes a client with an agent that has switched once and is asked to switch back. */
export const makeScene = async (test: TestDaemon): Promise<Scene> => {
	const tag = `${Date.now().toString(36)}${(count++).toString(36)}`;
	const { client } = await test.api.createClient({ name: `client-${tag}` });
	const agent = test.apiAs(client.token);
	const logicalId = `logical-${tag}`;
	const [zombieId, instanceId] = [`i-${tag}a`, `i-${tag}b`];
	const first = await agent.registerHost(machine(zombieId, { logical_agent_id: logicalId }));
	await agent.pricingReport({ agent_id: first.agent_id, ...classicPrices({ 'us-east-1a': 0.04, 'us-east-1b': 0.03 }) });
	await agent.forceSwitch({ instance_id: zombieId, target: 'pool', pool_id: 'c5.large.us-east-1b', auto_terminate: true });
	await agent.pendingCommands({ agent_id: first.agent_id });
	const second = await agent.registerHost(machine(instanceId, { logical_agent_id: logicalId, az: 'us-east-1b' }));
	const back = await agent.forceSwitch({ instance_id: instanceId, target: 'pool', pool_id: 'c5.large.us-east-1a' });
	const standbyId = `i-${tag}r`;
	const replica = await agent.createReplica({ agent_id: second.agent_id, instance_id: standbyId, pool_id: 'c5.large.us-east-1a' });
	const signal = await agent.rebalanceRecommendation({ agent_id: second.agent_id, instance_id: instanceId });
	const alert = await agent.createPriceAlert({ client_id: client.id, threshold: 1 });
	const extra = await test.api.createAdminToken({ name: `extra-${tag}`, scope: 'read' });
	return {
		clientId: client.id,
		token: client.token,
		tokenId: client.token_id,
		agentId: first.agent_id,
		handle: second.agent_id,
		instanceId,
		zombieId,
		commandId: back.command_id ?? '',
		replicaId: replica.replica_id,
		standbyId,
		emergencyId: signal.emergency_id ?? '',
		logicalId,
		adminTokenId: extra.token_id,
		alertId: String(alert.alert_id),
		tag,
	};
};

/** The same with ids that nobody ever had. */
export const ghostOf = (scene: Scene): Scene => ({
	...scene,
	clientId: '00000000-0000-4000-8000-000000000001',
	tokenId: '00000000-0000-4000-8000-000000000002',
	agentId: '00000000-0000-4000-8000-000000000003',
	handle: '00000000-0000-4000-8000-000000000004',
	instanceId: 'i-00000000000000005',
	zombieId: 'i-00000000000000006',
	commandId: '00000000-0000-4000-8000-000000000007',
	replicaId: '00000000-0000-4000-8000-000000000009',
	standbyId: 'i-0000000000000000a',
	emergencyId: '00000000-0000-4000-8000-00000000000b',
	logicalId: 'nobody',
	adminTokenId: '00000000-0000-4000-8000-000000000008',
	alertId: '999999999',
});

/** A well-formed call of every operation, about the things of a scene. */
export const INPUTS: { readonly [N in Exclude<Name, DaemonName>]: (scene: Scene) => Input<N> } = {
	listClients: () => ({}),
	createClient: ({ tag }) => ({ name: `made-${tag}` }),
	updateClient: ({ clientId }) => ({ client_id: clientId, max_agents: 7 }),
	deleteClient: ({ clientId }) => ({ client_id: clientId }),
	validateToken: () => ({}),
	showClient: ({ clientId }) => ({ client_id: clientId }),
	listTokens: ({ clientId }) => ({ client_id: clientId }),
	createToken: ({ clientId }) => ({ client_id: clientId, name: 'more' }),
	rotateToken: ({ clientId }) => ({ client_id: clientId, overlap_seconds: 3600 }),
	revokeToken: ({ clientId, tokenId }) => ({ client_id: clientId, token_id: tokenId }),
	regenerateToken: ({ clientId }) => ({ client_id: clientId }),
	revealToken: ({ clientId }) => ({ client_id: clientId }),
	listAdminTokens: () => ({}),
	createAdminToken: ({ tag }) => ({ name: `made-${tag}`, scope: 'read' }),
	revokeAdminToken: ({ adminTokenId }) => ({ token_id: adminTokenId }),
	registerHost: ({ instanceId, logicalId }) =>
		machine(instanceId, { logical_agent_id: logicalId, az: 'us-east-1b' }) as Input<'registerHost'>,
	heartbeat: ({ handle, instanceId }) => ({ agent_id: handle, status: 'online', instance_id: instanceId }),
	readConfig: ({ handle }) => ({ agent_id: handle }),
	probeAgent: ({ handle }) => ({ agent_id: handle }),
	uninstallHost: ({ instanceId }) => ({ instance_id: instanceId, reason: 'manual_uninstall' }),
	listOwnAgents: () => ({}),
	hostEnded: ({ handle }) => ({ agent_id: handle, reason: 'Unknown' }),
	cleanupReport: ({ handle }) => ({ agent_id: handle, snapshots: { deleted: ['snap-1'] } }),
	listHostReplicas: ({ handle }) => ({ agent_id: handle, status: 'launching' }),
	instancesToTerminate: ({ handle }) => ({ agent_id: handle }),
	terminationReport: ({ handle, zombieId }) => ({ agent_id: handle, instance_id: zombieId, success: true }),
	listAgents: () => ({}),
	listClientAgents: ({ clientId }) => ({ client_id: clientId }),
	listAgentHistory: ({ clientId }) => ({ client_id: clientId }),
	showAgent: ({ agentId }) => ({ agent_id: agentId }),
	toggleAgent: ({ agentId }) => ({ agent_id: agentId, enabled: false }),
	changeSettings: ({ agentId }) => ({ agent_id: agentId, auto_terminate_enabled: false }),
	changeConfig: ({ agentId }) => ({ agent_id: agentId, terminateWaitMinutes: 7 }),
	deleteAgent: ({ agentId }) => ({ agent_id: agentId }),
	restoreAgent: ({ agentId }) => ({ agent_id: agentId }),
	holdInstance: ({ zombieId }) => ({ instance_id: zombieId, hold: true }),
	promoteInstance: ({ zombieId }) => ({ instance_id: zombieId }),
	listInstances: () => ({}),
	listClientInstances: ({ clientId }) => ({ client_id: clientId }),
	showInstance: ({ instanceId }) => ({ instance_id: instanceId }),
	instancePricing: ({ instanceId }) => ({ instance_id: instanceId }),
	instanceOptions: ({ instanceId }) => ({ instance_id: instanceId }),
	forceSwitch: ({ instanceId }) => ({ instance_id: instanceId, target: 'pool', pool_id: 'c5.large.us-east-1a', dry_run: true }),
	switchHistory: ({ clientId }) => ({ client_id: clientId }),
	pendingCommands: ({ handle }) => ({ agent_id: handle }),
	commandExecuted: ({ handle, commandId }) => ({ agent_id: handle, command_id: commandId, success: true }),
	markCommandExecuted: ({ handle, commandId }) => ({ agent_id: handle, command_id: commandId }),
	switchReport: ({ handle, instanceId, tag }) => ({
		agent_id: handle,
		old_instance: { instance_id: instanceId, mode: 'spot' },
		new_instance: { instance_id: `i-${tag}c`, instance_type: 'c5.large', az: 'us-east-1a', mode: 'spot', pool_id: 'c5.large.us-east-1a' },
		prices: { on_demand: 0.085, old_spot: 0.03, new_spot: 0.04 },
		timing: { switch_initiated_at: new Date().toISOString() },
		trigger: 'manual',
	}),
	clientSavings: ({ clientId }) => ({ client_id: clientId }),
	clientCharts: ({ clientId }) => ({ client_id: clientId }),
	showSavings: ({ clientId }) => ({ client_id: clientId }),
	fleetSavings: () => ({}),
	explainSavings: ({ agentId }) => ({ agent_id: agentId }),
	reconcileSavings: ({ clientId, instanceId }) => ({
		client_id: clientId,
		lines: [{ instance_id: instanceId, start: 1_000_000, end: 4_600_000, cost: 0.04 }],
	}),
	recomputeSavings: ({ clientId }) => ({ client_id: clientId, dry_run: true }),
	listCommands: () => ({}),
	showCommand: ({ commandId }) => ({ command_id: commandId }),
	cancelCommand: ({ commandId }) => ({ command_id: commandId }),
	pricingReport: ({ handle }) => ({ agent_id: handle, ...classicPrices({ 'us-east-1a': 0.041, 'us-east-1b': 0.031 }) }),
	replicaConfig: ({ handle }) => ({ agent_id: handle }),
	createReplica: ({ handle, tag }) => ({ agent_id: handle, instance_id: `i-${tag}s` }),
	attachReplica: ({ handle, replicaId, standbyId }) => ({ agent_id: handle, replica_id: replicaId, instance_id: standbyId }),
	deleteReplica: ({ handle, replicaId }) => ({ agent_id: handle, replica_id: replicaId }),
	promoteReplica: ({ handle, replicaId }) => ({ agent_id: handle, replica_id: replicaId }),
	replicaStatus: ({ handle, replicaId }) => ({ agent_id: handle, replica_id: replicaId, status: 'ready' }),
	replicaSync: ({ handle, replicaId }) => ({ agent_id: handle, replica_id: replicaId, state_transfer_progress: 50 }),
	listClientReplicas: ({ clientId }) => ({ client_id: clientId }),
	listReplicas: () => ({}),
	showReplica: ({ replicaId }) => ({ replica_id: replicaId }),
	rebalanceRecommendation: ({ handle, instanceId }) => ({ agent_id: handle, instance_id: instanceId }),
	createEmergencyReplica: ({ handle }) => ({ agent_id: handle, signal_type: 'rebalance-recommendation' }),
	terminationImminent: ({ handle, instanceId }) => ({ agent_id: handle, instance_id: instanceId }),
	rebalanceNotice: ({ handle }) => ({ agent_id: handle }),
	terminationNotice: ({ handle }) => ({ agent_id: handle }),
	emergencyStatus: ({ handle }) => ({ agent_id: handle }),
	listEmergencies: () => ({}),
	showEmergency: ({ emergencyId }) => ({ emergency_id: emergencyId }),
	simulateNotice: ({ agentId }) => ({ agent_id: agentId, kind: 'rebalance' }),
	instanceMetrics: ({ instanceId }) => ({ instance_id: instanceId }),
	instancePriceHistory: ({ instanceId }) => ({ instance_id: instanceId, days: 1 }),
	pricingHistory: ({ agentId }) => ({ agent_id: agentId }),
	pricingHistoryAlias: ({ agentId }) => ({ agent_id: agentId }),
	currentPricing: ({ agentId }) => ({ agent_id: agentId }),
	downtimeAnalytics: ({ clientId }) => ({ client_id: clientId, days: 7 }),
	poolVolatility: ({ instanceId }) => ({ instance_id: instanceId }),
	simulateSwitch: ({ instanceId }) => ({ instance_id: instanceId, target_pool: 'c5.large.us-east-1a' }),
	listPriceAlerts: ({ clientId }) => ({ client_id: clientId }),
	createPriceAlert: ({ clientId }) => ({ client_id: clientId, threshold: 0.05, pool_id: 'c5.large.us-east-1a' }),
	setPriceAlert: ({ clientId, alertId }) => ({ client_id: clientId, alert_id: alertId, enabled: true }),
	deletePriceAlert: ({ clientId, alertId }) => ({ client_id: clientId, alert_id: alertId }),
	switchRecommendation: ({ agentId }) => ({ agent_id: agentId }),
	issueSwitchCommand: ({ agentId }) => ({ agent_id: agentId, target_pool: 'c5.large.us-east-1b' }),
	flipAgent: ({ agentId }) => ({ agent_id: agentId }),
	putSettings: ({ agentId }) => ({ agent_id: agentId, auto_terminate_enabled: false }),
	agentSwitch: ({ agentId }) => ({ agent_id: agentId, target_mode: 'ondemand' }),
	agentSwitchHistory: ({ agentId }) => ({ agent_id: agentId }),
	bulkExecute: ({ agentId }) => ({ operation: 'enable_agents', agent_ids: [agentId], confirm: true }),
	listJobs: () => ({}),
	runJob: () => ({ name: 'offline' }),
	showRetention: () => ({}),
	runRetention: () => ({ only: 'event' }),
	pauseJob: () => ({ name: 'answers' }),
	resumeJob: () => ({ name: 'answers' }),
	decide: ({ handle }) => ({
		agent_id: handle,
		spot_pools: [{ pool_id: 'c5.large.us-east-1b', instance_type: 'c5.large', az: 'us-east-1b', price: 0.03, is_current: true }],
		ondemand_price: 0.085,
		current_az: 'us-east-1b',
	}),
};

export type CoreOperation = { readonly name: keyof typeof INPUTS; readonly operation: Operation };

/** Every operation the core answers. */
export const coreOperations: readonly CoreOperation[] = (Object.keys(INPUTS) as (keyof typeof INPUTS)[]).map((name) => ({
	name,
	operation: operations[name] as unknown as Operation,
}));

export const namesIn = ({ path }: Operation, ...names: readonly string[]): boolean =>
	pathParameters(path).some((each) => names.includes(each));

/** The request of an operation with an input, path parameters encoded. */
export const requestOf = (operation: Operation, input: Readonly<Record<string, unknown>>): Sent => {
	const inPath = pathParameters(operation.path);
	const path = operation.path.replace(/\{([a-z_]+)\}/g, (_, name: string) => encodeURIComponent(String(input[name])));
	const rest = Object.fromEntries(Object.entries(input).filter(([name]) => !inPath.includes(name)));
	if (operation.method !== 'GET' && operation.method !== 'DELETE') return { method: operation.method, path, body: rest };
	const query = new URLSearchParams(Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]))).toString();
	return { method: operation.method, path: query === '' ? path : `${path}?${query}` };
};

/** The request of an operation about the things of a scene. */
export const callOf = ({ name, operation }: CoreOperation, scene: Scene): Sent =>
	requestOf(operation, INPUTS[name](scene) as unknown as Record<string, unknown>);
