import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Download } from '../src/contract/operation.ts';
import { type EventStream, type StreamEvent, sseText } from '../src/contract/sse.ts';
import type { Core } from '../src/core/index.ts';
import { SpotError } from '../src/errors.ts';
import { asProblem } from './failures.ts';

/** Answers that go on after their handler has returned, so that whoever stops the daemon, or revokes their token, can end them. */
export type Streams = {
	/** Refuses new ones while the daemon stops. Errors: 503 STOPPING. */
	check(): void;
	/** What an event stream ends with when its token is no longer accepted; null while it is. */
	refusal(token: string): Promise<StreamEvent | null>;
	/** Keeps a stream that began with a token of a client (null: an admin's) until what is returned forgets it. */
	add(token: string, clientId: string | null, stop: (last: StreamEvent) => void): () => void;
	/** Ends all that run, and whatever comes later. */
	end(): void;
};

type Held = { readonly clientId: string | null; readonly stops: Set<(last: StreamEvent) => void> };

/** Streams by their token: when the tokens of somebody change, each is asked about once, and nothing is asked about while none does. */
export const createStreams = (core: Pick<Core, 'authenticate' | 'explain' | 'onAccessChange'>): Streams => {
	const running = new Map<string, Held>();
	let ended = false;

	const refusal = async (token: string): Promise<StreamEvent | null> => {
		try {
			await core.authenticate(token);
			return null;
		} catch (error) {
			const problem = asProblem(core.explain(error));
			// A database that does not answer says nothing about the token.
			return problem.kind === 'unauthenticated' || problem.kind === 'forbidden' ? closing(problem.code, problem.message) : null;
		}
	};

	const recheck = async (token: string): Promise<void> => {
		const last = await refusal(token);
		if (last !== null) for (const stop of [...(running.get(token)?.stops ?? [])]) stop(last);
	};

	core.onAccessChange((whose) => {
		for (const [token, { clientId }] of running) if (whose === undefined || whose === clientId) void recheck(token);
	});

	return {
		refusal,
		check: () => {
			if (ended) throw new SpotError('unavailable', 'STOPPING', 'the daemon is about to stop', { hint: 'try again in a few seconds' });
		},
		add: (token, clientId, stop) => {
			const held: Held = running.get(token) ?? { clientId, stops: new Set() };
			running.set(token, held);
			held.stops.add(stop);
			// It may have been revoked since it let this stream in.
			void recheck(token);
			return () => {
				held.stops.delete(stop);
				if (held.stops.size === 0 && running.get(token) === held) running.delete(token);
			};
		},
		end: () => {
			ended = true;
			const last = closing('STOPPING', 'the daemon is about to stop');
			for (const { stops } of [...running.values()]) for (const stop of [...stops]) stop(last);
		},
	};
};

/** The first part of an answer, which has to be there before its status is sent, and where the others come from. */
export type Begun = { readonly first: IteratorResult<string>; readonly rest: AsyncIterator<string> };

/** Reads the first part. Errors: those of whatever is read. */
export const begin = async (texts: AsyncIterable<string>): Promise<Begun> => {
	const rest = texts[Symbol.asyncIterator]();
	return { first: await rest.next(), rest };
};

/** How the answer ended: null where all of it was read, or its reader had gone. */
export type Ended = (error: unknown) => void;

/**
 * The parts as a stream that reads no further than its reader: one part ahead. A reader that goes away ends the reading, and so does a
 * failure, which closes the connection so that nobody takes half an answer for a whole one.
 */
export const streamOf = ({ first, rest }: Begun, ended: Ended): Readable => {
	let pending: IteratorResult<string> | null = first;
	let failure: unknown = null;
	let reading = false;
	const stream = new Readable({
		highWaterMark: 1,
		read: () => {
			if (reading) return;
			if (pending !== null) {
				const { done, value } = pending;
				pending = null;
				stream.push(done === true ? null : value);
				return;
			}
			reading = true;
			rest.next().then(
				({ done, value }) => {
					reading = false;
					if (!stream.destroyed) stream.push(done === true ? null : value);
				},
				(error: unknown) => {
					reading = false;
					failure = error;
					stream.destroy(error instanceof Error ? error : new Error(String(error)));
				},
			);
		},
		destroy: (error, done) => {
			// Not awaited: a reading that is under way ends first, and nobody waits for it.
			void rest.return?.()?.catch(() => undefined);
			ended(failure);
			done(error);
		},
	});
	return stream;
};

/** The last event of a stream that the daemon ends. Its reader goes on elsewhere from the last id it has. */
export const closing = (reason: string, message: string): StreamEvent => ({ event: 'closing', id: null, data: { reason, message } });

/** The text of events, and what ends it from outside: with a last event, at once. */
export type EventTexts = AsyncIterable<string> & { stop(last: StreamEvent): void };

/** Makes text of events; `recheck` is asked at each heartbeat whether it goes on, and answers what it ends with. */
export const eventTexts = (events: EventStream, recheck: () => Promise<StreamEvent | null>): EventTexts => {
	const inner = events[Symbol.asyncIterator]();
	let last: StreamEvent | null = null;
	let ended = false;
	const end = (): void => void inner.return?.()?.catch(() => undefined);
	const next = async (): Promise<IteratorResult<string>> => {
		if (ended) return { done: true, value: undefined };
		const { done, value } = await inner.next();
		if (last === null && done !== true && value.event === 'heartbeat') {
			last = await recheck();
			if (last !== null) end();
		}
		if (last !== null) {
			ended = true;
			return { done: false, value: sseText(last) };
		}
		return done === true ? { done: true, value: undefined } : { done: false, value: sseText(value) };
	};
	return {
		stop: (event) => {
			last ??= event;
			end();
		},
		[Symbol.asyncIterator]: () => ({
			next,
			return: async () => {
				ended = true;
				end();
				return { done: true, value: undefined };
			},
		}),
	};
};

/** Headers of a file that a browser saves under a name (RFC 6266); the name holds nothing but letters, digits, `-`, `_` and dots. */
export const setDownloadHeaders = (reply: FastifyReply, { fileName }: Download): void => {
	reply.header('content-type', 'text/csv; charset=utf-8').header('content-disposition', `attachment; filename=${fileName}`);
};

/** Headers of an event stream (endpoints.md X13). */
export const setStreamHeaders = (reply: FastifyReply): void => {
	reply.header('content-type', 'text/event-stream; charset=utf-8').header('cache-control', 'no-cache').header('x-accel-buffering', 'no');
};
