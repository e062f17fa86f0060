import type { z } from 'zod';
import type { EventStream } from './sse.ts';

/**
 * Who may call an operation (contract/endpoints.md section B, "target" column).
 * - `public`: anybody; nothing is authenticated.
 * - `metrics`: an admin token, or a caller on the loopback interface (spec section 18).
 * - `agent`: the token of the agent's client; an admin token stands for the agent (identity.md section 7).
 * - `client`: the token of the client it is about; or an admin token.
 * - `read` | `operate` | `admin`: an admin token of at least that scope.
 * An admin token needs scope `read` for a GET and `operate` for anything else on `agent` and `client` operations.
 */
export type Access = 'public' | 'metrics' | 'agent' | 'client' | 'read' | 'operate' | 'admin';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * How the payload is rendered (endpoints.md section A): `object` copies its keys to the top level (R1), `list` goes in `data` with
 * `count` and `next_cursor` (R2), `raw` is sent as it is (R4), and so are `csv`, a file that is sent while it is read, and `sse`, events for
 * as long as somebody listens. The last two also take their token from the query, since browsers send no header with them.
 */
export type Rendering = 'object' | 'list' | 'raw' | 'csv' | 'sse';

/** One operation of the contract: everything the daemon, the HTTP client, OpenAPI and the metrics know about it. */
export type Operation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = {
	/** Stable name, also the metric label: noun, dot, verb. */
	readonly id: string;
	readonly method: Method;
	/** Path with `{name}` parameters; each is a key of `input`. */
	readonly path: string;
	readonly access: Access;
	readonly summary: string;
	/** Path parameters, query and body merged; a path parameter wins over a body key of the same name. */
	readonly input: I;
	/** The payload. For a `list` it is the item, for `csv` the text of the file, for `sse` the data of an event. */
	readonly output: O;
	readonly rendering: Rendering;
	/** Status of a success; 200 unless stated. */
	readonly status: number;
	/** The status of one answer, where a success is not always the same one (#54: 201 with a replica, 200 without). */
	readonly statusOf?: (payload: never) => number;
	/** One of the 14 endpoints of R3, bare for the credential-less dashboard. */
	readonly legacyBare: boolean;
	/** Called by every agent all the time: logged at debug. */
	readonly routine: boolean;
	/** Honours X-Request-ID as an idempotency key (endpoints.md section B). */
	readonly idempotent: boolean;
	/** Whatever body is sent, of any media type, is read and dropped. */
	readonly ignoresBody: boolean;
	/** What it answers, or what it leaves in the audit, is of one call: nobody else's question is answered with it. */
	readonly ofOneCall: boolean;
	/** Only read its answer, never run it in process: health and metrics speak about the daemon. */
	readonly daemonOnly: boolean;
};

type Declared<I extends z.ZodObject, O extends z.ZodType, R extends Rendering> = Pick<
	Operation<I, O>,
	'id' | 'method' | 'path' | 'access' | 'summary' | 'input' | 'output'
> & { rendering?: R } & Partial<
		Pick<Operation, 'status' | 'statusOf' | 'legacyBare' | 'routine' | 'idempotent' | 'daemonOnly' | 'ignoresBody' | 'ofOneCall'>
	>;

/** Declares an operation once; the defaults are an object answer with status 200. */
export const operation = <I extends z.ZodObject, O extends z.ZodType, const R extends Rendering = 'object'>(
	declared: Declared<I, O, R>,
): Operation<I, O> & { readonly rendering: R } => ({
	status: 200,
	legacyBare: false,
	routine: false,
	idempotent: false,
	daemonOnly: false,
	ignoresBody: false,
	ofOneCall: false,
	...declared,
	rendering: (declared.rendering ?? 'object') as R,
});

/** A page of a list. `nextCursor` is opaque and null on the last page. */
export type Page<T> = { readonly items: readonly T[]; readonly nextCursor: string | null };

/** A file that is sent while it is read. Ending `chunks` early (`return`) ends the reading. */
export type Download = { readonly fileName: string; readonly chunks: AsyncIterable<string> };

/** Whether an answer goes on after its handler has returned. */
export const isStreamed = ({ rendering }: Pick<Operation, 'rendering'>): boolean => rendering === 'csv' || rendering === 'sse';

/** What a handler returns for an operation. */
export type Payload<Op> = Op extends { readonly rendering: 'list'; readonly output: infer O extends z.ZodType }
	? Page<z.input<O>>
	: Op extends { readonly rendering: 'csv' }
		? Download
		: Op extends { readonly rendering: 'sse' }
			? EventStream
			: Op extends { readonly output: infer O extends z.ZodType }
				? z.input<O>
				: never;

/** What a caller hands in, before validation. */
export type Given<Op> = Op extends { readonly input: infer I extends z.ZodType } ? z.input<I> : never;

/** What a handler receives, validated. */
export type Accepted<Op> = Op extends { readonly input: infer I extends z.ZodType } ? z.output<I> : never;

/** The names of the parameters in a path. */
export const pathParameters = (path: string): string[] => [...path.matchAll(/\{([a-z_]+)\}/g)].map((match) => match[1] ?? '');
