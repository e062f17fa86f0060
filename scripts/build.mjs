// Compiles the sources into dist/ when they are not what dist/ was made from. The new build takes the old one's place in one step, without its stale files.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { install, isMain, root, run, say, withLock } from './install.mjs';

const SOURCES = ['bin', 'src', 'commands', 'daemon'];
const SETTINGS = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

const filesIn = (folder) =>
	readdirSync(folder, { withFileTypes: true, recursive: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name));

/** A hash of everything that decides what the compiler makes. Contents, not times: a git checkout moves those at will. */
export const buildStamp = (folder) => {
	const hash = createHash('sha256').update(process.version);
	const files = [...SETTINGS.map((name) => join(folder, name)), ...SOURCES.flatMap((name) => filesIn(join(folder, name)))];
	for (const file of files.sort()) hash.update(`\0${file.slice(folder.length)}\0`).update(readFileSync(file));
	return hash.digest('hex');
};

const builtFrom = (folder) => {
	try {
		return readFileSync(join(folder, 'dist', '.stamp'), 'utf8');
	} catch {
		return undefined;
	}
};

/** Makes dist/ unless it is up to date. */
export const build = async (folder) => {
	const stamp = buildStamp(folder);
	if (builtFrom(folder) === stamp) return;
	say('building');
	// Beside dist, as deep as dist: source maps name their sources by relative paths.
	const next = join(folder, '.dist');
	const old = join(folder, '.setup', 'old');
	for (const path of [next, old]) rmSync(path, { recursive: true, force: true });
	mkdirSync(next);
	writeFileSync(join(next, '.gitignore'), '*\n');
	const code = await run(
		process.execPath,
		[join(folder, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', next],
		{ cwd: folder },
	);
	if (code !== 0) {
		rmSync(next, { recursive: true });
		process.exit(code);
	}
	writeFileSync(join(next, '.stamp'), stamp);
	try {
		renameSync(join(folder, 'dist'), old);
	} catch (error) {
		if (error.code !== 'ENOENT') throw error;
	}
	renameSync(next, join(folder, 'dist'));
	rmSync(old, { recursive: true, force: true });
};

/** Installs what is missing and builds what changed, one process of a checkout at a time. */
export const prepare = () =>
	withLock(root, async () => {
		await install(root);
		await build(root);
	});

if (isMain(import.meta.url)) await prepare();
