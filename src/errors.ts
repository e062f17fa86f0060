/**
 * What went wrong, as a class of problem. The table in {@link KINDS} turns it into an HTTP status and an exit code
 * (../shared/style/guide.md section 9).
 */
export type Kind =
	| 'invalid'
	| 'unauthenticated'
	| 'forbidden'
	| 'missing'
	| 'gone'
	| 'conflict'
	| 'too_large'
	| 'method'
	| 'limited'
	| 'unavailable'
	| 'unimplemented'
	| 'pending'
	| 'ended_badly'
	| 'schema'
	| 'unwritten'
	| 'interrupted'
	| 'bug';

/** HTTP status and process exit code per kind. `status` is what a route answers, `exit` what a command returns. */
export const KINDS: Readonly<Record<Kind, { status: number; exit: number }>> = {
	invalid: { status: 400, exit: 2 },
	unauthenticated: { status: 401, exit: 4 },
	forbidden: { status: 403, exit: 4 },
	missing: { status: 404, exit: 5 },
	gone: { status: 410, exit: 5 },
	conflict: { status: 409, exit: 6 },
	too_large: { status: 413, exit: 2 },
	method: { status: 405, exit: 2 },
	limited: { status: 429, exit: 7 },
	unavailable: { status: 503, exit: 7 },
	unimplemented: { status: 501, exit: 1 },
	pending: { status: 202, exit: 8 },
	ended_badly: { status: 500, exit: 9 },
	schema: { status: 503, exit: 10 },
	unwritten: { status: 507, exit: 11 },
	interrupted: { status: 499, exit: 130 },
	bug: { status: 500, exit: 1 },
};

/** Extra keys of an error answer, beside `error`, `code` and `hint` (contract section A, R4). */
export type ErrorExtras = { readonly [key: string]: unknown };

/**
 * A problem an operator or a caller can do something about. `code` is the stable wire code (`NOT_PRIMARY`), `message` says what
 * and why in lower case without a full stop, `hint` is what to type next. Anything that is not a SpotError is a bug: it is
 * logged once with its request id and answered as 500 SERVER_ERROR without its text.
 */
export class SpotError extends Error {
	readonly kind: Kind;
	readonly code: string;
	readonly hint: string | undefined;
	readonly extras: ErrorExtras;

	constructor(
		kind: Kind,
		code: string,
		message: string,
		options: { hint?: string | undefined; extras?: ErrorExtras; cause?: unknown } = {},
	) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.name = 'SpotError';
		this.kind = kind;
		this.code = code;
		this.hint = options.hint;
		this.extras = options.extras ?? {};
	}

	get status(): number {
		return KINDS[this.kind].status;
	}

	get exitCode(): number {
		return KINDS[this.kind].exit;
	}
}

/** The kind an HTTP status stands for, for a client that reads an answer; unknown 4xx is `invalid`, unknown 5xx `bug`. */
export const kindOfStatus = (status: number): Kind => {
	for (const [kind, { status: known }] of Object.entries(KINDS))
		if (known === status && kind !== 'ended_badly' && kind !== 'unwritten') return kind as Kind;
	if (status === 502 || status === 504) return 'unavailable';
	return status >= 500 ? 'bug' : 'invalid';
};
