import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Loaded } from '../src/config/origin.ts';
import type { Config } from '../src/config/schema.ts';
import type { Api } from '../src/contract/index.ts';
import { SpotError } from '../src/errors.ts';
import type { Globals, Host } from './context.ts';

/** Where the calls of a run went. `tokenFrom` says in words where the token came from, or why there is none. */
export type Connection =
	| { readonly kind: 'local' }
	| { readonly kind: 'http'; readonly server: string; readonly hasToken: boolean; readonly tokenFrom: string };

type Token = { readonly token: string | null; readonly from: string };

const MOST_BYTES = 16 * 1024;

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

const isLoopbackName = (host: string): boolean => host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);

/** Whether what is sent to this address stays on this machine. */
export const isLoopback = (server: string): boolean => URL.canParse(server) && isLoopbackName(new URL(server).hostname);

/** What the daemon of this user left in its state folder; an empty record when there is none, or nothing to be read. */
const daemonRecord = (stateDir: string): { readonly url?: unknown; readonly pid?: unknown; readonly adminToken?: unknown } => {
	try {
		const said: unknown = JSON.parse(readFileSync(join(stateDir, 'daemon.json'), 'utf8'));
		return typeof said === 'object' && said !== null ? said : {};
	} catch {
		return {};
	}
};

/** The address the daemon of this user left in its state folder. */
const daemonAddress = (stateDir: string): string | undefined => {
	try {
		const { url } = daemonRecord(stateDir);
		if (typeof url !== 'string' || !/^https?:\/\//.test(url) || !URL.canParse(url)) return undefined;
		const address = new URL(url);
		// A daemon that listens on every interface is reached through this machine's own.
		if (address.hostname === '0.0.0.0') address.hostname = '127.0.0.1';
		if (address.hostname === '[::]') address.hostname = '[::1]';
		return address.href.replace(/\/+$/, '');
	} catch {
		return undefined;
	}
};

/** The address of the daemon: as configured, else where the local one said it listens, else where it listens by default. */
export const serverOf = ({ client, server, stateDir }: Config): string =>
	client.server ?? daemonAddress(stateDir) ?? `http://127.0.0.1:${server.port === 0 ? 5000 : server.port}`;

const usable = (text: string, where: string): string => {
	const token = text.trim();
	if (token === '') throw new SpotError('unauthenticated', 'TOKEN_EMPTY', `there is no token in ${where}`);
	if (/^[\x21-\x7e]+$/.test(token)) return token;
	throw new SpotError('unauthenticated', 'TOKEN_MALFORMED', `what is in ${where} is not a token`, {
		hint: 'it must hold the token and nothing else',
	});
};

const readTokenFile = (file: string): string => {
	const stats = statSync(file);
	if (!stats.isFile() || stats.size > MOST_BYTES)
		throw new SpotError('unauthenticated', 'TOKEN_MALFORMED', `"${file}" is not a token file`);
	if ((stats.mode & 0o077) !== 0) {
		throw new SpotError(
			'unauthenticated',
			'TOKEN_FILE_OPEN',
			`others can read the token file "${file}" (mode ${(stats.mode & 0o777).toString(8).padStart(4, '0')})`,
			{
				hint: `make it yours alone: chmod 600 ${file}`,
			},
		);
	}
	return usable(readFileSync(file, 'utf8'), `"${file}"`);
};

const namedFile = (file: string): string => {
	try {
		return readTokenFile(file);
	} catch (error) {
		if (error instanceof SpotError) throw error;
		const why = codeOf(error) === 'ENOENT' ? 'there is no such file' : codeOf(error) === 'EACCES' ? 'permission denied' : codeOf(error);
		throw new SpotError('unauthenticated', 'TOKEN_FILE_UNREADABLE', `cannot read the token file "${file}": ${why}`, { cause: error });
	}
};

const readStdin = async ({ stdin }: Host): Promise<string> => {
	let text = '';
	for await (const chunk of stdin) {
		text += String(chunk);
		if (text.length > MOST_BYTES) throw new SpotError('unauthenticated', 'TOKEN_MALFORMED', 'what stdin gives is not a token');
	}
	return usable(text, 'what stdin gives');
};

const isPid = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;

/** What listens on these is reached at 127.0.0.1. */
const LISTENS_THERE: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '0.0.0.0', '::']);

