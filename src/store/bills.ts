import { sql } from 'kysely';
import { among, type Db } from './statement.ts';
import type { CostSegmentTable, LedgerHostTable } from './tables/ledger.ts';

/** Where a page of segments of a machine ended. */
export type SegmentPosition = { readonly at: number; readonly id: number };

/** What a bill is set against of a segment. */
export type BilledSegment = Pick<CostSegmentTable, 'client_id' | 'start_at' | 'end_at' | 'price_micros' | 'price_source' | 'quality'> & {
	readonly id: number;
};

/**
 * The segments of a machine that begin in a time, in that order, after a position: at most `limit`. It does not ask for a client: both databases
 * then go through all segments of the client. MariaDB goes through all of the machine unless the time is short.
 */
export const segmentsOfInstance = async (
	db: Db,
	instanceId: string,
	{ from, to }: { readonly from: number; readonly to: number },
	after: SegmentPosition | null,
	limit: number,
): Promise<BilledSegment[]> => {
	let query = db
		.selectFrom('cost_segment')
		.select(['id', 'client_id', 'start_at', 'end_at', 'price_micros', 'price_source', 'quality'])
		.where('instance_id', '=', instanceId)
		.where('start_at', '>=', from)
		.where('start_at', '<', to);
	if (after !== null)
		query = query.where((eb) => eb.or([eb('start_at', '>', after.at), eb.and([eb('start_at', '=', after.at), eb('id', '>', after.id)])]));
	return (await query.orderBy('start_at').orderBy('id').limit(sql.lit(limit)).execute()) as BilledSegment[];
};

/** When each of these machines entered the books. A machine has few hosts and may have any number of facts: one look for each host. */
export const firstFacts = async (db: Db, clientId: string | null, instanceIds: readonly string[]): Promise<Map<string, number>> => {
	if (instanceIds.length === 0) return new Map();
	let query = db
		.selectFrom('host as h')
		.select((eb) => [
			'h.instance_id',
			eb
				.selectFrom('ledger_fact as f')
				.select((f) => f.fn.min('f.at').as('first'))
				.whereRef('f.handle', '=', 'h.handle')
				.as('first'),
		])
		.where(among(db, 'h.instance_id', instanceIds));
	if (clientId !== null) query = query.where('h.client_id', '=', clientId);
	const found = new Map<string, number>();
	for (const { instance_id, first } of await query.execute()) {
		if (first === null || first === undefined) continue;
		found.set(instance_id, Math.min(Number(first), found.get(instance_id) ?? Number.POSITIVE_INFINITY));
	}
	return found;
};

/** Machines among these whose books are open. */
export const openOfInstances = async (db: Db, clientId: string | null, instanceIds: readonly string[]): Promise<LedgerHostTable[]> => {
	if (instanceIds.length === 0) return [];
	// Without the client: beside a list, SQLite would look through all that the client has open.
	const rows = await db
		.selectFrom('ledger_host')
		.selectAll()
		.where(among(db, 'instance_id', instanceIds))
		.orderBy('start_at')
		.execute();
	return rows.filter((row) => clientId === null || row.client_id === clientId);
};
