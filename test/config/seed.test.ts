import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { mysqlUrl, readDatabaseUrl } from '../../src/config/database-url.ts';
import { originText } from '../../src/config/origin.ts';
import { parseDotenv } from '../../src/config/variables.ts';
import { type Sandbox, sandbox } from './sandbox.ts';

let box: Sandbox;
beforeEach(() => {
	box = sandbox();
});
afterEach(() => box.remove());

const SEED = {
	FLASK_ENV: 'development',
	FLASK_DEBUG: 'True',
	FLASK_HOST: '0.0.0.0',
	FLASK_PORT: '5001',
	SECRET_KEY: 'x',
	ADMIN_TOKEN: 'Zk3vQ9xLw2RtY7bNc5Hd8JfM',
	DB_HOST: 'db.internal',
	DB_PORT: '3307',
	DB_USER: 'spot',
	DB_PASSWORD: 'secret',
	DB_DATABASE: 'fleet',
	DB_POOL_NAME: 'spot_optimizer_pool',
	DB_POOL_SIZE: '20',
	CORS_ORIGINS: '*',
	LOG_LEVEL: 'WARNING',
	LOG_DIR: './logs',
	MODEL_DIR: './models',
	DECISION_ENGINE_MODULE: 'decision_engines.ml_based_engine',
	AGENT_HEARTBEAT_TIMEOUT: '90',
	DEFAULT_TERMINATE_WAIT_SECONDS: '600',
	ENABLE_BACKGROUND_JOBS: 'False',
	TERMINATION_NOTIFICATION_WEBHOOK: 'https://hooks.internal/spot',
};

const expected = (work: string) => ({
	server: { environment: 'development', host: '0.0.0.0', port: 5001, corsOrigins: ['*'] },
	security: { adminToken: SEED.ADMIN_TOKEN },
	database: { url: 'mysql://spot:secret@db.internal:3307/fleet', poolSize: 20 },
	log: { level: 'warn', dir: join(work, 'logs') },
	agents: { heartbeatTimeout: 90_000, terminateWait: 600_000 },
	jobs: { enabled: false },
	notifications: { webhookUrl: SEED.TERMINATION_NOTIFICATION_WEBHOOK, webhookMinSeverity: 'warning' },
});

describe("the seed's variables", () => {
	test('mean what they meant, and those without a meaning are passed over in silence', async ({ expect }) => {
		const { config, warnings } = await box.load({ env: SEED });
		expect(config).toMatchObject(expected(box.work));
		expect(warnings).toEqual([]);
	});

	test('mean the same in a .env', async ({ expect }) => {
		box.write(
			'work/.env',
			Object.entries(SEED)
				.map(([name, value]) => `${name}=${value}\r\n`)
				.join(''),
		);
		const { config, origins, warnings } = await box.load();
		expect(config).toMatchObject(expected(box.work));
		expect(warnings).toEqual([]);
		expect(originText(origins.get('security.adminToken') ?? { kind: 'default', source: '' })).toBe('.env ADMIN_TOKEN');
	});

	test('in the environment win over .env, name by name, also within the database address', async ({ expect }) => {
		box.write('work/.env', 'DB_HOST=old\nDB_PASSWORD=inside\nDB_USER=u\nFLASK_PORT=1\n');
		const { config, origins } = await box.load({ env: { DB_HOST: 'new', FLASK_PORT: '2' } });
		expect([config.database.url, config.server.port]).toEqual(['mysql://u:inside@new:3306/spot_optimizer', 2]);
		expect(originText(origins.get('database.url') ?? { kind: 'default', source: '' })).toBe(
			'environment DB_HOST, .env DB_USER, .env DB_PASSWORD',
		);
	});

	test('are weaker than a SPOTCTL_ name, wherever that stands', async ({ expect }) => {
		box.write('work/.env', 'SPOTCTL_DATABASE_URL=sqlite:/x.db\n');
		expect((await box.load({ env: { DB_HOST: 'h' } })).config.database.url).toBe('sqlite:/x.db');
	});

	test('matter only when they would be used', async ({ expect }) => {
		const env = { DB_HOST: 'a b', FLASK_PORT: 'NaN', SPOTCTL_DATABASE_URL: 'sqlite:/x.db', SPOTCTL_PORT: '1' };
		expect((await box.load({ env })).warnings).toEqual([]);
	});

	test.for([
		[{ DB_HOST: 'h' }, 'mysql://root@h:3306/spot_optimizer'],
		[{ DB_DATABASE: 'd' }, 'mysql://root@localhost:3306/d'],
		[{ DB_NAME: 'n' }, 'mysql://root@localhost:3306/n'],
		[{ DB_HOST: '::1', DB_NAME: 'n' }, 'mysql://root@[::1]:3306/n'],
		[{ DB_HOST: '', DB_NAME: '', DB_DATABASE: '' }, undefined],
	] as const)('%j makes the address %s', async ([env, url], { expect }) => {
		const { config } = await box.load({ env });
		expect(config.database.url).toBe(url ?? `sqlite:${config.stateDir}/spotctl.db`);
	});

	test('say when they are ignored or contradict each other', async ({ expect }) => {
		expect((await box.load({ env: { DB_USER: 'u', DB_PASSWORD: 'hush' } })).warnings).toEqual([
			'DB_USER is ignored: none of DB_HOST, DB_DATABASE and DB_NAME is set',
		]);
		const both = await box.load({ env: { DB_DATABASE: 'a', DB_NAME: 'b' } });
		expect([both.config.database.url, both.warnings]).toEqual([
			'mysql://root@localhost:3306/a',
			['DB_DATABASE and DB_NAME name different databases'],
		]);
	});

	test('HOST is believed only as an address, because shells and build tools put other things there', async ({ expect }) => {
		expect((await box.load({ env: { HOST: 'x86_64-conda-linux-gnu', PORT: '8080' } })).config.server).toMatchObject({
			host: '127.0.0.1',
			port: 8080,
		});
		expect((await box.load({ env: { HOST: '0.0.0.0', FLASK_PORT: '1', PORT: '8080' } })).config.server).toMatchObject({
			host: '0.0.0.0',
			port: 1,
		});
	});
});

