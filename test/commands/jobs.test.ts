import { describe, test } from 'vitest';
import type { Api } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { both, cli, stillClock } from './cli.ts';
import { NOW } from './fixtures.ts';

type Row = Awaited<ReturnType<Api['listJobs']>>['items'][number];

const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

const job = (over: Partial<Row> = {}): Row => ({
	name: 'offline',
	summary: 'Marks agents offline that fell silent',
	every_seconds: 2,
	state: 'running',
	owner: 'd-1',
	token: 3,
	last_started_at: ago(4),
	last_ended_at: ago(3),
	last_result: 'ok',
	last_changed: 2,
	last_error: null,
	last_duration_ms: 12,
	next_due_at: ago(2),
	requested_at: null,
	runs: 41,
	...over,
});

const failed = job({
	name: 'answers',
	every_seconds: 60,
	state: 'waiting',
	owner: null,
	last_result: 'failed',
	last_changed: null,
	last_error: 'the database does not answer',
	last_duration_ms: 5000,
});
const paused = job({
	name: 'changes',
	state: 'paused',
	owner: null,
	last_started_at: null,
	last_ended_at: null,
	last_result: null,
	last_changed: null,
	last_duration_ms: null,
	next_due_at: null,
	runs: 0,
});

describe('jobs list', () => {
	const script = { listJobs: () => ({ items: [job(), failed, paused], nextCursor: null }) };

	test('at a terminal and piped', async ({ expect }) => {
		const { tty, piped } = await both('jobs list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			NAME     STATE    LAST START  LAST END  RESULT  DURATION  NEXT DUE  ERROR
			offline  running  4s ago      3s ago    ok       0.012 s  2s ago    -
			answers  waiting  4s ago      3s ago    failed       5 s  2s ago    the database does not answer
			changes  paused   -           -         -              -  -         -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			offline	running	2026-11-23T11:59:56.000Z	2026-11-23T11:59:57.000Z	ok	0.012	2026-11-23T11:59:58.000Z	
			answers	waiting	2026-11-23T11:59:56.000Z	2026-11-23T11:59:57.000Z	failed	5	2026-11-23T11:59:58.000Z	the database does not answer
			changes	paused						
			"
		`);
	});

	test('wide, as names, and as JSON', async ({ expect }) => {
		expect((await cli('jobs list -o wide', { script, tty: true })).out).toMatchInlineSnapshot(`
			"NAME     STATE    LAST START  LAST END  RESULT  DURATION  NEXT DUE  ERROR                         EVERY  CHANGED  RUNS  REQUESTED  OWNER  TOKEN  SUMMARY
			offline  running  4s ago      3s ago    ok       0.012 s  2s ago    -                               2 s        2    41  -          d-1        3  Marks agents offline that fell silent
			answers  waiting  4s ago      3s ago    failed       5 s  2s ago    the database does not answer   60 s        -    41  -          -          3  Marks agents offline that fell silent
			changes  paused   -           -         -              -  -         -                               2 s        -     0  -          -          3  Marks agents offline that fell silent
			"
		`);
		expect((await cli('jobs ls -q', { script })).out).toBe('offline\nanswers\nchanges\n');
		expect(JSON.parse((await cli('jobs list -o json', { script })).out)).toEqual([job(), failed, paused]);
	});
});

describe.for(['pause', 'resume'] as const)('jobs %s', (verb) => {
	const message = `job answers is ${verb}d`;
	const answer = () => ({ success: true, message, job: failed });
	const script = verb === 'pause' ? { pauseJob: answer } : { resumeJob: answer };

	test('says what it did', async ({ expect }) => {
		const { tty, piped } = await both(`jobs ${verb} answers`, { script });
		expect(tty).toBe(`exit 0\n! ${message}\n`);
		expect(piped).toBe(tty);
		const { calls, out } = await cli(`jobs ${verb} answers -q`, { script });
		expect([calls, out]).toEqual([[{ name: `${verb}Job`, input: { name: 'answers' } }], 'answers\n']);
		expect((await cli(`jobs ${verb}`, { script })).code).toBe(2);
	});
});

describe('jobs run', () => {
	test('--timeout without --wait would wait for nothing: it is refused and says what to type', async ({ expect }) => {
		const { code, calls, err } = await cli('jobs run offline --timeout 5s', { script: {} });
		expect([code, calls]).toEqual([2, []]);
		expect(err).toContain('add --wait, or leave --timeout out');
	});

	const requested_at = ago(0);
	const asked = job({ requested_at });
	const runJob = () => ({ success: true, message: 'job offline begins within 2 s', job: asked });

	test('asks for a run', async ({ expect }) => {
		const { tty, piped } = await both('jobs run offline', { script: { runJob } });
		expect(tty).toBe('exit 0\n! job offline begins within 2 s\n');
		expect(piped).toBe(tty);
		const { calls, out } = await cli('jobs run offline -q', { script: { runJob } });
		expect([calls, out]).toEqual([[{ name: 'runJob', input: { name: 'offline' } }], 'offline\n']);
	});

	test('of a paused job is a conflict (exit 6), of none at all is 5', async ({ expect }) => {
		const refuse = (kind: 'conflict' | 'missing', hint: string) => () => {
			throw new SpotError(kind, 'X', 'no', { hint });
		};
		const conflict = await cli('jobs run answers', { script: { runJob: refuse('conflict', 'resume it: spotctl jobs resume answers') } });
		expect([conflict.code, conflict.err]).toEqual([6, 'spotctl: no\n  resume it: spotctl jobs resume answers\n']);
		expect((await cli('jobs run nope', { script: { runJob: refuse('missing', 'see: spotctl jobs list') } })).code).toBe(5);
	});

	/** Answers one row after the other, then the last one for ever. An error is thrown. */
	const rows = (...given: ReadonlyArray<Row | Error>) => {
		let at = 0;
		return () => {
			const row = given[Math.min(at++, given.length - 1)];
			if (row === undefined || row instanceof Error) throw row;
			return { items: [paused, row], nextCursor: null };
		};
	};
	const underWay = job({ last_started_at: new Date(NOW + 1500).toISOString() });
	const done = job({ last_started_at: new Date(NOW + 1500).toISOString(), last_ended_at: new Date(NOW + 3000).toISOString(), runs: 42 });

	test('--wait follows it until it has ended', async ({ expect }) => {
		const clock = stillClock();
		const script = { runJob, listJobs: rows(asked, asked, underWay, underWay, done) };
		const { code, out, err } = await cli('jobs run offline --wait', { script, clock });
		expect([code, err]).toEqual([0, 'job offline begins within 2 s\nbegun\n']);
		expect(clock.at - NOW).toBe(4000);
		expect(out).toMatchInlineSnapshot(`
			"name	offline
			state	running
			last_start	2026-11-23T12:00:01.500Z
			last_end	2026-11-23T12:00:03.000Z
			result	ok
			duration	0.012
			next_due	2026-11-23T11:59:58.000Z
			error	
			every	2
			changed	2
			runs	42
			requested	
			owner	d-1
			token	3
			summary	Marks agents offline that fell silent
			"
		`);
		const atOnce = await cli('jobs run offline --wait -o json', { script: { runJob, listJobs: rows(asked, done) } });
		expect([atOnce.code, JSON.parse(atOnce.out)]).toEqual([0, done]);
	});

	test('--wait is not content with the end of an earlier run', async ({ expect }) => {
		const earlier = job({ requested_at, runs: 42, last_ended_at: new Date(NOW + 500).toISOString() });
		const clock = stillClock();
		const script = { runJob, listJobs: rows(earlier, { ...underWay, runs: 42 }, { ...done, runs: 43 }) };
		expect((await cli('jobs run offline --wait', { script, clock })).code).toBe(0);
		expect(clock.at - NOW).toBe(2000);
	});

	test('--wait ends with 9 when it failed, and shows it all the same', async ({ expect }) => {
		const bad = { ...done, last_result: 'failed' as const, last_error: 'the database does not answer' };
		const { tty, piped } = await both('jobs run offline --wait', { script: { runJob, listJobs: rows(asked, bad) } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 9
			Name:       offline
			State:      running
			Last start: now
			Last end:   in 2s
			Result:     failed
			Duration:   0.012 s
			Next due:   3s ago
			Error:      the database does not answer
			Every:      2 s
			Changed:    2
			Runs:       42
			Requested:  -
			Owner:      d-1
			Token:      3
			Summary:    Marks agents offline that fell silent
			! job offline begins within 2 s
			! spotctl: job offline failed
			!   the database does not answer
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 9
			name	offline
			state	running
			last_start	2026-11-23T12:00:01.500Z
			last_end	2026-11-23T12:00:03.000Z
			result	failed
			duration	0.012
			next_due	2026-11-23T11:59:58.000Z
			error	the database does not answer
			every	2
			changed	2
			runs	42
			requested	
			owner	d-1
			token	3
			summary	Marks agents offline that fell silent
			! job offline begins within 2 s
			! spotctl: job offline failed
			!   the database does not answer
			"
		`);
	});

	test('--wait ends with 9 when it is paused meanwhile', async ({ expect }) => {
		const { code, err } = await cli('jobs run offline --wait', {
			script: { runJob, listJobs: rows(asked, { ...asked, state: 'paused' }) },
		});
		expect([code, err]).toEqual([
			9,
			'job offline begins within 2 s\nspotctl: job offline was paused before its run ended\n  resume it: spotctl jobs resume offline\n',
		]);
	});

	test('--wait ends with 8 when the time is up', async ({ expect }) => {
		const clock = stillClock();
		const waiting = await cli('jobs run offline --wait --timeout 2500ms', { script: { runJob, listJobs: rows(asked) }, clock });
		expect([waiting.code, clock.at - NOW]).toEqual([8, 2500]);
		expect(waiting.err).toContain('spotctl: job offline has not begun after 2.5 s\n  see: spotctl jobs list\n');
		const slow = await cli('jobs run offline --wait -q', { script: { runJob, listJobs: rows(asked, underWay) } });
		expect([slow.code, slow.out, slow.err]).toEqual([
			8,
			'offline\n',
			'spotctl: job offline still runs after 30 s\n  see: spotctl jobs list\n',
		]);
	});

	test('--wait outlasts a daemon that restarts, and Ctrl-C ends it', async ({ expect }) => {
		const gone = new SpotError('unavailable', 'DAEMON_UNREACHABLE', 'no daemon answers');
		const { code, err } = await cli('jobs run offline --wait', { script: { runJob, listJobs: rows(asked, gone, gone, done) } });
		expect([code, err]).toEqual([0, 'job offline begins within 2 s\nno daemon answers; trying again\nthe daemon answers again\n']);
		const controller = new AbortController();
		const clock = stillClock();
		const listJobs = () => {
			controller.abort(new Error('SIGINT'));
			return rows(asked)();
		};
		const stopped = await cli('jobs run offline --wait', { script: { runJob, listJobs }, clock, signal: controller.signal });
		expect([stopped.code, stopped.err]).toEqual([
			130,
			'job offline begins within 2 s\nspotctl: interrupted; job offline runs all the same\n  see: spotctl jobs list\n',
		]);
	});
});
