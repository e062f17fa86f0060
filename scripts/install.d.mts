export const root: string;
export const say: (text: string) => void;
export const isMain: (url: string) => boolean;
export const run: (
	command: string,
	args: readonly string[],
	options?: { cwd?: string; env?: NodeJS.ProcessEnv; group?: boolean },
) => Promise<number>;
export const installStamp: (folder: string) => string;
export const isInstalled: (folder: string) => boolean;
export const installEnv: (npmVersion: string, env?: NodeJS.ProcessEnv, prefix?: string) => NodeJS.ProcessEnv;
export const install: (folder: string) => Promise<void>;
export const withLock: <T>(folder: string, work: () => Promise<T>, options?: { patience?: number }) => Promise<T>;
