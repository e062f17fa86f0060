import { describe, test } from 'vitest';
import { both, cli } from './cli.ts';
import { client, NOW } from './fixtures.ts';

const at = (hours: number) => new Date(NOW - hours * 3_600_000).toISOString();
const found = { listClients: () => ({ items: [client()], nextCursor: null }) };

const record = {
	id: 's-1',
	agentId: 'a-1',
	commandId: 'cmd-1',
	oldInstanceId: 'i-0old',
	newInstanceId: 'i-0new',
	instanceId: 'i-0new',
	timestamp: at(2),
	fromMode: 'spot',
	toMode: 'ondemand',
	fromPool: 'c5.large.us-east-1a',
	toPool: 'n/a',
	trigger: 'manual',
	price: 0,
	savingsImpact: 0,
	pricesKnown: false,
	success: true,
	evidence: 'report',
	durationSeconds: null,
	downtimeSeconds: 12,
};

describe('history', () => {
	test('switches', async ({ expect }) => {
		const script = { ...found, switchHistory: () => ({ items: [record], nextCursor: null }) };
		const { tty, piped } = await both('history switches --client acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			TIME    FROM    TO      FROM POOL            TO POOL    TRIGGER  PRICE  SAVED PER HOUR  SUCCESS
			2h ago  i-0old  i-0new  c5.large.us-east-1a  on-demand  manual   -      -               yes
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			2026-11-23T10:00:00.000Z	i-0old	i-0new	c5.large.us-east-1a	on-demand	manual			true
			"
		`);
		const { calls } = await cli('history switches --client acme --instance i-0new --limit 3', { script });
		expect(calls.at(-1)?.input).toEqual({ limit: 3, client_id: 'c-1', instance_id: 'i-0new' });
	});

	test('switches of no client is a usage error', async ({ expect }) => {
		expect((await cli('history switches', { script: {} })).code).toBe(2);
	});
});

describe('instances', () => {
	test('prices', async ({ expect }) => {
		const key = 'pool_c5.large.us-east-1a';
		const row = { time: '2026-11-23 11:00', onDemand: 0, onDemandKnown: false, synthetic: [key], [key]: 0.0321 };
		const script = {
			instancePriceHistory: () => ({
				data: [row],
				series: [row],
				pools: [
					{ id: 'c5.large.us-east-1a', name: 'c5.large.us-east-1a', az: 'us-east-1a', key },
					{ id: 'c5.large.us-east-1b', name: 'c5.large.us-east-1b', az: 'us-east-1b', key: 'pool_c5.large.us-east-1b' },
				],
				onDemandPrice: 0.085,
				onDemandKnown: true,
				interval: 'hour' as const,
				from: at(24),
				poolsLeftOut: 0,
			}),
		};
		const { tty, piped } = await both('instances prices i-0abc --hours 24', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			TIME              ON-DEMAND  US-EAST-1A  US-EAST-1B
			2026-11-23 11:00  -             $0.0321  -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			2026-11-23 11:00		0.0321	
			"
		`);
		const { calls } = await cli('instances prices i-0abc --days 30 --interval day', { script });
		expect(calls.at(-1)?.input).toEqual({ instance_id: 'i-0abc', days: 30, interval: 'day' });
		expect((await cli('instances prices i-0abc --days 3 --hours 3', { script })).code).toBe(2);
	});

	test('metrics', async ({ expect }) => {
		const none = { measured: 0, estimated: 0, unknown: 0 };
		const script = {
			instanceMetrics: () => ({
				id: 'i-0abc',
				instanceType: 'c5.large',
				currentMode: 'spot',
				currentPoolId: 'c5.large.us-east-1a',
				spotPrice: 0.0321,
				onDemandPrice: 0,
				baselineOnDemandPrice: 0,
				pricesKnown: { spot: true, onDemand: false },
				uptimeHours: 48,
				hoursSinceLastSwitch: 2,
				lastSwitch: at(2),
				totalSwitches: 1,
				switchesLast7Days: 1,
				switchesLast30Days: 1,
				savingsLast30Days: 0,
				totalSavings: 1.25,
				savingsCountFrom: null,
				savingsShares: { last30Days: none, total: { measured: 96, estimated: 4, unknown: 0 } },
			}),
		};
		const { tty, piped } = await both('instances metrics i-0abc', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:                  i-0abc
			Type:                c5.large
			Mode:                spot
			Pool:                c5.large.us-east-1a
			Spot:                $0.0321
			On-demand:           -
			Uptime hours:        48
			Last switch:         2h ago
			Switches:            1
			Switches 7d:         1
			Switches 30d:        1
			Savings:             $1.2500
			Savings rest on:     96 % measured, 4 % estimated, 0 % unknown
			Savings 30d:         $0.0000
			Savings 30d rest on: nothing booked yet
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	i-0abc
			type	c5.large
			mode	spot
			pool	c5.large.us-east-1a
			spot	0.0321
			on-demand	
			uptime_hours	48
			last_switch	2026-11-23T10:00:00.000Z
			switches	1
			switches_7d	1
			switches_30d	1
			savings	1.25
			savings_rest_on	96 % measured, 4 % estimated, 0 % unknown
			savings_30d	0
			savings_30d_rest_on	nothing booked yet
			"
		`);
	});
});
