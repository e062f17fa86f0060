import type { Writable } from 'node:stream';
import { type LoadInput, loadConfig } from '../src/config/load.ts';
import type { Loaded } from '../src/config/origin.ts';
import { maskUrl } from '../src/config/show.ts';
import { openLog } from '../src/log.ts';
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import { openWarning } from './open-dashboard.ts';
import { adminTokenFile } from './state.ts';

/** What `serve` needs of the process it runs in. */
export type Host = Pick<NodeJS.Process, 'on' | 'off' | 'exit'>;

type Stream = Writable & { readonly isTTY?: boolean };

/** Where the configuration comes from, and the process it runs in. */
export type ServeOptions = LoadInput &
	Omit<DaemonOptions, 'config' | 'log'> & {
		/** Gets the start text. */
		readonly stdout: Stream;
		/** Gets the log. */
		readonly stderr: Stream;
		readonly host: Host;
	};

/** A reader that went away costs lines, not the daemon. */
const ignore = (): void => undefined;

/** The variable that gave the daemon its admin token, and whether a `.env` has it; null where commands read it from a file themselves. */
const passedBy = ({ admin }: Daemon, { origins }: Loaded): { readonly variable: string; readonly dotenv: boolean } | null => {
	const origin = admin.kind === 'configured' ? origins.get('security.adminToken') : undefined;
	if (origin?.kind !== 'environment' && origin?.kind !== '.env') return null;
	return { variable: origin.source.replace(/^\.env /, ''), dotenv: origin.kind === '.env' };
};

/** A path as a shell reads it. */
const quoted = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

const adminLines = (daemon: Daemon, loaded: Loaded, terminal: boolean): string[] => {
	const { admin } = daemon;
	const file = adminTokenFile(loaded.config.stateDir);
	if (admin.kind === 'configured') return [`the configured one (${passedBy(daemon, loaded)?.variable ?? 'security.adminToken'})`];
	if (admin.kind === 'elsewhere')
		return ['made earlier, not in this state folder; a new one: spotctl --local admin-tokens create NAME --scope admin'];
	return admin.created !== null && terminal ? [`${admin.created}  (shown this once)`, `in ${file}`] : [`in ${file}`];
};

/** What a person reads when the daemon is up: where it is, where its data and its key are, what to type next. */
export const startText = (daemon: Daemon, loaded: Loaded, version: string, terminal: boolean, cwd: string): string => {
	const { config, files, named } = loaded;
	const [first = '', ...rest] = adminLines(daemon, loaded, terminal);
	const passed = passedBy(daemon, loaded);
	const where = passed?.dotenv ? `in ${cwd} (its .env has ${passed.variable})` : `where ${passed?.variable} is set too`;
	const open = openWarning(config.server.openDashboard);
	const program = named === null ? 'bin/spotctl' : `bin/spotctl --config ${quoted(named)}`;
	return [
		`spotctl ${version} serves at ${daemon.url}`,
		`  database       ${maskUrl(config.database.url)}`,
		`  configuration  ${files.length === 0 ? 'defaults and environment' : files.join(', ')}`,
		`  admin token    ${first}`,
		...rest.map((line) => `                 ${line}`),
		...(open === null ? [] : ['', `  !!! ${open}`]),
		'',
		passed === null ? 'In another terminal:' : `In another terminal, ${where}, or with SPOTCTL_TOKEN=… before each:`,
		`  ${program} health`,
		`  ${program} clients create acme`,
		`  ${program} agents list`,
		'',
	].join('\n');
};

/**
 * Runs the daemon until it is told to stop; resolves with the exit code. SIGTERM and SIGINT drain and end with 0, a second one ends
 * the process at once (143, 130). SIGHUP reopens the log files, or stops when a terminal that showed the daemon was closed. An error
 * nobody caught is logged and ends the process with 1.
 */
export const serve = async (options: ServeOptions): Promise<number> => {
	const { stdout, stderr, host, version, clock } = options;
	const loaded = await loadConfig(options);
	const { level, format, dir } = loaded.config.log;
	const { log, ...files } = await openLog({ level, format, dir, stream: stderr, now: clock.now });
	const terminal = stdout.isTTY === true;
	for (const stream of [stdout, stderr]) stream.on('error', ignore);

	const stopAsked = new AbortController();
	const crash = (error: unknown): void => {
		log.fatal({ err: error }, 'unexpected error, stopping');
		files.close();
		host.exit(1);
	};
	const stopBy = (signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP') => (): void => {
		if (stopAsked.signal.aborted) {
			log.warn({ signal }, 'stopping at once');
			files.close();
			host.exit(signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 129);
			return;
		}
		log.info({ signal }, 'stopping');
		stopAsked.abort();
	};
	const listeners = {
		SIGTERM: stopBy('SIGTERM'),
		SIGINT: stopBy('SIGINT'),
		SIGHUP: terminal ? stopBy('SIGHUP') : () => files.reopen(),
		uncaughtException: crash,
		unhandledRejection: crash,
	};
	for (const [event, listener] of Object.entries(listeners)) host.on(event as 'SIGTERM', listener);

	try {
		for (const warning of loaded.warnings) log.warn({}, warning);
		const daemon = await startDaemon({ ...options, config: loaded.config, log });
		stdout.write(startText(daemon, loaded, version, terminal, options.cwd));
		if (!stopAsked.signal.aborted)
			await new Promise<void>((done) => stopAsked.signal.addEventListener('abort', () => done(), { once: true }));
		await daemon.stop();
		log.info({}, 'stopped');
		return 0;
	} finally {
		for (const [event, listener] of Object.entries(listeners)) host.off(event as 'SIGTERM', listener);
		for (const stream of [stdout, stderr]) stream.off('error', ignore);
		files.close();
	}
};
