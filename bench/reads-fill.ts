import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import type { Tables } from '../src/store/schema.ts';
import { poolOf, REGION, ZONES } from './requests.ts';
import { type BenchDatabase, sqlitePath } from './servers.ts';
import type { World } from './world.ts';

/** How much history the database holds when it is read. */
export type ReadsSize = { readonly switches: number; readonly prices: number; readonly segments: number };

export const FULL: ReadsSize = { switches: 200_000, prices: 2_000_000, segments: 500_000 };
export const TENTH: ReadsSize = { switches: 20_000, prices: 200_000, segments: 50_000 };

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BUCKET = 300_000;
/** Switches are spread over a year, prices over what retention leaves of them. */
const YEAR = 365 * DAY;

type Value = string | number | null;

/** Puts rows into a table; `close` commits and lets go. */
type Filler = {
	fill<T extends keyof Tables>(table: T, columns: readonly (keyof Tables[T] & string)[], rows: Iterable<readonly Value[]>): Promise<number>;
	run(statement: string): Promise<void>;
	close(): Promise<void>;
};

const fillSqlite = (file: string): Filler => {
	const database = new Database(file);
	database.pragma('synchronous = OFF');
	database.pragma('cache_size = -200000');
	return {
		fill: async (table, columns, rows) => {
			const insert = database.prepare(`insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`);
			let count = 0;
			database.transaction(() => {
				for (const row of rows) {
					insert.run(row);
					count++;
				}
			})();
			return count;
		},
		run: async (statement) => void database.exec(statement),
		close: async () => {
			database.pragma('wal_checkpoint(TRUNCATE)');
			database.close();
		},
	};
};

const AT_ONCE = 2000;

