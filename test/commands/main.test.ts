import { Command } from 'commander';
import { describe, test } from 'vitest';
import type { Context } from '../../commands/context.ts';
import { GROUPS } from '../../commands/groups.ts';
import { KINDS, type Kind, SpotError } from '../../src/errors.ts';
import { cli, emptyFolder, stillClock } from './cli.ts';
import { client, command } from './fixtures.ts';

const none = { listClients: () => ({ items: [], nextCursor: null }) };

const leaves = async (): Promise<string[][]> => {
	const context = {} as Context;
	const found: string[][] = [['health'], ['help']];
	for (const { name, load } of GROUPS) for (const leaf of (await load())(context).commands) found.push([name, leaf.name()]);
	return found;
};

describe('help', () => {
	test('of every command has a description, an example, and exits 0', async ({ expect }) => {
		const all = await leaves();
		expect(all.length).toBeGreaterThan(33);
		for (const words of all) {
			const { code, out, err } = await cli([...words, '--help']);
			expect([words, code, err]).toEqual([words, 0, '']);
			expect(out).toContain(`Usage: spotctl ${words.join(' ')}`);
			expect(out).toMatch(/\nExamples?:\n {2}\$ .*spotctl /);
			expect(out.split('\n\n')[1]).not.toBe('');
			expect((await cli(['help', ...words])).out).toContain(`Usage: spotctl ${words.join(' ')}`);
		}
	});

	test('of the program names every noun', async ({ expect }) => {
		const { code, out } = await cli('--help');
		expect(code).toBe(0);
		for (const noun of ['clients', 'tokens', 'admin-tokens', 'agents', 'instances', 'commands', 'config', 'db', 'health'])
			expect(out).toContain(`\n  ${noun} `);
		expect((await cli('')).out).toBe(out);
		expect((await cli('help')).out).toBe(out);
	});

	test('of a noun without a verb is a mistake', async ({ expect }) => {
		const { code, out, err } = await cli('clients');
		expect([code, out]).toEqual([2, '']);
		expect(err).toContain('Usage: spotctl clients');
	});

	test('topics', async ({ expect }) => {
		const codes = await cli('help exit-codes');
		for (const kind of Object.keys(KINDS) as Kind[]) expect(codes.out).toMatch(new RegExp(`^ +${KINDS[kind].exit}  `, 'm'));
		expect((await cli('help environment')).out).toContain('SPOTCTL_TOKEN_FILE\n');
		expect((await cli('help output')).out).toContain('-o jsonl');
		expect((await cli('help nonsense')).code).toBe(2);
	});

	test('--version', async ({ expect }) => {
		const { code, out } = await cli('--version');
		expect([code, out]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
	});
});

describe('usage errors exit 2 and say where to look', () => {
	test.for([
		['clinets list', "spotctl: unknown command 'clinets'\n  Did you mean clients?\n"],
		['clients lst', "spotctl: unknown command 'lst'\n  Did you mean one of list, ls?\n"],
		['clients list --al', "spotctl: unknown option '--al'\n  Did you mean --all?\n"],
		['clients list --frobnicate', "spotctl: unknown option '--frobnicate'\n  see: spotctl clients list --help\n"],
		['clients show', "spotctl: missing required argument 'client'\n  see: spotctl clients show --help\n"],
		['clients show a b', "spotctl: too many arguments for 'show'. Expected 1 argument but got 2.\n  see: spotctl clients show --help\n"],
		[
			'clients list -o xml',
			"spotctl: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are table, wide, json, jsonl, yaml, csv.\n  see: spotctl --help\n",
		],
		[
			'clients list --limit 0',
			"spotctl: option '--limit <number>' argument '0' is invalid. It must be a whole number from 1 to 10000000.\n  see: spotctl clients list --help\n",
		],
		[
			'clients list --limit 5 --all',
			"spotctl: option '--limit <number>' cannot be used with option '--all'\n  see: spotctl clients list --help\n",
		],
	] as const)('%s', async ([line, message], { expect }) => {
		const { code, out, err } = await cli(line, { script: none });
		expect([code, out, err]).toEqual([2, '', message]);
	});
});

describe('errors', () => {
	test.for(Object.entries(KINDS).map(([kind, { exit }]) => [kind as Kind, exit] as const))(
		'of kind %s exit %i',
		async ([kind, exit], { expect }) => {
			const listClients = () => {
				throw new SpotError(kind, 'SOME_CODE', 'it went wrong', { hint: 'do something about it' });
			};
			const { code, out, err } = await cli('clients list', { script: { listClients } });
			expect([code, out, err]).toEqual([exit, '', 'spotctl: it went wrong\n  do something about it\n']);
		},
	);

	const broken = {
		listClients: () => {
			throw new TypeError('undefined is not a function');
		},
	};

	test('that nobody foresaw exit 1 without a stack', async ({ expect }) => {
		const { code, err } = await cli('clients list', { script: broken });
		expect([code, err]).toEqual([
			1,
			'spotctl: this is a bug: undefined is not a function\n  run it again with --debug and report what it prints\n',
		]);
	});

	test('show their stack and their cause with --debug', async ({ expect }) => {
		const { code, err } = await cli('clients list --debug', { script: broken });
		expect(code).toBe(1);
		expect(err).toMatch(/TypeError: undefined is not a function\n {4}at /);
	});

	test('of the daemon name its request', async ({ expect }) => {
		const listClients = () => {
			throw new SpotError('bug', 'SERVER_ERROR', 'unexpected error', { extras: { request_id: 'r-1' } });
		};
		expect((await cli('clients list', { script: { listClients } })).err).toBe('spotctl: unexpected error (request r-1)\n');
	});

	test('of validation list their details', async ({ expect }) => {
		const listClients = () => {
			throw new SpotError('invalid', 'VALIDATION_ERROR', 'the request is not valid', {
				extras: { details: [{ path: 'name', message: 'is too long' }, 'and more'] },
			});
		};
		expect((await cli('clients list', { script: { listClients } })).err).toBe(
			'spotctl: the request is not valid\n  name: is too long\n  and more\n',
		);
	});

	test('cannot steer the terminal', async ({ expect }) => {
		const listClients = () => {
			throw new SpotError('missing', 'NOT_FOUND', 'no client "\x1b]0;owned\x07\x9b2J\u202e"');
		};
		expect((await cli('clients list', { script: { listClients }, tty: true })).err).toBe(
			'spotctl: no client "\uFFFD]0;owned\uFFFD\uFFFD2J\uFFFD"\n',
		);
	});

	test.for(['a/b', '../..', '"; drop table agent; --', 'NUL\0', '🙂👨‍👩‍👧', '%00', 'é'.repeat(10_000), "it's", '$(reboot)', '-1', ' '])(
		'about the hostile id %j stay readable',
		async (id, { expect }) => {
			const showAgent = ({ agent_id }: { agent_id: string }) => {
				throw new SpotError('missing', 'NOT_FOUND', `no agent "${agent_id}"`, { hint: 'see: spotctl agents list' });
			};
			const { code, out, err, calls } = await cli(['agents', 'show', '--', id], { script: { showAgent } });
			expect([code, out, calls[0]?.input]).toEqual([5, '', { agent_id: id }]);
			expect(err).toMatch(/^spotctl: no agent "[^\p{Cc}]+\n {2}see: spotctl agents list\n$/u);
			expect(err.length).toBeLessThan(2100);
		},
	);

	test('interruption exits 130', async ({ expect }) => {
		const controller = new AbortController();
		const listClients = () => {
			controller.abort(new SpotError('interrupted', 'INTERRUPTED', 'interrupted'));
			throw controller.signal.reason;
		};
		const { code, err } = await cli('clients list', { script: { listClients }, signal: controller.signal });
		expect([code, err]).toEqual([130, 'spotctl: interrupted\n']);
	});
});

describe('output', () => {
	const one = { listClients: () => ({ items: [client()], nextCursor: null }) };

	test.for([
		['clients list', {}, true],
		['clients list --no-color', {}, false],
		['clients list', { NO_COLOR: '1' }, false],
		['clients list --color', { NO_COLOR: '1' }, true],
		['clients list', { TERM: 'dumb' }, false],
	] as const)('%s with %o has colour at a terminal: %s', async ([line, env, colored], { expect }) => {
		const { out } = await cli(line, { script: one, tty: true, env: { NO_COLOR: '', ...env } });
		expect(out.includes('\x1b[')).toBe(colored);
	});

	test('a pipe gets colour only when it is insisted on', async ({ expect }) => {
		expect((await cli('clients list', { script: one, env: { NO_COLOR: '' } })).out).not.toContain('\x1b[');
	});

	test('the format may come from the environment; the flag is stronger', async ({ expect }) => {
		const env = { SPOTCTL_OUTPUT: 'json' };
		expect((await cli('clients list', { script: one, env })).out).toMatch(/^\[\n {2}\{/);
		expect((await cli('clients list -o csv', { script: one, env })).out).toMatch(/^id,name/);
	});

	test('options of the program may stand anywhere', async ({ expect }) => {
		for (const line of ['-o jsonl clients list', 'clients -o jsonl list', 'clients list -o jsonl', 'clients list --output=jsonl']) {
			expect((await cli(line, { script: one })).out).toMatch(/^\{"id":"c-1"/);
		}
	});

	test('JSON is exactly what the operation answers', async ({ expect }) => {
		const row = { ...command(), message: 'tab\tand "quotes" \u009b2J', surprise: { from: ['a newer daemon'] } };
		const { out } = await cli('commands show k-1 -o json', { script: { showCommand: () => row } });
		expect(JSON.parse(out)).toEqual(row);
		expect(out).not.toContain('\u009b');
	});
});

describe('configuration', () => {
	test('every problem is told at once, with exit 2', async ({ expect }) => {
		const env = { SPOTCTL_PORT: 'abc', SPOTCTL_OUTPUT: 'xml' };
		const { code, err } = await cli('clients list', { script: none, env });
		expect(code).toBe(2);
		expect(err).toContain('spotctl: 2 problems in the configuration\n');
		expect(err).toContain('SPOTCTL_PORT');
	});

	test('a variable that means nothing is a warning', async ({ expect }) => {
		const env = { SPOTCTL_SEVER: 'http://x' };
		expect((await cli('clients list', { script: none, env })).err).toContain(
			'spotctl: warning: SPOTCTL_SEVER is not a setting; did you mean "SPOTCTL_SERVER"?\n',
		);
		expect((await cli('clients list -q', { script: none, env })).err).toBe('');
	});

	test('config show and config check', async ({ expect }) => {
		const shown = await cli('config show --origin', { env: { SPOTCTL_PORT: '6000', SPOTCTL_TOKEN: 'sct_secret_of_mine' } });
		expect(shown.out).toContain('server.port\t6000\tenvironment SPOTCTL_PORT\n');
		expect(shown.out).toContain('client.token\t(set)\tenvironment SPOTCTL_TOKEN\n');
		expect(shown.out).not.toContain('secret');
		const atTerminal = await cli('config show', { tty: true });
		expect(atTerminal.out).toMatch(/^KEY +VALUE\nstateDir +\//);
		expect(JSON.parse((await cli('config show -o json')).out)[0]).toMatchObject({ key: 'stateDir', origin: 'default' });
		expect((await cli('config check')).out).toBe('valid\ttrue\nfiles\t\nwarnings\t0\n');
		expect((await cli('config check', { tty: true })).out).toBe('Valid:    yes\nFiles:    -\nWarnings: 0\n');
		expect((await cli('config check', { env: { SPOTCTL_PORT: '-1' } })).code).toBe(2);
	});

	test('what is wrong with a configuration is told by the name it was given by, and config check does not hint at itself', async ({
		expect,
	}) => {
		const problem = (from: string) => `spotctl: 1 problem in the configuration\n  ${from} /nowhere/config.yaml: does not exist\n`;
		const flagged = '--config /nowhere/config.yaml';
		const env = { SPOTCTL_CONFIG: '/nowhere/config.yaml' };
		const help = '  what each setting takes: spotctl help environment\n';
		expect((await cli(`config check ${flagged}`, { env: { SPOTCTL_CONFIG: '/elsewhere.yaml' } })).err).toBe(
			`${problem('--config')}${help}`,
		);
		expect((await cli('config check', { env })).err).toBe(`${problem('SPOTCTL_CONFIG')}${help}`);
		expect((await cli(`clients list ${flagged}`)).err).toBe(`${problem('--config')}  spotctl config check\n`);
		expect((await cli('config check --config config.yaml', { cwd: '/nowhere' })).err).toBe(`${problem('--config')}${help}`);
	});

	test('flags of the program overrule it', async ({ expect }) => {
		const { out } = await cli(
			'config show --origin --server http://10.0.0.1:5 --database sqlite:/tmp/x.db --state-dir /tmp/s --local -o csv',
		);
		expect(out).toContain('client.server,http://10.0.0.1:5,flag\r\n');
		expect(out).toContain('database.url,sqlite:/tmp/x.db,flag\r\n');
		expect(out).toContain('stateDir,/tmp/s,flag\r\n');
		expect(out).toContain('client.mode,local,flag\r\n');
	});
});

describe('faces', () => {
	test('--local runs the handlers in process and lets go of the database', async ({ expect }) => {
		const seen: unknown[] = [];
		const localApi = async ({ config, user }: { config: { database: { url: string } }; user: string }) => {
			seen.push(config.database.url, user);
			return { api: none as never, close: async () => void seen.push('closed') };
		};
		const { code } = await cli('clients list --local --database sqlite:/tmp/x.db', { localApi: localApi as never });
		expect([code, seen]).toEqual([0, ['sqlite:/tmp/x.db', 'tester', 'closed']]);
	});

	test('a command of another face takes part, with its exit code', async ({ expect }) => {
		const attach = [
			(context: Context) =>
				new Command('serve').option('--port <number>').action(({ port }: { port?: string }) => {
					const { flags, file } = context.configInput({ 'server.port': port });
					context.finish(flags?.['server.port'] === '8080' && flags['database.url'] === 'sqlite:/d' && file === '/c.yaml' ? 3 : 1);
				}),
		];
		expect((await cli('serve --port 8080 --database sqlite:/d --config /c.yaml', { attach })).code).toBe(3);
	});
});

test('the folder of these tests holds no configuration', async ({ expect }) => {
	expect((await cli('config check -o json', { home: emptyFolder(), clock: stillClock() })).out).toContain('"files": []');
});
