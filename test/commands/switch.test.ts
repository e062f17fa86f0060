import { describe, test } from 'vitest';
import type { Api } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { both, cli, stillClock } from './cli.ts';
import { client, command, plan } from './fixtures.ts';

type Row = Awaited<ReturnType<Api['showCommand']>>;

const AT = '2026-11-23T12:00:00.000Z';
const forceSwitch = (input: { dry_run?: unknown }) =>
	plan(input.dry_run ? { dry_run: true, command_id: null, message: 'nothing was queued' } : {});

/** Answers one row after the other, then the last one for ever. An error is thrown. */
const answers = (...rows: ReadonlyArray<Row | Error>) => {
	let at = 0;
	return () => {
		const row = rows[Math.min(at++, rows.length - 1)];
		if (row === undefined || row instanceof Error) throw row;
		return row;
	};
};

const claimed = command({ status: 'claimed', claimed_at: AT });
const launched = command({ status: 'claimed', claimed_at: AT, launched_at: AT, new_instance_id: 'i-0new' });
const reported = command({ status: 'claimed', claimed_at: AT, launched_at: AT, reported_at: AT, new_instance_id: 'i-0new' });
const done = command({ ...reported, status: 'completed', outcome: 'report', completed_at: AT });

const LINE = 'instances switch i-0abc --pool c5.large.us-east-1b';

