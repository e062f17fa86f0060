import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { originText } from '../../src/config/origin.ts';
import { type Sandbox, sandbox } from './sandbox.ts';

let box: Sandbox;
beforeEach(() => {
	box = sandbox();
});
afterEach(() => box.remove());

const GOOD_TOKEN = 'Zk3vQ9xLw2RtY7bNc5Hd8JfM';

describe('with nothing configured', () => {
	test('every setting has its default', async ({ expect }) => {
		const { config, origins, files, warnings } = await box.load();
		expect(config).toEqual({
			stateDir: join(box.home, '.local/state/spotctl'),
			server: {
				host: '127.0.0.1',
				port: 5000,
				trustProxy: false,
				openDashboard: 'off',
				corsOrigins: [],
				bodyLimit: 1_048_576,
				drainTimeout: 10_000,
				environment: 'production',
			},
			database: { url: `sqlite:${join(box.home, '.local/state/spotctl/spotctl.db')}`, poolSize: 10, migrate: false },
			security: { failedAuthPerMinute: 20 },
			agents: { heartbeatTimeout: 120_000, terminateWait: 300_000 },
			commands: { lease: 900_000, expireEmergency: 300_000, expireManual: 1_800_000, expireModel: 900_000, expireScheduled: 86_400_000 },
			emergency: { override: true },
			failover: { silentAfter: 180_000, launchWithin: 45_000, readyWithin: 60_000, retireRepeated: 1_800_000, retireSingle: 7_200_000 },
			jobs: { enabled: true },
			notifications: { webhookMinSeverity: 'warning', webhookAllowed: [] },
			retention: {
				rawPrices: 30,
				cleanPrices: 400,
				commands: 7,
				replicas: 400,
				instances: 400,
				events: 90,
				audit: 180,
				readNotifications: 30,
				cleanupLogs: 30,
				ledger: 400,
			},
			log: { level: 'info', format: 'auto' },
			client: { mode: 'http', timeout: 30_000 },
		});
		expect(new Set([...origins.values()].map(originText))).toEqual(new Set(['default']));
		expect([files, warnings]).toEqual([[], []]);
	});

	test('the state folder follows XDG_STATE_HOME, and the database follows the state folder', async ({ expect }) => {
		const xdg = await box.load({ env: { XDG_STATE_HOME: '/var/x' } });
		expect([xdg.config.stateDir, xdg.config.database.url]).toEqual(['/var/x/spotctl', 'sqlite:/var/x/spotctl/spotctl.db']);
		const named = await box.load({ env: { XDG_STATE_HOME: '/var/x', SPOTCTL_STATE_DIR: '/srv/spot' } });
		expect(named.config.database.url).toBe('sqlite:/srv/spot/spotctl.db');
		const relative = await box.load({ env: { XDG_STATE_HOME: 'x', XDG_CONFIG_HOME: 'y' } });
		expect(relative.config.stateDir).toBe(join(box.home, '.local/state/spotctl'));
	});
});

