import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folders: string[] = [];

// Of the file that imports it, and after its other hooks: what still runs in a folder is stopped by then.
afterAll(() => {
	for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** An empty folder of its own, `spotctl-<noun>-…` in the system's folder for such things, that goes after the last test of the file. */
export const temporaryFolder = (noun: string): string => {
	const folder = mkdtempSync(join(tmpdir(), `spotctl-${noun}-`));
	folders.push(folder);
	return folder;
};
