import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import { describe, test } from 'vitest';
import { localApi } from '../../src/core/local.ts';
import { atOpening } from '../../src/core/opening.ts';
import { systemClock } from '../../src/deps.ts';
import { openStore } from '../../src/store/open.ts';
import { holdForDaemon } from '../../src/store/sqlite.ts';
import { startDaemon } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { both, cli } from './cli.ts';
import { healthy } from './fixtures.ts';

const newFile = (): string => join(temporaryFolder('db'), 'spot.db');
const db = (verb: string, file: string, tty = false) => cli(`db ${verb} --database sqlite:${file}`, { clock: systemClock, tty });

const migrated = async (): Promise<string> => {
	const file = newFile();
	await db('migrate', file);
	return file;
};

/** An agent of nobody, without a machine. */
const AGENT = `insert into agent (id, client_id, logical_agent_id, self_named, generation, version, status, enabled, auto_switch_enabled, manual_replica_enabled,
	auto_terminate_enabled, terminate_wait_seconds, min_savings_percent, risk_threshold, max_switches_per_day, max_switches_per_week, min_pool_duration_hours,
	config_version, installed_at, created_at, updated_at)
	values ('a-1', 'c-1', 'web-1', 0, 1, 1, 'online', 1, 1, 0, 1, 300, 15, 0.3, 3, 10, 2, 1, 0, 0, 0)`;

