import { isAbsolute, join, resolve } from 'node:path';
import { SpotError } from '../errors.ts';
import { type Candidate, isUnset, resolved } from './candidate.ts';
import { entriesOf } from './entries.ts';
import { type FileSearch, findFiles } from './files.ts';
import type { Loaded, Origin, Problem } from './origin.ts';
import { configSchema, type SettingPath } from './schema.ts';
import { readSeed } from './seed.ts';
import { SETTINGS, type Setting, settingAt } from './settings.ts';
import { maskUrl, valueAt } from './show.ts';
import { CONFIG_VARIABLE, givenValue, originIn, readDotenv, readVariables, type VariableSource, type Variables } from './variables.ts';

/** Values from the command line by setting; undefined and empty text count as not given. */
export type PartialSettings = { readonly [path in SettingPath]?: unknown };

/** Everything the configuration depends on; nothing else of the machine is read. */
export type LoadInput = {
	readonly flags?: PartialSettings;
	readonly env: Variables;
	/** The working folder: where project files and `.env` are looked for, and where relative paths start. */
	readonly cwd: string;
	/** The user's home folder, for `~` and the XDG defaults. */
	readonly home: string;
	/** The one file that `--config` names to be read instead of looking for some. */
	readonly file?: string | undefined;
	/** The file of the whole machine; `/etc/spotctl/config.yaml` unless told otherwise. */
	readonly systemFile?: string;
};

const xdgFolder = (env: Variables, name: string, otherwise: string): string => {
	const folder = env[name];
	// The XDG rules: a relative path there is not valid and must be ignored.
	return join(folder !== undefined && isAbsolute(folder) ? folder : otherwise, 'spotctl');
};

const explicitFile = (
	sources: readonly VariableSource[],
	{ file: flag, cwd, home }: Pick<LoadInput, 'file' | 'cwd' | 'home'>,
): FileSearch['explicit'] => {
	const at = (file: string, base: string): string => (file.startsWith('~/') ? join(home, file.slice(2)) : resolve(base, file));
	if (!isUnset(flag?.trim())) return { file: at(flag?.trim() ?? '', cwd), origin: { kind: 'flag', source: '--config' } };
	for (const source of sources) {
		const file = givenValue(source, CONFIG_VARIABLE);
		if (file !== undefined) return { file: at(file, source.base), origin: originIn(source, CONFIG_VARIABLE) };
	}
	return undefined;
};

const flagCandidates = (flags: PartialSettings, cwd: string): Candidate[] =>
	Object.entries(flags).flatMap(([path, value]) => {
		const setting = settingAt(path);
		if (!setting) throw new Error(`no setting "${path}" for a flag to set`);
		const given = typeof value === 'string' ? value.trim() : value;
		return isUnset(given)
			? []
			: [{ setting, value: given, origin: { kind: 'flag', source: path }, where: `flag for ${path}`, base: cwd } as const];
	});

const shownValue = ({ secret }: Setting, value: unknown): string => {
	if (secret) return '';
	if (Array.isArray(value)) return ' (got a list)';
	if (typeof value === 'object') return ' (got a map)';
	const text = typeof value === 'string' ? JSON.stringify(maskUrl(value)) : String(value);
	return ` (got ${text.length > 80 ? `${text.slice(0, 80)}…` : text})`;
};

const problemOf = ({ setting, where }: Candidate, value: unknown, message: string): Problem => ({
	where,
	problem: `${message}${shownValue(setting, value)}`,
});

const put = (tree: Record<string, unknown>, keys: readonly string[], value: unknown): void => {
	const [first = '', ...rest] = keys;
	if (rest.length > 0) tree[first] ??= {};
	if (rest.length > 0) put(tree[first] as Record<string, unknown>, rest, value);
	else tree[first] = value;
};

const overruled = (loser: Candidate, home: string): string[] => {
	const value = resolved(loser, home);
	const check = loser.setting.schema.safeParse(value);
	const issue = loser.shared || check.success ? undefined : check.error.issues[0];
	return issue ? [`${loser.where}: ${problemOf(loser, value, issue.message).problem}; it is overruled, so this has no effect`] : [];
};

