import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Operation, pathParameters } from '../src/contract/operation.ts';
import { SpotError } from '../src/errors.ts';

/** The longest list any operation takes (agents.cleanup_report). */
const LONGEST_LIST = 10_000;
const MOST_FIELDS = 20;
const MOST_MESSAGES = 5;
const LONGEST_TEXT = 200;

const cut = (text: string): string => (text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text);

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

const messageOf = (issue: z.core.$ZodIssue): string => (issue.message.endsWith('received undefined') ? 'is required' : cut(issue.message));

/** A failed check as 400 VALIDATION_ERROR with the messages by field. */
export const invalidInput = (issues: readonly z.core.$ZodIssue[]): SpotError => {
	const details: Record<string, string[]> = {};
	let fields = 0;
	for (const issue of issues) {
		const field = cut(issue.path.map(String).join('.')) || 'body';
		const messages = Object.hasOwn(details, field) ? details[field] : undefined;
		if (messages !== undefined) {
			if (messages.length < MOST_MESSAGES) messages.push(messageOf(issue));
		} else if (fields++ < MOST_FIELDS) {
			Object.defineProperty(details, field, { value: [messageOf(issue)], enumerable: true });
		}
	}
	const [first = 'body', messages = []] = Object.entries(details)[0] ?? [];
	const more = fields > 1 ? ` (and ${fields - 1} more)` : '';
	return new SpotError('invalid', 'VALIDATION_ERROR', `${first}: ${messages[0] ?? 'is not valid'}${more}`, { extras: { details } });
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
	const takesBody = operation.method !== 'GET' && operation.method !== 'DELETE';

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
