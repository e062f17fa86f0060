import { isAbsolute, join, resolve } from 'node:path';
import type { Origin, Problem } from './origin.ts';
import type { Setting } from './settings.ts';

/** A value somebody gave for a setting, before it is checked. */
export type Candidate = {
	readonly setting: Setting;
	readonly value: unknown;
	readonly origin: Origin;
	/** How a problem with it is introduced: file and key, or variable and setting. */
	readonly where: string;
	/** The folder its relative paths start from. */
	readonly base: string;
	/** What was already found wrong while it was put together; the value is then not checked further. */
	readonly problems?: readonly Problem[];
	/** Variables other programs share: a bad value matters only when it would be used. */
	readonly shared?: boolean;
};

const resolvePath = (path: string, base: string, home: string): string => {
	if (path === '~' || path.startsWith('~/')) return join(home, path.slice(1));
	return isAbsolute(path) ? path : resolve(base, path);
};

/** The candidate's value with `~` and relative paths resolved, for settings that hold a path. */
export const resolved = ({ setting, value, base }: Candidate, home: string): unknown => {
	if (typeof value !== 'string') return value;
	if (setting.kind === 'path') return resolvePath(value, base, home);
	const file = setting.kind === 'database' ? /^sqlite:(?!\/)(.+)$/.exec(value)?.[1] : undefined;
	return file === undefined || file.includes(':memory:') ? value : `sqlite:${resolvePath(file, base, home)}`;
};

/** Whether a value counts as not given: undefined, null, or text without anything in it. */
export const isUnset = (value: unknown): boolean =>
	value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
