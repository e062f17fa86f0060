// Writes test/contract/facts.json anew from the contract's pages: node --import tsx test/contract/make-facts.ts [CONTRACT.JSON]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What JSON type a value has; `any` where the contract does not say. */
export type FactType = 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object' | 'any';

/** A field by its path (`pools[].price`). `max`: so many items at most. */
export type FieldFact = {
	readonly name: string;
	readonly type: FactType;
	readonly nullable?: true;
	readonly optional?: true;
	readonly max?: number;
};

/** One route of the contract, without a word about it. */
export type RouteFact = {
	readonly no: string;
	readonly method: string;
	readonly path: string;
	/** Whose token: `public`, `admin`, or `client` (its own, or an admin's). */
	readonly access: 'public' | 'admin' | 'client';
	readonly rendering: 'object' | 'list' | 'raw' | 'csv' | 'sse';
	readonly bare?: true;
	/** Keys of the payload that the envelope keeps for itself. */
	readonly collisions?: readonly string[];
	readonly query?: readonly FieldFact[];
	readonly body?: readonly FieldFact[];
	/** Of a list: the item's. */
	readonly response?: readonly FieldFact[];
	/** Header row and file name of a CSV. */
	readonly csv?: { readonly header: string; readonly fileName: string };
	/** Events of a stream. */
	readonly events?: readonly string[];
	/** Statuses of documented failures. */
	readonly errors?: readonly number[];
};

type Described = { readonly name: string; readonly type: string; readonly required: boolean; readonly note: string };
type Endpoint = {
	readonly no: number | string;
	readonly method: string;
	readonly path: string;
	readonly auth: { readonly target: string };
	readonly request: { readonly query: readonly Described[]; readonly body: readonly Described[] };
	readonly response: {
		readonly kind: 'object' | 'list' | 'raw' | 'csv' | 'sse';
		readonly bareForLegacyDashboard: boolean;
		readonly reservedKeyCollisions: readonly string[];
		readonly fields: readonly Described[];
	};
	readonly errors: readonly string[];
};

