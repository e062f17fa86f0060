import type { Config, SettingPath } from './schema.ts';

/**
 * Where a value came from. `source` is the variable's name (or names), `.env NAME` for one read from a `.env`, or the file's path;
 * `line` is the line in that file. It is empty for flags and defaults.
 */
export type Origin = {
	readonly kind: 'flag' | 'environment' | '.env' | 'file' | 'default';
	readonly source: string;
	readonly line?: number | undefined;
};

/** An origin in one short text: `flag`, `environment SPOTCTL_PORT`, `.env DB_HOST`, `/etc/spotctl/config.yaml:3`, `default`. */
export const originText = ({ kind, source, line }: Origin): string => {
	if (kind === 'environment') return `environment ${source}`;
	if (kind === 'file') return line === undefined ? source : `${source}:${line}`;
	return kind === '.env' ? source : kind;
};

/** One thing wrong with the configuration: where it stands, and what is wrong as a sentence without a subject. */
export type Problem = { readonly where: string; readonly problem: string };

/** A configuration that passed every check. */
export type Loaded = {
	readonly config: Config;
	/** Where each setting's value came from; every setting has an entry. */
	readonly origins: ReadonlyMap<SettingPath, Origin>;
	/** The configuration files that were read, strongest first. */
	readonly files: readonly string[];
	/** The one that `--config` or its variable named, absolute; null when some were looked for. */
	readonly named: string | null;
	/** Things worth telling that do not stop the program; never a secret. */
	readonly warnings: readonly string[];
};
