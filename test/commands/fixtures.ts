import type { Api } from '../../src/contract/index.ts';

type Answer<N extends keyof Api> = Awaited<ReturnType<Api[N]>>;

export const NOW = Date.UTC(2026, 10, 23, 12);
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

export const client = (over: Partial<Answer<'listClients'>['items'][number]> = {}): Answer<'listClients'>['items'][number] => ({
	id: 'c-1',
	name: 'acme',
	email: null,
	status: 'active',
	agentsOnline: 2,
	agentsTotal: 3,
	instances: 4,
	totalSavings: 0,
	savingsMeasured: false,
	savingsShares: { measured: 0, estimated: 0, unknown: 0, seconds: 0 },
	lastSync: ago(90),
	createdAt: ago(3 * 86_400),
	maxAgents: null,
	maxInstances: 50,
	testClient: false,
	...over,
});

export const clientDetail = (): Answer<'showClient'> => ({
	...client(),
	clientStatus: 'active',
	agents: { online: 2, offline: 1, total: 3 },
	instanceCounts: { active: 4, zombie: 1, terminated: 7 },
	configuration: { defaultAutoTerminate: true, defaultTerminateWaitSeconds: 300, defaultAutoSwitchEnabled: true },
});

export const token = (over: Partial<Answer<'listTokens'>['items'][number]> = {}): Answer<'listTokens'>['items'][number] => ({
	id: 't-1',
	name: 'first',
	prefix: 'sct_abcd',
	state: 'active',
	created_at: ago(7200),
	created_by: 'admin:local',
	last_used_at: null,
	expires_at: null,
	revoked_at: null,
	...over,
});

export const agent = (over: Partial<Answer<'listAgents'>['agents'][number]> = {}): Answer<'listAgents'>['agents'][number] => ({
	id: 'a-1',
	logicalAgentId: 'web-1',
	hostname: 'ip-10-0-0-7',
	clientId: 'c-1',
	clientName: 'acme',
	instanceId: 'i-0abc',
	instanceType: 'c5.large',
	region: 'us-east-1',
	az: 'us-east-1a',
	currentMode: 'spot',
	currentPoolId: 'c5.large.us-east-1a',
	status: 'online',
	version: '4.0.0',
	enabled: true,
	autoSwitchEnabled: true,
	generation: 1,
	lastHeartbeatAt: ago(12),
	createdAt: ago(86_400 * 2),
	...over,
});

const FREE = { hold: false, holdUntil: null, holdReason: null };

export const agentDetail = (over: Partial<Answer<'showAgent'>> = {}): Answer<'showAgent'> => ({
	...agent(),
	configVersion: 3,
	autoTerminateEnabled: true,
	terminateWaitSeconds: 300,
	manualReplicaEnabled: false,
	minSavingsPercent: 15,
	riskThreshold: 0.3,
	maxSwitchesPerDay: 3,
	maxSwitchesPerWeek: 10,
	minPoolDurationHours: 2,
	logicalIds: ['web-1', 'web-one'],
	spotPrice: 0.0321,
	ondemandPrice: 0.085,
	lastSwitchAt: null,
	deletedAt: null,
	hosts: [
		{
			handle: 'a-1',
			instanceId: 'i-0abc',
			role: 'primary',
			mode: 'spot',
			az: 'us-east-1a',
			registeredAt: ago(7200),
			lastSeenAt: ago(12),
			zombieAt: null,
			...FREE,
		},
		{
			handle: 'h-2',
			instanceId: 'i-0old',
			role: 'zombie',
			mode: 'spot',
			az: 'us-east-1b',
			registeredAt: ago(9000),
			lastSeenAt: ago(600),
			zombieAt: ago(500),
			hold: true,
			holdUntil: new Date(NOW + 3_000_000).toISOString(),
			holdReason: 'AWS takes it back and ends it itself',
		},
	],
	openEmergency: null,
	liveReplica: null,
	...over,
});