describe('precedence', () => {
	test('each layer wins over the ones below it and says so', async ({ expect }) => {
		const layers: Array<[string, () => void]> = [];
		let env: Record<string, string> = {};
		let flags = {};
		let dotenv = '';
		const addDotenv = (line: string) => {
			dotenv += `${line}\n`;
			box.write('work/.env', dotenv);
		};
		layers.push(['default', () => undefined]);
		layers.push([`${box.system}:2`, () => box.write('etc/config.yaml', 'server:\n  port: 1001\n')]);
		layers.push([
			`${join(box.home, '.config/spotctl/config.yaml')}:3`,
			() => box.write('home/.config/spotctl/config.yaml', '#\nserver:\n  port: 1002\n'),
		]);
		layers.push([`${join(box.work, 'spotctl.config.yaml')}:1`, () => box.write('work/spotctl.config.yaml', 'server: { port: 1003 }')]);
		layers.push(['.env FLASK_PORT', () => addDotenv('FLASK_PORT=1004')]);
		layers.push([
			'environment FLASK_PORT',
			() => {
				env = { ...env, FLASK_PORT: '1005' };
			},
		]);
		layers.push(['.env SPOTCTL_SERVER_PORT', () => addDotenv('SPOTCTL_SERVER_PORT=1006')]);
		layers.push(['.env SPOTCTL_PORT', () => addDotenv('SPOTCTL_PORT=1007')]);
		layers.push([
			'environment SPOTCTL_SERVER_PORT',
			() => {
				env = { ...env, SPOTCTL_SERVER_PORT: '1008' };
			},
		]);
		layers.push([
			'environment SPOTCTL_PORT',
			() => {
				env = { ...env, SPOTCTL_PORT: '1009' };
			},
		]);
		layers.push([
			'flag',
			() => {
				flags = { 'server.port': 1010 };
			},
		]);
		for (const [at, [origin, add]] of layers.entries()) {
			add();
			const { config, origins } = await box.load({ env, flags });
			expect([config.server.port, originText(origins.get('server.port') ?? { kind: 'default', source: '?' })]).toEqual([
				at === 0 ? 5000 : 1000 + at,
				origin,
			]);
		}
	});

	test('files are layered setting by setting, and listed strongest first', async ({ expect }) => {
		box.write('etc/config.yaml', 'server: { host: 0.0.0.0, port: 1 }\nlog: { level: debug }');
		box.write('home/.config/spotctl/config.yaml', 'server: { port: 2 }\nlog: { level: warn }');
		box.write('work/.spotctlrc.yaml', 'log: { level: error }');
		const { config, files } = await box.load();
		expect([config.server.host, config.server.port, config.log.level]).toEqual(['0.0.0.0', 2, 'error']);
		expect(files).toEqual([join(box.work, '.spotctlrc.yaml'), join(box.home, '.config/spotctl/config.yaml'), box.system]);
	});

	test('files above the working folder are not looked for', async ({ expect }) => {
		box.write('spotctl.config.yaml', 'server: { port: 1 }');
		expect((await box.load()).config.server.port).toBe(5000);
	});

	test('XDG_CONFIG_HOME moves the user file', async ({ expect }) => {
		box.write('elsewhere/spotctl/config.json', '{"server": {"port": 77}}');
		expect((await box.load({ env: { XDG_CONFIG_HOME: join(box.root, 'elsewhere') } })).config.server.port).toBe(77);
	});

	test('SPOTCTL_CONFIG replaces the search', async ({ expect }) => {
		box.write('etc/config.yaml', 'log: { level: debug }');
		box.write('work/spotctl.config.yaml', 'log: { level: warn }');
		const file = box.write('work/other.yml', 'server: { port: 4 }');
		const { config, files } = await box.load({ env: { SPOTCTL_CONFIG: 'other.yml' } });
		expect([config.server.port, config.log.level, files]).toEqual([4, 'info', [file]]);
	});

	test('a second file in one folder is ignored with a warning', async ({ expect }) => {
		box.write('work/spotctl.config.yaml', 'server: { port: 1 }');
		box.write('work/.spotctlrc.json', '{"server": {"port": 2}}');
		const { config, warnings } = await box.load();
		expect(config.server.port).toBe(1);
		expect(warnings).toEqual([
			`${join(box.work, '.spotctlrc.json')} is ignored: ${join(box.work, 'spotctl.config.yaml')} stands before it`,
		]);
	});

	test('an empty variable, an empty flag and an empty key count as not given', async ({ expect }) => {
		box.write('work/spotctl.config.yaml', 'server:\n  port:\n  host: ""\nlog:\n');
		const { config } = await box.load({
			env: { SPOTCTL_PORT: '', SPOTCTL_LOG_LEVEL: ' ', SPOTCTL_CONFIG: '' },
			flags: { 'server.port': '', 'log.level': undefined },
		});
		expect([config.server.port, config.server.host, config.log.level]).toEqual([5000, '127.0.0.1', 'info']);
	});

	test('a bad value that is overruled is a warning, not a problem', async ({ expect }) => {
		box.write('work/spotctl.config.yaml', 'server: { port: nonsense }');
		const { config, warnings } = await box.load({ env: { SPOTCTL_PORT: '81' } });
		expect(config.server.port).toBe(81);
		expect(warnings.join()).toMatch(/spotctl\.config\.yaml:1 server\.port: must be a whole number .*"nonsense".*overruled/);
	});
});

