import { describe, test } from 'vitest';
import type { Api } from '../../src/contract/index.ts';
import { both, cli, stillClock } from './cli.ts';
import { NOW } from './fixtures.ts';

type Shown = Awaited<ReturnType<Api['showRetention']>>;

const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

const rule = (over: Partial<Shown['rules'][number]> = {}): Shown['rules'][number] => ({
	rule: 'event',
	summary: 'events',
	setting: 'retention.events',
	days: 90,
	before: ago(90 * 86_400),
	due: 12,
	due_complete: true,
	requested_at: null,
	last_started_at: ago(1800),
	last_ended_at: ago(1790),
	last_deleted: 300,
	last_complete: true,
	total_deleted: 4000,
	...over,
});

const job: Shown['job'] = {
	name: 'retention',
	summary: 'Deletes old rows',
	every_seconds: 3600,
	state: 'running',
	owner: 'd-1',
	token: 1,
	last_started_at: ago(1800),
	last_ended_at: ago(1790),
	last_result: 'ok',
	last_changed: 300,
	last_error: null,
	last_duration_ms: 10_000,
	next_due_at: ago(-1800),
	requested_at: ago(0),
	runs: 4,
};

const shown: Shown = {
	success: true,
	rules: [
		rule(),
		rule({ rule: 'price_report', days: 30, due: 10_000, due_complete: false, last_complete: false }),
		rule({
			rule: 'audit',
			days: 0,
			before: null,
			due: 0,
			last_started_at: null,
			last_ended_at: null,
			last_complete: null,
			total_deleted: 0,
		}),
	],
	kept: [{ table: 'switch_record', why: 'kept for ever' }],
	job,
};

const asked = (dry_run: boolean) => ({
	...shown,
	message: dry_run ? '12 rows would be deleted; nothing was' : 'retention begins within 2 s',
	dry_run,
});

describe('retention show', () => {
	test('at a terminal and piped', async ({ expect }) => {
		const { tty, piped } = await both('retention show', { script: { showRetention: () => shown } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			RULE          DAYS      DUE            LAST RUN  DELETED  COMPLETE  ALTOGETHER
			event         90        12             30m ago       300  yes             4000
			price_report  30        10000 or more  30m ago       300  no              4000
			audit         for ever  0              -               -  -                  0
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			event	90	12	2026-11-23T11:30:00.000Z	300	yes	4000
			price_report	30	10000 or more	2026-11-23T11:30:00.000Z	300	no	4000
			audit	for ever	0				0
			"
		`);
	});

	test('as JSON is exactly what the operation answers', async ({ expect }) => {
		const { out } = await cli('retention show -o json', { script: { showRetention: () => shown } });
		expect(JSON.parse(out)).toEqual(shown);
	});
});

describe('retention run', () => {
	test('counts with --dry-run, of the rules that are named', async ({ expect }) => {
		const given: unknown[] = [];
		const script = {
			runRetention: (input: unknown) => {
				given.push(input);
				return asked(true);
			},
		};
		const { code, err } = await cli('retention run --dry-run --only event --only audit', { script });
		expect([code, given]).toEqual([0, [{ dry_run: true, only: ['event', 'audit'] }]]);
		expect(err).toContain('12 rows would be deleted; nothing was');
	});

	test('waits for the run it asked for, and shows what became of the rules', async ({ expect }) => {
		const ended = { ...job, requested_at: null, runs: 5 };
		const script = {
			runRetention: () => asked(false),
			listJobs: () => ({ items: [ended], nextCursor: null }),
			showRetention: () => shown,
		};
		const { code, out } = await cli('retention run --wait -o json', { script, clock: stillClock() });
		expect(code).toBe(0);
		expect(JSON.parse(out)).toMatchObject({ rules: [{ rule: 'event', last_deleted: 300 }, {}, {}] });
	});

	test('has nothing to wait for in a dry run', async ({ expect }) => {
		const { code, err } = await cli('retention run --dry-run --wait', { script: {} });
		expect(code).toBe(2);
		expect(err).toContain('nothing to wait for');
	});
});
