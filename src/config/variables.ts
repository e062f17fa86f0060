import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type Candidate, isUnset } from './candidate.ts';
import { probe } from './files.ts';
import type { Origin } from './origin.ts';
import { SETTINGS } from './settings.ts';
import { didYouMean } from './suggest.ts';

/** Variables by name, as in `process.env`. */
export type Variables = { readonly [name: string]: string | undefined };

/** A place variables come from: the environment, or the `.env` of the working folder. */
export type VariableSource = { readonly kind: 'environment' | '.env'; readonly values: Variables; readonly base: string };

/** The variable that names a configuration file instead of the search. */
export const CONFIG_VARIABLE = 'SPOTCTL_CONFIG';

const RESERVED = /^SPOTCTL_(CONFIG|PAGER|TEST_.*)$/;

/** A variable's value without surrounding space; undefined when unset or empty. */
export const givenValue = ({ values }: VariableSource, name: string): string | undefined => {
	const value = Object.hasOwn(values, name) ? values[name] : undefined;
	return isUnset(value) ? undefined : value?.trim();
};

/** The origin of a value taken from one variable, or several of one source. */
export const originIn = ({ kind }: VariableSource, ...names: readonly string[]): Origin => ({
	kind,
	source: names.map((name) => (kind === '.env' ? `.env ${name}` : name)).join(', '),
});

const afterHash = (text: string, name: string, value: string): string => {
	const line = new RegExp(`^\\s*(?:export\\s+)?${name.replace(/\W/g, '\\$&')}\\s*=[^\\S\\n]*([^\\s'"\`#].*)$`, 'gm');
	const raw = [...text.matchAll(line)]
		.at(-1)?.[1]
		?.replace(/\s+#.*$/, '')
		.trim();
	return raw?.startsWith(`${value}#`) ? raw : value;
};

/**
 * The variables in a `.env` text. Node ends an unquoted value at any `#`, which would cut passwords short; here, as for python-dotenv
 * and the shell, a comment needs a space before it.
 */
export const parseDotenv = (text: string): Variables => {
	const parsed = parseEnv(text);
	return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, afterHash(text, name, value ?? '')]));
};

const readText = (file: string): string | undefined => {
	try {
		return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
	} catch {
		return undefined;
	}
};

/** Reads the `.env` of a folder. A folder of that name (a Python environment) is passed over; one that cannot be read is a warning. */
export const readDotenv = (cwd: string): { readonly source: VariableSource; readonly warnings: readonly string[] } => {
	const file = join(cwd, '.env');
	const empty: VariableSource = { kind: '.env', values: {}, base: cwd };
	const found = probe(file);
	if (!found || found.problem === 'is a folder, not a file') return { source: empty, warnings: [] };
	if (found.problem !== undefined) return { source: empty, warnings: [`${file} is ignored: ${found.problem}`] };
	const text = readText(file);
	if (text === undefined || /[\0\uFFFD]/.test(text))
		return { source: empty, warnings: [`${file} is ignored: not a readable text file in UTF-8`] };
	return { source: { ...empty, values: parseDotenv(text) }, warnings: [] };
};

/** What the SPOTCTL_* variables of one source say, and a warning for each that means nothing. */
export const readVariables = (
	source: VariableSource,
): { readonly candidates: readonly Candidate[]; readonly warnings: readonly string[] } => {
	const candidates = SETTINGS.flatMap((setting) =>
		setting.env.flatMap((name): Candidate[] => {
			const value = givenValue(source, name);
			const origin = originIn(source, name);
			return value === undefined ? [] : [{ setting, value, origin, where: `${origin.source} (${setting.path})`, base: source.base }];
		}),
	);
	const known = SETTINGS.flatMap((setting) => setting.env);
	const warnings = Object.keys(source.values)
		.filter((name) => name.startsWith('SPOTCTL_') && !RESERVED.test(name) && !known.includes(name))
		.map((name) => `${originIn(source, name).source} is not a setting${didYouMean(name, [...known, CONFIG_VARIABLE])}`);
	return { candidates, warnings };
};