export const stored = (over: Partial<Answer<'changeConfig'>> = {}): Answer<'changeConfig'> => ({
	success: true,
	enabled: true,
	auto_switch_enabled: false,
	manual_replica_enabled: true,
	auto_terminate_enabled: true,
	terminate_wait_seconds: 300,
	config_version: 4,
	changed: ['auto_switch_enabled', 'manual_replica_enabled'],
	notes: ['auto switch was turned off: manual replica is on'],
	...over,
});

export const instance = (
	over: Partial<Answer<'listInstances'>['instances'][number]> = {},
): Answer<'listInstances'>['instances'][number] => ({
	id: 'i-0abc',
	instanceId: 'i-0abc',
	clientId: 'c-1',
	clientName: 'acme',
	agentId: 'a-1',
	logicalAgentId: 'web-1',
	agentStatus: 'online',
	region: 'us-east-1',
	az: 'us-east-1a',
	instanceType: 'c5.large',
	currentMode: 'spot',
	currentPoolId: 'c5.large.us-east-1a',
	spotPrice: 0.0321,
	ondemandPrice: null,
	isActive: true,
	instanceStatus: 'running_primary',
	role: 'primary',
	installedAt: ago(7200),
	createdAt: ago(7200),
	...over,
});

export const instanceDetail = (over: Partial<Answer<'showInstance'>> = {}): Answer<'showInstance'> => ({
	...instance(),
	hostname: 'ip-10-0-0-7',
	amiId: 'ami-1',
	privateIp: '10.0.0.7',
	publicIp: null,
	lastSeenAt: ago(12),
	lastSwitchAt: null,
	zombieAt: null,
	terminatedAt: null,
	...FREE,
	...over,
});

export const options = (): Answer<'instanceOptions'> => {
	const pools = [
		{ id: 'c5.large.us-east-1b', az: 'us-east-1b', instanceType: 'c5.large', price: 0.03, observedAt: ago(60), current: false },
		{ id: 'c5.large.us-east-1a', az: 'us-east-1a', instanceType: 'c5.large', price: null, observedAt: null, current: true },
	];
	return {
		currentType: 'c5.large',
		currentRegion: 'us-east-1',
		currentAz: 'us-east-1a',
		currentPoolId: 'c5.large.us-east-1a',
		availablePools: pools,
		availableTypes: ['c5.large'],
		pools: pools.map(({ id, az, instanceType, price }) => ({ id, az, instanceType, price })),
		instanceTypes: ['c5.large'],
	};
};

export const plan = (over: Partial<Answer<'forceSwitch'>> = {}): Answer<'forceSwitch'> => ({
	success: true,
	command_id: 'k-1',
	message: 'the switch is queued',
	dry_run: false,
	warnings: [],
	from: { instance_id: 'i-0abc', mode: 'spot', pool_id: 'c5.large.us-east-1a', price: 0.0321 },
	to: { mode: 'spot', pool_id: 'c5.large.us-east-1b', price: 0.03, price_observed_at: ago(60), price_age_seconds: 60 },
	saving_per_hour: 0.0021,
	terminate_wait_seconds: 300,
	expires_at: new Date(NOW + 1_800_000).toISOString(),
	...over,
});

export const command = (over: Partial<Answer<'showCommand'>> = {}): Answer<'showCommand'> => ({
	id: 'k-1',
	client_id: 'c-1',
	agent_id: 'a-1',
	command_type: 'switch',
	status: 'pending',
	outcome: null,
	message: null,
	instance_id: 'i-0abc',
	target_mode: 'spot',
	target_pool_id: 'c5.large.us-east-1b',
	new_instance_id: null,
	priority: 75,
	terminate_wait_seconds: 300,
	trigger: 'manual',
	created_by: 'admin:local',
	reason: null,
	created_at: ago(5),
	expires_at: new Date(NOW + 1_800_000).toISOString(),
	claimed_at: null,
	lease_until: null,
	launched_at: null,
	reported_at: null,
	acknowledged_at: null,
	completed_at: null,
	...over,
});

export const healthy = (over: Partial<Answer<'health'>> = {}): Answer<'health'> => ({
	status: 'healthy',
	timestamp: new Date(NOW).toISOString(),
	version: '0.1.0',
	uptime_seconds: 61,
	database: 'connected',
	decision_engine_loaded: false,
	...over,
});
