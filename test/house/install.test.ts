import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { build, buildStamp } from '../../scripts/build.mjs';
import { installEnv, installStamp, isInstalled, withLock } from '../../scripts/install.mjs';
import { complete, type LockFile, missingFrom } from '../../scripts/lock.mjs';

const root = join(import.meta.dirname, '../..');
let folder = '';

const write = (path: string, text: string): void => {
	mkdirSync(dirname(join(folder, path)), { recursive: true });
	writeFileSync(join(folder, path), text);
};
const read = (path: string): string => readFileSync(join(folder, path), 'utf8');

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'spotctl-house-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('installed packages', () => {
	const lock = (version: string) =>
		JSON.stringify({ packages: { '': {}, 'node_modules/a': { version }, 'node_modules/b': { version: '1.0.0', optional: true } } });

	it('are taken as they are while the lock file and the runtime stay the same', () => {
		write('package-lock.json', lock('1.0.0'));
		expect(isInstalled(folder)).toBe(false);
		write('node_modules/.spotctl-install', installStamp(folder));
		expect(isInstalled(folder)).toBe(true);
		write('package-lock.json', lock('1.0.1'));
		expect(isInstalled(folder)).toBe(false);
		write('node_modules/.spotctl-install', installStamp(folder).replace(process.versions.modules, '1'));
		expect(isInstalled(folder)).toBe(false);
	});

	it('are adopted from a plain `npm ci` when they are the lock file’s and the native one loads', () => {
		write('package-lock.json', lock('1.0.0'));
		write('node_modules/.package-lock.json', JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0' } } }));
		expect(isInstalled(folder)).toBe(false);
		write('node_modules/better-sqlite3/index.js', 'module.exports = class { close() {} };');
		expect(isInstalled(folder)).toBe(true);
		expect(read('node_modules/.spotctl-install')).toBe(installStamp(folder));
		rmSync(join(folder, 'node_modules/.spotctl-install'));
		write('package-lock.json', lock('2.0.0'));
		expect(isInstalled(folder)).toBe(false);
	});

	it('compile against the headers of the running node, in the word that this npm takes without a warning', () => {
		const env = (version: string) => installEnv(version, { HOME: '/h' }, folder);
		expect(env('11.19.1')).toEqual({
			HOME: '/h',
			npm_config_fund: 'false',
			npm_config_audit: 'false',
			npm_config_update_notifier: 'false',
		});
		write('include/node/node.h', '');
		expect(env('11.19.1')).toMatchObject({ npm_package_config_node_gyp_nodedir: folder });
		expect(env('12.0.0')).not.toHaveProperty('npm_config_nodedir');
		expect(env('10.8.2')).toMatchObject({ npm_config_nodedir: folder });
	});
});

describe('package-lock.json', () => {
	it('names the packages of every platform (node scripts/lock.mjs repairs it)', () => {
		expect(missingFrom(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))).toEqual([]);
	});

	it('is completed from the packages’ names', () => {
		const optionalDependencies = { '@x/cli-linux-x64': '1.2.3', '@x/cli-linux-arm64-musl': '1.2.3', '@x/cli-win32-x64': '1.2.3' };
		const lock: LockFile = {
			packages: { 'node_modules/@x/cli': { dev: true, optionalDependencies }, 'node_modules/@x/cli-linux-x64': {} },
		};
		const packages = complete(lock).packages;
		expect(Object.keys(packages)).toEqual([
			'node_modules/@x/cli',
			'node_modules/@x/cli-linux-arm64-musl',
			'node_modules/@x/cli-linux-x64',
			'node_modules/@x/cli-win32-x64',
		]);
		expect(packages['node_modules/@x/cli-linux-arm64-musl']).toEqual({
			version: '1.2.3',
			cpu: ['arm64'],
			dev: true,
			libc: ['musl'],
			optional: true,
			os: ['linux'],
		});
		expect(packages['node_modules/@x/cli-win32-x64']).toEqual({ version: '1.2.3', cpu: ['x64'], dev: true, optional: true, os: ['win32'] });
	});
});

describe('the lock of a checkout', () => {
	it('lets one work at a time, and the next when it has failed', async () => {
		const seen: string[] = [];
		const work = (name: string) => async () => {
			seen.push(`${name} in`);
			await delay(150);
			seen.push(`${name} out`);
			if (name === 'a') throw new Error('a failed');
		};
		const holder = withLock(folder, work('a'));
		await expect(Promise.all([expect(holder).rejects.toThrow('a failed'), delay(10).then(() => inChild('b'))])).resolves.toBeDefined();
		expect(seen).toEqual(['a in', 'a out']);
		expect(read('order')).toBe('b');
	});

	const inChild = (name: string): Promise<void> =>
		new Promise((resolve, reject) => {
			const script = `import { withLock } from ${JSON.stringify(join(root, 'scripts/install.mjs'))};
				import { appendFileSync, existsSync } from 'node:fs';
				await withLock(${JSON.stringify(folder)}, async () => appendFileSync(${JSON.stringify(join(folder, 'order'))}, '${name}'));`;
			const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
			child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
		});

	it('is taken over from a process that is gone, and not from one that lives', async () => {
		write('.setup/lock', '4194999');
		await withLock(folder, async () => expect(read('.setup/lock')).toBe(String(process.pid)));
		expect(readdirSync(join(folder, '.setup'))).toEqual(['.gitignore']);
		write('.setup/lock', String(process.ppid));
		await expect(withLock(folder, async () => undefined, { patience: 50 })).rejects.toThrow(`process ${process.ppid} has been installing`);
	});
});

