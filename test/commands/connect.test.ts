import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest';
import { isLoopback } from '../../commands/connect.ts';
import { systemClock } from '../../src/deps.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { cli, type Run } from './cli.ts';
import { client, healthy } from './fixtures.ts';

const seen: IncomingMessage['headers'][] = [];
const refused = {
	status: 'error',
	error: 'no token was sent',
	code: 'UNAUTHORIZED',
	data: null,
	hint: 'send the header Authorization: Bearer <token>',
};

const daemon = createServer((request, response) => {
	seen.push(request.headers);
	const body =
		request.url === '/health'
			? healthy()
			: request.headers.authorization === undefined
				? refused
				: { status: 'success', data: [client()], error: null, count: 1, next_cursor: null };
	response.writeHead(body === refused ? 401 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});

let url = '';
let home = '';

beforeAll(async () => {
	await new Promise<void>((done) => daemon.listen(0, '127.0.0.1', done));
	url = `http://127.0.0.1:${(daemon.address() as AddressInfo).port}`;
});
afterAll(() => void daemon.close());
beforeEach(() => {
	seen.length = 0;
	home = temporaryFolder('home');
});

const TOKEN = 'sca_0123456789abcdefghijklmnopqrstuvwxyz';

const file = (name: string, text: string, mode = 0o600): string => {
	const folder = join(home, '.local', 'state', 'spotctl');
	mkdirSync(folder, { recursive: true });
	const path = join(folder, name);
	writeFileSync(path, text);
	chmodSync(path, mode);
	return path;
};

const run = (line: string, over: Run = {}) => cli(line, { home, cwd: home, clock: systemClock, ...over });
const sent = () => seen.map(({ authorization }) => authorization);

describe('the daemon is found', () => {
	test('where it said it listens, with the admin token it left', async ({ expect }) => {
		file('daemon.json', JSON.stringify({ url, pid: 1, version: '0.1.0', startedAt: 'now' }));
		file('admin-token', `${TOKEN}\n`);
		const { code, out, err } = await run('clients list -q');
		expect([code, out, err, sent()]).toEqual([0, 'c-1\n', '', [`Bearer ${TOKEN}`]]);
	});

	test('in another state folder', async ({ expect }) => {
		const folder = temporaryFolder('state');
		writeFileSync(join(folder, 'daemon.json'), JSON.stringify({ url }));
		expect((await run(`health --state-dir ${folder}`)).code).toBe(0);
		expect((await run('health', { env: { SPOTCTL_STATE_DIR: folder } })).code).toBe(0);
	});

	test('on the loopback interface when it listens on every interface', async ({ expect }) => {
		file('daemon.json', JSON.stringify({ url: url.replace('127.0.0.1', '0.0.0.0') }));
		file('admin-token', TOKEN);
		expect((await run('clients list', {})).code).toBe(0);
		expect(sent()).toEqual([`Bearer ${TOKEN}`]);
	});

	test.for(['', '{', '[]', 'null', '{"url":5}', '{"url":"file:///etc/passwd"}', '{"url":"http://"}'])(
		'at the default when daemon.json holds %j',
		async (text, { expect }) => {
			file('daemon.json', text);
			const { code, err } = await run('health', { env: { SPOTCTL_PORT: '1' } });
			expect([code, err]).toEqual([
				7,
				'spotctl: no daemon answers at http://127.0.0.1:1\n  start one: spotctl serve  (or run with --local)\n',
			]);
		},
	);

	test('where --server or SPOTCTL_SERVER says, in this order', async ({ expect }) => {
		file('daemon.json', '{"url":"http://127.0.0.1:1"}');
		expect((await run(`health --server ${url}`, { env: { SPOTCTL_SERVER: 'http://127.0.0.1:2' } })).code).toBe(0);
		expect((await run('health', { env: { SPOTCTL_SERVER: url } })).code).toBe(0);
		expect((await run('health --server nonsense')).code).toBe(2);
	});
});

describe('the token is', () => {
	const at = (line: string, over: Run = {}) => run(`${line} --server ${url}`, over);

	test('that of --token-file before that of the environment', async ({ expect }) => {
		const mine = file('mine', 'sca_mine');
		file('admin-token', TOKEN);
		await at(`clients list --token-file ${mine}`, { env: { SPOTCTL_TOKEN: 'sca_env' } });
		await at('clients list', { env: { SPOTCTL_TOKEN: 'sca_env', SPOTCTL_TOKEN_FILE: mine } });
		await at('clients list', { env: { SPOTCTL_TOKEN_FILE: mine } });
		await at('clients list');
		expect(sent()).toEqual(['Bearer sca_mine', 'Bearer sca_env', 'Bearer sca_mine', `Bearer ${TOKEN}`]);
	});

	test('read from stdin for -', async ({ expect }) => {
		await at('clients list --token-file -', { input: 'sca_piped\n' });
		await at('clients list', { input: 'sca_piped', env: { SPOTCTL_TOKEN_FILE: '-' } });
		expect(sent()).toEqual(['Bearer sca_piped', 'Bearer sca_piped']);
		const { code, err } = await at('clients list --token-file -', { input: '' });
		expect([code, err]).toEqual([4, 'spotctl: there is no token in what stdin gives\n']);
	});

	test.for([0o640, 0o604, 0o644, 0o660])('refused when its file has mode %o', async (mode, { expect }) => {
		const open = file('open', 'sca_open', mode);
		const { code, err } = await at(`clients list --token-file ${open}`);
		expect([code, sent()]).toEqual([4, []]);
		expect(err).toBe(
			`spotctl: others can read the token file "${open}" (mode ${mode.toString(8).padStart(4, '0')})\n  make it yours alone: chmod 600 ${open}\n`,
		);
		file('admin-token', TOKEN, mode);
		expect((await at('clients list')).code).toBe(4);
	});

	test.for([
		['two\nlines', 'is not a token'],
		['', 'there is no token in'],
		['x'.repeat(20_000), 'is not a token file'],
		['töken', 'is not a token'],
	])('refused when its file holds %j', async ([text = '', message = ''], { expect }) => {
		const { code, err } = await at(`clients list --token-file ${file('odd', text)}`);
		expect([code, sent()]).toEqual([4, []]);
		expect(err).toContain(message);
	});

	test('missed when its file does not exist', async ({ expect }) => {
		const { code, err } = await at('clients list --token-file /nowhere/token');
		expect([code, err]).toEqual([4, 'spotctl: cannot read the token file "/nowhere/token": there is no such file\n']);
	});

	test('not needed for health, and missed elsewhere with a hint', async ({ expect }) => {
		expect((await at('health')).code).toBe(0);
		const { code, err } = await at('clients list');
		expect(code).toBe(4);
		expect(err).toBe(
			`spotctl: no token was sent\n  no token was sent: there is no file ${join(home, '.local/state/spotctl/admin-token')}; give one with --token-file FILE or SPOTCTL_TOKEN_FILE\n`,
		);
	});

	const configured = { ADMIN_TOKEN: 'kP3vN8xQ2mW7rT5yB9cL4hJ6' };
	const record = (over: Readonly<Record<string, unknown>> = {}) =>
		file('daemon.json', JSON.stringify({ url, pid: process.pid, adminToken: 'configured', ...over }));

	test('the configured admin token where the daemon of this state folder says that it takes that', async ({ expect }) => {
		record();
		await run('clients list', { env: configured });
		await at('clients list', { env: configured });
		await at('clients list', { env: { SPOTCTL_ADMIN_TOKEN: 'wZ4hF7jR2nV8sK5qD9gB3tM6', SPOTCTL_TOKEN: 'sca_env' } });
		file('admin-token', TOKEN);
		await at('clients list', { env: configured });
		// Of an earlier start of the daemon, and it may still be good.
		await at('clients list');
		record({ adminToken: 'file' });
		await at('clients list', { env: configured });
		const own = `Bearer ${configured.ADMIN_TOKEN}`;
		expect(sent()).toEqual([own, own, 'Bearer sca_env', own, `Bearer ${TOKEN}`, `Bearer ${TOKEN}`]);
	});

	test('the configured admin token at the configured address, where no daemon left word and no other was named', async ({ expect }) => {
		const env = { ...configured, SPOTCTL_PORT: new URL(url).port };
		await run('clients list', { env });
		await run('clients list', { env: { ...env, SPOTCTL_HOST: '10.1.2.3' } });
		await at('clients list', { env });
		await run('clients list', { env: { ...env, SPOTCTL_SERVER: url } });
		file('admin-token', TOKEN);
		await run('clients list', { env });
		expect(sent()).toEqual([`Bearer ${configured.ADMIN_TOKEN}`, undefined, undefined, undefined, `Bearer ${TOKEN}`]);
	});

	test.for([
		['serves elsewhere', { url: 'http://127.0.0.1:1' }],
		['has another port', { url: 'http://127.0.0.1' }],
		['has another scheme', { url: 'https://127.0.0.1' }],
		['takes one of a file', { adminToken: 'file' }],
		['takes some other', { adminToken: 'elsewhere' }],
		['does not say', { adminToken: undefined }],
		['is gone', { pid: 2 ** 22 + 1 }],
		['has no process', { pid: undefined }],
		['has a group for a process', { pid: 0 }],
		['has every process', { pid: -1 }],
	] as const)('never the configured admin token for a server of this machine when the recorded daemon %s', async ([, over], { expect }) => {
		record(over);
		const { code, err } = await at('clients list --debug', { env: configured });
		expect([code, sent()]).toEqual([4, [undefined]]);
		expect(err).toContain(
			`the configured admin token goes to nobody but the daemon of ${join(home, '.local/state/spotctl')}, which did not say that it is at ${url} and takes it (to send a token all the same, set SPOTCTL_TOKEN)`,
		);
		expect(err).not.toContain(configured.ADMIN_TOKEN);
		// Nor does such a record change what is sent otherwise.
		file('admin-token', TOKEN);
		await at('clients list', { env: configured });
		expect(sent()[1]).toBe(`Bearer ${TOKEN}`);
	});

	test('the configured admin token, and said to be missed when it is configured for the daemon alone', async ({ expect }) => {
		record();
		expect((await run('clients list')).err).toBe(
			'spotctl: no token was sent\n  no token was sent: the daemon takes the admin token it was configured with, and none is configured here; give one with --token-file FILE or SPOTCTL_TOKEN_FILE\n',
		);
	});

	test('never the configured admin token for another machine', async ({ expect }) => {
		record({ url: 'http://no-such-host.invalid:5000' });
		const { code, err } = await run('clients list --server http://no-such-host.invalid:5000 --debug', { env: configured });
		expect([code, sent()]).toEqual([7, []]);
		expect(err).not.toContain(configured.ADMIN_TOKEN);
	});

	test('never the local admin token for another machine', ({ expect }) => {
		for (const here of ['http://127.0.0.1:5000', 'http://127.8.9.1', 'https://localhost:1', 'http://[::1]:5000'])
			expect(isLoopback(here)).toBe(true);
		for (const there of [
			'http://10.0.0.1:5000',
			'http://localhost.evil.example',
			'http://127.0.0.1.evil.example',
			'http://127.evil.example',
			'http://[::2]',
			'nonsense',
			'http://0.0.0.0',
		]) {
			expect(isLoopback(there)).toBe(false);
		}
	});

	test('not sent to another machine', async ({ expect }) => {
		file('admin-token', TOKEN);
		const { code, err } = await run('clients list --server http://no-such-host.invalid:5000 --debug');
		expect(code).toBe(7);
		expect(err).not.toContain(TOKEN);
	});
});

test('--debug prints requests and answers without the token, and no stack without it', async ({ expect }) => {
	file('admin-token', TOKEN);
	const { code, out, err } = await run(`clients list -q --debug --server ${url}`);
	expect([code, out]).toEqual([0, 'c-1\n']);
	expect(err).toMatch(/^> GET http:.*\/api\/admin\/clients\?limit=500\n< 200 in \d+ ms \{.*\n$/);
	expect(err).not.toContain(TOKEN);
	const failed = await run('clients list --debug --server http://127.0.0.1:1');
	expect(failed.err).toContain('! connect ECONNREFUSED');
	expect(failed.err).toContain('caused by Error: connect ECONNREFUSED');
});
