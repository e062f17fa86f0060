import { type RawBuilder, sql } from 'kysely';
import type { AgentStatus, ClientTable, Role } from './schema.ts';
import { type Db, holding } from './statement.ts';

/** How many hits a kind has at most, and how many of the newest rows are searched for a text within. */
export const HITS = 10;
export const NEWEST = 2_000;

export type ClientHit = Pick<ClientTable, 'id' | 'name' | 'email' | 'status'>;
export type InstanceHit = {
	instance_id: string;
	client_id: string;
	client_name: string;
	agent_id: string;
	instance_type: string | null;
	region: string | null;
	az: string | null;
	role: Role;
};
export type AgentHit = {
	id: string;
	logical_agent_id: string;
	client_id: string;
	client_name: string;
	hostname: string | null;
	status: AgentStatus;
	instance_id: string | null;
};

type Column = { readonly table: string; readonly id: string; readonly column: string };

/** Nothing that begins with a text is behind it: no name has this sign, the last that Unicode has for private use. */
const LAST = '\u{10FFFD}';

/** Ids of rows of which a column begins with a text, as it is written: a range of an index. */
const beginning = ({ table, id, column }: Column, text: string): RawBuilder<{ id: string }> =>
	sql`select id from (select ${sql.ref(id)} as id from ${sql.table(table)} where ${sql.ref(column)} >= ${text} and ${sql.ref(column)} < ${text + LAST} order by ${sql.ref(column)} limit ${sql.lit(HITS)}) as ${sql.raw(`by_${table}_${column}`)}`;

const all = (parts: readonly RawBuilder<unknown>[]): RawBuilder<unknown> => sql.join([...parts], sql` union `);

const within = (columns: readonly string[], text: string): RawBuilder<boolean> => {
	const pattern = holding(text.toLowerCase());
	return sql<boolean>`(${sql.join(
		columns.map((column) => sql`lower(${sql.ref(column)}) like ${pattern} escape '!'`),
		sql` or `,
	)})`;
};

const HOST = sql`handle, instance_id, client_id, agent_id, instance_type, region, az, role, hostname`;
const OWN = sql`id, logical_agent_id, client_id, status`;

const CLIENT = ['id', 'name', 'email'].map((column): Column => ({ table: 'client', id: 'id', column }));

/** Clients of which id, name or address begins with a text, or, where those are too few, of the newest ones holds it. At most two statements. */
export const searchClients = async (db: Db, text: string): Promise<ClientHit[]> => {
	const columns = ['id', 'name', 'email', 'status'] as const;
	const first = await db
		.selectFrom('client')
		.select(columns)
		.where(sql<boolean>`id in (select id from (${all(CLIENT.map((column) => beginning(column, text)))}) as hits)`)
		.orderBy('name')
		.limit(HITS)
		.execute();
	if (first.length === HITS) return first;
	const holding = await db
		.selectFrom(db.selectFrom('client').select(columns).orderBy('id', 'desc').limit(NEWEST).as('n'))
		.selectAll()
		.where(within(['n.id', 'n.name', 'n.email'], text))
		.orderBy('n.id', 'desc')
		.limit(HITS)
		.execute();
	return merged(first, holding, ({ id }) => id);
};

/**
 * Machines of which the id begins with a text, or, where those are too few, of the newest ones id, type, zone or host name holds it. At most
 * two statements.
 */
export const searchInstances = async (db: Db, text: string): Promise<InstanceHit[]> => {
	const select = (from: RawBuilder<unknown>) =>
		sql<
			InstanceHit & { handle: string }
		>`select h.handle, h.instance_id, h.client_id, c.name as client_name, h.agent_id, h.instance_type, h.region, h.az, h.role
			from ${from} as h inner join client as c on c.id = h.client_id`;
	const first = await sql<InstanceHit & { handle: string }>`${select(
		sql`(select ${HOST} from host where instance_id >= ${text} and instance_id < ${text + LAST} order by instance_id limit ${sql.lit(HITS)})`,
	)} order by h.instance_id`.execute(db);
	if (first.rows.length === HITS) return first.rows;
	const holding = await sql<InstanceHit & { handle: string }>`${select(
		sql`(select ${HOST} from host order by handle desc limit ${sql.lit(NEWEST)})`,
	)} where ${within(['h.instance_id', 'h.instance_type', 'h.az', 'h.hostname'], text)} order by h.handle desc limit ${sql.lit(HITS)}`.execute(
		db,
	);
	return merged(first.rows, holding.rows, ({ handle }) => handle);
};

const AGENT: readonly Column[] = [
	{ table: 'agent', id: 'id', column: 'id' },
	{ table: 'logical_id', id: 'agent_id', column: 'logical_id' },
];

/**
 * Agents of which id or a logical id begins with a text, or, where those are too few, of the newest ones id, logical id or host name holds it.
 * At most two statements.
 */
export const searchAgents = async (db: Db, text: string): Promise<AgentHit[]> => {
	const select = (from: RawBuilder<unknown>) =>
		sql<AgentHit>`select a.id, a.logical_agent_id, a.client_id, c.name as client_name, p.hostname, a.status, p.instance_id
			from ${from} as a inner join client as c on c.id = a.client_id left join host as p on p.primary_of = a.id`;
	const first = await sql<AgentHit>`${select(
		sql`(select ${OWN} from agent where id in (select id from (${all(AGENT.map((column) => beginning(column, text)))}) as hits) order by logical_agent_id limit ${sql.lit(HITS)})`,
	)} order by a.logical_agent_id`.execute(db);
	if (first.rows.length === HITS) return first.rows;
	const holding = await sql<AgentHit>`${select(
		sql`(select ${OWN} from agent order by id desc limit ${sql.lit(NEWEST)})`,
	)} where ${within(['a.id', 'a.logical_agent_id', 'p.hostname'], text)} order by a.id desc limit ${sql.lit(HITS)}`.execute(db);
	return merged(first.rows, holding.rows, ({ id }) => id);
};

const merged = <T>(first: readonly T[], then: readonly T[], id: (row: T) => string): T[] => {
	const seen = new Map<string, T>();
	for (const row of [...first, ...then]) if (!seen.has(id(row))) seen.set(id(row), row);
	return [...seen.values()].slice(0, HITS);
};