describe('passwords in a database address', () => {
	test('with every special character arrive unchanged', async ({ expect }) => {
		const password = ` p@ss:w/o?r#d%20&=+'"\\[]{}|^\`~é €`;
		const { config } = await box.load({ env: { DB_HOST: 'h', DB_USER: 'a@b:c', DB_PASSWORD: password, DB_NAME: 'x y' } });
		const url = new URL(config.database.url);
		expect([url.username, url.password, url.pathname.slice(1)].map(decodeURIComponent)).toEqual(['a@b:c', password, 'x y']);
		expect([url.host, url.search, url.hash]).toEqual(['h:3306', '', '']);
	});

	test('survive for any text', ({ expect }) => {
		fc.assert(
			fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'binary' }), (user, password) => {
				const read = readDatabaseUrl(mysqlUrl({ host: 'h', port: 3306, user, password, name: 'n' }));
				const url = new URL('url' in read ? read.url : 'bad:');
				expect([decodeURIComponent(url.username), decodeURIComponent(url.password), url.pathname]).toEqual([user, password, '/n']);
			}),
		);
	});

	test('a raw @ in a given URL is encoded', ({ expect }) => {
		expect(readDatabaseUrl('mysql://u:p@ss@h/db')).toEqual({ url: 'mysql://u:p%40ss@h/db' });
	});

	test('the charset that is used anyway may be named', ({ expect }) => {
		expect(readDatabaseUrl('mysql://u@h:1/db?charset=utf8mb4')).toEqual({ url: 'mysql://u@h:1/db?charset=utf8mb4' });
	});

	test.for([
		['ssl=true', /^must not have options: "ssl" after the name would have no effect \(for TLS/],
		['ssl-mode=VERIFY_IDENTITY&charset=utf8mb4', /"ssl-mode"/],
		['charset=latin1', /^must not ask for another charset than utf8mb4/],
		['a%20secret', /what stands after the name/],
		['VERIFY_IDENTITY', /what stands after the name/],
		['latin1=x@h/db', /what stands after the name/],
	] as const)('an option that would have no effect is refused, and its value not repeated: ?%s', ([options, problem], { expect }) => {
		const read = readDatabaseUrl(`mysql://u@h:1/db?${options}`);
		expect('problem' in read ? read.problem : '').toMatch(problem);
		expect(JSON.stringify(read)).not.toMatch(/VERIFY_IDENTITY|latin1|a secret/);
	});
});

describe('.env files', () => {
	test('keep a # inside an unquoted value, as python-dotenv and the shell do', ({ expect }) => {
		const text = 'A=p#ss#w # comment\nexport B=x#y\nC="q#r"\nD=plain # c#d\nE=#none\nF=\nG=first\nG=la#st\n';
		expect(parseDotenv(text)).toEqual({ A: 'p#ss#w', B: 'x#y', C: 'q#r', D: 'plain', E: '', F: '', G: 'la#st' });
	});

	test('that are folders are passed over', async ({ expect }) => {
		mkdirSync(join(box.work, '.env'));
		expect((await box.load()).warnings).toEqual([]);
	});

	test('that are binary or huge are ignored with a warning', async ({ expect }) => {
		const file = box.write('work/.env', new Uint8Array([70, 0, 255]));
		expect((await box.load()).warnings).toEqual([`${file} is ignored: not a readable text file in UTF-8`]);
		box.write('work/.env', 'A=1\n'.repeat(100_000));
		expect((await box.load()).warnings).toEqual([expect.stringContaining('is ignored: is too large')]);
	});

	test('may name the configuration file', async ({ expect }) => {
		const file = box.write('work/a.json', '{\n\t"server": {\n\t\t"port": 12\n\t}\n}');
		box.write('work/.env', '\uFEFFSPOTCTL_CONFIG=a.json\n');
		const { config, files, origins } = await box.load();
		expect([config.server.port, files, origins.get('server.port')]).toEqual([12, [file], { kind: 'file', source: file, line: 3 }]);
	});
});
