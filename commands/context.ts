import type { Readable, Writable } from 'node:stream';
import type { LoadInput, PartialSettings } from '../src/config/load.ts';
import type { Loaded } from '../src/config/origin.ts';
import type { Config } from '../src/config/schema.ts';
import type { Variables } from '../src/config/variables.ts';
import type { Api } from '../src/contract/index.ts';
import type { Clock, Ids } from '../src/deps.ts';
import type { Connection } from './connect.ts';
import type { Format } from './formats.ts';
import { createPrint, type Print } from './print.ts';
import { type Confirmation, confirm } from './prompt.ts';
import { type Output, outputTo } from './streams.ts';
import { safeLines } from './text.ts';

/** What the in-process product is made of; `close` lets go of the database. */
export type LocalDeps = { readonly config: Config; readonly clock: Clock; readonly ids: Ids; readonly user: string };
export type LocalApi = (deps: LocalDeps) => Promise<{ readonly api: Api; close(): Promise<void> }>;

/** The machine as the commands see it. Nothing in commands/ reads `process`. */
export type Host = {
	readonly stdin: Readable & { readonly isTTY?: boolean };
	readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
	readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
	readonly env: Variables;
	readonly cwd: string;
	readonly home: string;
	readonly clock: Clock;
	readonly ids: Ids;
	/** Aborted by Ctrl-C. */
	readonly signal: AbortSignal;
	/** The name of whoever runs the command, for the audit of `--local`. */
	readonly user: () => string;
	/** Whether a process of this id runs on this machine. */
	readonly isAlive: (pid: number) => boolean;
	readonly localApi: LocalApi;
	/** Stands in for the daemon in tests. */
	readonly connect?: (config: Loaded, globals: Globals) => Promise<Api>;
};

/** The options every command takes. */
export type Globals = {
	readonly output?: Format;
	readonly quiet?: boolean;
	readonly server?: string;
	readonly tokenFile?: string;
	readonly local?: boolean;
	readonly config?: string;
	readonly database?: string;
	readonly stateDir?: string;
	readonly color?: boolean;
	readonly debug?: boolean;
};

/** All that a command may touch. */
export type Context = {
	readonly host: Host;
	readonly clock: Clock;
	readonly signal: AbortSignal;
	readonly tty: { readonly in: boolean; readonly out: boolean; readonly err: boolean };
	/** The options every command takes, as typed; valid once an action runs. */
	globals(): Globals;
	/** What the configuration is loaded from, with the flags of this command on top. */
	configInput(flags?: PartialSettings): LoadInput;
	/** The configuration in force, loaded once. Errors: CONFIG_INVALID. */
	config(): Promise<Loaded>;
	/** The product: the daemon over HTTP, or the same handlers in process with `--local`. */
	api(): Promise<Api>;
	/** Where `api()` went, once it was called; for messages. */
	connection(): Connection | undefined;
	/** Data, to stdout, in the format asked for. */
	readonly print: Print;
	/** A remark on stderr that `--quiet` drops. */
	note(text: string): void;
	/** Returns when whoever types, or `--yes`, agrees; throws otherwise. */
	confirm(action: Confirmation): Promise<void>;
	/** Sets the exit code of a command that ends without an error. */
	finish(code: number): void;
	/** What `finish` said, 0 by default. */
	exitCode(): number;
	/** Rejects where something that was printed was not taken. */
	printed(): Promise<void>;
	/** Lets go of what was opened. */
	close(): Promise<void>;
};

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
	let made: Promise<T> | undefined;
	return () => {
		made ??= make();
		return made;
	};
};

const settingsOf = ({ server, tokenFile, local, database, stateDir }: Globals): PartialSettings => ({
	'client.server': server,
	'client.tokenFile': tokenFile === '-' ? undefined : tokenFile,
	'client.mode': local ? 'local' : undefined,
	'database.url': database,
	stateDir,
});

/** The context of one run. `globals` is asked when an action runs, after the command line was read. */
export const createContext = (host: Host, globals: () => Globals): Context => {
	const out: Output = outputTo(host.stdout);
	const err = outputTo(host.stderr);
	const tty = { in: host.stdin.isTTY === true, out: host.stdout.isTTY === true, err: host.stderr.isTTY === true };
	let code = 0;
	let connection: Connection | undefined;
	const closing: Array<() => Promise<void>> = [];

	const say = (text: string) => void err.write(`${safeLines(text)}\n`).catch(() => undefined);
	const note = (text: string) => {
		if (globals().quiet !== true) say(text);
	};
	const configInput = (flags: PartialSettings = {}): LoadInput => ({
		flags: { ...settingsOf(globals()), ...flags },
		env: host.env,
		cwd: host.cwd,
		home: host.home,
		file: globals().config,
	});
	const config = once(async () => {
		const { loadConfig } = await import('../src/config/load.ts');
		const loaded = await loadConfig(configInput());
		for (const warning of loaded.warnings) note(`spotctl: warning: ${warning}`);
		return loaded;
	});
	const api = once(async () => {
		const loaded = await config();
		if (host.connect) return host.connect(loaded, globals());
		if (loaded.config.client.mode === 'local') {
			connection = { kind: 'local' };
			const local = await host.localApi({ config: loaded.config, clock: host.clock, ids: host.ids, user: host.user() });
			closing.push(local.close);
			return local.api;
		}
		const { connectHttp } = await import('./connect.ts');
		const connected = await connectHttp(host, globals(), loaded, globals().debug ? (line) => say(line) : undefined);
		connection = connected.connection;
		return connected.api;
	});

	return {
		host,
		clock: host.clock,
		signal: host.signal,
		tty,
		globals,
		configInput,
		config,
		api,
		connection: () => connection,
		print: createPrint({ out, note, host, globals, config }),
		note,
		confirm: (action) => confirm(host, action),
		finish: (value) => {
			code = value;
		},
		exitCode: () => code,
		printed: out.settled,
		close: async () => {
			for (const close of closing.splice(0)) await close();
		},
	};
};
