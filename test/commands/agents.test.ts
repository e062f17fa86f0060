import { describe, test } from 'vitest';
import { SpotError } from '../../src/errors.ts';
import { both, cli } from './cli.ts';
import { agent, agentDetail, client, NOW, stored } from './fixtures.ts';

const found = { listClients: () => ({ items: [client()], nextCursor: null }) };
const filters = { status: null, client_id: null };

describe('agents', () => {
	test('list', async ({ expect }) => {
		const agents = [agent(), agent({ id: 'a-2', status: 'offline', instanceId: null, lastHeartbeatAt: null })];
		const script = { listAgents: () => ({ agents, total: 2, filters, count: 2, next_cursor: null }) };
		const { tty, piped } = await both('agents list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   LOGICAL ID  CLIENT  STATUS   INSTANCE  TYPE      AZ          MODE  LAST HEARTBEAT
			a-1  web-1       acme    online   i-0abc    c5.large  us-east-1a  spot  12s ago
			a-2  web-1       acme    offline  -         c5.large  us-east-1a  spot  -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			a-1	web-1	acme	online	i-0abc	c5.large	us-east-1a	spot	2026-11-23T11:59:48.000Z
			a-2	web-1	acme	offline		c5.large	us-east-1a	spot	
			"
		`);
		expect((await cli('agents ls -q', { script })).out).toBe('a-1\na-2\n');
		expect(JSON.parse((await cli('agents list -o json', { script })).out)).toEqual(agents);
		expect((await cli('agents list -o wide', { script, tty: true })).out).toMatchInlineSnapshot(`
			"ID   LOGICAL ID  CLIENT  STATUS   INSTANCE  TYPE      AZ          MODE  LAST HEARTBEAT  POOL                 REGION     HOSTNAME     VERSION  ENABLED  AUTO SWITCH  GENERATION  CREATED  CLIENT ID
			a-1  web-1       acme    online   i-0abc    c5.large  us-east-1a  spot  12s ago         c5.large.us-east-1a  us-east-1  ip-10-0-0-7  4.0.0    yes      yes                   1  2d ago   c-1
			a-2  web-1       acme    offline  -         c5.large  us-east-1a  spot  -               c5.large.us-east-1a  us-east-1  ip-10-0-0-7  4.0.0    yes      yes                   1  2d ago   c-1
			"
		`);
	});

	test('list filters by client, by its name or id, and by state', async ({ expect }) => {
		const script = { ...found, listAgents: () => ({ agents: [], total: 0, filters, count: 0, next_cursor: null }) };
		const { calls, code } = await cli('agents list --client acme --status offline', { script });
		expect([code, calls.at(-1)]).toEqual([0, { name: 'listAgents', input: { limit: 500, client_id: 'c-1', status: 'offline' } }]);
		expect((await cli('agents list --status asleep', { script })).code).toBe(2);
	});

	test('show', async ({ expect }) => {
		const { tty, piped } = await both('agents show a-1', { script: { showAgent: () => agentDetail() } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:              a-1
			Logical id:      web-1
			Client:          acme
			Status:          online
			Instance:        i-0abc
			Type:            c5.large
			AZ:              us-east-1a
			Mode:            spot
			Last heartbeat:  12s ago
			Pool:            c5.large.us-east-1a
			Region:          us-east-1
			Hostname:        ip-10-0-0-7
			Version:         4.0.0
			Enabled:         yes
			Auto switch:     yes
			Generation:      1
			Created:         2d ago
			Client id:       c-1
			Auto terminate:  yes
			Terminate wait:  300 s
			Manual replica:  no
			Min savings:     15 %
			Risk threshold:  0.3
			Max per day:     3
			Max per week:    10
			Min pool hours:  2
			Config version:  3
			Spot price:      $0.0321
			On-demand price: $0.0850
			Last switch:     -
			Logical ids:     web-1, web-one
			Deleted:         -

			Hosts:
			INSTANCE  ROLE     MODE  AZ          REGISTERED  LAST SEEN  ZOMBIE SINCE  HOLD  HANDLE  HELD UNTIL  HELD BECAUSE
			i-0abc    primary  spot  us-east-1a  2h ago      12s ago    -             no    a-1     -           -
			i-0old    zombie   spot  us-east-1b  2h ago      10m ago    8m ago        yes   h-2     in 50m      AWS takes it back and ends it itself
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	a-1
			logical_id	web-1
			client	acme
			status	online
			instance	i-0abc
			type	c5.large
			az	us-east-1a
			mode	spot
			last_heartbeat	2026-11-23T11:59:48.000Z
			pool	c5.large.us-east-1a
			region	us-east-1
			hostname	ip-10-0-0-7
			version	4.0.0
			enabled	true
			auto_switch	true
			generation	1
			created	2026-11-21T12:00:00.000Z
			client_id	c-1
			auto_terminate	true
			terminate_wait	300
			manual_replica	false
			min_savings	15
			risk_threshold	0.3
			max_per_day	3
			max_per_week	10
			min_pool_hours	2
			config_version	3
			spot_price	0.0321
			on-demand_price	0.085
			last_switch	
			logical_ids	web-1,web-one
			deleted	
			hosts	i-0abc	primary	spot	us-east-1a	2026-11-23T10:00:00.000Z	2026-11-23T11:59:48.000Z		false	a-1		
			hosts	i-0old	zombie	spot	us-east-1b	2026-11-23T09:30:00.000Z	2026-11-23T11:50:00.000Z	2026-11-23T11:51:40.000Z	true	h-2	2026-11-23T12:50:00.000Z	AWS takes it back and ends it itself
			"
		`);
		expect(JSON.parse((await cli('agents show a-1 -o json', { script: { showAgent: () => agentDetail() } })).out)).toEqual(agentDetail());
	});

	test('show of one in an emergency names it and the replica, and how to look further', async ({ expect }) => {
		const data = agentDetail({
			openEmergency: {
				id: 'e-1',
				kind: 'termination',
				step: 'sync',
				instanceId: 'i-0abc',
				receivedAt: new Date(NOW - 30_000).toISOString(),
				deadlineAt: new Date(NOW + 89_500).toISOString(),
			},
			liveReplica: {
				id: 'r-1',
				status: 'syncing',
				instanceId: 'i-0new',
				poolId: 'c5.large.us-east-1b',
				createdAt: new Date(NOW - 29_000).toISOString(),
			},
		});
		const { tty, piped } = await both('agents show a-1', { script: { showAgent: () => data } });
		expect(tty.slice(tty.indexOf('\n\n'))).toMatchInlineSnapshot(`
			"

			Emergency:
			ID   KIND         STEP  INSTANCE  RECEIVED  DEADLINE
			e-1  termination  sync  i-0abc    30s ago   in 89s

			Replica:
			ID   STATUS   INSTANCE  POOL                 CREATED
			r-1  syncing  i-0new    c5.large.us-east-1b  29s ago

			Hosts:
			INSTANCE  ROLE     MODE  AZ          REGISTERED  LAST SEEN  ZOMBIE SINCE  HOLD  HANDLE  HELD UNTIL  HELD BECAUSE
			i-0abc    primary  spot  us-east-1a  2h ago      12s ago    -             no    a-1     -           -
			i-0old    zombie   spot  us-east-1b  2h ago      10m ago    8m ago        yes   h-2     in 50m      AWS takes it back and ends it itself
			! see: spotctl emergencies show e-1; spotctl replicas show r-1
			"
		`);
		expect(piped.slice(piped.indexOf('emergency\t'))).toMatchInlineSnapshot(`
			"emergency	e-1	termination	sync	i-0abc	2026-11-23T11:59:30.000Z	2026-11-23T12:01:29.500Z
			replica	r-1	syncing	i-0new	c5.large.us-east-1b	2026-11-23T11:59:31.000Z
			hosts	i-0abc	primary	spot	us-east-1a	2026-11-23T10:00:00.000Z	2026-11-23T11:59:48.000Z		false	a-1		
			hosts	i-0old	zombie	spot	us-east-1b	2026-11-23T09:30:00.000Z	2026-11-23T11:50:00.000Z	2026-11-23T11:51:40.000Z	true	h-2	2026-11-23T12:50:00.000Z	AWS takes it back and ends it itself
			! see: spotctl emergencies show e-1; spotctl replicas show r-1
			"
		`);
		const alone = await cli('agents show a-1', { script: { showAgent: () => ({ ...data, openEmergency: null }) } });
		expect([alone.err, alone.out]).toEqual(['see: spotctl replicas show r-1\n', expect.not.stringContaining('emergency\t')]);
	});

	test('enable and disable', async ({ expect }) => {
		const toggleAgent = ({ enabled }: { enabled?: boolean | null | undefined }) => ({
			success: true,
			enabled: enabled === true,
			config_version: 4,
		});
		const { tty, piped } = await both('agents enable a-1', { script: { toggleAgent } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Enabled:        yes
			Config version: 4
			! agent "a-1" is enabled; it learns of it within a minute
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			enabled	true
			config_version	4
			! agent "a-1" is enabled; it learns of it within a minute
			"
		`);
		const off = await both('agents disable a-1', { script: { toggleAgent } });
		expect(off.tty).toMatchInlineSnapshot(`
			"exit 0
			Enabled:        no
			Config version: 4
			! agent "a-1" is disabled; it learns of it within a minute
			"
		`);
		expect(off.piped).toMatchInlineSnapshot(`
			"exit 0
			enabled	false
			config_version	4
			! agent "a-1" is disabled; it learns of it within a minute
			"
		`);
		expect((await cli('agents disable a-1 -q', { script: { toggleAgent } })).calls).toEqual([
			{ name: 'toggleAgent', input: { agent_id: 'a-1', enabled: false } },
		]);
	});

	test('set', async ({ expect }) => {
		const script = { changeConfig: () => stored() };
		const { tty, piped } = await both('agents set a-1 --manual-replica on', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Changed:        auto_switch_enabled, manual_replica_enabled
			Enabled:        yes
			Auto switch:    no
			Manual replica: yes
			Auto terminate: yes
			Terminate wait: 300 s
			Config version: 4
			! auto switch was turned off: manual replica is on
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			changed	auto_switch_enabled,manual_replica_enabled
			enabled	true
			auto_switch	false
			manual_replica	true
			auto_terminate	true
			terminate_wait	300
			config_version	4
			! auto switch was turned off: manual replica is on
			"
		`);
		const line =
			'agents set a-1 --auto-switch on --auto-terminate off --terminate-wait 5m --min-savings 15 --risk 0.3 --max-per-day 3 --max-per-week 10 --min-pool-hours 1.5';
		expect((await cli(line, { script })).calls[0]?.input).toEqual({
			agent_id: 'a-1',
			auto_switch_enabled: true,
			auto_terminate_enabled: false,
			terminate_wait_seconds: 300,
			min_savings_percent: 15,
			risk_threshold: 0.3,
			max_switches_per_day: 3,
			max_switches_per_week: 10,
			min_pool_duration_hours: 1.5,
		});
	});

	test('set --dry-run changes nothing and says what would change', async ({ expect }) => {
		const { calls, err } = await cli('agents set a-1 --manual-replica on --dry-run', { script: { changeConfig: () => stored() } });
		expect(calls[0]?.input).toEqual({ agent_id: 'a-1', manual_replica_enabled: true, dry_run: true });
		expect(err).toContain('dry run: auto_switch_enabled, manual_replica_enabled would change\n');
	});

	test.for([
		'agents set a-1',
		'agents set a-1 --dry-run',
		'agents set a-1 --auto-switch yes',
		'agents set a-1 --auto-switch on --manual-replica on',
		'agents set a-1 --terminate-wait 0',
		'agents set a-1 --terminate-wait 2d',
		'agents set a-1 --min-savings 101',
		'agents set a-1 --min-savings NaN',
		'agents set a-1 --risk -1',
		'agents set a-1 --risk 1e308',
		'agents set a-1 --max-per-day 1.5',
	])('%s is refused before anything is asked', async (line, { expect }) => {
		const { code, calls, err } = await cli(line, { script: { changeConfig: () => stored() } });
		expect([code, calls]).toEqual([2, []]);
		expect(err).toMatch(/^spotctl: .+\n {2}.+\n$/s);
	});

	test('delete', async ({ expect }) => {
		const script = { deleteAgent: () => ({ success: true, message: 'agent deleted', agent_id: 'a-1' }) };
		const { tty, piped } = await both('agents delete a-1', { script, input: 'y\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			! This deletes agent "a-1" until it is restored, and ends its replicas.
			! Go on? [y/N] agent deleted; undo: spotctl agents restore a-1
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this deletes agent "a-1" until it is restored, and ends its replicas; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		const agreed = await cli('agents delete a-1 --yes -q', { script });
		expect([agreed.code, agreed.out, agreed.calls]).toEqual([0, 'a-1\n', [{ name: 'deleteAgent', input: { agent_id: 'a-1' } }]]);
		expect((await cli('agents delete a-1', { script, tty: true, input: 'n\n' })).calls).toEqual([]);
	});

	test('delete by a handle that is not the public id shows the conflict', async ({ expect }) => {
		const deleteAgent = () => {
			throw new SpotError('conflict', 'NOT_PUBLIC_ID', '"h-2" is a host of agent "a-1"', { hint: 'spotctl agents delete a-1' });
		};
		const { code, err } = await cli('agents delete h-2 --yes', { script: { deleteAgent } });
		expect([code, err]).toEqual([6, 'spotctl: "h-2" is a host of agent "a-1"\n  spotctl agents delete a-1\n']);
	});

	test('restore', async ({ expect }) => {
		const script = {
			restoreAgent: () => ({
				success: true,
				message: 'agent restored',
				agent_id: 'a-1',
				enabled: false,
				auto_switch_enabled: true,
				manual_replica_enabled: false,
			}),
		};
		const { tty, piped } = await both('agents restore a-1', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:             a-1
			Enabled:        no
			Auto switch:    yes
			Manual replica: no
			! agent restored; let it act: spotctl agents enable a-1
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	a-1
			enabled	false
			auto_switch	true
			manual_replica	false
			! agent restored; let it act: spotctl agents enable a-1
			"
		`);
	});

	const simulated = {
		success: true,
		action: 'replica_promoted',
		message: 'i-0new is the primary now',
		replica_id: 'r-1',
		new_instance_id: 'i-0new',
		emergency_id: 'e-1',
	};

	test('simulate-notice', async ({ expect }) => {
		const script = { simulateNotice: () => simulated };
		const { tty, piped } = await both('agents simulate-notice a-1 --kind termination', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Action:       replica_promoted
			Message:      i-0new is the primary now
			Replica:      r-1
			New instance: i-0new
			Emergency:    e-1
			! see: spotctl emergencies show e-1
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			action	replica_promoted
			message	i-0new is the primary now
			replica	r-1
			new_instance	i-0new
			emergency	e-1
			! see: spotctl emergencies show e-1
			"
		`);
		const quiet = await cli('agents simulate-notice a-1 --kind rebalance -q', { script });
		expect([quiet.out, quiet.err, quiet.calls]).toEqual([
			'e-1\n',
			'',
			[{ name: 'simulateNotice', input: { agent_id: 'a-1', kind: 'rebalance' } }],
		]);
		expect(JSON.parse((await cli('agents simulate-notice a-1 --kind rebalance -o json', { script })).out)).toEqual(simulated);
	});

	test('simulate-notice that began no emergency points to none', async ({ expect }) => {
		const none = { ...simulated, action: 'monitor', message: 'nothing to do', replica_id: null, new_instance_id: null, emergency_id: null };
		const { tty, piped } = await both('agents simulate-notice a-1 --kind rebalance', { script: { simulateNotice: () => none } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Action:       monitor
			Message:      nothing to do
			Replica:      -
			New instance: -
			Emergency:    -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			action	monitor
			message	nothing to do
			replica	
			new_instance	
			emergency	
			"
		`);
		expect((await cli('agents simulate-notice a-1 --kind rebalance -q', { script: { simulateNotice: () => none } })).out).toBe('a-1\n');
	});

	test.for([
		'agents simulate-notice a-1',
		'agents simulate-notice a-1 --kind flood',
		'agents simulate-notice a-1 --kind',
		'agents simulate-notice --kind rebalance',
	])('%s is refused before anything is asked', async (line, { expect }) => {
		const { code, calls, err } = await cli(line, { script: { simulateNotice: () => simulated } });
		expect([code, calls]).toEqual([2, []]);
		expect(err).toMatch(/^spotctl: .+\n {2}see: spotctl agents simulate-notice --help\n$/);
	});

	test.for([
		['forbidden', 'NOT_A_TEST_CLIENT', 4, 'client "acme" is not a test client', 'spotctl clients set acme --test'],
		['missing', 'NOT_FOUND', 5, 'no agent "a-1"', 'see: spotctl agents list'],
		['conflict', 'NO_PRIMARY', 6, 'agent "a-1" has no primary', 'see: spotctl agents show a-1'],
	] as const)('simulate-notice shows a refusal of kind %s (%s) and what to do', async ([kind, word, exit, message, hint], { expect }) => {
		const simulateNotice = () => {
			throw new SpotError(kind, word, message, { hint });
		};
		const { code, out, err } = await cli('agents simulate-notice a-1 --kind termination', { script: { simulateNotice } });
		expect([code, out, err]).toEqual([exit, '', `spotctl: ${message}\n  ${hint}\n`]);
	});

	test.for(['a/b', '../..', '"; drop table agent; --', 'NUL\0', '🙂👨‍👩‍👧', '-1', ' '])(
		'simulate-notice takes %j as an id like any other',
		async (id, { expect }) => {
			const line = ['agents', 'simulate-notice', '--kind', 'rebalance', '--', id];
			const { code, calls } = await cli(line, { script: { simulateNotice: () => simulated } });
			expect([code, calls]).toEqual([0, [{ name: 'simulateNotice', input: { agent_id: id, kind: 'rebalance' } }]]);
		},
	);
});
