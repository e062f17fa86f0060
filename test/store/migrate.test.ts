import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/deps.ts';
import { migrate, ownTables, pendingDdl, refuse, schemaState } from '../../src/store/migrate.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { describeEachDatabase } from '../helpers/databases.ts';

type ForeignKey = { child: string; column: string; parent: string; onDelete: string };

const foreignKeys = async ({ dialect, read }: Store): Promise<ForeignKey[]> => {
	if (dialect.name === 'sqlite') {
		const found: ForeignKey[] = [];
		for (const child of ownTables) {
			const { rows } = await sql<{ from: string; table: string; on_delete: string }>`pragma foreign_key_list(${sql.lit(child)})`.execute(
				read,
			);
			found.push(...rows.map((row) => ({ child, column: row.from, parent: row.table, onDelete: row.on_delete })));
		}
		return found;
	}
	const { rows } =
		await sql<ForeignKey>`select k.table_name as child, k.column_name as \`column\`, k.referenced_table_name as parent, r.delete_rule as onDelete
		from information_schema.key_column_usage k
		join information_schema.referential_constraints r on r.constraint_schema = k.table_schema and r.constraint_name = k.constraint_name and r.table_name = k.table_name
		where k.table_schema = database() and k.referenced_table_name is not null`.execute(read);
	return rows;
};

/** Columns of every table that an index begins with. */
const indexHeads = async ({ dialect, read }: Store): Promise<Set<string>> => {
	if (dialect.name === 'sqlite') {
		const { rows } = await sql<{ head: string }>`select m.name || '.' || ii.name as head from sqlite_master m
			join pragma_index_list(m.name) il join pragma_index_info(il.name) ii on ii.seqno = 0 where m.type = 'table'
			union select m.name || '.' || t.name from sqlite_master m join pragma_table_info(m.name) t where m.type = 'table' and t.pk = 1`.execute(
			read,
		);
		return new Set(rows.map(({ head }) => head));
	}
	const { rows } = await sql<{ head: string }>`select concat(table_name, '.', column_name) as head from information_schema.statistics
		where table_schema = database() and seq_in_index = 1`.execute(read);
	return new Set(rows.map(({ head }) => head));
};

/** What refers to a row without a foreign key, and why. */
const WITHOUT_KEY: Readonly<Record<string, string>> = {
	'audit.client_id': 'what was done outlives whom it was done to',
	'audit.entity_id': 'any kind of thing',
	'host.primary_of': 'the agent_id of the same row; a CHECK stands on it, which MySQL forbids beside a referential action',
	'host.guess_command_id': 'of the same agent; a command may be forgotten while its machine runs on',
	'host.tentative_command_id': 'as guess_command_id',
	'host.pool_id': 'a pool nobody has reported a price of is no row yet',
	'command.open_switch_of': 'the agent_id of the same row',
	'command.target_pool_id': 'checked when the order is given; pools may be forgotten before orders',
	'command.new_handle': 'set together with new_instance_id, of the same agent',
	'command.claim_id': 'names nothing',
	'host.guess_replica_id': 'as guess_command_id',
	'host.tentative_replica_id': 'as guess_command_id',
	'replica.live_of': 'the agent_id of the same row',
	'replica.emergency_id': 'of the same agent; written before its emergency is',
	'replica.pool_id': 'checked when it is ordered; pools may be forgotten before replicas',
	'replica.serve_id': 'names nothing',
	'replica.served_handle': 'the primary of that time, of the same agent',
	'emergency.open_of': 'the agent_id of the same row',
	'emergency.pool_id': 'as host.pool_id',
	'emergency.replica_id': 'of the same agent; a replica may be forgotten before the emergency it was for',
	'emergency.new_handle': 'as command.new_handle',
	'switch_record.command_id': 'the history outlives the orders, which are forgotten sooner; a key would cost an index',
	'switch_record.old_pool_id': 'as an agent said it',
	'switch_record.new_pool_id': 'as an agent said it',
	'ledger_fact.client_id': 'the client of its host, which it goes with',
	'ledger_fact.agent_id': 'as ledger_fact.client_id',
	'ledger_fact.pool_id': 'as host.pool_id',
	'ledger_host.client_id': 'as ledger_fact.client_id',
	'ledger_host.agent_id': 'as ledger_fact.client_id',
	'ledger_host.pool_id': 'as host.pool_id',
	'cost_segment.agent_id': 'the books outlive the machine and its agent',
	'cost_segment.handle': 'as cost_segment.agent_id',
	'cost_segment.pool_id': 'as host.pool_id',
	'ledger_state.reports_id': 'how far the reports are read; they are forgotten sooner',
	'price_alert.pool_id': 'checked when the alert is made; its watches go with the pool',
	'price_raw.handle': 'nothing is written there any more; goes with its client',
	'price_report.handle': 'the hot path; goes with its client',
};

