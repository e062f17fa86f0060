import type { SpotError } from '../errors.ts';
import { maskTokens } from '../mask.ts';
import type { Operation, Page } from './operation.ts';

/** The keys that always belong to the envelope, never to a payload (endpoints.md section A, R1). */
export const RESERVED: ReadonlySet<string> = new Set(['status', 'data', 'error']);

const withoutReserved = (payload: object): object => Object.fromEntries(Object.entries(payload).filter(([key]) => !RESERVED.has(key)));

/** R1: the payload in `data`, its keys copied to the top level. The payload is written once and pasted twice. */
export const renderObject = (payload: object): string => {
	const text = JSON.stringify(payload);
	const collides = Object.hasOwn(payload, 'status') || Object.hasOwn(payload, 'data') || Object.hasOwn(payload, 'error');
	const copied = collides ? JSON.stringify(withoutReserved(payload)) : text;
	const head = `{"status":"success","data":${text},"error":null`;
	return copied === '{}' ? `${head}}` : `${head},${copied.slice(1)}`;
};

/** R2: the items in `data`, with their number and where the next page starts. */
export const renderList = ({ items, nextCursor }: Page<unknown>): string =>
	`{"status":"success","data":${JSON.stringify(items)},"error":null,"count":${items.length},"next_cursor":${JSON.stringify(nextCursor)}}`;

/** R3: the payload as the original server sent it. */
const renderBare = (rendering: Operation['rendering'], payload: object): string =>
	JSON.stringify(rendering === 'list' ? (payload as Page<unknown>).items : payload);

/** The body of a success as JSON (R1 to R3). `bare` is for the 14 operations that have `legacyBare` only. */
export const renderSuccess = (rendering: Operation['rendering'], payload: object, bare: boolean): string => {
	if (bare || rendering === 'raw') return renderBare(rendering, payload);
	return rendering === 'list' ? renderList(payload as Page<unknown>) : renderObject(payload);
};

/**
 * The body of a failure as JSON (R4). `more` are keys the route adds, such as `valid: false`; neither they nor the error's own
 * extras can replace a key of the envelope. Messages quote what was sent: tokens in it are masked.
 */
export const renderError = (problem: SpotError, requestId: string, more: Readonly<Record<string, unknown>> = {}): string => {
	const fixed = {
		status: 'error',
		error: problem.message,
		code: problem.code,
		error_code: problem.code,
		data: null,
		...(problem.hint === undefined ? {} : { hint: problem.hint }),
		request_id: requestId,
	};
	return maskTokens(JSON.stringify({ ...fixed, ...problem.extras, ...more, ...fixed }));
};
