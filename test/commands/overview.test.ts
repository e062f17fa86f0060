import { describe, expect, test } from 'vitest';
import type { Api } from '../../src/contract/index.ts';
import { both, cli } from './cli.ts';
import { client, NOW } from './fixtures.ts';

type Answer<N extends keyof Api> = Awaited<ReturnType<Api[N]>>;

const stats = (over: Partial<Answer<'adminStats'>> = {}): Answer<'adminStats'> => ({
	totalAccounts: 3,
	activeAccounts: 2,
	agentsOnline: 9,
	agentsOffline: 1,
	agentsTotal: 12,
	poolsCovered: 40,
	totalSavings: 12.5,
	savingsShares: { measured: 96, estimated: 3.5, unknown: 0.5, seconds: 90 },
	totalSwitches: 70,
	manualSwitches: 20,
	modelSwitches: 0,
	automaticSwitches: 45,
	emergencySwitches: 5,
	backendHealth: 'Decision Engine Not Loaded',
	decisionEngineLoaded: false,
	mlModelsLoaded: false,
	total_clients: 3,
	total_agents: 12,
	agents_online: 9,
	agents_offline: 1,
	total_savings: 12.5,
	total_switches: 70,
	manual_switches: 20,
	automatic_switches: 45,
	emergency_switches: 5,
	backend_health: 'Decision Engine Not Loaded',
	decision_engine_loaded: false,
	ml_model_active: false,
	...over,
});

describe('stats', () => {
	test('at a terminal and piped', async ({ expect }) => {
		const { tty, piped } = await both('stats', { script: { adminStats: () => stats() } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Clients:         3
			Active clients:  2
			Agents:          12
			Online:          9
			Offline:         1
			Pools:           40
			Switches:        70
			By hand:         20
			Automatic:       45
			In emergencies:  5
			Savings:         $12.5000
			Of the time:     96 % measured, 3.5 % estimated, 0.5 % without a price
			Decision engine: not loaded
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			clients	3
			active_clients	2
			agents	12
			online	9
			offline	1
			pools	40
			switches	70
			by_hand	20
			automatic	45
			in_emergencies	5
			savings	12.5
			of_the_time	96 % measured, 3.5 % estimated, 0.5 % without a price
			decision_engine	not loaded
			"
		`);
	});

	test('without anything booked, and as JSON', async ({ expect }) => {
		const nothing = stats({ totalSavings: 0, savingsShares: { measured: 0, estimated: 0, unknown: 0, seconds: 0 } });
		expect((await cli('stats', { script: { adminStats: () => nothing }, tty: true })).out).toMatch(/Of the time: +-\n/);
		expect(JSON.parse((await cli('stats -o json', { script: { adminStats: () => nothing } })).out)).toEqual(nothing);
	});
});

describe('clients growth', () => {
	const day = { total: 2, new: 1, active: 2, count: 2, activeKnown: true };
	const items = [
		{ ...day, date: '2026-11-21', active: 0, activeKnown: false, source: 'derived' as const },
		{ ...day, date: '2026-11-22', source: 'snapshot' as const },
		{ ...day, date: '2026-11-23', source: 'now' as const },
	];

	test('at a terminal and piped', async ({ expect }) => {
		const { tty, piped } = await both('clients growth', { script: { clientsGrowth: () => ({ items, nextCursor: null }) } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			DATE        CLIENTS  NEW  ACTIVE  SOURCE
			2026-11-21        2    1       -  derived
			2026-11-22        2    1       2  snapshot
			2026-11-23        2    1       2  now
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			2026-11-21	2	1		derived
			2026-11-22	2	1	2	snapshot
			2026-11-23	2	1	2	now
			"
		`);
	});

	test('asks for the days it is told, and for no nonsense', async ({ expect }) => {
		const asked: unknown[] = [];
		const script = {
			clientsGrowth: (input: unknown) => {
				asked.push(input);
				return { items, nextCursor: null };
			},
		};
		expect((await cli('clients growth --days 3 -o json', { script })).code).toBe(0);
		expect(asked).toEqual([{ days: 3 }]);
		expect((await cli('clients growth --days 0', { script })).code).toBe(2);
	});
});

describe('search', () => {
	const hit = { id: 'i-1', name: 'i-1', status: 'running_primary', client: 'acme' };
	const results = {
		clients: [{ id: 'c-1', name: 'acme', status: 'active', client: 'acme', email: null, matchField: 'name' }],
		instances: [{ ...hit, clientId: 'c-1', clientName: 'acme', agentId: 'a-1', instanceType: 'c5.large', region: null, az: null }],
		agents: [],
	};
	const answer: Answer<'search'> = { query: 'ac', results, total_results: 2, ...results, substring_rows: 2000 };

	test.each(['', 'a', ' a '])('is not begun for %j, which finds nothing whatever there is', async (text) => {
		const { code, err, calls } = await cli(['search', text], { script: { search: () => answer } });
		expect([code, err, calls]).toEqual([2, expect.stringContaining('at least two characters'), []]);
	});

	test('at a terminal and piped', async ({ expect }) => {
		const { tty, piped } = await both('search ac', { script: { search: () => answer } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			KIND      ID   NAME  STATUS           CLIENT
			client    c-1  acme  active           acme
			instance  i-1  i-1   running_primary  acme
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			client	c-1	acme	active	acme
			instance	i-1	i-1	running_primary	acme
			"
		`);
	});

	test('as ids, and as JSON exactly the answer', async ({ expect }) => {
		expect((await cli('search ac -q', { script: { search: () => answer } })).out).toBe('c-1\ni-1\n');
		expect(JSON.parse((await cli('search ac -o json', { script: { search: () => answer } })).out)).toEqual(answer);
		expect((await cli('search', { script: {} })).code).toBe(2);
	});
});

describe('history agents', () => {
	const row: Answer<'listAgentHistory'>['items'][number] = {
		id: 'a-1',
		logicalAgentId: 'web-1',
		instanceId: null,
		instanceType: null,
		region: null,
		az: null,
		currentMode: null,
		status: 'deleted',
		enabled: false,
		autoSwitchEnabled: false,
		manualReplicaEnabled: false,
		createdAt: new Date(NOW - 90_000).toISOString(),
		updatedAt: new Date(NOW - 60_000).toISOString(),
		lastHeartbeat: null,
		installedAt: new Date(NOW - 90_000).toISOString(),
		terminatedAt: new Date(NOW - 60_000).toISOString(),
	};
	const script = {
		listClients: () => ({ items: [client()], nextCursor: null }),
		listAgentHistory: () => ({ items: [row], nextCursor: null }),
	};

	test('at a terminal and piped', async ({ expect }) => {
		const { tty, piped } = await both('history agents --client acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   LOGICAL ID  STATUS   INSTANCE  TYPE  AZ  MODE  INSTALLED  LAST HEARTBEAT  ENDED
			a-1  web-1       deleted  -         -     -   -     1m ago     -               1m ago
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			a-1	web-1	deleted					2026-11-23T11:58:30.000Z		2026-11-23T11:59:00.000Z
			"
		`);
	});

	test('needs a client that exists', async ({ expect }) => {
		expect((await cli('history agents', { script })).code).toBe(2);
		expect((await cli('history agents --client nobody', { script })).code).toBe(5);
	});
});