describe('keys and values', () => {
	test('snake_case and camelCase are the same, in every section', async ({ expect }) => {
		box.write(
			'work/spotctl.config.yaml',
			'state_dir: /s\nserver:\n  trust_proxy: [10.0.0.0/8, "::1"]\nagents:\n  heartbeat_timeout: 30\nclient:\n  tokenFile: /t',
		);
		const { config } = await box.load();
		expect([config.stateDir, config.server.trustProxy, config.agents.heartbeatTimeout, config.client.tokenFile]).toEqual([
			'/s',
			['10.0.0.0/8', '::1'],
			30_000,
			'/t',
		]);
	});

	test('a key given in both spellings is a problem', async ({ expect }) => {
		box.write('work/spotctl.config.yaml', 'server:\n  trust_proxy: true\n  trustProxy: false');
		expect((await box.refusal()).message).toContain('server.trustProxy: is given twice');
	});

	test('text from the environment is read as the type of the setting', async ({ expect }) => {
		const { config } = await box.load({
			env: {
				SPOTCTL_SERVER_TRUST_PROXY: '10.0.0.0/8, 192.168.1.1',
				SPOTCTL_SERVER_CORS_ORIGINS: 'https://a.example:8443/, http://localhost:3000',
				SPOTCTL_SERVER_BODY_LIMIT: '2mb',
				SPOTCTL_SERVER_OPEN_DASHBOARD: 'Yes',
				SPOTCTL_LOG_LEVEL: 'WARNING',
				SPOTCTL_COMMANDS_EXPIRE_SCHEDULED: '7d',
				SPOTCTL_SERVER: 'https://spot.example/base/',
				SPOTCTL_OUTPUT: 'JSONL',
				SPOTCTL_SERVER_DRAIN_TIMEOUT: '0',
			},
		});
		expect(config.server).toMatchObject({
			trustProxy: ['10.0.0.0/8', '192.168.1.1'],
			corsOrigins: ['https://a.example:8443', 'http://localhost:3000'],
			bodyLimit: 2_097_152,
			openDashboard: 'read',
			drainTimeout: 0,
		});
		expect([config.log.level, config.commands.expireScheduled, config.client.server, config.client.output]).toEqual([
			'warn',
			604_800_000,
			'https://spot.example/base',
			'jsonl',
		]);
	});

	test.for([
		['critical', 'fatal'],
		['Debug', 'debug'],
		['silent', 'silent'],
	] as const)('the log level %s is %s', async ([typed, level], { expect }) => {
		expect((await box.load({ env: { LOG_LEVEL: typed } })).config.log.level).toBe(level);
	});

	test('relative paths start at the folder of their file, at the working folder for variables, and ~ is home', async ({ expect }) => {
		box.write('etc/config.yaml', 'log: { dir: logs }\ndatabase: { url: "sqlite:data/a.db" }');
		const { config } = await box.load({ env: { SPOTCTL_STATE_DIR: '~/state', SPOTCTL_TOKEN_FILE: 'token' } });
		expect([config.log.dir, config.database.url, config.stateDir, config.client.tokenFile]).toEqual([
			join(box.root, 'etc/logs'),
			`sqlite:${join(box.root, 'etc/data/a.db')}`,
			join(box.home, 'state'),
			join(box.work, 'token'),
		]);
	});

	test('a reveal key is the same in hex, base64 and base64url', async ({ expect }) => {
		const key = Buffer.from(Array.from({ length: 32 }, (_, at) => (at * 37 + 251) % 256));
		for (const encoding of ['hex', 'base64', 'base64url'] as const)
			expect((await box.load({ env: { SPOTCTL_SECURITY_TOKEN_REVEAL_KEY: key.toString(encoding) } })).config.security.tokenRevealKey).toBe(
				key.toString('base64url'),
			);
	});

	test.for([
		['SPOTCTL_PORT', '99999'],
		['SPOTCTL_PORT', 'NaN'],
		['SPOTCTL_PORT', '-1'],
		['SPOTCTL_PORT', '80.5'],
		['SPOTCTL_PORT', '0x50'],
		['SPOTCTL_PORT', '1e3'],
		['SPOTCTL_HOST', 'http://localhost'],
		['SPOTCTL_HOST', 'localhost:80'],
		['SPOTCTL_DATABASE_POOL_SIZE', '0'],
		['SPOTCTL_DATABASE_POOL_SIZE', '101'],
		['SPOTCTL_DATABASE_URL', 'postgres://u:p@h/db'],
		['SPOTCTL_DATABASE_URL', 'sqlite:'],
		['SPOTCTL_DATABASE_URL', 'sqlite::memory:'],
		['SPOTCTL_DATABASE_URL', 'mysql://u:p@h'],
		['SPOTCTL_DATABASE_URL', 'mysql://u:p@/db'],
		['SPOTCTL_DATABASE_URL', 'mysql://u:100%@h/db'],
		['SPOTCTL_DATABASE_URL', 'mysql://u:p@h:99999/db'],
		['SPOTCTL_SERVER_TRUST_PROXY', '1'],
		['SPOTCTL_SERVER_TRUST_PROXY', '10.0.0.0/33'],
		['SPOTCTL_SERVER_TRUST_PROXY', 'proxy.local'],
		['SPOTCTL_SERVER_CORS_ORIGINS', 'example.com'],
		['SPOTCTL_SERVER_CORS_ORIGINS', 'https://a.example/path'],
		['SPOTCTL_SERVER_BODY_LIMIT', '2gb'],
		['SPOTCTL_SERVER_OPEN_DASHBOARD', 'maybe'],
		['SPOTCTL_SERVER_ENVIRONMENT', 'a\nb'],
		['SPOTCTL_AGENTS_HEARTBEAT_TIMEOUT', '4s'],
		['SPOTCTL_AGENTS_TERMINATE_WAIT', '25h'],
		['SPOTCTL_COMMANDS_LEASE', 'soon'],
		['SPOTCTL_LOG_LEVEL', 'loud'],
		['SPOTCTL_LOG_LEVEL', 'constructor'],
		['SPOTCTL_SERVER', 'localhost:5000'],
		['SPOTCTL_SERVER', 'http://h/?a=1'],
		['SPOTCTL_OUTPUT', 'xml'],
		['SPOTCTL_SECURITY_TOKEN_REVEAL_KEY', 'short'],
		['SPOTCTL_SECURITY_TOKEN_REVEAL_KEY', '0'.repeat(64)],
		['SPOTCTL_TOKEN', 'two words'],
	] as const)('%s=%s is refused by its name', async ([name, value], { expect }) => {
		const { code, hint, exitCode, message } = await box.refusal({ env: { [name]: value } });
		expect([code, hint, exitCode]).toEqual(['CONFIG_INVALID', 'spotctl config check', 2]);
		expect(message).toMatch(new RegExp(`^1 problem in the configuration\\n  ${name} \\([a-zA-Z.]+\\): must `));
	});
});