const fillMariadb = async (url: string): Promise<Filler> => {
	const connection = await createConnection({ uri: url });
	await connection.query('set foreign_key_checks = 0, unique_checks = 0, autocommit = 0');
	return {
		fill: async (table, columns, rows) => {
			let count = 0;
			let waiting: (readonly Value[])[] = [];
			const flush = async (): Promise<void> => {
				if (waiting.length > 0)
					await connection.query(`insert into \`${table}\` (${columns.map((name) => `\`${name}\``).join(', ')}) values ?`, [waiting]);
				waiting = [];
			};
			for (const row of rows) {
				count++;
				if (waiting.push(row) === AT_ONCE) await flush();
				if (count % (25 * AT_ONCE) === 0) await connection.query('commit');
			}
			await flush();
			await connection.query('commit');
			return count;
		},
		run: async (statement) => {
			await connection.query(statement);
			await connection.query('commit');
		},
		close: () => connection.end(),
	};
};

const idAt = (at: number, number: number): string => {
	const time = at.toString(16).padStart(12, '0');
	return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${number.toString(16).padStart(12, '0')}`;
};

const TYPES = [
	'c5.large',
	'c5.xlarge',
	'm5.large',
	'r5.large',
	'c5.2xlarge',
	'm5.xlarge',
	'r5.xlarge',
	'm5.2xlarge',
	'c4.large',
	'm4.large',
	'r4.large',
	't3.large',
];

/** Deterministic, between 0 and 1. */
const noise = (number: number): number => ((number * 2_654_435_761) % 4_294_967_296) / 4_294_967_296;

/**
 * The history of a fleet that is registered already: for each switch the machine it ended, its command, two events and a notification;
 * prices of 72 pools; segments, and their sums by day and month. The daemon must be stopped (SQLite has one writer). Machines are vouched
 * for an hour ahead, so that no sweep runs while reads are measured.
 */
export const fillHistory = async (world: World, database: BenchDatabase, size: ReadsSize, say: (text: string) => void): Promise<void> => {
	const filler = database.name === 'sqlite' ? fillSqlite(sqlitePath(database)) : await fillMariadb(database.url);
	const now = Date.now();
	const clients = new Map(
		(await database.query('select id, client_id from agent')).map((row) => [String(row['id']), String(row['client_id'])]),
	);
	const agents = world.agents.map((agent) => ({ ...agent, clientId: clients.get(agent.id) ?? '' }));
	const agentAt = (number: number) => agents[number % agents.length] as (typeof agents)[number];
	const count = size.switches;
	const when = (number: number): number => Math.floor(now - YEAR + ((number + 0.5) * YEAR) / count);
	const machineAt = (number: number): string => `i-${(0xaa00_0000_0000 + number).toString(16).padStart(17, '0')}`;
	const handleAt = (number: number): string => idAt(when(number), 1_000_000_000 + number);
	const commandAt = (number: number): string => idAt(when(number), 2_000_000_000 + number);
	/** The machine after the `number`th switch is the next one of the same agent, or the one that runs now. */
	const nextOf = (number: number): string =>
		number + agents.length < count ? machineAt(number + agents.length) : agentAt(number).instanceId;
	const poolAt = (number: number): string => poolOf(agentAt(number), number % ZONES.length);
	const upTo = function* (end: number, make: (number: number) => readonly Value[]): Generator<readonly Value[]> {
		for (let number = 0; number < end; number++) yield make(number);
	};
	const told = async (what: string, rows: Promise<number>): Promise<void> => say(`${(await rows).toLocaleString('en-US')} ${what}`);

	await told(
		'ended machines',
		filler.fill(
			'host',
			[
				'handle',
				'client_id',
				'agent_id',
				'instance_id',
				'role',
				'primary_of',
				'generation',
				'instance_type',
				'region',
				'az',
				'ami_id',
				'hostname',
				'private_ip',
				'agent_version',
				'mode',
				'pool_id',
				'registered_at',
				'zombie_at',
				'hold',
				'takes_back',
				'terminated_at',
				'last_switch_at',
				'created_at',
			],
			upTo(count, (number) => {
				const agent = agentAt(number);
				const at = when(number);
				return [
					handleAt(number),
					agent.clientId,
					agent.id,
					machineAt(number),
					'terminated',
					null,
					1,
					agent.instanceType,
					REGION,
					ZONES[number % ZONES.length] ?? '',
					'ami-0123456789abcdef0',
					`ip-10-0-${number % 250}-1`,
					'10.0.0.1',
					'4.0.0',
					'spot',
					poolAt(number),
					at - DAY,
					at,
					0,
					0,
					at + HOUR,
					at,
					at - DAY,
				];
			}),
		),
	);
	await told(
		'their signs of life',
		filler.fill(
			'host_liveness',
			['handle', 'seen_at', 'heartbeat_at', 'watch_at'],
			upTo(count, (number) => [handleAt(number), when(number), when(number), null]),
		),
	);
	await told(
		'commands',
		filler.fill(
			'command',
			[
				'id',
				'client_id',
				'agent_id',
				'handle',
				'generation',
				'command_type',
				'status',
				'outcome',
				'awaits_machine',
				'instance_id',
				'instance_type',
				'region',
				'target_mode',
				'target_pool_id',
				'new_instance_id',
				'priority',
				'terminate_wait_seconds',
				'trigger_type',
				'created_by',
				'reason',
				'created_at',
				'expires_at',
				'claimed_at',
				'completed_at',
			],
			upTo(count, (number) => {
				const agent = agentAt(number);
				const at = when(number);
				return [
					commandAt(number),
					agent.clientId,
					agent.id,
					handleAt(number),
					1,
					'switch',
					number % 50 === 0 ? 'failed' : 'completed',
					number % 50 === 0 ? 'agent' : 'report',
					0,
					machineAt(number),
					agent.instanceType,
					REGION,
					'spot',
					poolAt(number + 1),
					nextOf(number),
					75,
					300,
					number % 3 === 0 ? 'manual' : 'model',
					'bench',
					null,
					at,
					at + HOUR,
					at + 1000,
					at + 90_000,
				];
			}),
		),
	);
	await told(
		'switches',
		filler.fill(
			'switch_record',
			[
				'id',
				'client_id',
				'agent_id',
				'command_id',
				'evidence',
				'success',
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
				'duration_ms',
				'downtime_ms',
				'generation',
				'created_at',
			],
			upTo(count, (number) => {
				const agent = agentAt(number);
				const at = when(number);
				const [before, after] = [30_000 + Math.floor(noise(number) * 20_000), 30_000 + Math.floor(noise(number + 7) * 20_000)];
				return [
					idAt(at, number),
					agent.clientId,
					agent.id,
					commandAt(number),
					'report',
					number % 50 === 0 ? 0 : 1,
					machineAt(number),
					nextOf(number),
					'spot',
					'spot',
					poolAt(number),
					poolAt(number + 1),
					before,
					after,
					85_000,
					before - after,
					['manual', 'model', 'emergency'][number % 3] ?? '',
					at,
					at + 20_000,
					at + 60_000,
					at + 65_000,
					at + 80_000,
					80_000,
					5000 + (number % 9000),
					2,
					at + 80_000,
				];
			}),
		),
	);
	await told(
		'events',
		filler.fill(
			'event',
			['type', 'severity', 'client_id', 'agent_id', 'instance_id', 'message', 'metadata', 'created_at'],
			upTo(2 * count, (number) => {
				const agent = agentAt(number >> 1);
				const at = when(number >> 1);
				return [
					number % 2 === 0 ? 'switch_ordered' : 'switch_completed',
					'info',
					agent.clientId,
					agent.id,
					machineAt(number >> 1),
					`switch of ${agent.logicalId} to ${poolAt(number >> 1)}`,
					null,
					at + (number % 2) * 80_000,
				];
			}),
		),
	);
	await told(
		'notifications',
		filler.fill(
			'notification',
			['id', 'client_id', 'agent_id', 'type', 'title', 'message', 'severity', 'is_read', 'count', 'created_at', 'last_at'],
			upTo(count, (number) => {
				const agent = agentAt(number);
				const at = when(number);
				return [
					idAt(at, 3_000_000_000 + number),
					agent.clientId,
					agent.id,
					'switch',
					'Switch',
					`${agent.logicalId} switched to ${poolAt(number)}`,
					number % 10 === 0 ? 'warning' : 'info',
					number % 4 === 0 ? 0 : 1,
					1,
					at,
					at,
				];
			}),
		),
	);

	const pools = TYPES.flatMap((type) => ZONES.map((az) => ({ id: `${type}.${az}`, type, az })));
	const known = new Set((await database.query('select id from pool')).map((row) => String(row['id'])));
	await filler.fill(
		'pool',
		['id', 'instance_type', 'region', 'az', 'active', 'created_at'],
		pools.filter(({ id }) => !known.has(id)).map(({ id, type, az }) => [id, type, REGION, az, 1, now - YEAR]),
	);
	const last = Math.floor(now / BUCKET) * BUCKET - BUCKET;
	await told(
		'price points',
		filler.fill(
			'price_clean',
			['pool_id', 'bucket', 'spot_micros', 'ondemand_micros', 'source', 'priority', 'confidence', 'data_source', 'observed_at'],
			upTo(size.prices, (number) => {
				const perPool = Math.ceil(size.prices / pools.length);
				const bucket = last - (perPool - 1 - (number % perPool)) * BUCKET;
				return [
					pools[Math.floor(number / perPool)]?.id ?? '',
					bucket,
					30_000 + Math.floor(noise(number) * 20_000),
					85_000,
					'primary',
					4,
					1,
					'measured',
					bucket + 60_000,
				];
			}),
		),
	);
	await bookSegments(filler, agents, size.segments, now, say);
	await filler.run(
		`update host_liveness set seen_at = ${now + HOUR}, heartbeat_at = ${now}, watch_at = ${now + HOUR} where watch_at is not null`,
	);
	await filler.run("update agent set status = 'online' where status = 'offline'");
	await filler.run(
		database.name === 'sqlite' ? 'analyze' : 'analyze table switch_record, event, host, command, cost_segment, price_clean, notification',
	);
	await filler.close();
};

/** Hours of primaries, newest last, and the sums that follow from them. */
const bookSegments = async (
	filler: Filler,
	agents: ReadonlyArray<{ readonly id: string; readonly clientId: string; readonly handle: string; readonly instanceId: string }>,
	count: number,
	now: number,
	say: (text: string) => void,
): Promise<void> => {
	const sums = new Map<string, [number, number, number]>();
	const each = Math.ceil(count / agents.length);
	const begin = Math.floor(now / DAY) * DAY - Math.ceil(each / 24) * DAY - DAY;
	const rows = function* (): Generator<readonly Value[]> {
		for (let number = 0; number < count; number++) {
			const agent = agents[number % agents.length];
			if (agent === undefined) return;
			const start = begin + Math.floor(number / agents.length) * HOUR;
			const price = 30_000 + Math.floor(noise(number) * 20_000);
			const day = new Date(start).toISOString().slice(0, 10);
			for (const period of [day, day.slice(0, 7), 'all']) {
				const [baseline, primary, ms] = sums.get(`${agent.clientId} ${period}`) ?? [0, 0, 0];
				sums.set(`${agent.clientId} ${period}`, [baseline + 85_000, primary + price, ms + HOUR]);
			}
			yield [
				agent.clientId,
				agent.id,
				agent.handle,
				agent.instanceId,
				'primary',
				'primary',
				'spot',
				null,
				start,
				start + HOUR,
				price,
				'own',
				start,
				85_000,
				'measured',
				price,
				85_000,
				'price',
			];
		}
	};
	const segments = await filler.fill(
		'cost_segment',
		[
			'client_id',
			'agent_id',
			'handle',
			'instance_id',
			'line',
			'role',
			'mode',
			'pool_id',
			'start_at',
			'end_at',
			'price_micros',
			'price_source',
			'priced_at',
			'ondemand_micros',
			'quality',
			'cost_micros',
			'baseline_micros',
			'closed_by',
		],
		rows(),
	);
	say(`${segments.toLocaleString('en-US')} cost segments`);
	await filler.run('delete from ledger_total');
	await filler.fill(
		'ledger_total',
		[
			'client_id',
			'period',
			'baseline_micros',
			'primary_micros',
			'replica_micros',
			'zombie_micros',
			'measured_ms',
			'estimated_ms',
			'unknown_ms',
		],
		[...sums].map(([key, [baseline, primary, ms]]) => [...(key.split(' ') as [string, string]), baseline, primary, 0, 0, ms, 0, 0]),
	);
};
