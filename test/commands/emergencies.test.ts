import { describe, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { both, cli } from './cli.ts';
import { client, NOW } from './fixtures.ts';

const found = { listClients: () => ({ items: [client()], nextCursor: null }) };
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

/** A termination notice seen 30.5 s ago: a replica is being launched for it. */
const open = (over: Partial<Output<'showEmergency'>> = {}): Output<'showEmergency'> => ({
	id: 'e-2',
	client_id: 'c-1',
	agent_id: 'a-1',
	logical_agent_id: 'web-1',
	kind: 'termination',
	instance_id: 'i-0abc',
	pool_id: 'c5.large.us-east-1a',
	state: 'open',
	step: 'launch',
	message: null,
	deadline_at: at(89.5),
	reports: 3,
	replica_id: 'r-1',
	new_instance_id: null,
	signal_at: at(-30.5),
	received_at: at(-30.1),
	planned_at: at(-30.095),
	launched_at: null,
	ready_at: null,
	promoted_at: null,
	confirmed_at: null,
	ended_at: null,
	failover_ms: null,
	plan: [
		{
			at: at(-30.095),
			step: 'pool',
			choice: 'c5.large.us-east-1b',
			why: 'fewest interruptions, then the price',
			rejected: [
				{ what: 'c5.large.us-east-1a', why: 'its machine is being taken back' },
				{ what: 'c5.large.us-east-1c', why: '4 interruptions in 24 h' },
			],
		},
		{ at: at(-30.095), step: 'replica', choice: 'launch', why: 'no replica was there', rejected: [] },
	],
	...over,
});

const ended = (over: Partial<Output<'showEmergency'>> = {}): Output<'showEmergency'> =>
	open({
		id: 'e-1',
		state: 'failed-over',
		step: 'ended',
		message: 'i-0new took over',
		deadline_at: at(-3600),
		new_instance_id: 'i-0new',
		signal_at: at(-3720),
		received_at: at(-3719.6),
		planned_at: at(-3719.595),
		launched_at: at(-7200),
		ready_at: at(-7100),
		promoted_at: at(-3719.59),
		confirmed_at: at(-3707.655),
		ended_at: at(-3707.655),
		failover_ms: 12_345,
		plan: [{ at: at(-3719.595), step: 'replica', choice: 'promote r-1', why: 'it was ready', rejected: [] }],
		...over,
	});

describe('emergencies', () => {
	test('list', async ({ expect }) => {
		const silent = ended({ id: 'e-0', kind: 'silent-primary', state: 'told', deadline_at: null, new_instance_id: null, failover_ms: null });
		const moving = open({ id: 'e-3', kind: 'rebalance', deadline_at: null });
		const soon = ended({ deadline_at: at(37) });
		const all = [moving, open(), soon, silent];
		const script = { listEmergencies: () => ({ items: all, nextCursor: null }) };
		const { tty, piped } = await both('emergencies list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   AGENT  KIND            RECEIVED  STATE        STEP    INSTANCE  NEW INSTANCE  DEADLINE  FAILOVER
			e-3  web-1  rebalance       30s ago   open         launch  i-0abc    -             -                -
			e-2  web-1  termination     30s ago   open         launch  i-0abc    -             in 89s           -
			e-1  web-1  termination     61m ago   failed-over  ended   i-0abc    i-0new        -         12.345 s
			e-0  web-1  silent-primary  61m ago   told         ended   i-0abc    -             -                -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			e-3	web-1	rebalance	2026-11-23T11:59:29.900Z	open	launch	i-0abc			
			e-2	web-1	termination	2026-11-23T11:59:29.900Z	open	launch	i-0abc		2026-11-23T12:01:29.500Z	
			e-1	web-1	termination	2026-11-23T10:58:00.400Z	failed-over	ended	i-0abc	i-0new	2026-11-23T12:00:37.000Z	12.345
			e-0	web-1	silent-primary	2026-11-23T10:58:00.400Z	told	ended	i-0abc			
			"
		`);
		expect((await cli('emergencies ls -q', { script })).out).toBe('e-3\ne-2\ne-1\ne-0\n');
		expect(JSON.parse((await cli('emergencies list -o json', { script, tty: true })).out)).toEqual(all);
		const [head = '', , , row = ''] = (await cli('emergencies list -o csv', { script })).out.split('\r\n');
		expect(head).toMatchInlineSnapshot(
			`"id,agent,kind,received,state,step,instance,new_instance,deadline,failover,message,replica,pool,reports,agent_id,client_id,signal_seen,planned,launched,ready,promoted,first_heartbeat,ended"`,
		);
		expect(row).toMatchInlineSnapshot(
			`"e-1,web-1,termination,2026-11-23T10:58:00.400Z,failed-over,ended,i-0abc,i-0new,2026-11-23T12:00:37.000Z,12.345,i-0new took over,r-1,c5.large.us-east-1a,3,a-1,c-1,2026-11-23T10:58:00.000Z,2026-11-23T10:58:00.405Z,2026-11-23T10:00:00.000Z,2026-11-23T10:01:40.000Z,2026-11-23T10:58:00.410Z,2026-11-23T10:58:12.345Z,2026-11-23T10:58:12.345Z"`,
		);
	});

	test('list of nothing is a success', async ({ expect }) => {
		const script = { listEmergencies: () => ({ items: [], nextCursor: null }) };
		expect(await both('emergencies list', { script })).toEqual({ tty: 'exit 0\n! no emergencies\n', piped: 'exit 0\n' });
	});

	test('list passes every filter on, and refuses words that are none', async ({ expect }) => {
		const script = { ...found, listEmergencies: () => ({ items: [], nextCursor: null }) };
		const line = 'emergencies list --client acme --agent a-1 --kind rebalance --state open --limit 3';
		expect((await cli(line, { script })).calls.at(-1)).toEqual({
			name: 'listEmergencies',
			input: { limit: 3, client_id: 'c-1', agent_id: 'a-1', kind: 'rebalance', state: 'open' },
		});
		for (const wrong of ['--kind flood', '--state failed-over', '--limit 0', '--limit 2 --all']) {
			const { code, calls } = await cli(`emergencies list ${wrong}`, { script });
			expect([wrong, code, calls]).toEqual([wrong, 2, []]);
		}
	});

	test('list follows its pages', async ({ expect }) => {
		const listEmergencies = ({ cursor }: { cursor?: string | undefined }) =>
			cursor === undefined ? { items: [open()], nextCursor: 'next' } : { items: [ended()], nextCursor: null };
		const { out, calls } = await cli('emergencies list --all -q', { script: { listEmergencies } });
		expect([out, calls.map(({ input }) => input)]).toEqual(['e-2\ne-1\n', [{ limit: 500 }, { limit: 500, cursor: 'next' }]]);
	});

	test('show one that goes on: what is left of its time, its stages, its plan', async ({ expect }) => {
		const { tty, piped } = await both('emergencies show e-2', { script: { showEmergency: () => open() } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:           e-2
			Agent:        web-1
			Kind:         termination
			Received:     30s ago
			State:        open
			Step:         launch
			Instance:     i-0abc
			New instance: -
			Deadline:     2026-11-23T12:01:29.500Z (in 89s)
			Failover:     -
			Message:      -
			Replica:      r-1
			Pool:         c5.large.us-east-1a
			Reports:      3
			Agent id:     a-1
			Client id:    c-1

			Timeline:
			STAGE            AT                           AFTER
			signal seen      2026-11-23T11:59:29.500Z  +0.000 s
			received         2026-11-23T11:59:29.900Z  +0.400 s
			planned          2026-11-23T11:59:29.905Z  +0.405 s
			launched         -                                -
			ready            -                                -
			promoted         -                                -
			first heartbeat  -                                -
			ended            -                                -

			Plan:
			   AFTER  STEP     CHOICE               WHY
			+0.405 s  pool     c5.large.us-east-1b  fewest interruptions, then the price
			    rejected: c5.large.us-east-1a: its machine is being taken back
			    rejected: c5.large.us-east-1c: 4 interruptions in 24 h
			+0.405 s  replica  launch               no replica was there
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	e-2
			agent	web-1
			kind	termination
			received	2026-11-23T11:59:29.900Z
			state	open
			step	launch
			instance	i-0abc
			new_instance	
			deadline	2026-11-23T12:01:29.500Z
			failover	
			message	
			replica	r-1
			pool	c5.large.us-east-1a
			reports	3
			agent_id	a-1
			client_id	c-1
			timeline	signal seen	2026-11-23T11:59:29.500Z	0
			timeline	received	2026-11-23T11:59:29.900Z	0.4
			timeline	planned	2026-11-23T11:59:29.905Z	0.405
			timeline	launched		
			timeline	ready		
			timeline	promoted		
			timeline	first heartbeat		
			timeline	ended		
			plan	0.405	pool	c5.large.us-east-1b	fewest interruptions, then the price
			plan_rejected	c5.large.us-east-1a	its machine is being taken back
			plan_rejected	c5.large.us-east-1c	4 interruptions in 24 h
			plan	0.405	replica	launch	no replica was there
			"
		`);
	});

	test('show one that is over, with a stage before its signal', async ({ expect }) => {
		const { tty, piped } = await both('emergencies show e-1', { script: { showEmergency: () => ended() } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:           e-1
			Agent:        web-1
			Kind:         termination
			Received:     61m ago
			State:        failed-over
			Step:         ended
			Instance:     i-0abc
			New instance: i-0new
			Deadline:     2026-11-23T11:00:00.000Z
			Failover:     12.345 s
			Message:      i-0new took over
			Replica:      r-1
			Pool:         c5.large.us-east-1a
			Reports:      3
			Agent id:     a-1
			Client id:    c-1

			Timeline:
			STAGE            AT                              AFTER
			signal seen      2026-11-23T10:58:00.000Z     +0.000 s
			received         2026-11-23T10:58:00.400Z     +0.400 s
			planned          2026-11-23T10:58:00.405Z     +0.405 s
			launched         2026-11-23T10:00:00.000Z  -3480.000 s
			ready            2026-11-23T10:01:40.000Z  -3380.000 s
			promoted         2026-11-23T10:58:00.410Z     +0.410 s
			first heartbeat  2026-11-23T10:58:12.345Z    +12.345 s
			ended            2026-11-23T10:58:12.345Z    +12.345 s

			Plan:
			   AFTER  STEP     CHOICE       WHY
			+0.405 s  replica  promote r-1  it was ready
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	e-1
			agent	web-1
			kind	termination
			received	2026-11-23T10:58:00.400Z
			state	failed-over
			step	ended
			instance	i-0abc
			new_instance	i-0new
			deadline	2026-11-23T11:00:00.000Z
			failover	12.345
			message	i-0new took over
			replica	r-1
			pool	c5.large.us-east-1a
			reports	3
			agent_id	a-1
			client_id	c-1
			timeline	signal seen	2026-11-23T10:58:00.000Z	0
			timeline	received	2026-11-23T10:58:00.400Z	0.4
			timeline	planned	2026-11-23T10:58:00.405Z	0.405
			timeline	launched	2026-11-23T10:00:00.000Z	-3480
			timeline	ready	2026-11-23T10:01:40.000Z	-3380
			timeline	promoted	2026-11-23T10:58:00.410Z	0.41
			timeline	first heartbeat	2026-11-23T10:58:12.345Z	12.345
			timeline	ended	2026-11-23T10:58:12.345Z	12.345
			plan	0.405	replica	promote r-1	it was ready
			"
		`);
	});

	test('show one without a plan has no plan', async ({ expect }) => {
		const { out } = await cli('emergencies show e-1', { script: { showEmergency: () => ended({ plan: [] }) }, tty: true });
		expect(out).toContain('\nTimeline:\n');
		expect(out).not.toContain('Plan:');
	});

	test('show in other formats is exactly the answer', async ({ expect }) => {
		const script = { showEmergency: () => open() };
		for (const tty of [true, false]) {
			expect(JSON.parse((await cli('emergencies show e-2 -o json', { script, tty })).out)).toEqual(open());
			expect(JSON.parse((await cli('emergencies show e-2 -o jsonl', { script, tty })).out)).toEqual(open());
			expect(parseYaml((await cli('emergencies show e-2 -o yaml', { script, tty })).out)).toEqual(open());
			expect((await cli('emergencies show e-2 -q', { script, tty })).out).toBe('e-2\n');
		}
		const csv = (await cli('emergencies show e-2 -o csv', { script, tty: true })).out.split('\r\n');
		expect([csv.length, csv[0]]).toEqual([
			3,
			expect.stringMatching(/^id,agent,kind,received,.*,signal_seen,planned,.*,first_heartbeat,ended$/),
		]);
		expect(csv[1]).toContain(`,${open().received_at},open,`);
	});

	test.for([
		[89_999, 'in 89s'],
		[1000, 'in 1s'],
		[999, 'now'],
		[-12_000, '12s ago'],
		[599_999, 'in 599s'],
		[600_000, 'in 10m'],
		[7_200_000, 'in 2h'],
	] as const)('a deadline %i ms off reads %s at a terminal', async ([ms, text], { expect }) => {
		const script = { showEmergency: () => open({ deadline_at: at(ms / 1000) }) };
		expect((await cli('emergencies show e-2', { script, tty: true })).out).toContain(`Deadline:     ${at(ms / 1000)} (${text})\n`);
	});

	test('what an emergency says cannot steer the terminal, nor break a line', async ({ expect }) => {
		const evil = '\x1b]0;owned\x07\x9b2J\u202e\n\tx';
		const row = open({
			state: evil,
			step: evil,
			message: evil,
			instance_id: evil,
			deadline_at: evil,
			planned_at: evil,
			plan: [{ at: evil, step: evil, choice: evil, why: evil, rejected: [{ what: evil, why: evil }] }],
		});
		const script = { showEmergency: () => row, listEmergencies: () => ({ items: [row], nextCursor: null }) };
		for (const line of ['emergencies show e-2', 'emergencies list', 'emergencies show e-2 -o json', 'emergencies show e-2 -o yaml']) {
			for (const tty of [true, false]) {
				const { code, out, err } = await cli(line, { script, tty });
				expect([line, code, err]).toEqual([line, 0, '']);
				expect(out).not.toMatch(/(?![\n\t])[\p{Cc}\u2028\u202a-\u202e]/u);
			}
		}
		const { out } = await cli('emergencies show e-2', { script });
		expect(out.match(/^plan(_rejected)?\t.*$/gm)).toEqual([
			expect.stringMatching(/^plan(\t[^\t]*){4}$/),
			expect.stringMatching(/^plan_rejected(\t[^\t]*){2}$/),
		]);
	});

	test.for(['nobody', 'a/b', '../..', '"; drop table emergency; --', 'NUL\0', '🙂👨‍👩‍👧', '-1', ' '])(
		'show of %j, which is none, exits 5',
		async (id, { expect }) => {
			const showEmergency = ({ emergency_id }: { emergency_id: string }) => {
				throw new SpotError('missing', 'NOT_FOUND', `no emergency "${emergency_id}"`, { hint: 'see: spotctl emergencies list' });
			};
			const { code, out, err, calls } = await cli(['emergencies', 'show', '--', id], { script: { showEmergency } });
			expect([code, out, calls]).toEqual([5, '', [{ name: 'showEmergency', input: { emergency_id: id } }]]);
			expect(err).toMatch(/^spotctl: no emergency "[^\p{Cc}]+\n {2}see: spotctl emergencies list\n$/u);
		},
	);
});