/** Whether the daemon that left word in the state folder runs, and is what answers at this address: whoever else does must not get its token. */
const isRecorded = ({ isAlive }: Host, server: string, stateDir: string): boolean => {
	const [address, { pid }] = [daemonAddress(stateDir), daemonRecord(stateDir)];
	return address !== undefined && new URL(address).origin === new URL(server).origin && isPid(pid) && isAlive(pid);
};

/** Whether nothing but our own configuration says where the daemon is: no record, and no server that was named. */
const isConfigured = ({ client, server, stateDir }: Config): boolean =>
	client.server === undefined && daemonAddress(stateDir) === undefined && LISTENS_THERE.has(server.host);

/**
 * The admin token of the local daemon: the configured one where the daemon of the state folder says that it takes that, else the file it
 * left, else, where no daemon left word, the configured one for the configured address.
 */
const ownToken = (host: Host, server: string, config: Config): Token => {
	const { stateDir, security } = config;
	const file = join(stateDir, 'admin-token');
	if (!isLoopback(server)) return { token: null, from: `the admin token of this machine is not sent to another (${server})` };
	const configured = security.adminToken === undefined ? undefined : { token: security.adminToken, from: 'security.adminToken' };
	const takesConfigured = daemonRecord(stateDir).adminToken === 'configured' && isRecorded(host, server, stateDir);
	if (configured !== undefined && takesConfigured) return configured;
	try {
		return { token: readTokenFile(file), from: file };
	} catch (error) {
		if (error instanceof SpotError) throw error;
		if (configured !== undefined && isConfigured(config)) return configured;
		if (configured !== undefined) {
			const why = `which did not say that it is at ${server} and takes it (to send a token all the same, set SPOTCTL_TOKEN)`;
			return { token: null, from: `the configured admin token goes to nobody but the daemon of ${stateDir}, ${why}` };
		}
		if (takesConfigured)
			return { token: null, from: 'the daemon takes the admin token it was configured with, and none is configured here' };
		return { token: null, from: codeOf(error) === 'ENOENT' ? `there is no file ${file}` : `${file} cannot be read (${codeOf(error)})` };
	}
};

const isDash = (text: string | undefined): boolean => text?.trim() === '-';

/** The token to send: `--token-file`, the configured token, the configured file, or the local daemon's own admin token. */
const findToken = async (host: Host, { tokenFile }: Globals, { config, origins }: Loaded, server: string): Promise<Token> => {
	if (isDash(tokenFile)) return { token: await readStdin(host), from: 'stdin' };
	if (tokenFile !== undefined) {
		const file = config.client.tokenFile ?? resolve(host.cwd, tokenFile);
		return { token: namedFile(file), from: file };
	}
	if (config.client.token !== undefined) return { token: config.client.token, from: 'the configured token' };
	const file = config.client.tokenFile;
	if (file === undefined) return ownToken(host, server, config);
	if (origins.get('client.tokenFile')?.kind === 'environment' && isDash(host.env['SPOTCTL_TOKEN_FILE']))
		return { token: await readStdin(host), from: 'stdin' };
	return { token: namedFile(file), from: file };
};

/** Finds the daemon and the token, and makes the calls to it. Nothing is sent yet. */
export const connectHttp = async (
	host: Host,
	globals: Globals,
	loaded: Loaded,
	trace: ((line: string) => void) | undefined,
): Promise<{ readonly api: Api; readonly connection: Connection }> => {
	const server = serverOf(loaded.config);
	const { token, from } = await findToken(host, globals, loaded, server);
	const { httpApi } = await import('../src/contract/http-client.ts');
	const api = httpApi(server, token, {
		timeoutMs: loaded.config.client.timeout,
		signal: host.signal,
		clock: host.clock,
		...(trace ? { trace } : {}),
	});
	return { api, connection: { kind: 'http', server, hasToken: token !== null, tokenFrom: from } };
};