describe('bin/spotctl', () => {
	const spotctl = (path: string): string => {
		try {
			return execFileSync(path, ['--help'], { cwd: tmpdir(), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
		} catch (error) {
			const { status, stderr } = error as { status: number; stderr: string };
			return `exit ${status}: ${stderr.trim()}`;
		}
	};

	beforeEach(() => {
		write('package.json', '{ "type": "module" }');
		write('tsconfig.json', '{}');
		write('bin/spotctl.ts', "const face: string = 'sources'; console.log(face, process.argv[2]);");
		cpSync(join(root, 'bin/spotctl'), join(folder, 'bin/spotctl'));
		symlinkSync('bin/spotctl', join(folder, 'link'));
	});

	it('runs the sources without a build, and the build when there is one, through a link and from elsewhere', () => {
		symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
		for (const path of ['bin/spotctl', 'link']) expect(spotctl(join(folder, path))).toBe('sources --help');
		write('dist/bin/spotctl.js', "console.log('build', process.argv[2]);");
		for (const path of ['bin/spotctl', 'link']) expect(spotctl(join(folder, path))).toBe('build --help');
	});

	it('bounds the heap of Node, and is started by Node itself as well', () => {
		write('dist/bin/spotctl.js', 'console.log(process.execArgv.join(), process.argv.slice(2).join());');
		expect(spotctl(join(folder, 'link'))).toBe(
			'--max-semi-space-size=4,--heap-growing-percent=30,--no-memory-reducer,--no-allocation-site-pretenuring --help',
		);
		expect(execFileSync(process.execPath, [join(folder, 'bin/spotctl'), 'a b', ''], { encoding: 'utf8' }).trim()).toBe('a b,');
		expect(execFileSync(join(folder, 'bin/spotctl'), ['a b', ''], { encoding: 'utf8' }).trim()).toBe(
			'--max-semi-space-size=4,--heap-growing-percent=30,--no-memory-reducer,--no-allocation-site-pretenuring a b,',
		);
		write('dist/bin/spotctl.js', 'console.log(process.env.MALLOC_ARENA_MAX);');
		const { MALLOC_ARENA_MAX: _, ...without } = process.env;
		const arenas = (env: NodeJS.ProcessEnv) => execFileSync(join(folder, 'bin/spotctl'), { encoding: 'utf8', env }).trim();
		expect([arenas(without), arenas({ ...without, MALLOC_ARENA_MAX: '7' })]).toEqual(['2', '7']);
	});

	it('says what to type when nothing is installed', () => {
		expect(spotctl(join(folder, 'link'))).toBe('exit 1: spotctl: the package tsx is not installed; run: npm start');
		write('dist/bin/spotctl.js', "import 'commander';");
		expect(spotctl(join(folder, 'link'))).toBe('exit 1: spotctl: the package commander is not installed; run: npm start');
	});

	it('does not dress up any other failure', () => {
		write('dist/bin/spotctl.js', "import './gone.js';");
		expect(spotctl(join(folder, 'link'))).toContain('Cannot find module');
	});
});

describe('the build', () => {
	it('is made again when a source changes, without its stale files, and kept when it fails', async () => {
		symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
		for (const name of ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json']) cpSync(join(root, name), join(folder, name));
		write('package.json', '{ "type": "module" }');
		for (const name of ['bin', 'commands', 'daemon']) mkdirSync(join(folder, name));
		write('src/a.ts', 'export const a: number = 1;\n');
		write('src/b.ts', "export { a } from './a.ts';\n");
		mkdirSync(join(folder, '.setup'));
		await build(folder);
		expect(read('dist/src/b.js')).toContain("from './a.js'");
		const stamp = buildStamp(folder);
		expect(read('dist/.stamp')).toBe(stamp);

		rmSync(join(folder, 'src/b.ts'));
		expect(buildStamp(folder)).not.toBe(stamp);
		await build(folder);
		expect(readdirSync(join(folder, 'dist/src')).sort()).toEqual(['a.js', 'a.js.map']);

		write('src/a.ts', "export const a: number = 'one';\n");
		const script = `import { build } from ${JSON.stringify(join(root, 'scripts/build.mjs'))}; await build(${JSON.stringify(folder)});`;
		expect(() => execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })).toThrow();
		expect(read('dist/src/a.js')).toContain('= 1');
		expect(existsSync(join(folder, '.dist'))).toBe(false);
	});
});

describe('npm start’s way to run the daemon', () => {
	it('hands on a signal once, however often it comes at the same moment, and ends with the daemon’s exit code', async () => {
		write(
			'daemon.mjs',
			"let n = 0; process.on('SIGINT', () => { n++; setTimeout(() => process.exit(40 + n), 300); }); console.log('up'); setInterval(() => {}, 1000);",
		);
		const script = `import { run } from ${JSON.stringify(join(root, 'scripts/install.mjs'))}; process.exitCode = await run(process.execPath, [${JSON.stringify(join(folder, 'daemon.mjs'))}], { group: false });`;
		const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
		await new Promise((resolve) => child.stdout.once('data', resolve));
		child.kill('SIGINT');
		await delay(50);
		child.kill('SIGINT');
		expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(41);
	});
});
