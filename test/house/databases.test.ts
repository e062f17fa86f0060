import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { type MariadbServer, mariadbBinary, sharedMariadb, startMariadb } from '../helpers/mariadb.ts';

const ask = async (url: string, statement: string): Promise<RowDataPacket[]> => {
	const connection = await createConnection({ uri: url, connectTimeout: 2000 });
	try {
		const [rows] = await connection.query<RowDataPacket[]>(statement);
		return rows;
	} finally {
		await connection.end();
	}
};

const gone: string[] = [];

describeEachDatabase('a test database', ({ kind, freshUrl }) => {
	let kept = '';
	beforeAll(async () => {
		kept = await freshUrl();
	});

	for (const turn of ['first', 'second']) {
		it(`is new in the ${turn} test, while one of all tests stays`, async () => {
			const url = await freshUrl();
			expect(url).toMatch(kind === 'sqlite' ? /^sqlite:\/.*\.db$/ : /^mysql:\/\/.+\/spotctl_\w+$/);
			expect([kept, ...gone]).not.toContain(url);
			if (kind === 'mariadb') {
				expect(await ask(url, 'SHOW TABLES')).toEqual([]);
				await ask(kept, 'SELECT 1');
				for (const old of gone) await expect(ask(old, 'SELECT 1')).rejects.toMatchObject({ code: 'ER_BAD_DB_ERROR' });
				gone.push(url);
			}
		});
	}
});

describe.skipIf(mariadbBinary() === undefined)('a MariaDB of its own', () => {
	let server: MariadbServer | undefined;
	afterEach(() => server?.stop());

	it('keeps what was committed when it is killed, and comes back on the same port', async () => {
		const shared = sharedMariadb();
		server = await startMariadb('missing' in shared ? {} : { template: shared.template });
		const { url } = await server.createDatabase();
		await ask(url, 'CREATE TABLE kept (n INT PRIMARY KEY)');
		await ask(url, 'INSERT INTO kept VALUES (7)');
		await server.kill();
		await expect(ask(url, 'SELECT n FROM kept')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
		await server.restart();
		expect(await ask(url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
		const folder = dirname(server.template);
		await server.stop();
		expect(existsSync(folder)).toBe(false);
	});

	it('is flushed at every commit', async () => {
		server = await startMariadb();
		expect(await ask(server.adminUrl, 'SELECT @@innodb_flush_log_at_trx_commit AS flush')).toEqual([{ flush: 1 }]);
	});

	it('ends with the process that started it', async () => {
		const helper = join(import.meta.dirname, '../helpers/mariadb.ts');
		const script = `import('${helper}').then(async ({ startMariadb }) => { const s = await startMariadb(); console.log(s.port, s.template); setInterval(() => {}, 1000); });`;
		const holder = spawn(process.execPath, ['--import', 'tsx', '-e', script], {
			stdio: ['ignore', 'pipe', 'inherit'],
			env: { ...process.env, VITEST_POOL_ID: undefined },
		});
		const [port = '', template = ''] = String(await new Promise((resolve) => holder.stdout.once('data', resolve)))
			.trim()
			.split(' ');
		expect(existsSync(template)).toBe(true);
		holder.kill('SIGKILL');
		for (let tries = 0; existsSync(dirname(template)) && tries < 200; tries++) await delay(25);
		expect(existsSync(dirname(template))).toBe(false);
		await expect(ask(`mysql://root:x@127.0.0.1:${port}`, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
	});
});
