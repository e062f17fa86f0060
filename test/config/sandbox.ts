import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type LoadInput, loadConfig } from '../../src/config/load.ts';
import type { Loaded } from '../../src/config/origin.ts';
import { SpotError } from '../../src/errors.ts';

/** A folder tree of its own: `work` (the working folder), `home`, and `etc` for the system's file. */
export type Sandbox = {
	readonly root: string;
	readonly work: string;
	readonly home: string;
	readonly system: string;
	/** Writes a file below the root. */
	write(path: string, content: string | Uint8Array): string;
	load(input?: Partial<LoadInput>): Promise<Loaded>;
	/** The error a configuration is refused with. */
	refusal(input?: Partial<LoadInput>): Promise<SpotError>;
	remove(): void;
};

export const sandbox = (): Sandbox => {
	const root = mkdtempSync(join(tmpdir(), 'spotctl-config-'));
	const [work, home, system] = [join(root, 'work'), join(root, 'home'), join(root, 'etc', 'config.yaml')];
	for (const folder of [work, home, dirname(system)]) mkdirSync(folder);
	const load = (input: Partial<LoadInput> = {}) => loadConfig({ env: {}, cwd: work, home, systemFile: system, ...input });
	return {
		root,
		work,
		home,
		system,
		write: (path, content) => {
			const file = join(root, path);
			mkdirSync(dirname(file), { recursive: true });
			writeFileSync(file, content);
			return file;
		},
		load,
		refusal: async (input) => {
			try {
				await load(input);
			} catch (error) {
				if (error instanceof SpotError) return error;
				throw error;
			}
			throw new Error('the configuration was accepted');
		},
		remove: () => rmSync(root, { recursive: true, force: true }),
	};
};
