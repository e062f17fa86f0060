import { type Candidate, isUnset } from './candidate.ts';
import type { ConfigFile } from './files.ts';
import type { Problem } from './origin.ts';
import { SECTIONS, SETTINGS, settingAt } from './settings.ts';
import { didYouMean } from './suggest.ts';

/** What one file says: a candidate per setting, and what does not fit the shape of the configuration. */
export type FileEntries = { readonly candidates: readonly Candidate[]; readonly problems: readonly Problem[] };

const camelCase = (key: string): string => key.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

const MOST_KEYS = 200;

const isMapping = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a parsed file's keys, camelCase or snake_case, nested or dotted. Unknown keys and misplaced lists are problems. */
export const entriesOf = (from: ConfigFile): FileEntries => {
	const candidates: Candidate[] = [];
	const problems: Problem[] = [];
	const seen = new Set<string>();
	const sections = SECTIONS.map(({ name }) => name);
	const known = [...SETTINGS.map(({ path }) => path as string), ...sections];

	const visit = (typed: readonly string[], value: unknown) => {
		const path = camelCase(typed.join('.'));
		const line = from.lineOf(typed);
		const where = `${from.file}${line === undefined ? '' : `:${line}`} ${typed.join('.').slice(0, 120)}`;
		const setting = settingAt(path);
		if (setting) {
			if (seen.has(path)) problems.push({ where, problem: `is given twice, also as ${path}` });
			seen.add(path);
			const origin = { kind: 'file', source: from.file, line } as const;
			if (!isUnset(value))
				candidates.push({ setting, value: typeof value === 'string' ? value.trim() : value, origin, where, base: from.folder });
		} else if (!sections.includes(path)) problems.push({ where, problem: `is not a setting${didYouMean(path, known)}` });
		else if (isMapping(value)) for (const [key, child] of Object.entries(value).slice(0, MOST_KEYS)) visit([...typed, key], child);
		else if (!isUnset(value))
			problems.push({ where, problem: `must be a map of settings, not ${Array.isArray(value) ? 'a list' : 'a single value'}` });
	};

	if (isMapping(from.data)) for (const [key, child] of Object.entries(from.data).slice(0, MOST_KEYS)) visit([key], child);
	else if (!isUnset(from.data))
		problems.push({
			where: from.file,
			problem: `must hold a map of settings, not ${Array.isArray(from.data) ? 'a list' : 'a single value'}`,
		});
	return { candidates, problems };
};
