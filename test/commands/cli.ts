import { PassThrough, Writable } from 'node:stream';
import type { Host, LocalApi } from '../../commands/context.ts';
import { type Attachment, main } from '../../commands/main.ts';
import type { Api, Name } from '../../src/contract/index.ts';
import type { Clock } from '../../src/deps.ts';
import { systemIds } from '../../src/deps.ts';
import { SpotError } from '../../src/errors.ts';
import { temporaryFolder } from '../helpers/folders.ts';

export type Call = { readonly name: Name; readonly input: unknown };

type Scripted = { [N in Name]?: (input: Parameters<Api[N]>[0]) => Awaited<ReturnType<Api[N]>> | Promise<Awaited<ReturnType<Api[N]>>> };

/** An Api that answers as scripted, remembers what it was asked, and knows nothing else. */
export const scripted = (script: Scripted): { readonly api: Api; readonly calls: Call[] } => {
	const calls: Call[] = [];
	const ask = async (name: Name, input: unknown): Promise<unknown> => {
		calls.push({ name, input: JSON.parse(JSON.stringify(input)) });
		const answer = script[name] as ((input: unknown) => unknown) | undefined;
		if (answer === undefined) throw new Error(`the script has no ${name}`);
		return answer(input);
	};
	const api = new Proxy({} as Api, {
		// A promise that resolves to it must not take it for another promise.
		get: (_, name: string) => (name === 'then' ? undefined : (input: unknown) => ask(name as Name, input)),
	});
	return { api, calls };
};

/** A clock that stands still until somebody sleeps. */
export const stillClock = (start = Date.UTC(2026, 10, 23, 12)): Clock & { at: number } => {
	const clock = {
		at: start,
		now: () => clock.at,
		elapsed: () => clock.at - start,
		sleep: async (ms: number, signal?: AbortSignal) => {
			signal?.throwIfAborted();
			clock.at += ms;
		},
		every: () => () => undefined,
		after: () => () => undefined,
	};
	return clock;
};

class Sink extends Writable {
	readonly isTTY: boolean;
	readonly columns = 120;
	text = '';
	constructor(isTTY: boolean) {
		super({ decodeStrings: false });
		this.isTTY = isTTY;
	}
	override _write(chunk: string | Buffer, _encoding: string, done: (error?: Error | null) => void): void {
		this.text += String(chunk);
		done();
	}
}

export type Run = {
	/** All three streams are terminals. */
	readonly tty?: boolean;
	readonly script?: Scripted;
	/** What is typed, or piped, on stdin. */
	readonly input?: string;
	readonly env?: Readonly<Record<string, string>>;
	readonly cwd?: string;
	readonly home?: string;
	readonly clock?: Clock;
	readonly signal?: AbortSignal;
	readonly stdout?: Writable & { readonly isTTY?: boolean };
	readonly attach?: readonly Attachment[];
	readonly localApi?: LocalApi;
};

export type Ran = { readonly code: number; readonly out: string; readonly err: string; readonly calls: readonly Call[] };

let empty: string | undefined;

/** A folder with nothing in it, so that no configuration of this machine takes part. */
export const emptyFolder = (): string => {
	empty ??= temporaryFolder('cli');
	return empty;
};

const stdinOf = (input: string | undefined, isTTY: boolean): Host['stdin'] => {
	const stdin = Object.assign(new PassThrough(), { isTTY });
	if (input !== undefined) stdin.end(input);
	return stdin;
};

/** Runs a command line in process. Words are split at spaces; pass a list for arguments that have some. */
export const cli = async (line: string | readonly string[], run: Run = {}): Promise<Ran> => {
	const { api, calls } = scripted(run.script ?? {});
	const tty = run.tty ?? false;
	const [stdout, stderr] = [new Sink(tty), new Sink(tty)];
	const code = await main(
		typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line,
		{
			stdin: stdinOf(run.input, tty),
			stdout: run.stdout ?? stdout,
			stderr,
			env: { NO_COLOR: '1', ...run.env },
			cwd: run.cwd ?? emptyFolder(),
			home: run.home ?? emptyFolder(),
			clock: run.clock ?? stillClock(),
			ids: systemIds,
			signal: run.signal ?? new AbortController().signal,
			user: () => 'tester',
			isAlive: (pid) => pid === process.pid,
			localApi: run.localApi ?? (() => Promise.reject(new SpotError('bug', 'NO_LOCAL', 'no local api in this test'))),
			...(run.script ? { connect: async () => api } : {}),
		},
		run.attach ?? [],
	);
	return { code, out: stdout.text, err: stderr.text, calls };
};

/** The same line at a terminal and in a pipe, as the tests of every command show it. */
export const both = async (line: string | readonly string[], run: Run = {}): Promise<{ readonly tty: string; readonly piped: string }> => {
	const text = ({ code, out, err }: Ran): string => `exit ${code}\n${out}${err.replace(/^/gm, '! ').replace(/! $/, '')}`;
	return { tty: text(await cli(line, { ...run, tty: true })), piped: text(await cli(line, run)) };
};