describe('db', () => {
	test('status of no database says so, and makes none', async ({ expect }) => {
		const file = newFile();
		const { code, out, err } = await db('status', file);
		expect([code, err]).toEqual([10, 'spotctl: the database is empty\n  run: spotctl db migrate\n']);
		expect(out).toMatch(new RegExp(`^database\tsqlite:${file}\nstate\tempty\napplied\t0\npending\t\\d+\nunknown\t\nforeign\t\n$`));
		expect(existsSync(file)).toBe(false);
	});

	test('migrate --dry-run prints the statements and runs none', async ({ expect }) => {
		const file = newFile();
		const { code, out } = await db('migrate --dry-run', file);
		expect(code).toBe(0);
		expect(out.split('\n')[0]).toMatch(/^create table if not exists client \(.*;$/);
		expect(existsSync(file)).toBe(false);
		const made = new Database(':memory:');
		made.exec(out);
		expect(made.prepare("select count(*) as n from sqlite_master where type = 'table'").get()).not.toEqual({ n: 0 });
		expect(await both(`db migrate --dry-run --database sqlite:${await migrated()}`, { clock: systemClock })).toEqual({
			tty: 'exit 0\n! the schema is current: nothing to run\n',
			piped: 'exit 0\n',
		});
	});

	test('migrate, twice', async ({ expect }) => {
		const file = newFile();
		const first = await db('migrate', file);
		expect([first.code, first.err]).toEqual([0, 'the schema is current now\n']);
		expect(first.out).toMatch(/^database\tsqlite:.*\napplied\t[1-9]\d*\n$/);
		const second = await db('migrate', file, true);
		expect([second.code, second.err]).toEqual([0, 'the schema was current already\n']);
		expect(second.out).toMatch(/^Database: sqlite:.*\nApplied: {2}0\n$/);
		const status = await db('status -q', file);
		expect([status.code, status.out]).toEqual([0, 'current\n']);
		expect((await db('status', file, true)).out).toMatch(/\nState: {4}current\n/);
	});

	test('migrate is refused while a daemon works on the file', async ({ expect }) => {
		const file = newFile();
		const release = holdForDaemon(`sqlite:${file}`);
		try {
			const { code, err } = await db('migrate', file);
			expect(code).toBe(6);
			expect(err).toContain('another spotctl daemon is using');
		} finally {
			release();
		}
	});

	test('a database of somebody else is left alone', async ({ expect }) => {
		const file = newFile();
		const other = new Database(file);
		other.exec('create table theirs (id integer)');
		other.close();
		for (const verb of ['status', 'migrate', 'migrate --dry-run', 'check']) expect([verb, (await db(verb, file)).code]).toEqual([verb, 10]);
		expect((await db('migrate', file)).err).toContain('theirs');
	});

	test('check of a sound database', async ({ expect }) => {
		const file = await migrated();
		const { code, out, err } = await db('check', file);
		expect([code, err]).toEqual([0, '']);
		expect(out).toContain('every live agent has exactly one primary\tok\t\n');
		expect((await db('check', file, true)).out).toMatch(/^CHECK +RESULT +PROBLEMS\nthe file is sound +ok +-\n/);
	});

	test('check of no database is exit 5, of one without its schema 10', async ({ expect }) => {
		const file = newFile();
		expect((await db('check', file)).code).toBe(5);
		writeFileSync(file, '');
		expect((await db('check', file)).code).toBe(10);
	});

	test('check finds an agent without a primary, and what refers to nothing', async ({ expect }) => {
		const file = await migrated();
		const raw = new Database(file);
		raw.pragma('foreign_keys = OFF');
		raw.exec(AGENT);
		raw.close();
		const { code, out, err } = await db('check', file);
		expect(code).toBe(9);
		expect(out).toContain('every live agent has exactly one primary\twrong\ta-1\n');
		expect(out).toMatch(/what is referred to exists\twrong\trow 1 of agent refers to a missing client\n/);
		expect(err).toMatch(/^spotctl: the database is not sound: 2 of \d+ checks found something\n {2}/);
		expect(JSON.parse((await db('check -o json', file)).out)).toContainEqual({
			check: 'every live agent has exactly one primary',
			problems: ['a-1'],
		});
	});

	test('check finds what a CHECK should have kept out', async ({ expect }) => {
		const file = await migrated();
		const raw = new Database(file);
		raw.pragma('foreign_keys = OFF');
		raw.pragma('ignore_check_constraints = ON');
		raw.exec(AGENT.replace("'online', 1, 1, 0", "'asleep', 1, 1, 1"));
		raw.close();
		const { code, out } = await db('check', file);
		expect(code).toBe(9);
		expect(out).toContain('auto switch and manual replica exclude each other\twrong\ta-1\n');
		expect(out).toMatch(/the file is sound\twrong\t.*CHECK constraint failed in agent/);
	});

	test('check finds a damaged file', async ({ expect }) => {
		const file = await migrated();
		const bytes = readFileSync(file);
		writeFileSync(file, Buffer.concat([bytes.subarray(0, 8192), Buffer.alloc(bytes.length - 8192, 0x5a)]));
		expect((await db('check', file)).code).toBe(9);
		writeFileSync(file, Buffer.alloc(65_536, 0x5a));
		const { code, out } = await db('check', file);
		expect([code, out]).toEqual([9, 'the file is sound\twrong\tfile is not a database\n']);
	});

	test('a password in the address is never shown', async ({ expect }) => {
		const { code, out, err } = await cli('db status --database mysql://spot:hunter2@127.0.0.1:1/spot --debug', { clock: systemClock });
		expect(code).toBe(7);
		expect(out + err).not.toContain('hunter2');
	});
});

describeEachDatabase('db', ({ kind, freshUrl }) => {
	const run = (verb: string, url: string) => cli(`db ${verb} --database ${url}`, { clock: systemClock });

	/** Runs statements that the database's own rules would refuse. */
	const force = async (url: string, ...statements: string[]): Promise<void> => {
		if (kind === 'sqlite') {
			const raw = new Database(url.slice('sqlite:'.length));
			raw.pragma('foreign_keys = OFF');
			for (const statement of statements) raw.exec(statement);
			raw.close();
			return;
		}
		const connection = await createConnection({ uri: url });
		await connection.query('set foreign_key_checks = 0');
		for (const statement of statements) await connection.query(statement);
		await connection.end();
	};

	test('goes from empty to current and is sound', async ({ expect }) => {
		const url = await freshUrl();
		expect((await run('status -q', url)).out).toBe('empty\n');
		expect((await run('migrate --dry-run', url)).out).toContain('create table if not exists agent (');
		expect((await run('status -q', url)).out).toBe('empty\n');
		expect((await run('migrate', url)).code).toBe(0);
		expect(await run('status -q', url)).toMatchObject({ code: 0, out: 'current\n' });
		const { code, out, err } = await run('check', url);
		expect([code, err]).toEqual([0, '']);
		expect(out).not.toContain('wrong');
		expect(out.split('\n').length).toBeGreaterThan(8);
	});

	test('a schema that is older, or newer, is exit 10 everywhere but where it helps', async ({ expect }) => {
		const url = await freshUrl();
		await run('migrate', url);
		await force(url, "insert into spotctl_migration (name, timestamp) values ('9999-from-the-future', '2030-01-01')");
		for (const verb of ['status', 'migrate', 'migrate --dry-run', 'check']) expect([verb, (await run(verb, url)).code]).toEqual([verb, 10]);
	});

	test('check finds orphans and an agent without a primary', async ({ expect }) => {
		const url = await freshUrl();
		await run('migrate', url);
		await force(url, AGENT);
		const { code, out } = await run('check', url);
		expect(code).toBe(9);
		expect(out).toContain('every live agent has exactly one primary\twrong\ta-1\n');
		expect(out).toMatch(/what is referred to exists\twrong\t.*agent refers? to a missing client/);
	});
});

describe('health', () => {
	test('of a daemon that is well', async ({ expect }) => {
		const { tty, piped } = await both('health', { script: { health: () => healthy() } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Status:          healthy
			Database:        connected
			Version:         0.1.0
			Uptime:          61 s
			Decision engine: not loaded
			Error:           -
			Time:            2026-11-23T12:00:00.000Z
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			status	healthy
			database	connected
			version	0.1.0
			uptime	61
			decision_engine	not loaded
			error	
			time	2026-11-23T12:00:00.000Z
			"
		`);
		expect((await cli('health -q', { script: { health: () => healthy() } })).out).toBe('healthy\n');
	});

	test('of one that is not is printed, with exit 7', async ({ expect }) => {
		const sick = healthy({ status: 'unhealthy', database: 'disconnected', error: 'database does not answer' });
		const { code, out, err } = await cli('health -o json', { script: { health: () => sick } });
		expect([code, JSON.parse(out), err]).toEqual([
			7,
			sick,
			'spotctl: the daemon is not well: its database is disconnected\n  database does not answer\n',
		]);
	});
});

describeEachDatabase('a database that lets nobody in', ({ kind, freshUrl }) => {
	test.skipIf(kind === 'sqlite')('is told apart from one that does not run, with what to type next', async ({ expect }) => {
		const url = new URL(await freshUrl());
		const [right, wrong, nowhere, stranger] = [url.href, new URL(url), new URL(url), new URL(url)];
		wrong.password = 'hunter2';
		nowhere.pathname = '/no_such_place';
		stranger.username = `stranger_${url.pathname.slice(-8)}`;
		const root = await createConnection(right);
		try {
			await root.query(`create user '${stranger.username}'@'127.0.0.1' identified by '${url.password}'`);
			const shell = `mysql -h 127.0.0.1 -P ${url.port} -u root -p`;
			const masked = (each: URL) => each.href.replace(`:${each.password}@`, ':***@');
			const origin = 'spotctl config show --origin';
			const cases = [
				[
					wrong,
					7,
					`the database refuses the user "root" or the password: ${masked(wrong)}`,
					`try them: ${shell}; where they come from: ${origin}`,
				],
				[
					nowhere,
					5,
					`there is no database "no_such_place": ${masked(nowhere)}`,
					`create it: ${shell} -e 'create database \`no_such_place\`'; or correct the name: ${origin}`,
				],
				[
					stranger,
					7,
					`the user "${stranger.username}" may not do this in the database "${url.pathname.slice(1)}": ${masked(stranger)}`,
					`as the administrator of the database: grant all privileges on \`${url.pathname.slice(1)}\`.* to '${stranger.username}'@'%'`,
				],
			] as const;
			for (const [database, exit, message, hint] of cases) {
				const said = `spotctl: ${message}\n  ${hint}\n`;
				for (const line of ['db status', 'db migrate', 'db check', 'clients list --local']) {
					const ran = await cli(`${line} --database ${database.href}`, { clock: systemClock, localApi });
					expect([line, ran.code, ran.err]).toEqual([line, exit, said]);
				}
				await expect(startDaemon(database.href)).rejects.toMatchObject({ message, hint, exitCode: exit });
			}
		} finally {
			await root.query(`drop user if exists '${stranger.username}'@'127.0.0.1'`);
			await root.end();
		}
	});
});

test('--local on a file that another process has locked says how to find out who', async ({ expect }) => {
	const file = await migrated();
	const other = new Database(file);
	other.exec('begin immediate');
	let elapsed = 0;
	const sleep = async (ms: number) => {
		elapsed += ms;
	};
	const clock = { ...systemClock, elapsed: () => elapsed, sleep };
	const { code, err } = await cli(`clients create acme --local --database sqlite:${file}`, { clock, localApi });
	other.close();
	expect([code, err]).toEqual([
		7,
		`spotctl: another process has locked the database file "${file}"\n  see who has it open, end that, then try again: fuser -v "${file}"\n`,
	]);
});

test('the command to try a login with names an IPv6 host as the mysql client takes it', async ({ expect }) => {
	const url = 'mysql://u:p@[::1]:3306/d';
	const store = await openStore({ url, poolSize: 1, clock: systemClock });
	const refused = Object.assign(new Error('denied'), { errno: 1045, code: 'ER_ACCESS_DENIED_ERROR' });
	expect(atOpening(store, url, refused)).toMatchObject({ hint: expect.stringContaining('try them: mysql -h ::1 -P 3306 -u u -p;') });
	await store.close();
});