describe('a bad configuration', () => {
	test.for([
		[undefined, 'names no page'],
		['*', 'allows every page'],
	] as const)('an open dashboard with the pages %s is refused before anything starts', async ([origins, why], { expect }) => {
		const env = { SPOTCTL_SERVER_OPEN_DASHBOARD: 'read', ...(origins === undefined ? {} : { SPOTCTL_SERVER_CORS_ORIGINS: origins }) };
		await expect(box.load({ env })).rejects.toMatchObject({
			code: 'CONFIG_INVALID',
			extras: { problems: [{ where: expect.stringContaining('SPOTCTL_SERVER_OPEN_DASHBOARD'), problem: expect.stringContaining(why) }] },
		});
		// Beside every other problem, not after it is mended.
		const two = box.load({ env: { ...env, SPOTCTL_DATABASE_POOL_SIZE: '0' } });
		await expect(two).rejects.toMatchObject({ extras: { problems: { length: 2 } } });
		expect((await box.load({ env: { ...env, SPOTCTL_SERVER_CORS_ORIGINS: 'https://dash.example.com' } })).config.server.openDashboard).toBe(
			'read',
		);
	});

	test('is refused with every problem at once, each with its place and value', async ({ expect }) => {
		box.write('etc/config.yaml', 'server:\n  port: 99999\n  prot: 1\n');
		box.write('home/.config/spotctl/config.yaml', 'server: [1, 2]\n');
		box.write('work/spotctl.config.yaml', 'agents:\n  heartbeatTimeout: forever\nserver:\n\tport: 1\n');
		box.write('work/.env', 'FLASK_ENV=production\nLOG_LEVEL=loud\n');
		const error = await box.refusal({
			env: { SPOTCTL_COMMANDS_LEASE: 'NaN', DB_HOST: 'db:3307', DB_PORT: '0' },
			flags: { 'client.output': 'xml' },
		});
		const lines = error.message.split('\n');
		expect(lines[0]).toBe('9 problems in the configuration');
		expect(lines.slice(1).map((line) => line.trim())).toEqual(
			expect.arrayContaining([
				expect.stringMatching(/work\/spotctl\.config\.yaml: is not valid YAML at line 4, column 1: /),
				expect.stringMatching(/spotctl\/config\.yaml:1 server: must be a map of settings, not a list/),
				expect.stringMatching(/etc\/config\.yaml:2 server\.port: must be a whole number from 0 to 65535 \(got 99999\)/),
				expect.stringMatching(/etc\/config\.yaml:3 server\.prot: is not a setting; did you mean "server\.port"\?/),
				expect.stringMatching(/^SPOTCTL_COMMANDS_LEASE \(commands\.lease\): must be a duration from 1s to 1d .*\(got "NaN"\)/),
				expect.stringMatching(/^DB_HOST \(database\.url\): must be a host name or an IP address without port \(got "db:3307"\)/),
				expect.stringMatching(/^DB_PORT \(database\.url\): must be a whole number from 1 to 65535 \(got "0"\)/),
				expect.stringMatching(/^\.env LOG_LEVEL \(log\.level\): must be one of trace/),
				expect.stringMatching(/^flag for client\.output: must be one of table/),
			]),
		);
		expect(error.extras['problems']).toHaveLength(9);
	});

	test.for([
		['port: 1', 'server.port'],
		['Server: {}', 'server'],
		['server: { trustproxy: true }', 'server.trustProxy'],
		['databse: {}', 'database'],
		['heartbeat_timeout: 3', 'agents.heartbeatTimeout'],
	] as const)('%s gets a suggestion', async ([yaml, meant], { expect }) => {
		box.write('work/spotctl.config.yaml', yaml);
		expect((await box.refusal()).message).toContain(`is not a setting; did you mean "${meant}"?`);
	});

	test('a key nothing is near to gets none', async ({ expect }) => {
		box.write('work/spotctl.config.yaml', 'cloud_provider: aws');
		expect((await box.refusal()).message).toMatch(/cloud_provider: is not a setting$/);
	});

	test('an unknown SPOTCTL_ variable is a warning, except the reserved ones', async ({ expect }) => {
		box.write('work/.env', 'SPOTCTL_COLOUR=1\n');
		const env = { SPOTCTL_PROT: '1', SPOTCTL_TEST_MYSQL_URL: 'x', SPOTCTL_PAGER: 'less', SPOTCTL_SERVER_PORT: '9' };
		const { warnings } = await box.load({ env });
		expect(warnings).toEqual(['SPOTCTL_PROT is not a setting; did you mean "SPOTCTL_PORT"?', '.env SPOTCTL_COLOUR is not a setting']);
	});

	test.for([
		['missing.yaml', /does not exist/],
		['x.js', /must be a \.yaml/],
		['package.json', /must be a \.yaml/],
		['/dev/null', /not a regular file/],
	] as const)('SPOTCTL_CONFIG=%s is a problem', async ([file, problem], { expect }) => {
		box.write('work/x.js', 'process.exit(1)');
		expect((await box.refusal({ env: { SPOTCTL_CONFIG: file } })).message).toMatch(problem);
	});

	test('a flag for a setting that does not exist is a bug, not a bad configuration', async ({ expect }) => {
		const flags: Record<string, unknown> = { 'server.nope': 1 };
		await expect(box.load({ flags })).rejects.toThrow('no setting "server.nope"');
	});
});

