import { sql } from 'kysely';
import { systemClock } from '../../src/deps.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import type { Tables } from '../../src/store/schema.ts';

/** Every table; a missing or extra name does not compile. */
const TABLES = Object.keys({
	client: 1,
	client_token: 1,
	admin_token: 1,
	agent: 1,
	logical_id: 1,
	host: 1,
	host_liveness: 1,
	host_price: 1,
	pool: 1,
	client_pool: 1,
	price_report: 1,
	price_clean: 1,
	ondemand_price: 1,
	command: 1,
	replica: 1,
	emergency: 1,
	job: 1,
	switch_record: 1,
	event: 1,
	notification: 1,
	webhook: 1,
	webhook_delivery: 1,
	audit: 1,
	idempotency: 1,
	cleanup_log: 1,
	service_clock: 1,
	service_gap: 1,
	change_log: 1,
	ledger_fact: 1,
	ledger_host: 1,
	ledger_state: 1,
	ledger_total: 1,
	cost_segment: 1,
	switch_tally: 1,
	switch_failure: 1,
	fleet_day: 1,
	client_day: 1,
	client_ended: 1,
	retention_rule: 1,
	price_hour: 1,
	price_hour_state: 1,
	price_alert: 1,
	price_watch: 1,
} satisfies Record<keyof Tables, 1>) as (keyof Tables)[];

/** What time alone changes, or a job of its own accord. */
const RESTLESS = new Set<string>([
	...['fleet_day', 'client_day', 'client_ended'],
	...['host_liveness', 'service_clock', 'service_gap', 'change_log', 'job', 'retention_rule'],
	...['ledger_fact', 'ledger_host', 'ledger_state', 'ledger_total', 'cost_segment'],
	...['price_hour', 'price_hour_state'],
]);

const steady = TABLES.filter((table) => !RESTLESS.has(table));

/** A second pair of eyes on the database of a daemon. */
export type Rows = {
	readonly store: Store;
	/** Rows of one table as they are. */
	of<T extends keyof Tables>(table: T): Promise<Record<string, unknown>[]>;
	/** Every row that a request, and not the clock, changes: to compare before and after. */
	snapshot(): Promise<string>;
	/** Every value of every column of every table. */
	everything(): Promise<string>;
	close(): Promise<void>;
};

export const openRows = async (url: string): Promise<Rows> => {
	const store = await openStore({ url, poolSize: 2, clock: systemClock });
	const of = async (table: keyof Tables): Promise<Record<string, unknown>[]> =>
		(await sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(store.read)).rows;
	const dump = async (tables: readonly (keyof Tables)[], hide: ReadonlySet<string>): Promise<string> => {
		const parts: string[] = [];
		for (const table of tables) {
			const rows = (await of(table)).map((row) => JSON.stringify(row, (key, value) => (hide.has(key) ? undefined : value)));
			parts.push(`${table}\n${rows.sort().join('\n')}`);
		}
		return parts.join('\n');
	};
	return {
		store,
		of,
		snapshot: () => dump(steady, new Set(['last_used_at', 'last_sync_at'])),
		everything: () => dump(TABLES, new Set()),
		close: () => store.close(),
	};
};
