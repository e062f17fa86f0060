import { z } from 'zod';
import type { FieldKind } from './fields.ts';
import { configSchema, type SettingPath } from './schema.ts';

/** One setting, read off the schema: what the loader, `config show` and the example file need to know about it. */
export type Setting = {
	readonly path: SettingPath;
	/** The path in pieces, as in a file. */
	readonly keys: readonly string[];
	/** Its environment variables, the one that wins first. */
	readonly env: readonly string[];
	readonly description: string;
	/** The default as it would be written in a file; undefined when there is none or the loader computes it. */
	readonly fallback: unknown;
	/** How the loader computes the default, in words. */
	readonly computed: string | undefined;
	readonly secret: boolean;
	readonly kind: FieldKind;
	readonly schema: z.ZodType;
};

/** A section of the configuration, in the order of the schema. */
export type Section = { readonly name: string; readonly description: string };

const SHORT_NAMES: { readonly [path in SettingPath]?: string } = {
	'database.url': 'SPOTCTL_DATABASE_URL',
	stateDir: 'SPOTCTL_STATE_DIR',
	'security.adminToken': 'SPOTCTL_ADMIN_TOKEN',
	'client.server': 'SPOTCTL_SERVER',
	'client.token': 'SPOTCTL_TOKEN',
	'client.tokenFile': 'SPOTCTL_TOKEN_FILE',
	'client.output': 'SPOTCTL_OUTPUT',
	'server.host': 'SPOTCTL_HOST',
	'server.port': 'SPOTCTL_PORT',
};

const longName = (keys: readonly string[]): string =>
	`SPOTCTL_${keys.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`;

const unwrap = (schema: z.ZodType): z.ZodType =>
	schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional ? unwrap(schema.def.innerType as z.ZodType) : schema;

const settingOf = (keys: readonly string[], schema: z.ZodType): Setting => {
	const path = keys.join('.') as SettingPath;
	const meta = { ...unwrap(schema).meta(), ...schema.meta() };
	return {
		path,
		keys,
		env: [...new Set([SHORT_NAMES[path] ?? longName(keys), longName(keys)])],
		description: String(meta.description),
		fallback: schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined,
		computed: typeof meta['computed'] === 'string' ? meta['computed'] : undefined,
		secret: meta['secret'] === true,
		kind: meta['kind'] as FieldKind,
		schema,
	};
};

const walk = (keys: readonly string[], schema: z.ZodType): Setting[] => {
	const inner = unwrap(schema);
	if (!(inner instanceof z.ZodObject)) return [settingOf(keys, schema)];
	return Object.entries(inner.shape).flatMap(([key, child]) => walk([...keys, key], child as z.ZodType));
};

/** Every setting there is, in the order of the schema. */
export const SETTINGS: readonly Setting[] = walk([], configSchema);

/** Every section there is, in the order of the schema. */
export const SECTIONS: readonly Section[] = Object.entries(configSchema.shape)
	.filter(([, schema]) => unwrap(schema) instanceof z.ZodObject)
	.map(([name, schema]) => ({ name, description: String(schema.meta()?.description) }));

const byPath = new Map<string, Setting>(SETTINGS.map((setting) => [setting.path, setting]));

/** The setting at a dotted path in camelCase, if there is one. */
export const settingAt = (path: string): Setting | undefined => byPath.get(path);