describe('admin tokens', () => {
	test.for([
		'change-this-in-production',
		'your_admin_token',
		'your_admin_token_here_please_change',
		'CHANGE_ME_PLEASE_CHANGE_ME_PLEASE',
		'admin',
		'demo-token-12345',
		'demo-token-12345-demo-token-12345',
		'a'.repeat(40),
		'abc123'.repeat(8),
		'abcdefghijklmnopqrstuvwxyz',
		'123456789012345678901234567890',
		'Zk3vQ9xLw2RtY7bNc5Hd8Jf',
		'Zk3vQ9xLw2RtY7b Nc5Hd8JfMm',
	])('%j is refused without being shown', async (token, { expect }) => {
		for (const name of ['SPOTCTL_ADMIN_TOKEN', 'ADMIN_TOKEN']) {
			const { message } = await box.refusal({ env: { [name]: token } });
			expect(message.startsWith(`1 problem in the configuration\n  ${name} (security.adminToken): `)).toBe(true);
			expect(message).not.toContain(`"${token}`);
			expect(message).not.toContain('got');
		}
	});

	test.for([GOOD_TOKEN, '9f86d081884c7d659a2feaa0', 'spotadm_q1_-Xy8Zk3vQ9xLw2RtY7bNc5Hd8JfM', 'correct-horse-battery-staple'])(
		'%s is accepted',
		async (token, { expect }) => {
			expect((await box.load({ env: { SPOTCTL_ADMIN_TOKEN: token } })).config.security.adminToken).toBe(token);
		},
	);
});

