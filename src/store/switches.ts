import { sql } from 'kysely';
import { multiRow } from './multi-row.ts';
import type { SwitchTable } from './schema.ts';
import { type Db, statement } from './statement.ts';
import { tallySwitches } from './switch-tally.ts';

export type SwitchRecord = SwitchTable;

export const switchOf = statement<{ agent_id: string; old_instance_id: string; new_instance_id: string }>()((db, v) =>
	db
		.selectFrom('switch_record')
		.selectAll()
		.where('agent_id', '=', v('agent_id'))
		.where('old_instance_id', '=', v('old_instance_id'))
		.where('new_instance_id', '=', v('new_instance_id'))
		.orderBy('created_at', 'desc')
		.limit(sql.lit(1)),
);

export const switchOfCommand = statement<{ agent_id: string; command_id: string }>()((db, v) =>
	db
		.selectFrom('switch_record')
		.selectAll()
		.where('agent_id', '=', v('agent_id'))
		.where('command_id', '=', v('command_id'))
		.orderBy('created_at', 'desc')
		.limit(sql.lit(1)),
);

const switchColumns = [
	'evidence',
	'success',
	'command_id',
	'old_instance_id',
	'new_instance_id',
	'old_mode',
	'new_mode',
	'old_pool_id',
	'new_pool_id',
	'old_spot_micros',
	'new_spot_micros',
	'ondemand_micros',
	'impact_micros',
	'trigger_type',
	'initiated_at',
	'launched_at',
	'ready_at',
	'traffic_at',
	'old_terminated_at',
	'ami_created_at',
	'duration_ms',
	'downtime_ms',
	'snapshot_id',
	'error_message',
	'generation',
] as const satisfies ReadonlyArray<keyof SwitchTable>;

const addSwitch = statement<SwitchRecord>()((db, v) =>
	db.insertInto('switch_record').values({
		id: v('id'),
		client_id: v('client_id'),
		agent_id: v('agent_id'),
		created_at: v('created_at'),
		...pick(switchColumns, v),
	}),
);

/** Adds switch records, and counts them: two statements for any number. */
export const addSwitches = async (tx: Db, records: readonly SwitchRecord[]): Promise<void> => {
	const [first] = records;
	if (records.length === 1 && first !== undefined) await addSwitch.later(tx, first);
	else
		await addManySwitches(
			tx,
			records.map((record) => SWITCH.map((column) => record[column])),
		);
	await tallySwitches(tx, records, []);
};

const SWITCH = ['id', 'client_id', 'agent_id', 'created_at', ...switchColumns] as const;
const addManySwitches = multiRow('switch_record', SWITCH, '');

/** Rewrites a switch record: a report that fills what a registration had to leave open. */
export const saveSwitch = async (tx: Db, before: SwitchRecord, after: SwitchRecord): Promise<void> => {
	await rewriteSwitch.later(tx, after);
	await tallySwitches(tx, [after], [before]);
};

const rewriteSwitch = statement<SwitchRecord>()((db, v) =>
	db.updateTable('switch_record').set(pick(switchColumns, v)).where('id', '=', v('id')),
);

function pick<K extends keyof SwitchRecord>(
	columns: readonly K[],
	value: <C extends K>(name: C) => SwitchRecord[C],
): Pick<SwitchRecord, K> {
	return Object.fromEntries(columns.map((column) => [column, value(column)])) as Pick<SwitchRecord, K>;
}