const choose = (candidates: readonly Candidate[]): { winners: Map<SettingPath, Candidate>; losers: Candidate[] } => {
	const winners = new Map<SettingPath, Candidate>();
	const losers: Candidate[] = [];
	for (const candidate of candidates) {
		if (winners.has(candidate.setting.path)) losers.push(candidate);
		else winners.set(candidate.setting.path, candidate);
	}
	return { winners, losers };
};

// Keys and paths come from files others may have written; they must not steer the terminal.
const printable = (text: string): string => text.replace(/\p{Cc}/gu, '\uFFFD');

const refuse = (problems: readonly Problem[]): never => {
	const lines = problems.map(({ where, problem }) => `  ${printable(`${where}: ${problem}`)}`);
	const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
	throw new SpotError('invalid', 'CONFIG_INVALID', `${count} in the configuration\n${lines.join('\n')}`, {
		hint: 'spotctl config check',
		extras: { problems },
	});
};

type Checked = { readonly config: Loaded['config'] } | { readonly problems: readonly Problem[] };

const check = (winners: ReadonlyMap<SettingPath, Candidate>, home: string, stateDir: string): Checked => {
	const tree: Record<string, unknown> = { stateDir, database: {} };
	const known: Problem[] = [];
	for (const candidate of winners.values()) {
		known.push(...(candidate.problems ?? []));
		put(tree, candidate.setting.keys, resolved(candidate, home));
	}
	const database = tree['database'] as Record<string, unknown>;
	database['url'] ??= `sqlite:${join(typeof tree['stateDir'] === 'string' ? tree['stateDir'] : stateDir, 'spotctl.db')}`;
	const result = configSchema.safeParse(tree);
	const found = (result.error?.issues ?? []).flatMap((issue): Problem[] => {
		const winner = winners.get(issue.path.join('.') as SettingPath);
		if (winner?.problems?.length) return [];
		return winner
			? [problemOf(winner, valueAt(tree, winner.setting.keys), issue.message)]
			: [{ where: issue.path.join('.'), problem: issue.message }];
	});
	const problems = [...known, ...found];
	return result.success && problems.length === 0 ? { config: result.data } : { problems };
};

/**
 * The configuration in force: flags over SPOTCTL_* variables, the same in `.env`, the seed's variables, those in `.env`, the project's,
 * the user's and the system's file, and defaults.
 *
 * @throws {SpotError} `invalid` CONFIG_INVALID with every problem at once, one on a line, and as `extras.problems`. Secrets are never
 * in it. A bad value that something stronger overrules is a warning instead.
 */
export const loadConfig = async (input: LoadInput): Promise<Loaded> => {
	const { flags = {}, env, cwd, home, systemFile = '/etc/spotctl/config.yaml' } = input;
	const environment: VariableSource = { kind: 'environment', values: env, base: cwd };
	const dotenv = readDotenv(cwd);
	const sources = [environment, dotenv.source];
	const userFolder = xdgFolder(env, 'XDG_CONFIG_HOME', join(home, '.config'));
	const explicit = explicitFile(sources, input);
	const found = await findFiles({ cwd, userFolder, systemFile, explicit });

	const variables = sources.map(readVariables);
	const seed = readSeed(sources);
	const contents = found.files.map(entriesOf);
	const { winners, losers } = choose([
		...flagCandidates(flags, cwd),
		...variables.flatMap(({ candidates }) => candidates),
		...seed.candidates,
		...contents.flatMap(({ candidates }) => candidates),
	]);

	const checked = check(winners, home, xdgFolder(env, 'XDG_STATE_HOME', join(home, '.local', 'state')));
	const problems = [...found.problems, ...contents.flatMap((file) => file.problems), ...('problems' in checked ? checked.problems : [])];
	if (problems.length > 0 || !('config' in checked)) return refuse(problems);

	const origins = new Map<SettingPath, Origin>(
		SETTINGS.map(({ path }) => [path, winners.get(path)?.origin ?? { kind: 'default', source: '' }]),
	);
	const databaseIsNamed = winners.get('database.url')?.shared === undefined && winners.has('database.url');
	const warnings = [
		...dotenv.warnings,
		...variables.flatMap((source) => source.warnings),
		...(databaseIsNamed ? [] : seed.warnings),
		...found.warnings,
		...losers.flatMap((loser) => overruled(loser, home)),
	];
	const files = found.files.map(({ file }) => file);
	return { config: checked.config, origins, files, named: explicit?.file ?? null, warnings: warnings.map(printable) };
};