describe('what a hostile folder cannot do', () => {
	test('run code: only YAML and JSON are read, and cosmiconfig does not read settings of its own', async ({ expect }) => {
		const before = process.cwd();
		const code = `require('node:fs').writeFileSync(${JSON.stringify(join(box.root, 'ran'))}, '');`;
		for (const name of [
			'.config/config.cjs',
			'.config/config.js',
			'spotctl.config.js',
			'spotctl.config.cjs',
			'.spotctlrc.js',
			'.spotctlrc.cjs',
		])
			box.write(`work/${name}`, code);
		box.write('work/package.json', '{"name": "x"}');
		box.write('work/spotctl.config.yaml', 'server: { port: 7 }');
		process.chdir(box.work);
		try {
			expect((await box.load()).config.server.port).toBe(7);
			await new Promise((done) => setTimeout(done, 50));
			expect(await import('node:fs').then(({ existsSync }) => existsSync(join(box.root, 'ran')))).toBe(false);
		} finally {
			process.chdir(before);
		}
	});

	test('pull in other files', async ({ expect }) => {
		box.write('work/other.yaml', 'server: { port: 1 }');
		box.write('work/spotctl.config.yaml', '$import: other.yaml\n');
		expect((await box.refusal()).message).toContain('$import: is not a setting');
	});

	test('keep the parser busy with aliases', async ({ expect }) => {
		const levels = Array.from({ length: 30 }, (_, at) => `l${at + 1}: &l${at + 1} [${Array(9).fill(`*l${at}`).join(', ')}]`);
		box.write('work/spotctl.config.yaml', `l0: &l0 x\n${levels.join('\n')}\n`);
		expect((await box.refusal()).message).toContain('is not valid YAML: too many or unresolved aliases');
	});

	test.for([
		['nested brackets', '['.repeat(60_000)],
		['many keys', Array.from({ length: 8000 }, (_, at) => `k${at}: 1`).join('\n')],
		['nested maps', Array.from({ length: 300 }, (_, at) => `${' '.repeat(at)}a:`).join('\n')],
		['a circle', 'server: &a\n  port: *a\n  host: [*a]\n'],
		['merge keys', 'x: &x { port: 1 }\nserver:\n  <<: *x\n'],
		['executable tags', 'server: !!js/function "function () {}"'],
		['binary tags', 'server: { host: !!binary aGVsbG8= }'],
		['prototype keys', '__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 1 } }'],
		[
			'odd objects',
			'server: { openDashboard: { toString: 1, valueOf: 1 }, port: { toString: 1 }, host: { toString: 1 } }\nstateDir: { toString: 1 }',
		],
		['two documents', 'server: { port: 1 }\n---\nserver: { port: 2 }\n'],
		['repeated keys', 'server: { port: 1 }\nserver: { port: 2 }\n'],
		['a list', '- 1\n- 2\n'],
		['a word', 'hello'],
		['a list for a value', 'server: { port: [1, 2] }'],
		['a map for a value', 'server: { port: { a: 1 } }'],
		['escape codes', '"\\e[31mred\\a": 1'],
	] as const)('get past the checks with %s', async ([, yaml], { expect }) => {
		box.write('work/spotctl.config.yaml', yaml);
		const began = performance.now();
		const { code, message } = await box.refusal();
		expect(code).toBe('CONFIG_INVALID');
		expect(message.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
		expect(performance.now() - began).toBeLessThan(4000);
		expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
	});

	test('make it read a huge or a binary file', async ({ expect }) => {
		box.write('work/spotctl.config.yaml', `# ${'x'.repeat(10_000_000)}`);
		box.write('etc/config.yaml', new Uint8Array([0, 255, 1, 2, 200, 10]));
		const { message } = await box.refusal();
		expect(message).toContain('spotctl.config.yaml: is too large: 10000002 bytes');
		expect(message).toContain('config.yaml: is not a text file in UTF-8');
	});

	test('put a folder or an endless link where the file belongs', async ({ expect }) => {
		mkdirSync(join(box.work, 'spotctl.config.yaml'));
		symlinkSync(box.system, box.system);
		const { message } = await box.refusal();
		expect(message).toContain('spotctl.config.yaml: is a folder, not a file');
		expect(message).toContain('cannot be read: its symbolic links go in a circle');
	});

	test.skipIf(process.getuid?.() === 0)('hide a file by taking away the right to read it', async ({ expect }) => {
		const { chmodSync } = await import('node:fs');
		chmodSync(box.write('work/spotctl.config.yaml', 'server: { port: 1 }'), 0o000);
		expect((await box.refusal()).message).toContain('cannot be read: permission denied');
	});

	test.skipIf(process.getuid?.() === 0)('stop the program with a closed folder that is not the working folder', async ({ expect }) => {
		const { chmodSync } = await import('node:fs');
		chmodSync(join(box.root, 'etc'), 0o000);
		const { warnings } = await box.load();
		chmodSync(join(box.root, 'etc'), 0o700);
		expect(warnings).toEqual([`${join(box.root, 'etc')} is passed over: permission denied`]);
	});

	test('bring a secret to light through a syntax error', async ({ expect }) => {
		const secret = 'Zk3vQ9xLw2RtY7b';
		const broken = [
			`"${secret}" ${secret}`,
			`"${secret}`,
			`*${secret}`,
			`!${secret} x`,
			`[${secret}`,
			`@${secret}`,
			`{ a: ${secret}`,
			`%${secret}`,
			`\`${secret}`,
			`"\\q${secret}"`,
		];
		for (const value of broken) {
			box.write('work/spotctl.config.yaml', `security:\n  adminToken: ${value}\n`);
			expect((await box.refusal()).message).not.toContain(secret);
		}
		for (const json of [`{"security": {"adminToken": ${secret}}}`, `{"security": {"adminToken": "${secret}}}`]) {
			box.write('work/spotctl.config.json', json);
			expect((await box.refusal()).message).not.toContain(secret);
		}
	});
});
