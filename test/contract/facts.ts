import { readFileSync } from 'node:fs';
import { type Name, operations } from '../../src/contract/index.ts';
import type { Operation } from '../../src/contract/operation.ts';
import { COPY, type FieldFact, type RouteFact } from './make-facts.ts';

/** What the contract says of its 104 routes (facts.json). */
export const facts = JSON.parse(readFileSync(COPY, 'utf8')) as readonly RouteFact[];

/** A route of the contract as a person names it. */
export const routeName = ({ method, path }: { readonly method: string; readonly path: string }): string => `${method} ${path}`;

const byRoute = new Map((Object.entries(operations) as [Name, Operation][]).map(([name, operation]) => [routeName(operation), name]));

export type Declared = { readonly fact: RouteFact; readonly name: Name; readonly operation: Operation };

/** The routes of the contract that are declared, with their operations. */
export const declared: readonly Declared[] = facts.flatMap((fact) => {
	const name = byRoute.get(routeName(fact));
	return name === undefined ? [] : [{ fact, name, operation: operations[name] as unknown as Operation }];
});

const typeName = (value: unknown): string => {
	if (value === null) return 'null';
	if (Array.isArray(value)) return 'array';
	return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
};

const fits = ({ type, nullable }: FieldFact, value: unknown): boolean => {
	if (value === null) return nullable === true || type === 'any';
	const found = typeName(value);
	if (type === 'number') return found === 'integer' || (found === 'number' && Number.isFinite(value));
	return type === 'any' || type === found;
};

/** What a walk along a field's path found: how many values, and what is wrong with them. */
export type Found = { readonly values: number; readonly problems: readonly string[] };

/** Looks a documented field up in a real payload. A field inside an empty list, or inside what may be null and is, has no value to judge. */
export const lookUp = (field: FieldFact, payload: unknown): Found => {
	const problems: string[] = [];
	let values = 0;
	const walk = (at: unknown, path: readonly string[]): void => {
		const [head, ...rest] = path;
		if (head === undefined) {
			if (field.max !== undefined && Array.isArray(at) && at.length > field.max) problems.push(`${field.name} has ${at.length} items`);
			if (fits(field, at)) values++;
			else problems.push(`${field.name} is ${typeName(at)} ${JSON.stringify(at)?.slice(0, 60)}, not ${field.type}`);
			return;
		}
		if (at === null) return;
		const key = head.replace(/\[\]$/, '');
		const value = typeof at === 'object' && Object.hasOwn(at, key) ? (at as Record<string, unknown>)[key] : undefined;
		if (value === undefined) {
			if (field.optional !== true) problems.push(`${field.name} is missing`);
			return;
		}
		if (!head.endsWith('[]')) walk(value, rest);
		else if (Array.isArray(value)) for (const item of value) walk(item, rest);
	};
	walk(payload, field.name.split('.'));
	return { values, problems: [...new Set(problems)] };
};
