// Part of `npm run check`: which file may import which, where SQL is, and who may read the clock, chance and the environment. dependency-cruiser would do the
// first; it cannot read TypeScript 7.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Product files: path from the checkout's root to text. */
export type Sources = ReadonlyMap<string, string>;

type Import = { target: string; line: number; runtime: boolean; lazy: boolean };

type Rule = { from: RegExp; except?: RegExp; never: RegExp; why: string };

/** A target is a path from the root, or the name of a package (`fastify`, `node:http`). */
const RULES: readonly Rule[] = [
	{ from: /^commands\//, never: /^(bin|daemon)\//, why: 'commands import only src' },
	{ from: /^daemon\//, never: /^(bin|commands)\//, why: 'the daemon imports only src' },
	{ from: /^src\//, never: /^(bin|commands|daemon)\//, why: 'src imports neither face' },
	{ from: /./, never: /^(test|bench|scripts|dist|node_modules)\//, why: 'the product imports only the product' },
	{ from: /^src\/contract\//, never: /^src\/(core|store|fleet)\//, why: 'the contract knows neither handlers nor SQL' },
	{
		from: /^src\/(contract|core|store)\//,
		never: /^(node:https?|node:http2|@?fastify(\/.*)?)$/,
		why: 'HTTP is the daemon’s, and undici the client’s',
	},
	{
		from: /^src\/store\//,
		never: /^src\/(core|contract|fleet)\//,
		why: 'the store imports nothing of core, and of the contract only types',
	},
	{ from: /^src\/core\//, never: /^src\/fleet\//, why: 'core imports contract and store' },
	{ from: /^src\/(?!fleet\/)/, never: /^src\/fleet\//, why: 'the fleet is for tests and drills' },
	{ from: /^src\/fleet\//, never: /^src\/(?!fleet\/|deps\.ts$|errors\.ts$)/, why: 'the fleet imports only src/deps and src/errors' },
	{ from: /./, except: /^src\/store\//, never: /^(kysely|better-sqlite3|mysql2)(\/.*)?$/, why: 'SQL is in src/store only' },
];

/** A type-only import of the contract says what a row is for; it runs nothing. */
const isTypeOfContract = (file: string, { runtime, target }: Import): boolean =>
	!runtime && /^src\/store\//.test(file) && target.startsWith('src/contract/');

const CLOCK =
	/(?<![.\w])(?:Date\.now|new Date\(\s*\)|Date\(\s*\)|Math\.random|performance\.now|process\.hrtime|process\.env|(?:globalThis\.)?(?:setTimeout|setInterval))\b|\brandomUUID\b|new Date\(\s*\)/g;
const MAY_READ_CLOCK = /^(src\/deps\.ts|src\/config(\.ts|\/.*)|bin\/.*)$/;

const SQL = /\.(?:selectFrom|updateTable|insertInto|replaceInto|mergeInto|deleteFrom)\s*\(|(?<![.\w])statement\s*</g;

const blank = (text: string): string => text.replace(/[^\n]/g, ' ');

/** The text without comments, every line where it was. Strings stay: they hold the import targets. */
export const withoutComments = (text: string): string =>
	text.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (part) =>
		part.startsWith('/') ? blank(part) : part,
	);

const withoutText = (text: string): string =>
	withoutComments(text).replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, (part) => `'${blank(part.slice(2))}'`);

const lineOf = (text: string, index: number): number => text.slice(0, index).split('\n').length;

const STATEMENT = /(?<=^|[;\n}])\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^'";]*?\sfrom\s*)?['"]([^'"]+)['"]/g;
const CALL = /\bimport\(\s*['"]([^'"]+)['"]/g;

const importsOf = (file: string, text: string): Import[] => {
	const code = withoutComments(text);
	const resolve = (target: string): string => (target.startsWith('.') ? posix.join(dirname(file), target) : target);
	const statements = [...code.matchAll(STATEMENT)].map((match) => ({
		target: resolve(match[2] ?? ''),
		line: lineOf(code, match.index + match[0].length),
		runtime: match[1] === undefined,
		lazy: false,
	}));
	const calls = [...code.matchAll(CALL)].map((match) => ({
		target: resolve(match[1] ?? ''),
		line: lineOf(code, match.index),
		runtime: true,
		lazy: true,
	}));
	return [...statements, ...calls];
};

/** One line for every import that points the wrong way. */
export const wrongImports = (sources: Sources): string[] =>
	[...sources].flatMap(([file, text]) =>
		importsOf(file, text).flatMap((found) =>
			RULES.filter(
				({ from, except, never }) => from.test(file) && !except?.test(file) && never.test(found.target) && !isTypeOfContract(file, found),
			).map(({ why }) => `${file}:${found.line} imports ${found.target}: ${why}`),
		),
	);

/** Files that import each other in a circle at load time; types and lazy imports cannot bite there. */
export const circles = (sources: Sources): string[] => {
	const edges = new Map(
		[...sources].map(([file, text]) => [
			file,
			importsOf(file, text).flatMap(({ target, runtime, lazy }) => (runtime && !lazy ? [target] : [])),
		]),
	);
	const done = new Set<string>();
	const found: string[] = [];
	const walk = (file: string, path: readonly string[]): void => {
		const start = path.indexOf(file);
		if (start >= 0) {
			found.push(`${[...path.slice(start), file].join(' -> ')}: a circle`);
			return;
		}
		if (done.has(file)) return;
		for (const next of edges.get(file) ?? []) if (edges.has(next)) walk(next, [...path, file]);
		done.add(file);
	};
	for (const file of edges.keys()) walk(file, []);
	return found;
};

/** One line for every use of the clock, chance, timers or the environment where they have to be arguments. */
export const clockUses = (sources: Sources): string[] =>
	[...sources]
		.filter(([file]) => !MAY_READ_CLOCK.test(file))
		.flatMap(([file, text]) => {
			const code = withoutText(text);
			return [...code.matchAll(CLOCK)].map(
				(match) => `${file}:${lineOf(code, match.index)} uses ${match[0]}: time, chance and environment come from src/deps.ts`,
			);
		});

/** One line for every statement outside the store; the builders need no import that would betray them. */
export const sqlOutsideStore = (sources: Sources): string[] =>
	[...sources]
		.filter(([file]) => !file.startsWith('src/store/'))
		.flatMap(([file, text]) => {
			const code = withoutText(text);
			return [...code.matchAll(SQL)].map((match) => `${file}:${lineOf(code, match.index)} uses ${match[0]}: SQL is in src/store only`);
		});

export const readSources = (root: string): Sources => {
	const folders = ['bin', 'src', 'commands', 'daemon'].map((name) => join(root, name));
	const files = folders.flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }));
	const paths = files.filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name)).map((entry) => join(entry.parentPath, entry.name));
	return new Map(paths.sort().map((path) => [relative(root, path), readFileSync(path, 'utf8')]));
};

export const problems = (sources: Sources): string[] => [
	...wrongImports(sources),
	...circles(sources),
	...clockUses(sources),
	...sqlOutsideStore(sources),
];

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
	const found = problems(readSources(dirname(dirname(fileURLToPath(import.meta.url)))));
	for (const problem of found) process.stderr.write(`${problem}\n`);
	process.exitCode = found.length === 0 ? 0 : 1;
}
