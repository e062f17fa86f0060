import { readFileSync } from 'node:fs';

/** The version of this program, from the package.json above the sources or the build. */
export const readVersion = (): string => {
	for (const path of ['../package.json', '../../package.json']) {
		try {
			const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { name?: unknown; version?: unknown };
			if (name === 'spotctl') return String(version);
		} catch {
			// One of the two is where it is; the other does not exist.
		}
	}
	return 'unknown';
};
