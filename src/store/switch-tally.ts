import { sql } from 'kysely';
import { dialectOf } from './dialect.ts';
import { multiRow } from './multi-row.ts';
import type { SwitchTable } from './schema.ts';
import { type Db, statement } from './statement.ts';
import type { SwitchTallyTable } from './tables/overview.ts';

type Counted = Pick<SwitchTable, 'agent_id' | 'client_id' | 'trigger_type' | 'success' | 'downtime_ms'>;

const SUMS = ['switches', 'failed', 'measured', 'downtime_ms'] as const;
const COLUMNS = ['agent_id', 'trigger_type', 'client_id', ...SUMS] as const;

const upsert = {
	sqlite: multiRow(
		'switch_tally',
		COLUMNS,
		`on conflict (agent_id, trigger_type) do update set ${SUMS.map((column) => `${column} = switch_tally.${column} + excluded.${column}`).join(', ')}`,
	),
	mysql: multiRow(
		'switch_tally',
		COLUMNS,
		`on duplicate key update ${SUMS.map((column) => `${column} = ${column} + values(${column})`).join(', ')}`,
	),
};

/** What records add to the counters, less what they added before; by agent and cause, where that is anything. */
const changesOf = (added: readonly Counted[], taken: readonly Counted[]): SwitchTallyTable[] => {
	const changes = new Map<string, SwitchTallyTable>();
	const count = (records: readonly Counted[], sign: 1 | -1): void => {
		for (const { agent_id, client_id, trigger_type, success, downtime_ms } of records) {
			const key = `${agent_id} ${trigger_type}`;
			const known = changes.get(key) ?? { agent_id, trigger_type, client_id, switches: 0, failed: 0, measured: 0, downtime_ms: 0 };
			changes.set(key, {
				...known,
				switches: known.switches + sign,
				failed: known.failed + (success === 0 ? sign : 0),
				measured: known.measured + (downtime_ms === null ? 0 : sign),
				downtime_ms: known.downtime_ms + sign * (downtime_ms ?? 0),
			});
		}
	};
	count(added, 1);
	count(taken, -1);
	return [...changes.values()].filter((row) => SUMS.some((column) => row[column] !== 0));
};

/** Counts switch records, in their own transaction; `taken` is what was counted of them before. The agent's row is locked by whoever books. */
export const tallySwitches = async (tx: Db, added: readonly Counted[], taken: readonly Counted[]): Promise<void> => {
	const rows = changesOf(added, taken);
	if (rows.length === 0) return;
	await upsert[dialectOf(tx).name](
		tx,
		rows.map((row) => COLUMNS.map((column) => row[column])),
	);
};

/** Switches by cause, as they are counted. */
export type Tally = Pick<SwitchTallyTable, 'trigger_type' | (typeof SUMS)[number]>;

const numbers = (row: { readonly [K in keyof Tally]: Tally[K] | string | bigint | null }): Tally => ({
	trigger_type: String(row.trigger_type),
	switches: Number(row.switches),
	failed: Number(row.failed),
	measured: Number(row.measured),
	downtime_ms: Number(row.downtime_ms),
});

const ofAgent = statement<{ agent_id: string }>()((db, v) =>
	db
		.selectFrom('switch_tally')
		.select(['trigger_type', ...SUMS])
		.where('agent_id', '=', v('agent_id')),
);

export const tallyOfAgent = async (db: Db, agentId: string): Promise<Tally[]> =>
	(await ofAgent.all(db, { agent_id: agentId })).map(numbers);

/** Switches of the whole fleet: all, and those of each of these causes. */
export const switchesOfFleet = async <const C extends string>(db: Db, causes: readonly C[]): Promise<Record<C | 'all', number>> => {
	const row = await db
		.selectFrom('switch_tally')
		.select((eb) => [
			eb.fn.sum<number>('switches').as('all'),
			...causes.map((cause) => sql<number>`sum(case when trigger_type = ${sql.lit(cause)} then switches else 0 end)`.as(cause)),
		])
		.executeTakeFirst();
	return Object.fromEntries(
		['all', ...causes].map((key) => [key, Number((row as Record<string, unknown> | undefined)?.[key] ?? 0)]),
	) as Record<C | 'all', number>;
};
