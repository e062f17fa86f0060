import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { operations } from '../../src/contract/index.ts';
import { type Operation, pathParameters } from '../../src/contract/operation.ts';
import { declared, facts, routeName } from './facts.ts';
import { DIFFERENT, IGNORED, MISSING, NOT_DECLARED } from './known.ts';
import { COPY, type FactType, type FieldFact, factsOf, SOURCE } from './make-facts.ts';

type Schema = {
	readonly type?: string | readonly string[];
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly required?: readonly string[];
	readonly items?: Schema;
	readonly additionalProperties?: Schema | boolean;
	readonly anyOf?: readonly Schema[];
	readonly oneOf?: readonly Schema[];
	readonly allOf?: readonly Schema[];
	readonly const?: unknown;
	readonly enum?: readonly unknown[];
	readonly $ref?: string;
};

const schemaOf = (type: z.ZodType): Schema => z.toJSONSchema(type, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as Schema;

/** A schema as the plain ones it stands for. */
const choices = (schema: Schema): readonly Schema[] => {
	const inner = schema.anyOf ?? schema.oneOf ?? schema.allOf;
	return inner === undefined ? [schema] : inner.flatMap(choices);
};

const typesOf = (schema: Schema): readonly string[] =>
	choices(schema).flatMap(({ type, const: only, enum: several }) => {
		if (type !== undefined) return [type].flat() as string[];
		if (only !== undefined) return [only === null ? 'null' : typeof only];
		return several === undefined ? ['any'] : several.map((value) => (value === null ? 'null' : typeof value));
	});

type Place = { readonly schema: Schema; readonly required: boolean };

/** The schema at a field's path; null where nothing is declared there. */
const placeAt = (root: Schema, path: string): Place | null => {
	let place: Place = { schema: root, required: true };
	for (const step of path.split('.')) {
		const key = step.replace(/\[\]$/, '');
		const [owner] = choices(place.schema).filter(({ properties, additionalProperties }) =>
			properties === undefined ? typeof additionalProperties === 'object' : Object.hasOwn(properties, key),
		);
		const next = owner?.properties?.[key] ?? owner?.additionalProperties;
		if (next === undefined || typeof next === 'boolean') return null;
		place = { schema: next, required: place.required && (owner?.properties === undefined || owner.required?.includes(key) === true) };
		if (!step.endsWith('[]')) continue;
		const items = choices(place.schema).find((each) => each.items !== undefined)?.items;
		if (items === undefined) return null;
		place = { ...place, schema: items };
	}
	return place;
};

const ALLOWED: Readonly<Record<FactType, readonly string[]>> = {
	string: ['string'],
	integer: ['integer'],
	number: ['number', 'integer'],
	boolean: ['boolean'],
	array: ['array'],
	object: ['object'],
	any: ['string', 'integer', 'number', 'boolean', 'array', 'object', 'null', 'any'],
};

const problemOf = (field: FieldFact, root: Schema): string | null => {
	const place = placeAt(root, field.name);
	if (place === null) return field.optional === true ? null : 'is not declared';
	if (!place.required && field.optional !== true) return 'may be absent';
	const allowed = [...ALLOWED[field.type], ...(field.nullable === true ? ['null'] : [])];
	const wrong = typesOf(place.schema).filter((type) => !allowed.includes(type));
	return wrong.length === 0 ? null : `may be ${[...new Set(wrong)].join(', ')}, not ${field.type}`;
};

/** What the contract's fields are called for the lists in known.ts. */
const named = ({ no }: { readonly no: string }, field: FieldFact): string => `#${no} ${field.name}`;

describe('the facts of the contract', () => {
	it.skipIf(!existsSync(SOURCE))('are those of ../shared/contract/contract.json', () => {
		const wanted = factsOf(readFileSync(SOURCE, 'utf8'));
		expect(facts, `write ${COPY} anew: node --import tsx test/contract/make-facts.ts`).toEqual(JSON.parse(JSON.stringify(wanted)));
	});

	it('are 104 routes, 68 of them in the reference table and 14 bare for the old dashboard', () => {
		expect(facts.length).toBe(104);
		expect(
			facts
				.filter(({ no }) => /^\d+$/.test(no))
				.map(({ no }) => Number(no))
				.sort((a, b) => a - b),
		).toEqual(Array.from({ length: 68 }, (_, index) => index + 1));
		expect(
			facts
				.filter(({ bare }) => bare === true)
				.map(({ no }) => Number(no))
				.sort((a, b) => a - b),
		).toEqual([2, 3, 4, 16, 19, 20, 21, 22, 27, 30, 34, 35, 36, 65]);
	});
});

/** Without those that answer 501 until there is a decision engine: they take and tell nothing yet (#12 to #15). */
const answering = declared.filter(({ operation }) => !operation.ignoresBody);

describe('the operations declared', () => {
	it('are all routes of the contract, under their methods and paths, but for those known to be missing', () => {
		const there = new Set(declared.map(({ fact }) => routeName(fact)));
		const missing = facts.filter((fact) => !there.has(routeName(fact))).map((fact) => `#${fact.no} ${routeName(fact)}`);
		expect(missing.sort()).toEqual([...MISSING].sort());
	});

	it('are rendered as the contract says, bare for the old dashboard where it says so and nowhere else', () => {
		for (const { fact, operation } of declared) {
			expect([fact.no, operation.rendering, operation.legacyBare]).toEqual([fact.no, fact.rendering, fact.bare === true]);
		}
		const bare = new Set(facts.filter(({ bare }) => bare === true).map(routeName));
		const others = (Object.values(operations) as Operation[]).filter(({ legacyBare }) => legacyBare).map(routeName);
		expect(others.filter((route) => !bare.has(route))).toEqual([]);
	});

	it('ask for the token the contract names', () => {
		const kinds = { public: ['public'], admin: ['read', 'operate', 'admin'], client: ['agent', 'client'] };
		for (const { fact, operation } of declared) expect(kinds[fact.access], `#${fact.no} ${operation.id}`).toContain(operation.access);
	});

	it('answer every field the contract names, with its type, and null only where it may be', () => {
		const problems = answering.flatMap(({ fact, operation }) => {
			const schema = schemaOf(operation.output);
			return (fact.response ?? []).flatMap((field) => {
				const problem = problemOf(field, schema);
				return problem === null ? [] : [`${named(fact, field)} ${problem}`];
			});
		});
		expect(problems.sort()).toEqual(Object.keys(DIFFERENT).sort());
	});

	it('answer the fields the contract calls optional, but for those known to be left out', () => {
		const left = answering.flatMap(({ fact, operation }) => {
			const schema = schemaOf(operation.output);
			return (fact.response ?? [])
				.filter((field) => field.optional === true && placeAt(schema, field.name) === null)
				.map((field) => named(fact, field));
		});
		expect(left.sort()).toEqual([...NOT_DECLARED].sort());
	});

	it('take what the contract lets them be sent, by its name, but for what is known to be read by nobody', () => {
		const unread: string[] = [];
		for (const { fact, operation } of answering) {
			const schema = schemaOf(operation.input);
			for (const field of [...(fact.query ?? []), ...(fact.body ?? [])]) {
				if (placeAt(schema, field.name) === null) unread.push(`${named(fact, field)}${field.optional === true ? '' : ' (required)'}`);
			}
		}
		expect(unread.sort()).toEqual([...IGNORED].sort());
	});

	it('take each documented field in its documented type', () => {
		const problems: string[] = [];
		for (const { fact, operation } of declared) {
			const schema = schemaOf(operation.input);
			for (const field of [...(fact.query ?? []), ...(fact.body ?? [])]) {
				const types = typesOf(placeAt(schema, field.name)?.schema ?? {});
				const takes = types.some(
					(type) => type === 'any' || ALLOWED[field.type].includes(type) || (field.type === 'integer' && type === 'number'),
				);
				if (!takes) problems.push(`${named(fact, field)} is ${types.join(', ')}, not ${field.type}`);
			}
		}
		expect(problems).toEqual([]);
	});

	it('name the path parameters the contract names', () => {
		for (const { fact, operation } of declared) expect(pathParameters(operation.path)).toEqual(pathParameters(fact.path));
	});
});
