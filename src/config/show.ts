import type { Loaded } from './origin.ts';
import { originText } from './origin.ts';
import type { SettingPath } from './schema.ts';
import { SETTINGS, type Setting } from './settings.ts';
import { formatDuration, formatSize } from './units.ts';

/** A setting as `config show` prints it: durations and sizes with their unit, secrets masked, null when it has no value. */
export type Shown = {
	readonly key: SettingPath;
	readonly value: string | number | boolean | readonly string[] | null;
	readonly origin: string;
	readonly secret: boolean;
};

/** A URL with its password, and secrets among its options, replaced by `***`. Works on malformed ones too. */
export const maskUrl = (url: string): string => {
	if (/^sqlite:/i.test(url)) return url;
	const scheme = /^[a-z][a-z0-9+.-]*:\/+/i.exec(url)?.[0] ?? '';
	const rest = url
		.slice(scheme.length)
		.replace(/^([^:@/]*):.*@/s, '$1:***@')
		.replace(/([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&#]*/gi, '$1***');
	return `${scheme}${rest}`;
};

const shown = ({ secret, kind }: Setting, value: unknown): Shown['value'] => {
	if (value === undefined || value === null) return null;
	if (secret) return '(set)';
	if (typeof value === 'number') {
		if (kind === 'duration') return formatDuration(value);
		return kind === 'size' ? formatSize(value) : value;
	}
	if (typeof value === 'boolean') return value;
	if (Array.isArray(value)) return value.map(String);
	return kind === 'database' ? maskUrl(String(value)) : String(value);
};

/** The value at a path of nested plain objects; undefined when there is none. */
export const valueAt = (from: unknown, keys: readonly string[]): unknown => {
	let value = from;
	for (const key of keys)
		value = typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, key)?.value : undefined;
	return value;
};

/** Every setting in the order of the schema, with the value in force, its origin, and no secret in the clear. */
export const describeConfig = ({ config, origins }: Loaded): Shown[] =>
	SETTINGS.map((setting) => {
		const origin = origins.get(setting.path) ?? { kind: 'default', source: '' };
		return { key: setting.path, value: shown(setting, valueAt(config, setting.keys)), origin: originText(origin), secret: setting.secret };
	});