/** Ids of AWS, of a request, of an agent's own making, or of the row itself. */
const NO_REFERENCE =
	/^(id|instance_id|old_instance_id|new_instance_id|parent_instance_id|ami_id|snapshot_id|request_id|logical_id|logical_agent_id|handle)$/;

describeEachDatabase('the schema', ({ kind, freshUrl }) => {
	let store: Store;
	let steps: string[] = [];
	let planned: string[] = [];
	const opened: Store[] = [];
	const open = async (url: string, poolSize = 4): Promise<Store> => {
		const found = await openStore({ url, poolSize, clock: systemClock });
		opened.push(found);
		return found;
	};
	const tables = async ({ read }: Store) =>
		(await read.introspection.getTables({ withInternalKyselyTables: true })).map(({ name }) => name).sort();
	const forget = async (names: readonly string[]) => {
		for (const name of names) await sql`delete from spotctl_migration where name = ${name}`.execute(store.ddl);
	};

	// Every test leaves the schema as it found it: complete.
	beforeAll(async () => {
		store = await openStore({ url: await freshUrl(), poolSize: 1, clock: systemClock });
		expect(await schemaState(store)).toMatchObject({ state: 'empty', applied: [], foreign: [] });
		planned = await pendingDdl(store);
		steps = await migrate(store);
	});
	afterAll(() => store.close());
	afterEach(async () => {
		for (const found of opened.splice(0)) await found.close();
	});

	it('is made on an empty database, with one connection, and once only', async () => {
		expect(steps.length).toBe(planned.length);
		expect(steps).toEqual([...steps].sort());
		expect(await tables(store)).toEqual([...ownTables].sort());
		expect(await schemaState(store)).toMatchObject({ state: 'current', pending: [], unknown: [], foreign: [] });
		expect(await migrate(store)).toEqual([]);
		expect(await pendingDdl(store)).toEqual([]);
		refuse(await schemaState(store), 'use');
	});

	it('is finished when an earlier run was killed anywhere between a step and its record', async () => {
		for (const last of [1, 2, 7, steps.length]) {
			const left = steps.slice(-last);
			await forget(left);
			expect(await schemaState(store)).toMatchObject({ state: last === steps.length ? 'empty' : 'older', pending: left, foreign: [] });
			expect(() => refuse({ state: 'older', applied: [], pending: left, unknown: [], foreign: [] }, 'use')).toThrow(/older/);
			expect(await migrate(store)).toEqual(left);
			expect(await schemaState(store)).toMatchObject({ state: 'current' });
		}
	});

	it('is finished when the killed run had done some of the last steps', async () => {
		await sql`drop table cleanup_log`.execute(store.ddl);
		await sql`drop table service_clock`.execute(store.ddl);
		const left = steps.slice(steps.findIndex((step) => step.endsWith('-cleanup-log')));
		await forget(left);
		expect(await migrate(store)).toEqual(left);
		expect(await tables(store)).toEqual([...ownTables].sort());
		const heads = await indexHeads(store);
		expect(['cleanup_log.agent_id', 'change_log.at'].filter((head) => !heads.has(head))).toEqual([]);
	});

	it('takes over where the books of before stood: the first report that they had not read, and an outage that they had not come to', async () => {
		const left = steps.slice(steps.findIndex((step) => step.startsWith('0016-')));
		await sql`drop table service_gap`.execute(store.ddl);
		await forget(left);
		await sql`insert into client (id, name, status, test_client, created_at) values ('c', 'c', 'active', 0, 1)`.execute(store.ddl);
		// In the order of arrival the books of before had read up to 200: the second of these rows, not the first.
		for (const arrived of [300, 200, 400])
			await sql`insert into price_report (client_id, handle, source, points, observed_at, arrived_at)
				values ('c', 'h', 'primary', '{}', ${arrived}, ${arrived})`.execute(store.ddl);
		await sql`insert into ledger_state (id, reports_at, reports_id, serving_since, alive_at) values (1, 201, 2, 100, 150)`.execute(
			store.ddl,
		);
		await sql`insert into service_clock (id, serving_since, alive_at) values (1, 180, 190)`.execute(store.ddl);
		expect(await migrate(store)).toEqual(left);
		expect(await store.read.selectFrom('ledger_state').select('reports_id').execute()).toEqual([{ reports_id: 0 }]);
		expect(await store.read.selectFrom('service_gap').select(['from_at', 'until_at']).execute()).toEqual([{ from_at: 150, until_at: 180 }]);
	});

	if (kind === 'mariadb')
		it('is made once by five that start together, each with as few connections as may be', async () => {
			const url = await freshUrl();
			const stores = await Promise.all([2, 2, 2, 2, 10].map((size) => open(url, size)));
			const done = await Promise.all(stores.map(migrate));
			expect(done.filter((steps) => steps.length > 0)).toHaveLength(1);
			for (const store of stores) expect(await schemaState(store)).toMatchObject({ state: 'current' });
		});

	it('is refused a database of somebody else, whose tables are named and untouched', async () => {
		const theirs = await open(await freshUrl());
		await sql`create table wordpress_posts (id integer)`.execute(theirs.ddl);
		await sql`create table agent (id integer)`.execute(theirs.ddl);
		const error = await migrate(theirs).catch((found: unknown) => found);
		expect(error).toMatchObject({ kind: 'schema', code: 'DATABASE_NOT_OURS', extras: { tables: ['agent', 'wordpress_posts'] } });
		expect(String(error)).toContain('agent, wordpress_posts');
		await expect((async () => refuse(await schemaState(theirs), 'use'))()).rejects.toMatchObject({ code: 'DATABASE_NOT_OURS' });
		expect(await tables(theirs)).toEqual(['agent', 'wordpress_posts']);
	});

	it('is not changed in a database that holds tables of somebody else beside ours', async () => {
		await sql`create table guest (id integer)`.execute(store.ddl);
		await sql`delete from spotctl_migration where name = ${steps.at(-1)}`.execute(store.ddl);
		await expect(migrate(store)).rejects.toMatchObject({ code: 'DATABASE_NOT_OURS', extras: { tables: ['guest'] } });
		expect((await schemaState(store)).pending).toHaveLength(1);
		await sql`drop table guest`.execute(store.ddl);
		expect(await migrate(store)).toHaveLength(1);
	});

	it('that is newer is refused to everybody, and one that is older to who only uses it, with the command to run', async () => {
		await sql`insert into spotctl_migration (name, timestamp) values ('9999-001-future', '2999')`.execute(store.ddl);
		const newer = await schemaState(store);
		expect(newer).toMatchObject({ state: 'newer', unknown: ['9999-001-future'] });
		for (const wanted of ['use', 'migrate'] as const)
			expect(() => refuse(newer, wanted)).toThrow(expect.objectContaining({ kind: 'schema', code: 'SCHEMA_NEWER', exitCode: 10 }));
		await expect(migrate(store)).rejects.toMatchObject({ code: 'SCHEMA_NEWER' });
		await sql`delete from spotctl_migration where name in ('9999-001-future', ${steps.at(-1)})`.execute(store.ddl);
		const older = await schemaState(store);
		expect(() => refuse(older, 'use')).toThrow(
			expect.objectContaining({
				code: 'SCHEMA_OLDER',
				exitCode: 10,
				message: 'the database schema is older than this spotctl: one step is missing',
				hint: expect.stringContaining('spotctl db migrate'),
			}),
		);
		refuse(older, 'migrate');
		expect(await migrate(store)).toHaveLength(1);
	});

	it('has a foreign key wherever a column names a row, found by an index; the rest is explained', async () => {
		const heads = await indexHeads(store);
		const keys = await foreignKeys(store);
		const named = new Set(keys.map(({ child, column }) => `${child}.${column}`));
		const missing: string[] = [];
		for (const table of await store.read.introspection.getTables()) {
			for (const { name } of table.columns) {
				const refers =
					/_id$|^client$|^agent$|_of$|handle$/.test(name) && (!NO_REFERENCE.test(name) || (name === 'handle' && table.name !== 'host'));
				const at = `${table.name}.${name}`;
				if (refers && !named.has(at) && WITHOUT_KEY[at] === undefined) missing.push(at);
			}
		}
		expect(missing).toEqual([]);
		expect(keys.filter(({ onDelete }) => !['CASCADE', 'SET NULL'].includes(onDelete))).toEqual([]);
		expect([...named].filter((at) => WITHOUT_KEY[at] !== undefined)).toEqual([]);
		// Nothing is written into price_raw any more, and a client is deleted once in years.
		expect([...named].filter((at) => !heads.has(at) && !at.startsWith('price_raw.'))).toEqual([]);
	});
});

