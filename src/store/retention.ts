import { type RawBuilder, sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import { lockLedger } from './ledger.ts';
import { always, RULES, type Rule, type RuleName } from './retention-plan.ts';
import { among, type Db, statement } from './statement.ts';
import type { RetentionRuleTable } from './tables/retention.ts';

/** Where a run stands in the order of a rule's index: everything up to here was looked at. */
export type Position = { readonly time: number; readonly key: string | number };

/** Old rows in their order: keys, times, and of the books whose they are. */
export type OldRow = { readonly key: string | number; readonly time: number; readonly owner: string | null };

const ruleOf = (name: RuleName): Rule => {
	const rule = RULES.get(name);
	if (rule === undefined) throw new Error(`no rule ${name}`);
	return rule;
};

const column = (name: RuleName, of: string): RawBuilder<unknown> => sql.ref(`${name}.${of}`);

const ownerOf = (name: RuleName, { how }: Rule): RawBuilder<unknown> => {
	if (how === 'machines') return column(name, 'handle');
	return name === 'host' ? column(name, 'agent_id') : sql`null`;
};

/** What is old by its time alone: the range of the index. */
const isOld = (name: RuleName, { time, only }: Rule, before: number): RawBuilder<boolean> => {
	const prefix = only === undefined ? always : sql<boolean>`${column(name, only[0])} = ${only[1]}`;
	return sql<boolean>`${prefix} and ${column(name, time)} < ${before}`;
};

/** The next old rows after a position, oldest first, whether or not they may end; at most `limit`. Reads a range of one index. */
export const oldRows = async (db: Db, name: RuleName, before: number, after: Position | null, limit: number): Promise<OldRow[]> => {
	const rule = ruleOf(name);
	const [time, key] = [column(name, rule.time), column(name, rule.key)];
	const beyond = after === null ? always : sql<boolean>`${time} >= ${after.time} and (${time} > ${after.time} or ${key} > ${after.key})`;
	const { rows } = await sql<{ row_key: string | number; row_time: number; row_owner: string | null }>`
		select ${key} as row_key, ${time} as row_time, ${ownerOf(name, rule)} as row_owner from ${sql.table(name)}
		where ${isOld(name, rule, before)} and ${beyond} order by ${time}, ${key} limit ${sql.lit(limit)}`.execute(db);
	return rows.map(({ row_key, row_time, row_owner }) => ({ key: row_key, time: row_time, owner: row_owner }));
};

/** How many of the oldest `limit` old rows may end, and whether those are all: one statement, of a bounded cost. */
export const countDue = async (db: Db, name: RuleName, before: number, limit: number): Promise<{ due: number; complete: boolean }> => {
	const rule = ruleOf(name);
	const old = sql`select ${column(name, rule.key)} as row_key from ${sql.table(name)} where ${isOld(name, rule, before)}
		order by ${column(name, rule.time)} limit ${sql.lit(limit + 1)}`;
	const from =
		rule.free === undefined ? sql`(${old}) old` : sql`(${old}) old join ${sql.table(name)} on ${column(name, rule.key)} = old.row_key`;
	const due = rule.free === undefined ? sql`count(*)` : sql`coalesce(sum(case when ${rule.free(before)} then 1 else 0 end), 0)`;
	const { rows } = await sql<{ seen: number; due: number }>`select count(*) as seen, ${due} as due from ${from}`.execute(db);
	const [{ seen, due: found } = { seen: 0, due: 0 }] = rows;
	return { due: Math.min(Number(found), limit), complete: Number(seen) <= limit };
};

/** What became of a batch. */
export type Batch = {
	/** Rows that were deleted. */
	readonly deleted: number;
	/** Everything up to here was dealt with; the position before the batch where it has to be done again. */
	readonly position: Position | null;
	/** Agents that lost a machine. */
	readonly agents: readonly string[];
};

const affected = ({ numAffectedRows }: { readonly numAffectedRows?: bigint | undefined }): number => Number(numAffectedRows ?? 0n);

const positionOf = (row: OldRow | undefined, before: Position | null): Position | null =>
	row === undefined ? before : { time: Number(row.time), key: row.key };

/**
 * Deletes those of some old rows that may end, at most `limit` of them and by their keys: no range is locked. Whether they may is judged
 * here, in the transaction. `after` is where the rows were read from.
 */
export const endRows = async (
	tx: Db,
	name: RuleName,
	before: number,
	after: Position | null,
	old: readonly OldRow[],
	limit: number,
): Promise<Batch> => {
	const rule = ruleOf(name);
	if (rule.how === 'machines') return endBooks(tx, name, before, after, old, limit);
	if (rule.how === 'buckets') return endBuckets(tx, name, before, after, old, limit);
	const keys = old.map(({ key }) => key);
	const these = among(tx, `${name}.${rule.key}`, keys);
	if (rule.how === 'locked') {
		await sql`select ${column(name, rule.key)} from ${sql.table(name)} where ${these} order by ${column(name, rule.key)} ${dialectOf(tx).forUpdate}`.execute(
			tx,
		);
	}
	const may = rule.free === undefined ? always : rule.free(before);
	const gone = await sql`delete from ${sql.table(name)} where ${these} and ${isOld(name, rule, before)} and ${may}`.execute(tx);
	const deleted = affected(gone);
	const agents = name === 'host' && deleted > 0 ? [...new Set(old.flatMap(({ owner }) => owner ?? []))] : [];
	return { deleted, position: positionOf(old.at(-1), after), agents };
};

/** Whole buckets of prices; of a bucket that is not all among the rows, the pools that are, where there is no other. */
const endBuckets = async (
	tx: Db,
	name: RuleName,
	before: number,
	after: Position | null,
	old: readonly OldRow[],
	limit: number,
): Promise<Batch> => {
	const [first, last] = [old[0], old.at(-1)];
	if (first === undefined || last === undefined) return { deleted: 0, position: after, agents: [] };
	const whole = old.length < limit ? old : old.filter(({ time }) => Number(time) < Number(last.time));
	const [from, end] = whole.length > 0 ? [first, whole.at(-1) ?? last] : [first, last];
	const range = sql<boolean>`bucket >= ${from.time} and bucket <= ${end.time} and bucket < ${before}`;
	const pools = whole.length > 0 ? always : sql<boolean>`pool_id >= ${from.key} and pool_id <= ${end.key}`;
	const gone = await sql`delete from ${sql.table(name)} where ${range} and ${pools}`.execute(tx);
	return { deleted: affected(gone), position: positionOf(end, after), agents: [] };
};

/** How many machines a transaction looks at. */
const MACHINES = 20;

/**
 * The books of machines that are over: of each, all facts in one transaction, and before its last segment. The ledger job and whoever
 * books anew wait meanwhile.
 */
const endBooks = async (
	tx: Db,
	name: RuleName,
	before: number,
	after: Position | null,
	old: readonly OldRow[],
	limit: number,
): Promise<Batch> => {
	await lockLedger.first(tx, {});
	const handles = [...new Set(old.map(({ owner }) => owner ?? ''))];
	const looked = handles.slice(0, MACHINES);
	const next = old.findIndex(({ owner }) => !looked.includes(owner ?? ''));
	const position = positionOf(old.at(next === -1 ? -1 : next - 1), after);
	const free = ruleOf(name).free?.(before) ?? always;
	const over = await sql<{ handle: string }>`select distinct ${column(name, 'handle')} as handle from ${sql.table(name)}
		where ${among(tx, `${name}.handle`, looked)} and ${free} order by ${column(name, 'handle')}`.execute(tx);
	if (over.rows.length === 0) return { deleted: 0, position, agents: [] };
	const named = over.rows.map(({ handle }) => handle);
	const counts = await sql<{ handle: string; facts: number }>`select handle, count(*) as facts from ledger_fact
		where ${among(tx, 'ledger_fact.handle', named)} group by handle`.execute(tx);
	const facts = new Map(counts.rows.map((row) => [row.handle, Number(row.facts)]));
	const taken: string[] = [];
	let sum = 0;
	for (const handle of named) {
		sum += facts.get(handle) ?? 0;
		if (taken.length > 0 && sum > limit) break;
		taken.push(handle);
	}
	let deleted = affected(await sql`delete from ledger_fact where ${among(tx, 'ledger_fact.handle', taken)}`.execute(tx));
	await sql`update ledger_state set pruned_before = ${before} where id = 1 and coalesce(pruned_before, 0) < ${before}`.execute(tx);
	const left = limit - deleted;
	let unfinished = taken.length < named.length || left <= 0;
	if (left > 0) {
		const { rows } = await sql<{ id: number }>`select id from cost_segment where ${among(tx, 'cost_segment.handle', taken)}
			limit ${sql.lit(left)}`.execute(tx);
		const ids = rows.map(({ id }) => id);
		if (ids.length > 0) deleted += affected(await sql`delete from cost_segment where ${among(tx, 'cost_segment.id', ids)}`.execute(tx));
		unfinished ||= ids.length === left;
	}
	return { deleted, position: unfinished ? after : position, agents: [] };
};

/** Up to when the books have read the price reports; 0 where they have read none. */
export const reportsRead = async (db: Db): Promise<number> =>
	(await db.selectFrom('ledger_state').select('reports_at').where('id', '=', 1).executeTakeFirst())?.reports_at ?? 0;

export type RuleRow = RetentionRuleTable;

/** How far every rule is; a rule that never ran has no row. */
export const ruleRows = statement<Record<string, never>>()((db) => db.selectFrom('retention_rule').selectAll());

const addRule = statement<{ name: string }>()((db, v, dialect) =>
	db
		.insertInto('retention_rule')
		.values({ name: v('name'), deleted: 0, complete: 0, total: 0 })
		.modifyEnd(sql`${dialect.onConflict(['name'])} name = ${dialect.incoming('name')}`),
);

const markBegun = statement<{ name: string; at: number }>()((db, v) =>
	db
		.updateTable('retention_rule')
		.set({ started_at: v('at'), ended_at: null, deleted: 0, complete: 0 })
		.where('name', '=', v('name')),
);

/** A run of a rule begins. */
export const beginRule = async (tx: Db, name: RuleName, at: number): Promise<void> => {
	await addRule.later(tx, { name });
	await markBegun.later(tx, { name, at });
};

/** Counts rows in the transaction that deletes them: a kill loses none of the count. */
export const countDeleted = statement<{ name: string; deleted: number }>()((db, v) =>
	db
		.updateTable('retention_rule')
		.set({ deleted: sql`deleted + ${v('deleted')}`, total: sql`total + ${v('deleted')}` })
		.where('name', '=', v('name')),
);

/** The run of a rule is over; the request it answers, made at `requested`, is done with. */
export const endRule = statement<{ name: string; at: number; complete: 0 | 1; requested: number | null }>()((db, v) =>
	db
		.updateTable('retention_rule')
		.set({ ended_at: v('at'), complete: v('complete'), requested_at: sql`nullif(requested_at, ${v('requested')})` })
		.where('name', '=', v('name')),
);

const askRule = statement<{ name: string; at: number }>()((db, v) =>
	db
		.updateTable('retention_rule')
		.set({ requested_at: v('at') })
		.where('name', '=', v('name')),
);
const forgetRequests = statement<Record<string, never>>()((db) => db.updateTable('retention_rule').set({ requested_at: null }));

/** Asks that the next run does some rules only; null: all of them, whatever was asked before. */
export const requestRules = async (tx: Db, names: readonly RuleName[] | null, at: number): Promise<void> => {
	if (names === null) return forgetRequests.later(tx, {});
	for (const name of names) {
		await addRule.later(tx, { name });
		await askRule.later(tx, { name, at });
	}
};

export { KEPT, RETENTION, type RetentionSetting, RULES, type Rule, type RuleName } from './retention-plan.ts';
