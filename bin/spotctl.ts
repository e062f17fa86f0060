import { homedir, userInfo } from 'node:os';
import { Command } from 'commander';
import type { Context } from '../commands/context.ts';
import { main } from '../commands/main.ts';
import { readVersion } from '../commands/version.ts';
import { systemClock, systemIds } from '../src/deps.ts';
import { SpotError } from '../src/errors.ts';

type ServeOptions = { readonly host?: string; readonly port?: string; readonly migrate?: boolean };

const { stdin, stdout, stderr, env } = process;
const interrupt = new AbortController();
const onInterrupt = () => interrupt.abort(new SpotError('interrupted', 'INTERRUPTED', 'interrupted'));
// Once: a second Ctrl-C ends the process at once.
process.once('SIGINT', onInterrupt);

const serve = (context: Context): Command =>
	new Command('serve')
		.description('Run the daemon that agents and commands talk to')
		.option('--host <address>', 'address to listen on')
		.option('--port <number>', 'port to listen on')
		.option('--migrate', 'bring the schema up to date first')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl serve\n  $ spotctl serve --host 0.0.0.0 --port 8080 --database mysql://user:password@host:3306/spotctl',
		)
		.action(async ({ host, port, migrate }: ServeOptions) => {
			// The daemon listens to signals itself; until it does, Ctrl-C ends the process as ever.
			process.off('SIGINT', onInterrupt);
			const input = context.configInput({ 'server.host': host, 'server.port': port, 'database.migrate': migrate });
			const [daemon, parts] = await Promise.all([import('../daemon/serve.ts'), import('../src/core/index.ts')]);
			context.finish(
				await daemon.serve({ ...input, stdout, stderr, host: process, version: readVersion(), clock: systemClock, ids: systemIds, parts }),
			);
		});

const isAlive = (pid: number): boolean => {
	try {
		return process.kill(pid, 0);
	} catch (error) {
		// There, and somebody else's.
		return (error as { code?: unknown }).code === 'EPERM';
	}
};

process.exitCode = await main(
	process.argv.slice(2),
	{
		stdin,
		stdout,
		stderr,
		env,
		cwd: process.cwd(),
		home: homedir(),
		clock: systemClock,
		ids: systemIds,
		signal: interrupt.signal,
		user: () => userInfo().username,
		isAlive,
		localApi: async (deps) => {
			const [local, http] = await Promise.all([import('../src/core/local.ts'), import('../src/webhook-http.ts')]);
			return local.localApi({ ...deps, postWebhook: http.createPostWebhook(deps.clock) });
		},
	},
	[serve],
);
