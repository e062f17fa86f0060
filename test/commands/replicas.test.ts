import { describe, test } from 'vitest';
import type { Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { both, cli } from './cli.ts';
import { client, NOW } from './fixtures.ts';

const found = { listClients: () => ({ items: [client()], nextCursor: null }) };
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

const replica = (over: Partial<Output<'showReplica'>> = {}): Output<'showReplica'> => ({
	id: 'r-1',
	client_id: 'c-1',
	agent_id: 'a-1',
	logical_agent_id: 'web-1',
	instance_id: 'i-0new',
	type: 'manual',
	status: 'ready',
	mode: 'spot',
	pool_id: 'c5.large.us-east-1b',
	instance_type: 'c5.large',
	region: 'us-east-1',
	az: 'us-east-1b',
	sync_status: 'synced',
	state_transfer_progress: 100,
	hourly_cost: 0.03,
	cost_estimated: true,
	total_cost: 0.015,
	created_by: 'admin:local',
	reason: null,
	emergency_id: null,
	error_message: null,
	created_at: ago(1800),
	served_at: ago(1790),
	launched_at: ago(1700),
	ready_at: ago(1600),
	promoted_at: null,
	ended_at: null,
	confirmed_at: null,
	...over,
});

const launching = (): Output<'showReplica'> =>
	replica({
		id: 'r-2',
		instance_id: null,
		type: 'automatic-termination',
		status: 'launching',
		sync_status: 'initializing',
		state_transfer_progress: 0,
		hourly_cost: null,
		total_cost: null,
		emergency_id: 'e-1',
		created_at: ago(5),
		launched_at: null,
		ready_at: null,
	});

const missing = ({ replica_id }: { replica_id: string }): never => {
	throw new SpotError('missing', 'NOT_FOUND', `no replica "${replica_id}"`, { hint: 'see: spotctl replicas list' });
};

const HOSTILE = ['a/b', '../..', '"; drop table replica; --', 'NUL\0', '🙂👨‍👩‍👧', '\x1b]0;owned\x07', '-1', ' ', '$(reboot)'];

describe('replicas', () => {
	test('list', async ({ expect }) => {
		const items = [launching(), replica()];
		const script = { listReplicas: () => ({ items, nextCursor: null }) };
		const { tty, piped } = await both('replicas list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   AGENT  TYPE                   STATUS     INSTANCE  POOL                 SYNCED   HOURLY  CREATED  ERROR
			r-2  web-1  automatic-termination  launching  -         c5.large.us-east-1b     0 %        -  5s ago   -
			r-1  web-1  manual                 ready      i-0new    c5.large.us-east-1b   100 %  $0.0300  30m ago  -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			r-2	web-1	automatic-termination	launching		c5.large.us-east-1b	0		2026-11-23T11:59:55.000Z	
			r-1	web-1	manual	ready	i-0new	c5.large.us-east-1b	100	0.03	2026-11-23T11:30:00.000Z	
			"
		`);
		expect((await cli('replicas ls -q', { script })).out).toBe('r-2\nr-1\n');
		expect(JSON.parse((await cli('replicas list -o json', { script, tty: true })).out)).toEqual(items);
		expect((await cli('replicas list -o csv', { script })).out.split('\r\n')[0]).toMatchInlineSnapshot(
			`"id,agent,type,status,instance,pool,synced,hourly,created,error,mode,instance_type,region,az,sync_status,estimated_cost,created_by,reason,emergency,served,launched,ready,promoted,ended,end_confirmed,agent_id,client_id"`,
		);
	});

	test('list of nothing is a success', async ({ expect }) => {
		const script = { listReplicas: () => ({ items: [], nextCursor: null }) };
		expect(await both('replicas list', { script })).toEqual({ tty: 'exit 0\n! no replicas\n', piped: 'exit 0\n' });
	});

	test('list passes every filter on, and refuses a state that is none', async ({ expect }) => {
		const script = { ...found, listReplicas: () => ({ items: [], nextCursor: null }) };
		const { calls } = await cli('replicas list --client acme --agent a-1 --status live --limit 3', { script });
		expect(calls.at(-1)).toEqual({ name: 'listReplicas', input: { limit: 3, client_id: 'c-1', agent_id: 'a-1', status: 'live' } });
		expect((await cli('replicas list --status asleep', { script })).code).toBe(2);
		expect((await cli('replicas list --client nobody', { script })).code).toBe(5);
	});

	test('list follows its pages', async ({ expect }) => {
		const listReplicas = ({ cursor }: { cursor?: string | undefined }) =>
			cursor === undefined ? { items: [launching()], nextCursor: 'next' } : { items: [replica()], nextCursor: null };
		const { out, calls } = await cli('replicas list --all -q', { script: { listReplicas } });
		expect([out, calls.map(({ input }) => input)]).toEqual(['r-2\nr-1\n', [{ limit: 500 }, { limit: 500, cursor: 'next' }]]);
	});

	test('show', async ({ expect }) => {
		const script = { showReplica: () => replica({ status: 'failed', error_message: `InsufficientInstanceCapacity ${'x'.repeat(90)}` }) };
		const { tty, piped } = await both('replicas show r-1', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:             r-1
			Agent:          web-1
			Type:           manual
			Status:         failed
			Instance:       i-0new
			Pool:           c5.large.us-east-1b
			Synced:         100 %
			Hourly:         $0.0300
			Created:        30m ago
			Error:          InsufficientInstanceCapacity xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
			Mode:           spot
			Instance type:  c5.large
			Region:         us-east-1
			AZ:             us-east-1b
			Sync status:    synced
			Estimated cost: $0.0150
			Created by:     admin:local
			Reason:         -
			Emergency:      -
			Served:         29m ago
			Launched:       28m ago
			Ready:          26m ago
			Promoted:       -
			Ended:          -
			End confirmed:  -
			Agent id:       a-1
			Client id:      c-1
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	r-1
			agent	web-1
			type	manual
			status	failed
			instance	i-0new
			pool	c5.large.us-east-1b
			synced	100
			hourly	0.03
			created	2026-11-23T11:30:00.000Z
			error	InsufficientInstanceCapacity xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
			mode	spot
			instance_type	c5.large
			region	us-east-1
			az	us-east-1b
			sync_status	synced
			estimated_cost	0.015
			created_by	admin:local
			reason	
			emergency	
			served	2026-11-23T11:30:10.000Z
			launched	2026-11-23T11:31:40.000Z
			ready	2026-11-23T11:33:20.000Z
			promoted	
			ended	
			end_confirmed	
			agent_id	a-1
			client_id	c-1
			"
		`);
		expect(JSON.parse((await cli('replicas show r-1 -o json', { script: { showReplica: () => replica() } })).out)).toEqual(replica());
	});

	test.for(HOSTILE)('show, promote and delete of %j, which is none, exit 5', async (id, { expect }) => {
		for (const verb of [['show'], ['promote', '--yes'], ['delete', '--yes']]) {
			const { code, out, err, calls } = await cli(['replicas', ...verb, '--', id], { script: { showReplica: missing } });
			expect([code, out, calls]).toEqual([5, '', [{ name: 'showReplica', input: { replica_id: id } }]]);
			expect(err).toMatch(/^spotctl: no replica "[^\p{Cc}]+\n {2}see: spotctl replicas list\n$/u);
		}
	});
});

describe('replicas create', () => {
	const created = (over: Partial<Output<'createReplica'>> = {}): Output<'createReplica'> => ({
		success: true,
		replica_id: 'r-2',
		instance_id: 'replica-1a2b3c4d',
		pool: { id: 'c5.large.us-east-1b', name: 'c5.large in us-east-1b', instance_type: 'c5.large', region: 'us-east-1', az: 'us-east-1b' },
		hourly_cost: 0.03,
		status: 'launching',
		message: 'the replica is ordered',
		...over,
	});

	test('says what was ordered', async ({ expect }) => {
		const script = { createReplica: () => created() };
		const { tty, piped } = await both('replicas create a-1', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:     r-2
			Status: launching
			Pool:   c5.large.us-east-1b
			AZ:     us-east-1b
			Hourly: $0.0300
			! the replica is ordered; see: spotctl replicas show r-2
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	r-2
			status	launching
			pool	c5.large.us-east-1b
			az	us-east-1b
			hourly	0.03
			! the replica is ordered; see: spotctl replicas show r-2
			"
		`);
		const quiet = await cli('replicas create a-1 -q', { script });
		expect([quiet.out, quiet.err, quiet.calls]).toEqual(['r-2\n', '', [{ name: 'createReplica', input: { agent_id: 'a-1' } }]]);
		expect(JSON.parse((await cli('replicas create a-1 -o json', { script })).out)).toEqual(created());
	});

	test('in a pool nothing is known of', async ({ expect }) => {
		const { tty, piped } = await both('replicas create a-1', {
			script: { createReplica: () => created({ pool: null, hourly_cost: null }) },
		});
		expect(tty).toContain('\nPool:   -\nAZ:     -\nHourly: -\n');
		expect(piped).toContain('\npool\t\naz\t\nhourly\t\n');
	});

	test('passes its wishes on', async ({ expect }) => {
		const script = { createReplica: () => created() };
		const input = { agent_id: 'a-1', pool_id: 'p-1', exclude_zones: ['us-east-1a', 'us-east-1c'], max_hourly_cost: 0.05 };
		for (const zones of ['--exclude-zone us-east-1a us-east-1c', '--exclude-zone us-east-1a --exclude-zone us-east-1c']) {
			expect((await cli(`replicas create a-1 --pool p-1 --max-hourly-cost 0.05 ${zones}`, { script })).calls[0]?.input).toEqual(input);
		}
	});

	test.for([
		'replicas create',
		'replicas create a-1 --max-hourly-cost 0',
		'replicas create a-1 --max-hourly-cost -1',
		'replicas create a-1 --max-hourly-cost 1001',
		'replicas create a-1 --max-hourly-cost NaN',
		'replicas create a-1 --max-hourly-cost 1e2',
		'replicas create a-1 --exclude-zone',
		'replicas create --exclude-zone us-east-1a a-1',
		'replicas create a-1 --dry-run',
	])('%s is refused before anything is asked', async (line, { expect }) => {
		const { code, calls, err } = await cli(line, { script: { createReplica: () => created() } });
		expect([code, calls]).toEqual([2, []]);
		expect(err).toMatch(/^spotctl: .+\n {2}.+\n$/s);
	});

	test.for([
		['missing', 5],
		['conflict', 6],
		['invalid', 2],
	] as const)('a refusal of kind %s exits %i', async ([kind, exit], { expect }) => {
		const createReplica = () => {
			throw new SpotError(kind, 'SOME_CODE', 'manual replica is off', { hint: 'spotctl agents set a-1 --manual-replica on' });
		};
		const { code, out, err } = await cli('replicas create a-1', { script: { createReplica } });
		expect([code, out, err]).toEqual([exit, '', 'spotctl: manual replica is off\n  spotctl agents set a-1 --manual-replica on\n']);
	});

	test.for(HOSTILE)('takes %j as an id like any other', async (id, { expect }) => {
		const { code, calls } = await cli(['replicas', 'create', '--', id], { script: { createReplica: () => created() } });
		expect([code, calls]).toEqual([0, [{ name: 'createReplica', input: { agent_id: id } }]]);
	});
});

describe('replicas promote', () => {
	const promoted = (over: Partial<Output<'promoteReplica'>> = {}): Output<'promoteReplica'> => ({
		success: true,
		message: 'i-0new is the primary now',
		new_instance_id: 'i-0new',
		old_instance_id: 'i-0abc',
		demoted: false,
		switch_time: ago(0),
		new_primary_id: 'a-1',
		...over,
	});
	const script = { showReplica: () => replica(), promoteReplica: () => promoted() };

	test('asks at a terminal, and wants --yes without one', async ({ expect }) => {
		const { tty, piped } = await both('replicas promote r-1', { script, input: 'y\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			New primary: i-0new
			Old primary: i-0abc
			Demoted:     no
			Switched:    now
			! This makes replica "r-1" (i-0new) of "web-1" the primary and the old one a zombie.
			! Go on? [y/N] i-0new is the primary now
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this makes replica "r-1" (i-0new) of "web-1" the primary and the old one a zombie; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		for (const input of ['n\n', '\n', '']) {
			const { code, calls } = await cli('replicas promote r-1', { script, tty: true, input });
			expect([code, calls.map(({ name }) => name)]).toEqual([130, ['showReplica']]);
		}
	});

	test('with --yes', async ({ expect }) => {
		const { tty, piped } = await both('replicas promote r-1 --yes', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			New primary: i-0new
			Old primary: i-0abc
			Demoted:     no
			Switched:    now
			! i-0new is the primary now
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			new_primary	i-0new
			old_primary	i-0abc
			demoted	false
			switched	2026-11-23T12:00:00.000Z
			! i-0new is the primary now
			"
		`);
		const { out, calls } = await cli('replicas promote r-1 -y -q', { script });
		expect([out, calls.at(-1)]).toEqual(['i-0new\n', { name: 'promoteReplica', input: { agent_id: 'a-1', replica_id: 'r-1' } }]);
		expect(JSON.parse((await cli('replicas promote r-1 -y -o json', { script })).out)).toEqual(promoted());
	});

	test('--demote-old says and asks for something else', async ({ expect }) => {
		const demoting = { ...script, promoteReplica: () => promoted({ demoted: true }) };
		const { err, calls } = await cli('replicas promote r-1 --demote-old', { script: demoting, tty: true, input: 'yes\n' });
		expect(err).toContain('This makes replica "r-1" (i-0new) of "web-1" the primary and the old one a replica.\n');
		expect(calls.at(-1)?.input).toEqual({ agent_id: 'a-1', replica_id: 'r-1', demote_old_primary: true });
	});

	test('with --agent looks nothing up', async ({ expect }) => {
		const { err, calls } = await cli('replicas promote r-1 --agent a-9', { script, tty: true, input: 'y\n' });
		expect(err).toContain('This makes replica "r-1" of "a-9" the primary and the old one a zombie.\n');
		expect(calls).toEqual([{ name: 'promoteReplica', input: { agent_id: 'a-9', replica_id: 'r-1' } }]);
	});

	test.for([
		['missing', 5, 'no replica "r-1"', 'see: spotctl replicas list'],
		['conflict', 6, 'replica "r-2" was promoted before it', 'see: spotctl replicas show r-2'],
		['invalid', 2, 'replica "r-1" is launching, not ready', 'see: spotctl replicas show r-1'],
		['forbidden', 4, 'the token is not for this client', 'use an admin token'],
	] as const)('a refusal of kind %s exits %i', async ([kind, exit, message, hint], { expect }) => {
		const promoteReplica = () => {
			throw new SpotError(kind, 'SOME_CODE', message, { hint });
		};
		const { code, out, err } = await cli('replicas promote r-1 --yes', { script: { ...script, promoteReplica } });
		expect([code, out, err]).toEqual([exit, '', `spotctl: ${message}\n  ${hint}\n`]);
	});
});

describe('replicas delete', () => {
	const deleted = { success: true, message: 'the replica is ended', replica_id: 'r-1', terminated_at: ago(0) };
	const script = { showReplica: () => replica(), deleteReplica: () => deleted };

	test('asks at a terminal, and wants --yes without one', async ({ expect }) => {
		const { tty, piped } = await both('replicas delete r-1', { script, input: 'y\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:         r-1
			Terminated: now
			! This terminates replica "r-1" (i-0new) of "web-1".
			! Go on? [y/N] the replica is ended
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this terminates replica "r-1" (i-0new) of "web-1"; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		expect((await cli('replicas delete r-1', { script, tty: true, input: 'n\n' })).calls.map(({ name }) => name)).toEqual(['showReplica']);
	});

	test('with --yes', async ({ expect }) => {
		const { tty, piped } = await both('replicas delete r-1 --yes', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:         r-1
			Terminated: now
			! the replica is ended
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	r-1
			terminated	2026-11-23T12:00:00.000Z
			! the replica is ended
			"
		`);
		const { out, calls } = await cli('replicas rm r-1 -y -q', { script });
		expect([out, calls.at(-1)]).toEqual(['r-1\n', { name: 'deleteReplica', input: { agent_id: 'a-1', replica_id: 'r-1' } }]);
		expect(JSON.parse((await cli('replicas delete r-1 -y -o json', { script })).out)).toEqual(deleted);
	});

	test('of one without a machine names none', async ({ expect }) => {
		const { err } = await cli('replicas delete r-2', { script: { showReplica: launching } });
		expect(err).toBe('spotctl: this terminates replica "r-2" of "web-1"; nobody is at a terminal to confirm it\n  add --yes\n');
	});

	test('of one that was promoted is a conflict', async ({ expect }) => {
		const deleteReplica = () => {
			throw new SpotError('conflict', 'REPLICA_PROMOTED', 'replica "r-1" is the primary', { hint: 'see: spotctl agents show a-1' });
		};
		const { code, err } = await cli('replicas delete r-1 --yes', { script: { ...script, deleteReplica } });
		expect([code, err]).toEqual([6, 'spotctl: replica "r-1" is the primary\n  see: spotctl agents show a-1\n']);
	});

	test('a name that would steer the terminal does not, in the question', async ({ expect }) => {
		const showReplica = () => replica({ logical_agent_id: 'web\x1b]0;owned\x07\x9b2J\u202e', instance_id: 'i\x9b2J' });
		for (const verb of ['delete', 'promote']) {
			const { err } = await cli(`replicas ${verb} r-1`, { script: { showReplica }, tty: true, input: 'n\n' });
			expect(err).not.toMatch(/(?!\n)[\p{Cc}\u202e]/u);
		}
	});
});
