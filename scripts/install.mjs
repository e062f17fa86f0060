// What must be true before anything of spotctl can run: packages installed, sources built. Plain Node, because nothing is installed yet.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export const say = (text) => process.stderr.write(`spotctl: ${text}\n`);

/** True when the file `url` is what node was asked to run. */
export const isMain = (url) => process.argv[1] !== undefined && url === pathToFileURL(process.argv[1]).href;

/**
 * Runs a command in front and resolves with its exit code. It gets a process group of its own, so a signal reaches it only through
 * here: Ctrl-C comes to this process twice (from the terminal and from npm), and a second SIGINT tells the daemon to stop at once.
 * The same signal within a second is passed on once. `group: true` signals all that the command started, not only itself.
 */
export const run = (command, args, { cwd = root, env = process.env, group = true } = {}) =>
	new Promise((resolve, reject) => {
		const child = spawn(command, args, { cwd, env, stdio: 'inherit', detached: true });
		const last = new Map();
		const pass = (signal) => {
			const now = performance.now();
			if (now - (last.get(signal) ?? Number.NEGATIVE_INFINITY) < 1000) return;
			last.set(signal, now);
			try {
				process.kill(group ? -child.pid : child.pid, signal === 'SIGHUP' ? 'SIGTERM' : signal);
			} catch (error) {
				if (error.code !== 'ESRCH') throw error;
			}
		};
		const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
		const done = () => {
			for (const signal of signals) process.off(signal, pass);
		};
		for (const signal of signals) process.on(signal, pass);
		child.once('error', (error) => {
			done();
			reject(error);
		});
		child.once('exit', (code, signal) => {
			done();
			resolve(code ?? 128 + constants.signals[signal]);
		});
	});

/** What installed packages depend on: the lock file, and the binary interface that native ones were compiled for. */
export const installStamp = (folder) =>
	[
		createHash('sha256')
			.update(readFileSync(join(folder, 'package-lock.json')))
			.digest('hex'),
		`${process.platform}-${process.arch}`,
		`modules-${process.versions.modules}`,
	].join(' ');

const stampFile = (folder) => join(folder, 'node_modules', '.spotctl-install');

const readIf = (path) => {
	try {
		return readFileSync(path, 'utf8');
	} catch (error) {
		if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
		throw error;
	}
};

/** Whether npm's own record of node_modules names every package of the lock file at its version. */
export const installedByHand = (folder) => {
	const record = readIf(join(folder, 'node_modules', '.package-lock.json'));
	if (record === undefined) return false;
	const { packages: there } = JSON.parse(record);
	const { packages: wanted } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
	return Object.entries(wanted).every(
		([path, { version, optional }]) => path === '' || (there[path]?.version ?? (optional ? version : undefined)) === version,
	);
};

const nativeLoads = (folder) =>
	spawnSync(process.execPath, ['-e', "new (require('better-sqlite3'))(':memory:').close()"], { cwd: folder, stdio: 'ignore' }).status === 0;

export const isInstalled = (folder) => {
	const stamp = readIf(stampFile(folder));
	if (stamp !== undefined) return stamp === installStamp(folder);
	if (!installedByHand(folder) || !nativeLoads(folder)) return false;
	writeFileSync(stampFile(folder), installStamp(folder));
	return true;
};

/** npm as the command that runs us, or the one on the path; with its version when that is known. */
const npm = () => {
	const path = process.env.npm_execpath;
	if (path !== undefined && basename(path) === 'npm-cli.js' && existsSync(path)) return [process.execPath, [path]];
	return ['npm', []];
};

/**
 * Settings for `npm ci`. better-sqlite3 compiles against the headers of the running node where they are installed, so that it needs no
 * download. npm 11.6 and newer pass the folder on under the long name and warn about the short one; older ones know only the short one.
 */
export const installEnv = (npmVersion, env = process.env, prefix = dirname(dirname(process.execPath))) => {
	const [major = 0, minor = 0] = npmVersion.split('.').map(Number);
	const nodedir = major > 11 || (major === 11 && minor >= 6) ? 'npm_package_config_node_gyp_nodedir' : 'npm_config_nodedir';
	return {
		...env,
		...(existsSync(join(prefix, 'include', 'node', 'node.h')) ? { [nodedir]: prefix } : {}),
		npm_config_fund: 'false',
		npm_config_audit: 'false',
		npm_config_update_notifier: 'false',
	};
};

/** Installs the packages of the lock file unless they are there. */
export const install = async (folder) => {
	if (isInstalled(folder)) return;
	say('installing packages; a first install compiles better-sqlite3, which takes about a minute');
	const [command, args] = npm();
	const version = spawnSync(command, [...args, '--version'], { cwd: folder, encoding: 'utf8' }).stdout?.trim() ?? '';
	rmSync(stampFile(folder), { force: true });
	const code = await run(command, [...args, 'ci'], { cwd: folder, env: installEnv(version) });
	if (code !== 0) process.exit(code);
	writeFileSync(stampFile(folder), installStamp(folder));
};

const alive = (pid) => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return error.code === 'EPERM';
	}
};

/**
 * One installer and builder per checkout at a time: `npm start` and `npm test` may be typed in two terminals at once. The lock file
 * names its owner, and appears whole (a link); the lock of a process that is gone is taken over.
 */
export const withLock = async (folder, work, { patience = 15 * 60_000 } = {}) => {
	const place = join(folder, '.setup');
	mkdirSync(place, { recursive: true });
	writeFileSync(join(place, '.gitignore'), '*\n');
	const lock = join(place, 'lock');
	const mine = join(place, `lock-${process.pid}`);
	writeFileSync(mine, String(process.pid));
	const since = performance.now();
	for (let told = false; ; ) {
		try {
			linkSync(mine, lock);
			break;
		} catch (error) {
			if (error.code !== 'EEXIST') throw error;
		}
		const owner = Number(readIf(lock));
		// Process numbers come again, in a container all the time: one that is ours was left by another.
		if (owner === process.pid || (owner > 0 && !alive(owner))) {
			const gone = `${mine}-gone`;
			try {
				renameSync(lock, gone);
				// Between reading and renaming another may have taken it over: then it is theirs, and goes back.
				if (Number(readIf(gone)) !== owner) linkSync(gone, lock);
				rmSync(gone, { force: true });
			} catch (error) {
				if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
			}
			continue;
		}
		const waited = performance.now() - since;
		if (waited > patience) {
			rmSync(mine, { force: true });
			throw new Error(`process ${owner} has been installing or building for too long; if it is not, remove ${lock}`);
		}
		if (waited > 1000 && !told) {
			say(`waiting for process ${owner}, which installs or builds this checkout`);
			told = true;
		}
		await sleep(100);
	}
	const release = () => {
		rmSync(lock, { force: true });
		rmSync(mine, { force: true });
	};
	process.once('exit', release);
	try {
		return await work();
	} finally {
		process.off('exit', release);
		release();
	}
};

if (isMain(import.meta.url)) await withLock(root, () => install(root));
