import type { FastifyRequest } from 'fastify';
import { type Operation, pathParameters } from '../src/contract/operation.ts';
import { SpotError } from '../src/errors.ts';

/** The longest list any operation takes (agents.cleanup_report). */
const LONGEST_LIST = 10_000;

const notAnObject = (): SpotError =>
	new SpotError('invalid', 'VALIDATION_ERROR', 'the body must be a JSON object', {
		extras: { details: { body: ['must be a JSON object'] } },
	});

/** Whether a list in a parsed body is so long that checking each element of it would be the attack. */
const hasEndlessList = (body: object): boolean => {
	const open: object[] = [body];
	for (let next = open.pop(); next !== undefined; next = open.pop()) {
		if (Array.isArray(next) && next.length > LONGEST_LIST) return true;
		for (const value of Object.values(next)) if (typeof value === 'object' && value !== null) open.push(value);
	}
	return false;
};

/**
 * Reads a body whatever its declared type (endpoints.md section B): empty is no body, anything but an object is a SpotError, which
 * is returned rather than thrown because authentication comes first.
 */
export const readBody = (text: string): object | undefined => {
	if (text === '') return undefined;
	let body: unknown;
	try {
		body = JSON.parse(text);
	} catch {
		if (text.trim() === '') return undefined;
		return new SpotError('invalid', 'INVALID_JSON', 'the body is not valid JSON', { hint: 'send a JSON object, or no body' });
	}
	if (body === null) return undefined;
	if (typeof body !== 'object' || Array.isArray(body)) return notAnObject();
	if (text.length > 2 * LONGEST_LIST && hasEndlessList(body)) {
		const message = `holds a list of more than ${LONGEST_LIST} elements`;
		return new SpotError('invalid', 'VALIDATION_ERROR', `the body ${message}`, { extras: { details: { body: [message] } } });
	}
	return body;
};

type Fields = Record<string, unknown>;

const isEmpty = (query: object): boolean => {
	for (const _ in query) return false;
	return true;
};

/**
 * Makes what merges path, query and body of an operation: the path wins; a GET or DELETE takes the query, the others their body and
 * from the query what the body lacks. A body that could not be read is thrown here.
 */
export const createMerge = (operation: Operation): ((request: FastifyRequest) => object) => {
	const inPath = pathParameters(operation.path);
	const elsewhere = Object.keys(operation.input.shape).filter((key) => !inPath.includes(key));
	const takesBody = operation.method !== 'GET' && operation.method !== 'DELETE' && !operation.ignoresBody;

	return (request) => {
		const body = takesBody ? request.body : undefined;
		if (body instanceof SpotError) throw body;
		const params = request.params as Fields;
		const query = request.query as Fields;
		if (body === undefined && isEmpty(query)) return params;
		const input = (body ?? {}) as Fields;
		if (!isEmpty(query)) for (const key of elsewhere) if (Object.hasOwn(query, key) && !Object.hasOwn(input, key)) input[key] = query[key];
		for (const key of inPath) input[key] = params[key];
		return input;
	};
};
