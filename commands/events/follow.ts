import { SpotError } from '../../src/errors.ts';
import { isPassing } from '../commands/follow.ts';
import type { Context } from '../context.ts';
import type { EventRow } from './fields.ts';

/** What is asked of the stream. */
export type Followed = { readonly client_id?: string; readonly types?: string };

const AGAIN_MS = 1_000;
/** Streams say an event again rather than never; so many of the last are known. */
const REMEMBERED = 5_000;
/** A timer that does nothing but keep the process: without a daemon nothing else does. Below the longest one Node has. */
const LONG_MS = 2_000_000_000;

const fresh = (): ((id: number) => boolean) => {
	const known = new Set<number>();
	return (id) => {
		if (known.has(id)) return false;
		known.add(id);
		if (known.size > REMEMBERED) known.delete(known.values().next().value ?? id);
		return true;
	};
};

/**
 * Events as they happen, until interrupted. A stream that breaks is opened again where it was; what cannot be had any more is said on
 * stderr. Errors: those of the stream that do not pass; INTERRUPTED.
 */
export const followEvents = async function* (context: Context, wanted: Followed): AsyncGenerator<readonly EventRow[]> {
	const { clock, signal } = context;
	const api = await context.api();
	const isFresh = fresh();
	let last: string | undefined;
	let lost = false;
	const interrupted = (): void => {
		if (signal.aborted) throw new SpotError('interrupted', 'INTERRUPTED', 'interrupted');
	};
	for (;;) {
		const done = new AbortController();
		clock.sleep(LONG_MS, done.signal).catch(() => undefined);
		try {
			const events = await api.streamEvents({ ...wanted, ...(last === undefined ? {} : { last_event_id: last }) }, signal);
			const iterator = events[Symbol.asyncIterator]();
			const end = (): void => void iterator.return?.()?.catch(() => undefined);
			signal.addEventListener('abort', end, { once: true });
			try {
				for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
					const { event, id, data } = next.value;
					if (id !== null && id !== '') last = id;
					if (event === 'connected') {
						if (lost) context.note('the daemon answers again');
						lost = false;
					} else if (event === 'gap') context.note(`events may be missing here: ${String(data['message'])}`);
					else if (event === 'closing') context.note(`the daemon ends the stream: ${String(data['message'])}; opening it again`);
					else if (event !== 'heartbeat' && isFresh(Number(data['id']))) yield [data as EventRow];
				}
			} finally {
				signal.removeEventListener('abort', end);
				end();
			}
		} catch (error) {
			interrupted();
			if (!isPassing(error)) throw error;
			if (!lost) context.note(`${error.message}; trying again`);
			lost = true;
		} finally {
			done.abort();
		}
		interrupted();
		await clock.sleep(AGAIN_MS, signal).catch(() => undefined);
		interrupted();
	}
};
