// Completes package-lock.json after `npm install`. A registry mirror that lacks the packages of other platforms makes npm leave them out of the
// lock file, and then `npm ci` refuses it everywhere. Their names say what they are for.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, root } from './install.mjs';

const nodeModules = (name) => `node_modules/${name}`;

/** The optional packages that the lock file's packages name and it does not hold. */
export const missingFrom = (lock) =>
	Object.values(lock.packages).flatMap(({ optionalDependencies = {}, dev }) =>
		Object.entries(optionalDependencies)
			.filter(([name]) => lock.packages[nodeModules(name)] === undefined)
			.map(([name, version]) => ({ name, version, dev })),
	);

const only = (values, name) => values.filter((value) => name.split(/[-/]/).includes(value));

export const complete = (lock) => {
	const packages = { ...lock.packages };
	for (const { name, version, dev } of missingFrom(lock)) {
		const [os, cpu] = [
			only(['darwin', 'linux', 'win32', 'android', 'freebsd'], name),
			only(['x64', 'arm64', 'arm', 'ia32', 'ppc64', 's390x'], name),
		];
		if (os.length === 0 || cpu.length === 0)
			throw new Error(`the lock file lacks ${name}, and its name does not say for which platform it is`);
		const libc = os[0] === 'linux' ? { libc: [name.endsWith('musl') ? 'musl' : 'glibc'] } : {};
		packages[nodeModules(name)] = { version, cpu, ...(dev ? { dev } : {}), ...libc, optional: true, os };
	}
	return { ...lock, packages: Object.fromEntries(Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en'))) };
};

if (isMain(import.meta.url)) {
	const path = join(root, 'package-lock.json');
	const text = readFileSync(path, 'utf8');
	const lock = JSON.parse(text);
	if (missingFrom(lock).length > 0) writeFileSync(path, `${JSON.stringify(complete(lock), null, '\t')}\n`);
}