describeEachDatabase('what the database itself refuses', ({ freshUrl }) => {
	let store: Store;
	beforeAll(async () => {
		store = await openStore({ url: await freshUrl(), poolSize: 2, clock: systemClock });
		await migrate(store);
	});
	afterAll(() => store.close());
	afterEach(() => sql`delete from client`.execute(store.ddl));

	const client = (id: string, name = id) =>
		sql`insert into client (id, name, status, test_client, created_at) values (${id}, ${name}, 'active', 0, 1)`.execute(store.ddl);
	const agent = (id: string, auto = 0, manual = 0, clientId = 'c') =>
		sql`insert into agent (id, client_id, logical_agent_id, self_named, generation, version, status, enabled, auto_switch_enabled, manual_replica_enabled,
			auto_terminate_enabled, terminate_wait_seconds, min_savings_percent, risk_threshold, max_switches_per_day, max_switches_per_week, min_pool_duration_hours,
			config_version, installed_at, created_at, updated_at)
			values (${id}, ${clientId}, ${id}, 0, 1, 1, 'online', 1, ${auto}, ${manual}, 1, 300, 15, 0.3, 3, 10, 2, 1, 1, 1, 1)`.execute(
			store.ddl,
		);
	const host = (handle: string, role: string, primaryOf: string | null, instance = `i-${handle}`) =>
		sql`insert into host (handle, client_id, agent_id, instance_id, role, primary_of, hold, takes_back, created_at)
			values (${handle}, 'c', 'a', ${instance}, ${role}, ${primaryOf}, 0, 0, 1)`.execute(store.ddl);

	it('is a second primary of an agent, a primary that is none, and one machine twice', async () => {
		await client('c');
		await agent('a');
		await host('one', 'primary', 'a');
		const second = await host('two', 'primary', 'a').catch((error: unknown) => error);
		expect(store.dialect.isDuplicate(second)).toBe(true);
		await host('three', 'zombie', null);
		await host('four', 'candidate', null);
		await expect(host('five', 'primary', null)).rejects.toThrow();
		await expect(host('six', 'zombie', 'a2')).rejects.toThrow();
		await expect(host('seven', 'boss', null)).rejects.toThrow();
		const twice = await host('eight', 'zombie', null, 'i-one').catch((error: unknown) => error);
		expect(store.dialect.isDuplicate(twice)).toBe(true);
		const moved = await sql`update host set role = 'primary', primary_of = 'a' where handle = 'three'`
			.execute(store.ddl)
			.catch((error: unknown) => error);
		expect(store.dialect.isDuplicate(moved)).toBe(true);
	});

	it('is not a migration that meets addresses in different letters: one of each becomes lower case, the others stay', async () => {
		const addresses = {
			a: 'Solo@X.org',
			b: 'Two@x.org',
			c: 'TWO@x.org',
			d: 'Three@x.org',
			e: 'three@x.org',
			f: null,
			g: null,
			h: 'low@x.org',
		};
		for (const [id, email] of Object.entries(addresses)) {
			await client(id);
			await sql`update client set email = ${email} where id = ${id}`.execute(store.ddl);
		}
		for (let run = 0; run < 2; run++) {
			await sql`delete from spotctl_migration where name >= '0003-003-client-email-lower'`.execute(store.ddl);
			expect((await migrate(store))[0]).toBe('0003-003-client-email-lower');
			const rows = await store.read.selectFrom('client').select(['id', 'email']).orderBy('id').execute();
			expect(Object.fromEntries(rows.map(({ id, email }) => [id, email]))).toEqual({ ...addresses, a: 'solo@x.org', b: 'two@x.org' });
		}
	});

	it('is auto-switch together with manual replica', async () => {
		await client('c');
		for (const [auto, manual] of [
			[0, 0],
			[0, 1],
			[1, 0],
		] as const)
			await agent(`a${auto}${manual}`, auto, manual);
		await expect(agent('both', 1, 1)).rejects.toThrow();
		await expect(sql`update agent set manual_replica_enabled = 1 where id = 'a10'`.execute(store.ddl)).rejects.toThrow();
	});

	it('is a row of nobody, and with a client goes everything of it', async () => {
		const orphan = await agent('a', 0, 0, 'nobody').catch((error: unknown) => error);
		expect([store.dialect.isOrphan(orphan), store.dialect.isDuplicate(orphan), store.dialect.isUnavailable(orphan)]).toEqual([
			true,
			false,
			false,
		]);
		await client('c');
		await agent('a');
		await host('one', 'primary', 'a');
		await sql`insert into host_liveness (handle, seen_at) values ('one', 1)`.execute(store.ddl);
		await sql`insert into cleanup_log (client_id, agent_id, handle, deleted_snapshots, deleted_amis, failed, reported_at) values ('c', 'a', 'one', 0, 0, 0, 1)`.execute(
			store.ddl,
		);
		await sql`insert into event (type, severity, client_id, agent_id, message, created_at) values ('t', 'info', 'c', 'a', 'm', 1)`.execute(
			store.ddl,
		);
		await sql`insert into notification (id, client_id, agent_id, type, title, message, severity, is_read, count, created_at, last_at) values ('n', 'c', 'a', 't', 't', 'm', 'info', 0, 1, 1, 1)`.execute(
			store.ddl,
		);
		await sql`insert into command (id, client_id, agent_id, handle, generation, command_type, status, awaits_machine, instance_id, priority, terminate_wait_seconds,
			trigger_type, created_by, created_at, expires_at) values ('k', 'c', 'a', 'one', 1, 'switch', 'pending', 0, 'i-one', 75, 0, 'manual', 'me', 1, 2)`.execute(
			store.ddl,
		);
		await sql`insert into switch_record (id, client_id, agent_id, command_id, evidence, success, trigger_type, generation, created_at) values ('s', 'c', 'a', 'k', 'report', 1, 'manual', 1, 1)`.execute(
			store.ddl,
		);
		await store.transact((tx) => sql`delete from client where id = 'c'`.execute(tx));
		for (const table of ['agent', 'host', 'host_liveness', 'cleanup_log', 'event', 'notification', 'command', 'switch_record'] as const)
			expect([table, (await store.read.selectFrom(table).selectAll().execute()).length]).toEqual([table, 0]);
	});

	it('is no name that differs in case, in a trailing space or in an accent: those are three', async () => {
		const names = ['X', 'x', 'x ', ' x', 'é', 'e', 'e\u0301', 'ß', 'ss', '🙂', '🙃'];
		for (const name of names) await client(name);
		expect((await store.read.selectFrom('client').select('id').execute()).map(({ id }) => id).sort()).toEqual([...names].sort());
		for (const name of names)
			expect(await store.read.selectFrom('client').select('id').where('id', '=', name).execute()).toEqual([{ id: name }]);
		const twice = await client('x ').catch((error: unknown) => error);
		expect(store.dialect.isDuplicate(twice)).toBe(true);
	});
});
