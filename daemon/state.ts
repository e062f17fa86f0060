import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SpotError } from '../src/errors.ts';

/** What `daemon.json` in the state folder says, so that commands find the local daemon. */
export type DaemonRecord = {
	readonly url: string;
	readonly pid: number;
	readonly version: string;
	readonly startedAt: string;
	/** Where its admin token is: commands send the configured one when the daemon has one. */
	readonly adminToken: 'file' | 'configured' | 'elsewhere';
};

export const adminTokenFile = (stateDir: string): string => join(stateDir, 'admin-token');
export const daemonFile = (stateDir: string): string => join(stateDir, 'daemon.json');

const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === 'ENOENT';

const trouble = (what: string, error: unknown): SpotError =>
	new SpotError('invalid', 'CONFIG_INVALID', `${what}: ${error instanceof Error ? error.message : String(error)}`, {
		hint: 'check its rights, or choose another state folder: SPOTCTL_STATE_DIR=/path',
		cause: error,
	});

/** Makes the state folder, for this user only. Errors: CONFIG_INVALID. */
export const makeStateDir = (stateDir: string): void => {
	try {
		mkdirSync(stateDir, { recursive: true, mode: 0o700 });
	} catch (error) {
		throw new SpotError(
			'invalid',
			'CONFIG_INVALID',
			`cannot make the state folder "${stateDir}": ${error instanceof Error ? error.message : String(error)}`,
			{
				hint: 'check its rights, or choose another: SPOTCTL_STATE_DIR=/path',
				cause: error,
			},
		);
	}
};

/** Writes a file that only this user may read, so that nobody ever sees half of it. */
const writePrivate = (file: string, text: string): void => {
	const draft = `${file}.${process.pid}.new`;
	rmSync(draft, { force: true });
	writeFileSync(draft, text, { mode: 0o600, flag: 'wx', flush: true });
	renameSync(draft, file);
};

/** Leaves the token for the commands of this user. Errors: CONFIG_INVALID. */
export const writeAdminToken = (stateDir: string, token: string): void => {
	const file = adminTokenFile(stateDir);
	try {
		writePrivate(file, `${token}\n`);
	} catch (error) {
		throw trouble(`cannot write the admin token to "${file}"`, error);
	}
};

/** The token an earlier start left; null when there is none. `wasOpen` when others could read the file, which is over now. Errors: CONFIG_INVALID. */
export const readAdminToken = (stateDir: string): { token: string; wasOpen: boolean } | null => {
	const file = adminTokenFile(stateDir);
	try {
		const wasOpen = (statSync(file).mode & 0o077) !== 0;
		if (wasOpen) chmodSync(file, 0o600);
		const token = readFileSync(file, 'utf8').trim();
		return token === '' ? null : { token, wasOpen };
	} catch (error) {
		if (isMissing(error)) return null;
		throw trouble(`cannot read the admin token in "${file}"`, error);
	}
};

export const writeDaemonRecord = (stateDir: string, record: DaemonRecord): void =>
	writePrivate(daemonFile(stateDir), `${JSON.stringify(record)}\n`);

/** Removes our record; another daemon's stays. */
export const removeDaemonRecord = (stateDir: string, { pid, startedAt }: DaemonRecord): void => {
	const file = daemonFile(stateDir);
	try {
		const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<DaemonRecord> | null;
		if (found?.pid === pid && found.startedAt === startedAt) rmSync(file, { force: true });
	} catch (error) {
		if (!isMissing(error) && !(error instanceof SyntaxError)) throw error;
	}
};
