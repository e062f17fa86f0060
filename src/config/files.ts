import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import type { Origin, Problem } from './origin.ts';
import type { ParsedText, UnreadableText } from './yaml-text.ts';

/** A configuration file that was read and parsed. */
export type ConfigFile = ParsedText & { readonly file: string; readonly folder: string };

/** Where configuration files are looked for; `explicit` replaces the search. */
export type FileSearch = {
	readonly cwd: string;
	readonly userFolder: string;
	readonly systemFile: string;
	readonly explicit: { readonly file: string; readonly origin: Origin } | undefined;
};

/** What the search came to; `files` strongest first. */
export type FoundFiles = {
	readonly files: readonly ConfigFile[];
	readonly problems: readonly Problem[];
	readonly warnings: readonly string[];
};

const PROJECT_NAMES = [
	'spotctl.config.yaml',
	'spotctl.config.yml',
	'spotctl.config.json',
	'.spotctlrc.yaml',
	'.spotctlrc.yml',
	'.spotctlrc.json',
	'.spotctlrc',
];
const USER_NAMES = ['config.yaml', 'config.yml', 'config.json'];

/** Far more than a configuration needs, and little enough that no content of it can keep the parser busy for long. */
const LARGEST_FILE = 64 * 1024;

type Explorer = { load(file: string): Promise<{ config?: unknown } | null> };
type ExplorerClass = new (options: Record<string, unknown>) => Explorer;

/**
 * cosmiconfig's public maker first reads settings of its own from the process's working folder, and runs `.config/config.js` there
 * while doing so; they could also add search places and loaders. The class behind it does neither.
 */
const explorer = async (): Promise<Explorer> => {
	const [module, { parseText }] = await Promise.all([import('cosmiconfig/dist/Explorer.js'), import('./yaml-text.ts')]);
	const { Explorer } = module as unknown as { Explorer: ExplorerClass };
	// Wrapped, so that cosmiconfig finds no `$import` key to follow.
	const load = (file: string, content: string) => ({ parsed: parseText(content, extname(file) === '.json' ? 'json' : 'yaml') });
	return new Explorer({
		moduleName: 'spotctl',
		searchPlaces: [],
		searchStrategy: 'none',
		loaders: { '.yaml': load, '.yml': load, '.json': load, noExt: load },
		transform: (result: unknown) => result,
		cache: false,
		metaConfigFilePath: null,
	});
};

const reason = (error: unknown): string => {
	const code = error instanceof Error && 'code' in error ? String(error.code) : '';
	if (code === 'EACCES' || code === 'EPERM') return 'cannot be read: permission denied';
	if (code === 'ELOOP') return 'cannot be read: its symbolic links go in a circle';
	if (code === 'ENOENT') return 'does not exist';
	return `cannot be read${code === '' ? '' : `: ${code}`}`;
};

const isAbsent = (error: unknown): boolean =>
	error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

/** What stands at a path: `problem` says why it cannot be read as a small text file, `hidden` that its folder may not be looked into. */
export type Probed = { readonly problem?: string; readonly hidden?: true };

const unfit = (file: string, stats: Stats): string | undefined => {
	if (stats.isDirectory()) return 'is a folder, not a file';
	if (!stats.isFile()) return 'is not a regular file';
	if (stats.size > LARGEST_FILE) return `is too large: ${stats.size} bytes, at most ${LARGEST_FILE} are read`;
	try {
		accessSync(file, constants.R_OK);
		return undefined;
	} catch (error) {
		return reason(error);
	}
};

/** Looks at a path without reading it; undefined when nothing is there. */
export const probe = (file: string): Probed | undefined => {
	try {
		const problem = unfit(file, statSync(file));
		return problem === undefined ? {} : { problem };
	} catch (error) {
		if (isAbsent(error)) return undefined;
		const hidden = error instanceof Error && 'code' in error && error.code === 'EACCES';
		return hidden ? { problem: 'permission denied', hidden } : { problem: reason(error) };
	}
};

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const read = async (from: Explorer, file: string): Promise<ConfigFile | Problem[]> => {
	try {
		const loaded = await from.load(file);
		const content = isRecord(loaded?.config) ? loaded.config['parsed'] : undefined;
		const parsed = (content ?? { data: null, lineOf: () => undefined }) as ParsedText | UnreadableText;
		if ('problems' in parsed) return parsed.problems.map((problem) => ({ where: file, problem }));
		return { ...parsed, file, folder: dirname(file) };
	} catch (error) {
		if (error instanceof Error && 'code' in error) return [{ where: file, problem: reason(error) }];
		throw error;
	}
};

const candidates = (search: FileSearch): string[][] =>
	search.explicit
		? [[search.explicit.file]]
		: [PROJECT_NAMES.map((name) => join(search.cwd, name)), USER_NAMES.map((name) => join(search.userFolder, name)), [search.systemFile]];

const explicitProblem = ({ explicit }: FileSearch): Problem[] => {
	if (!explicit) return [];
	const where = `${explicit.origin.source} ${explicit.file}`;
	const known = ['.yaml', '.yml', '.json', ''].includes(extname(explicit.file)) && !/(^|\/)package\.[^/]*$/.test(explicit.file);
	if (!known) return [{ where, problem: 'must be a .yaml, .yml or .json file of spotctl' }];
	return probe(explicit.file) ? [] : [{ where, problem: 'does not exist' }];
};

/**
 * Finds and reads the configuration files: of the project (working folder only), the user and the system, or the one file named
 * explicitly. Nothing of them is ever executed. cosmiconfig and the YAML parser are loaded only when there is a file.
 */
export const findFiles = async (search: FileSearch): Promise<FoundFiles> => {
	const files: ConfigFile[] = [];
	const problems = explicitProblem(search);
	const warnings: string[] = [];
	if (problems.length > 0) return { files, problems, warnings };
	let reader: Explorer | undefined;
	for (const names of candidates(search)) {
		const there = names.flatMap((file) => {
			const found = probe(file);
			return found ? [{ file, ...found }] : [];
		});
		const closed = there.find(({ hidden }) => hidden);
		if (closed && !search.explicit) {
			// Not a problem: a home of somebody else (sudo), or a system folder only the daemon may read.
			warnings.push(`${dirname(closed.file)} is passed over: ${closed.problem}`);
			continue;
		}
		const [first, ...others] = there;
		if (!first) continue;
		for (const { file } of others) warnings.push(`${file} is ignored: ${first.file} stands before it`);
		if (first.problem !== undefined) {
			problems.push({ where: first.file, problem: first.problem });
			continue;
		}
		reader ??= await explorer();
		const result = await read(reader, first.file);
		if (Array.isArray(result)) problems.push(...result);
		else files.push(result);
	}
	return { files, problems, warnings };
};