const WORDS: ReadonlyArray<readonly [RegExp, FactType]> = [
	[/^(string|ISO|uuid|'|YYYY|name$|multipart|form fields|launching)/, 'string'],
	[/^integer/, 'integer'],
	[/^(number|USD)/, 'number'],
	[/^boolean/, 'boolean'],
	[/^(array|\[)/, 'array'],
	[/^(object|\{)/, 'object'],
];

/** Types that are one thing or another are `any`. */
const typeOf = (text: string): FactType =>
	/^(object .* or number|integer, ')/.test(text) ? 'any' : (WORDS.find(([pattern]) => pattern.test(text.trim()))?.[1] ?? 'any');

/** What is said of the field itself, not of those inside it. */
const outside = (text: string): string => (/^[[{]/.test(text) ? `${text[0]}${text.slice(closed(text).length)}` : text);

const fact = (name: string, type: string, optional: boolean): FieldFact => {
	const text = outside(type);
	const [, max] = /max (\d+)/.exec(text) ?? [];
	return {
		name,
		type: typeOf(text),
		...(/or null\b/.test(text) ? { nullable: true } : {}),
		...(optional ? { optional: true } : {}),
		...(max === undefined ? {} : { max: Number(max) }),
	};
};

/** Splits at commas outside brackets and quotes. */
const parts = (text: string): string[] => {
	const found = [''];
	let depth = 0;
	let quoted = false;
	for (const letter of text) {
		if (letter === "'") quoted = !quoted;
		else if (!quoted && '{[('.includes(letter)) depth++;
		else if (!quoted && '}])'.includes(letter)) depth--;
		if (letter === ',' && depth === 0 && !quoted) found.push('');
		else found[found.length - 1] += letter;
	}
	return found.map((part) => part.trim()).filter((part) => part !== '');
};

/** The text up to the bracket that closes the first one. */
const closed = (text: string): string => {
	let depth = 0;
	for (const [at, letter] of [...text].entries()) {
		if ('{['.includes(letter)) depth++;
		if ('}]'.includes(letter) && --depth === 0) return text.slice(0, at + 1);
	}
	return text;
};

/** Fields inside `{a, b:integer, c:{d}}` or `[{...}]`; names that are patterns are left out. */
const inside = (parent: string, shape: string, optional: boolean): FieldFact[] => {
	const list = shape.startsWith('[');
	const braces = closed(list ? shape.slice(1).trim() : shape);
	if (!braces.startsWith('{')) return [];
	const base = `${parent}${list ? '[]' : ''}`;
	const named: FieldFact[] = [];
	for (const part of parts(braces.slice(1, -1))) {
		const [, name, missing, , text = ''] = /^(\w+)(\?)?(?: or \w+)?(\s*:\s*(.*))?$/s.exec(part) ?? [];
		const [, grouped, group] = /^(\w+)(\{.*\})$/.exec(part) ?? [];
		const key = name ?? grouped;
		if (key === undefined) continue;
		const spelled = grouped === undefined ? text : (group ?? '');
		const path = `${base}.${key}`;
		named.push(fact(path, spelled, optional || missing !== undefined));
		if (/^[[{]/.test(spelled)) named.push(...inside(path, spelled, optional || missing !== undefined));
	}
	return named;
};

const described = (fields: readonly Described[]): FieldFact[] =>
	fields.flatMap(({ name, type, required, note }) => {
		const names = parts(name).flatMap((each) => each.split(' + '));
		return names.flatMap((each) => {
			const [, plain = each, group] = /^([^{]+)(\{.*\})$/.exec(each) ?? [];
			const own = fact(plain, group === undefined ? type : 'object', !required);
			if (group !== undefined && group !== '{}') return [own, ...inside(plain, group, !required)];
			const at = note.search(/\[?\{/);
			const shaped = /^(object|array)/.test(type) && at >= 0 && !note.includes('->');
			const shape = note.slice(at);
			const list = own.type === 'array' && !shape.startsWith('[') ? `[${shape}]` : shape;
			return shaped && names.length === 1 ? [own, ...inside(plain, list, !required)] : [own];
		});
	});

const accessOf = (target: string): RouteFact['access'] => {
	if (target === 'none') return 'public';
	return target === 'admin' ? 'admin' : 'client';
};

const csvOf = (fields: readonly Described[]): RouteFact['csv'] => {
	const noteOf = (type: string): string => fields.find((field) => field.type === type)?.note ?? '';
	return { header: noteOf('csv'), fileName: noteOf('header').replace('attachment; filename=', '') };
};

const some = <K extends string, T>(key: K, list: readonly T[]): { readonly [P in K]?: readonly T[] } =>
	(list.length === 0 ? {} : { [key]: list }) as { readonly [P in K]?: readonly T[] };

const routeOf = ({ no, method, path, auth, request, response, errors }: Endpoint): RouteFact => {
	const statuses = errors.flatMap((text) => /^\d{3}/.exec(text)?.[0] ?? []).map(Number);
	const shown = response.fields.filter(({ type, name }) => !['csv', 'header', 'sse'].includes(type) && !/^(as |shape )/.test(name));
	return {
		no: String(no),
		method,
		path,
		access: accessOf(auth.target),
		rendering: response.kind,
		...(response.bareForLegacyDashboard ? { bare: true } : {}),
		...some('collisions', response.reservedKeyCollisions),
		...some('query', described(request.query)),
		...some('body', described(request.body)),
		...some('response', described(shown)),
		...(response.kind === 'csv' ? { csv: csvOf(response.fields) as { header: string; fileName: string } } : {}),
		...some(
			'events',
			response.fields.flatMap(({ name }) => /^event: (\w+)/.exec(name)?.[1] ?? []),
		),
		...some(
			'errors',
			[...new Set(statuses)].filter((status) => status >= 400).sort((a, b) => a - b),
		),
	};
};

/** The facts of a contract.json; "as X4" takes the fields of X4. */
export const factsOf = (text: string): RouteFact[] => {
	const { endpoints } = JSON.parse(text) as { endpoints: readonly Endpoint[] };
	const routes = new Map(endpoints.map((endpoint) => [String(endpoint.no), routeOf(endpoint)]));
	return endpoints.map((endpoint) => {
		const route = routes.get(String(endpoint.no)) as RouteFact;
		const same = /^as (\w+)$/.exec(endpoint.response.fields[0]?.name ?? '')?.[1];
		return same === undefined ? route : { ...route, ...some('response', routes.get(same)?.response ?? []) };
	});
};

/** Where the contract's pages lie beside the checkout. */
export const SOURCE = join(import.meta.dirname, '../../../shared/contract/contract.json');
export const COPY = join(import.meta.dirname, 'facts.json');

/** The facts as they are committed: a route a paragraph, a field a line. */
export const written = (facts: readonly RouteFact[]): string =>
	`${JSON.stringify(facts, null, '\t').replace(/\{\n\t+("name"[^{}]*?)\n\t+\}/g, (_, body: string) => `{ ${body.replace(/\n\t+/g, ' ')} }`)}\n`;

if (import.meta.filename === process.argv[1]) writeFileSync(COPY, written(factsOf(readFileSync(process.argv[2] ?? SOURCE, 'utf8'))));
