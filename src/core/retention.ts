import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { requestJob } from '../store/jobs.ts';
import { countDue, KEPT, RULES, type RuleName, type RuleRow, reportsRead, requestRules, ruleRows } from '../store/retention.ts';
import type { Db } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { jobNamed, shown } from './job-handlers.ts';
import { cutoffOf } from './retention-job.ts';
import { type Job, TICK_MS } from './scheduler.ts';

const JOB = 'retention';

/**
 * How far due rows are counted: a dry run further than what a dashboard asks for all the time, and those that are judged by other tables less
 * far. A request reads so much at most.
 */
const COUNTED = { shown: 1_000, tried: 10_000, judged: 1_000 } as const;

type Row = Output<'showRetention'>['rules'][number];

const show = (
	context: Context,
	name: RuleName,
	before: number | null,
	due: { due: number; complete: boolean },
	row: RuleRow | undefined,
): Row => {
	const setting = RULES.get(name)?.setting ?? 'ledger';
	return {
		rule: name,
		summary: RULES.get(name)?.summary ?? '',
		setting: `retention.${setting}`,
		days: context.settings.retention[setting],
		before: isoOr(before),
		due: due.due,
		due_complete: due.complete,
		requested_at: isoOr(row?.requested_at ?? null),
		last_started_at: isoOr(row?.started_at ?? null),
		last_ended_at: isoOr(row?.ended_at ?? null),
		last_deleted: Number(row?.deleted ?? 0),
		last_complete: row?.started_at == null ? null : row.complete === 1,
		total_deleted: Number(row?.total ?? 0),
	};
};

/** Some rules with what is due: a statement a rule, each of a bounded range, and two more. */
const rulesNow = async (context: Context, db: Db, names: readonly RuleName[], counted: number): Promise<Row[]> => {
	const rows = new Map((await ruleRows.all(db, {})).map((row) => [row.name, row]));
	const read = await reportsRead(db);
	const found: Row[] = [];
	for (const name of names) {
		const before = cutoffOf(context, name, read);
		const limit = RULES.get(name)?.free === undefined ? counted : COUNTED.judged;
		const due = before === null ? { due: 0, complete: true } : await countDue(db, name, before, limit);
		found.push(show(context, name, before, due, rows.get(name)));
	}
	return found;
};

/** All rules with what is due. */
export const showRetention = (context: Context, jobs: readonly Job[]) => async (): Promise<Output<'showRetention'>> => {
	const { read } = context.store;
	const job = jobs.find(({ name }) => name === JOB);
	if (job === undefined) throw new SpotError('missing', 'NOT_FOUND', 'no job "retention"', { hint: 'see: spotctl jobs list' });
	return {
		success: true,
		rules: await rulesNow(context, read, [...RULES.keys()], COUNTED.shown),
		kept: [...KEPT],
		job: await shown(context, read, job),
	};
};

const isRule = (name: string): name is RuleName => RULES.has(name as RuleName);

/** The rules that a request names; null: all of them. */
const namesOf = (only: Valid<'runRetention'>['only']): readonly RuleName[] | null => {
	const given = (typeof only === 'string' ? only.split(',') : (only ?? [])).map((name) => name.trim()).filter((name) => name !== '');
	if (given.length === 0) return null;
	const names: RuleName[] = [];
	for (const name of new Set(given)) {
		if (!isRule(name)) {
			throw new SpotError('invalid', 'UNKNOWN_RULE', `no retention rule "${name.slice(0, 80)}"`, {
				hint: `one of ${[...RULES.keys()].join(', ')}; see: spotctl retention show`,
			});
		}
		names.push(name);
	}
	return names;
};

/** Errors: 400 UNKNOWN_RULE, 409 JOB_PAUSED. */
export const runRetention =
	(context: Context, jobs: readonly Job[]) =>
	async (input: Valid<'runRetention'>, caller: Caller): Promise<Output<'runRetention'>> => {
		const only = namesOf(input.only);
		const names = only ?? [...RULES.keys()];
		const dryRun = input.dry_run === true;
		const rules = dryRun ? await rulesNow(context, context.store.read, names, COUNTED.tried) : null;
		return context.unit(caller, async (tx, journal) => {
			const at = context.clock.now();
			const { job } = await jobNamed(context, jobs, tx, JOB);
			journal.audit('retention.run', 'job', JOB, null, null, { dry_run: dryRun, only, requested_at: iso(at) });
			if (!dryRun) {
				if ((await requestJob.run(tx, { name: JOB, at })) === 0) {
					throw new SpotError('conflict', 'JOB_PAUSED', `job "${JOB}" is paused`, { hint: `resume it: spotctl jobs resume ${JOB}` });
				}
				await requestRules(tx, only, at);
			}
			const row = await shown(context, tx, job);
			return {
				success: true,
				message: messageOf(rules, row.state === 'running'),
				dry_run: dryRun,
				rules: rules ?? (await rulesNow(context, tx, names, COUNTED.shown)),
				kept: [...KEPT],
				job: row,
			};
		});
	};

const messageOf = (counted: readonly Row[] | null, runs: boolean): string => {
	if (counted === null) return `retention ${runs ? `begins within ${TICK_MS / 1000} s` : 'begins when a daemon runs jobs; none does now'}`;
	const due = counted.reduce((sum, rule) => sum + rule.due, 0);
	const all = counted.every(({ due_complete }) => due_complete);
	return `${all ? '' : 'at least '}${due} rows would be deleted; nothing was`;
};
