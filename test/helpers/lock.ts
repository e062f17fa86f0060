import { spawn } from 'node:child_process';
import { join } from 'node:path';

const SCRIPT = `
const file = new (require('better-sqlite3'))(process.argv[1]);
file.exec('begin immediate');
process.stdout.write('locked');
process.stdin.on('end', () => { file.exec('rollback'); file.close(); }).resume();
`;

/** Locks a SQLite file for writing from a process of its own; what is returned ends that process and the lock. */
export const lockFile = async (file: string): Promise<() => Promise<void>> => {
	const child = spawn(process.execPath, ['-e', SCRIPT, file], {
		cwd: join(import.meta.dirname, '../..'),
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	const ended = new Promise<void>((done) => child.once('close', () => done()));
	const locked = new Promise<boolean>((done) => child.stdout.once('data', () => done(true)));
	if (!(await Promise.race([locked, ended.then(() => false)]))) throw new Error(`"${file}" could not be locked`);
	return async () => {
		child.stdin.end();
		await ended;
	};
};
