import type { z } from 'zod';
import { SpotError } from '../errors.ts';

const MOST_FIELDS = 20;
const MOST_MESSAGES = 5;
const LONGEST_TEXT = 200;

const cut = (text: string): string => (text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text);

type Raw = z.core.$ZodRawIssue;

/** What a value has to be; other types of zod are of no operation. */
const TYPES: Readonly<Record<string, string>> = {
	string: 'text',
	number: 'a number',
	int: 'a whole number',
	boolean: 'true or false',
	stringbool: 'true or false',
	object: 'an object',
	record: 'an object',
	array: 'a list',
	null: 'null',
};

const counted = (count: number | bigint, one: string): string => (Number(count) === 1 ? `one ${one}` : `${count} ${one}s`);

const MUST = 'must be ';

/** A bound as a text says it of a length, of a number of elements, or of the value itself. */
const bounded = (origin: string, words: 'at least' | 'at most', limit: number | bigint, inclusive: boolean): string => {
	if (origin === 'string')
		return words === 'at least' && limit === 1 ? 'must not be empty' : `must have ${words} ${counted(limit, 'character')}`;
	if (origin === 'array')
		return words === 'at least' && limit === 1 ? 'must not be empty' : `must have ${words} ${counted(limit, 'element')}`;
	return `${MUST}${inclusive ? words : words === 'at least' ? 'more than' : 'less than'} ${limit}`;
};

/** The alternatives of a union in one sentence, each once. */
const eitherOf = (messages: readonly string[]): string => {
	const alternatives = [...new Set(messages)].filter((each) => each !== '');
	if (!alternatives.every((each) => each.startsWith(MUST))) return alternatives.join(', or ') || 'is not valid';
	return `${MUST}${[...new Set(alternatives.map((each) => each.slice(MUST.length)))].join(' or ')}`;
};

/** What zod found, as the end of a sentence that begins with the field; a text of the schema's own goes before it. */
const wording = (issue: Raw): string => {
	switch (issue.code) {
		case 'invalid_type':
			if (issue.input === undefined) return 'is required';
			return `${MUST}${TYPES[issue.expected] ?? 'something else'}`;
		case 'too_small':
			return bounded(issue.origin, 'at least', issue.minimum, issue.inclusive !== false);
		case 'too_big':
			return bounded(issue.origin, 'at most', issue.maximum, issue.inclusive !== false);
		case 'invalid_format':
			return issue.format === 'email' ? 'must be an e-mail address' : 'has not the form it must have';
		case 'invalid_value': {
			if (issue.input === undefined) return 'is required';
			if ((issue as { expected?: unknown }).expected === 'stringbool') return `${MUST}${TYPES['stringbool']}`;
			const values = issue.values.map(String);
			const last = values.pop() ?? '';
			return `${MUST}${values.length === 0 ? last : `${values.join(', ')} or ${last}`}`;
		}
		case 'not_multiple_of':
			return `${MUST}a multiple of ${issue.divisor}`;
		case 'invalid_union':
			return issue.input === undefined ? 'is required' : eitherOf(issue.errors.map(([first]) => first?.message ?? ''));
		default:
			return 'is not valid';
	}
};

/** What somebody hears whose cursor is not of the list. */
export const invalidCursor = (): SpotError =>
	new SpotError('invalid', 'INVALID_CURSOR', 'the cursor is not one that this list has answered', {
		hint: 'leave it out to begin at the first page',
	});

const invalid = (issues: readonly z.core.$ZodIssue[]): SpotError => {
	if (issues.every(({ path }) => path.length === 1 && path[0] === 'cursor')) return invalidCursor();
	const details: Record<string, string[]> = {};
	let fields = 0;
	for (const issue of issues) {
		const field = cut(issue.path.map(String).join('.')) || 'body';
		const messages = Object.hasOwn(details, field) ? details[field] : undefined;
		if (messages !== undefined) {
			if (messages.length < MOST_MESSAGES) messages.push(cut(issue.message));
		} else if (fields++ < MOST_FIELDS) {
			Object.defineProperty(details, field, { value: [cut(issue.message)], enumerable: true });
		}
	}
	const [first = 'body', messages = []] = Object.entries(details)[0] ?? [];
	const more = fields > 1 ? ` (and ${fields - 1} more)` : '';
	return new SpotError('invalid', 'VALIDATION_ERROR', `${first}: ${messages[0] ?? 'is not valid'}${more}`, { extras: { details } });
};

const WORDS = { error: wording };

/** An input as its operation declares it. Errors: 400 VALIDATION_ERROR with the messages by field, INVALID_CURSOR where the cursor alone has no form of one; the same over HTTP and with `--local`. */
export const checkInput = <T extends z.ZodType>(input: T, value: unknown): z.output<T> => {
	const checked = input.safeParse(value, WORDS);
	if (!checked.success) throw invalid(checked.error.issues);
	return checked.data;
};