describe('instances switch', () => {
	test('without a terminal orders the switch and prints the order', async ({ expect }) => {
		const piped = await cli(LINE, { script: { forceSwitch } });
		expect([piped.code, piped.err]).toEqual([0, 'the switch is queued\n']);
		expect(piped.out).toMatchInlineSnapshot(`
			"command	k-1
			instance	i-0abc
			from	c5.large.us-east-1a
			to	c5.large.us-east-1b
			price_now	0.0321
			price_then	0.03
			price_age	60
			saving_per_hour	0.0021
			terminate_wait	300
			expires	2026-11-23T12:30:00.000Z
			"
		`);
		const { calls, out } = await cli(`${LINE} -q`, { script: { forceSwitch } });
		expect(calls).toEqual([{ name: 'forceSwitch', input: { instance_id: 'i-0abc', target: 'pool', pool_id: 'c5.large.us-east-1b' } }]);
		expect(out).toBe('k-1\n');
	});

	test('at a terminal shows the plan and asks for the id of the machine', async ({ expect }) => {
		const { code, out, err, calls } = await cli(LINE, { script: { forceSwitch }, tty: true, input: 'i-0abc\n' });
		expect(code).toBe(0);
		expect(err).toMatchInlineSnapshot(`
			"This moves i-0abc from c5.large.us-east-1a ($0.0321 an hour) to c5.large.us-east-1b ($0.0300 an hour), saving $0.0021 an hour; the old machine is terminated after 300 s.
			Type "i-0abc" to go on: the switch is queued
			"
		`);
		expect(out).toMatchInlineSnapshot(`
			"Command:         k-1
			Instance:        i-0abc
			From:            c5.large.us-east-1a
			To:              c5.large.us-east-1b
			Price now:       $0.0321
			Price then:      $0.0300
			Price age:       60 s
			Saving per hour: $0.0021
			Terminate wait:  300 s
			Expires:         in 30m
			"
		`);
		expect(calls.map(({ input }) => (input as { dry_run?: boolean }).dry_run)).toEqual([true, undefined]);
		const declined = await cli(LINE, { script: { forceSwitch }, tty: true, input: 'no\n' });
		expect([declined.code, declined.calls.length]).toEqual([130, 1]);
		expect((await cli(`${LINE} --yes`, { script: { forceSwitch }, tty: true })).calls.length).toBe(1);
	});

	test('to on-demand, for a client, keeping or terminating the old machine', async ({ expect }) => {
		const script = { forceSwitch, listClients: () => ({ items: [client()], nextCursor: null }) };
		const { calls } = await cli('instances switch i-0abc --on-demand --client acme --keep-old', { script });
		expect(calls.at(-1)?.input).toEqual({ instance_id: 'i-0abc', target: 'ondemand', auto_terminate: false, client_id: 'c-1' });
		expect((await cli('instances switch i-0abc --on-demand --terminate-old', { script })).calls.at(-1)?.input).toMatchObject({
			auto_terminate: true,
		});
	});

	test('--dry-run orders nothing, asks nothing and follows nothing', async ({ expect }) => {
		const { tty, piped } = await both(`${LINE} --dry-run --wait`, { script: { forceSwitch } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Command:         -
			Instance:        i-0abc
			From:            c5.large.us-east-1a
			To:              c5.large.us-east-1b
			Price now:       $0.0321
			Price then:      $0.0300
			Price age:       60 s
			Saving per hour: $0.0021
			Terminate wait:  300 s
			Expires:         in 30m
			! nothing was queued
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			command	
			instance	i-0abc
			from	c5.large.us-east-1a
			to	c5.large.us-east-1b
			price_now	0.0321
			price_then	0.03
			price_age	60
			saving_per_hour	0.0021
			terminate_wait	300
			expires	2026-11-23T12:30:00.000Z
			! nothing was queued
			"
		`);
	});

	test.for([
		'instances switch i-0abc',
		'instances switch --on-demand',
		'instances switch i-0abc --on-demand --pool p',
		'instances switch i-0abc --on-demand --keep-old --terminate-old',
		'instances switch i-0abc --on-demand --timeout never',
		'instances switch i-0abc --on-demand --timeout 0',
		'instances switch i-0abc i-0def --on-demand',
	])('%s is a mistake (exit 2)', async (line, { expect }) => {
		const { code, calls, err } = await cli(line, { script: { forceSwitch } });
		expect([code, calls]).toEqual([2, []]);
		expect(err).toMatch(/^spotctl: .+\n {2}.+\n$/s);
	});

	test('--timeout without --wait would wait for nothing: it is refused and says what to type', async ({ expect }) => {
		const { code, calls, err } = await cli(`${LINE} --timeout 5m`, { script: { forceSwitch } });
		expect([code, calls]).toEqual([2, []]);
		expect(err).toBe('spotctl: --timeout says how long --wait waits, and --wait was not given\n  add --wait, or leave --timeout out\n');
	});

	test('warnings are on stderr, once', async ({ expect }) => {
		const script = { forceSwitch: () => plan({ warnings: ['the agent is offline'] }) };
		expect((await cli(LINE, { script })).err).toBe('spotctl: warning: the agent is offline\nthe switch is queued\n');
		expect((await cli(LINE, { script, tty: true, input: 'i-0abc\n' })).err.match(/offline/g)?.length).toBe(1);
	});
});

describe('instances switch --wait', () => {
	test('names each stage once and ends with 0', async ({ expect }) => {
		const showCommand = answers(command(), command(), claimed, claimed, launched, reported, done);
		const { code, err, out, calls } = await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand } });
		expect([code, err]).toMatchInlineSnapshot(`
			[
			  0,
			  "queued: command k-1
			claimed by the agent
			launched: i-0new
			reported by the agent
			done
			",
			]
		`);
		expect(out).toContain('status\tcompleted\n');
		expect(calls.filter(({ name }) => name === 'showCommand').length).toBe(7);
	});

	test('asks once a second', async ({ expect }) => {
		const clock = stillClock();
		const start = clock.at;
		await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand: answers(command(), claimed, done) }, clock });
		expect(clock.at - start).toBe(2000);
	});

	test('passes over stages nobody told of', async ({ expect }) => {
		const proven = command({ status: 'completed', claimed_at: AT, completed_at: AT, outcome: 'registration' });
		const { code, err } = await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand: answers(command(), proven) } });
		expect([code, err]).toEqual([0, 'queued: command k-1\nclaimed by the agent\ndone\n']);
	});

	test.for([
		['failed', 'spotctl: command k-1 failed\n  no capacity\n'],
		['expired', 'spotctl: command k-1 expired\n  no capacity\n'],
		['cancelled', 'spotctl: command k-1 was cancelled\n  no capacity\n'],
	] as const)('%s is exit 9, and the command is printed all the same', async ([status, message], { expect }) => {
		const { code, err, out } = await cli(`${LINE} --wait -o json`, {
			script: { forceSwitch, showCommand: () => command({ status, message: 'no capacity' }) },
		});
		expect(code).toBe(9);
		expect(err).toBe(`queued: command k-1\n${message}`);
		expect(JSON.parse(out)).toEqual(command({ status, message: 'no capacity' }));
	});

	test('time that runs out is exit 8, and what happens goes on', async ({ expect }) => {
		const clock = stillClock();
		const start = clock.at;
		const { code, err, out } = await cli(`${LINE} --wait --timeout 2500ms -q`, {
			script: { forceSwitch, showCommand: () => claimed },
			clock,
		});
		expect([code, out, err]).toEqual([
			8,
			'k-1\n',
			'spotctl: command k-1 is still claimed after 2.5 s; it goes on\n  see: spotctl commands show k-1\n',
		]);
		expect(clock.at - start).toBe(2500);
	});

	test('Ctrl-C is exit 130 and says that the command goes on', async ({ expect }) => {
		const controller = new AbortController();
		const clock = stillClock();
		const sleep = async (ms: number, signal?: AbortSignal) => {
			if (clock.at >= 1_795_435_203_000) controller.abort(new Error('SIGINT'));
			await stillClock(clock.at).sleep(ms, signal);
			clock.at += ms;
		};
		const { code, err } = await cli(`${LINE} --wait`, {
			script: { forceSwitch, showCommand: () => claimed },
			clock: { ...clock, sleep },
			signal: controller.signal,
		});
		expect(code).toBe(130);
		expect(err).toMatchInlineSnapshot(`
			"queued: command k-1
			claimed by the agent
			spotctl: interrupted; command k-1 goes on
			  follow it: spotctl commands show k-1
			  end it: spotctl commands cancel k-1
			"
		`);
	});

	test('a daemon that restarts meanwhile is waited for, and mentioned once', async ({ expect }) => {
		const gone = new SpotError('unavailable', 'DAEMON_UNREACHABLE', 'no daemon answers at http://127.0.0.1:5000');
		const { code, err } = await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand: answers(command(), gone, gone, gone, done) } });
		expect(code).toBe(0);
		expect(err).toMatchInlineSnapshot(`
			"queued: command k-1
			no daemon answers at http://127.0.0.1:5000; trying again
			the daemon answers again
			claimed by the agent
			launched: i-0new
			reported by the agent
			done
			"
		`);
	});

	test('a daemon that stays away ends it with 8 when the command was seen, with 7 when not', async ({ expect }) => {
		const gone = new SpotError('unavailable', 'DAEMON_UNREACHABLE', 'no daemon answers');
		expect((await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand: answers(command(), gone) } })).code).toBe(8);
		expect((await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand: answers(gone) } })).code).toBe(7);
	});

	test('a token that is revoked meanwhile ends it with 4', async ({ expect }) => {
		const refused = new SpotError('unauthenticated', 'INVALID_TOKEN', 'the token is not valid');
		expect((await cli(`${LINE} --wait`, { script: { forceSwitch, showCommand: answers(command(), refused) } })).code).toBe(4);
	});
});
