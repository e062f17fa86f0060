export type LockFile = {
	packages: Record<string, { version?: string; optionalDependencies?: Record<string, string>; [key: string]: unknown }>;
};
export const missingFrom: (lock: LockFile) => { name: string; version: string; dev: unknown }[];
export const complete: (lock: LockFile) => LockFile;
