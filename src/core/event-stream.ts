import type { Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import type { EventStream, StreamEvent } from '../contract/sse.ts';
import { SpotError } from '../errors.ts';
import { type EventRecord, eventBounds, eventsBetween, eventsWithin } from '../store/events.ts';
import { type Caller, clientScope } from './caller.ts';
import type { Context } from './context.ts';
import { isIn, type Mark, readMark, upTo, without, writeMark } from './event-mark.ts';
import { type EventTail, gapEvent, type Listener, type Tailed } from './event-tail.ts';
import { kindOf, sentEvent } from './event-view.ts';

/** How many streams one daemon keeps open, and how many of them for one client. */
const MOST_STREAMS = 2_000;
const MOST_OF_CLIENT = 200;
/** How many events wait for one reader; one that is slower is disconnected, and goes on where it was. */
const MOST_WAITING = 1_000;
/** How many events of the past are read at once. */
const PAGE = 500;

type Wanted = { readonly clientId: string | null; readonly types: ReadonlySet<string> };

const wants = ({ clientId, types }: Wanted, row: EventRecord): boolean =>
	(clientId === null || row.client_id === clientId) && (types.size === 0 || types.has(row.type) || types.has(kindOf(row.type)));

/** Counts what is open; a stream more than the most is refused. */
type Places = { take(clientId: string | null): () => void; open(): number };

const tooMany = (kind: 'unavailable' | 'limited', whose: string): SpotError =>
	new SpotError(kind, 'TOO_MANY_STREAMS', `${whose} has as many event streams open as it may`, {
		hint: 'close some, or try again later',
		extras: { retry_after_seconds: 30 },
	});

const createPlaces = (): Places => {
	const ofClient = new Map<string, number>();
	let all = 0;
	return {
		take: (clientId) => {
			if (all >= MOST_STREAMS) throw tooMany('unavailable', 'this daemon');
			const own = clientId === null ? 0 : (ofClient.get(clientId) ?? 0);
			if (own >= MOST_OF_CLIENT) throw tooMany('limited', 'this client');
			all++;
			if (clientId !== null) ofClient.set(clientId, own + 1);
			let taken = true;
			return () => {
				if (!taken) return;
				taken = false;
				all--;
				if (clientId === null) return;
				const left = (ofClient.get(clientId) ?? 1) - 1;
				if (left === 0) ofClient.delete(clientId);
				else ofClient.set(clientId, left);
			};
		},
		open: () => all,
	};
};

/**
 * One reader. It reads the past in pages, no faster than they are taken, until there is nothing left that the tail has passed; from then on it
 * hears what the tail reads.
 */
class Reader implements AsyncIterableIterator<StreamEvent>, Listener {
	private readonly queue: StreamEvent[] = [];
	private waiting: ((result: IteratorResult<StreamEvent>) => void) | null = null;
	private state: 'new' | 'past' | 'live' | 'ended' = 'new';
	/** No more comes after what is queued. */
	private closed = false;
	private at: Mark = { position: 0, holes: [] };
	private readonly context: Context;
	private readonly tail: EventTail;
	private readonly wanted: Wanted;
	private readonly resume: string | null;
	private readonly leavePlace: () => void;

	constructor(context: Context, tail: EventTail, wanted: Wanted, resume: string | null, leavePlace: () => void) {
		this.context = context;
		this.tail = tail;
		this.wanted = wanted;
		this.resume = resume;
		this.leavePlace = leavePlace;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	async next(): Promise<IteratorResult<StreamEvent>> {
		try {
			if (this.state === 'new') await this.begin();
			while (this.state === 'past' && this.queue.length === 0) await this.readPast();
		} catch (error) {
			await this.return();
			throw this.context.store.dialect.isUnavailable(error)
				? new SpotError('unavailable', 'DATABASE_UNAVAILABLE', 'the database does not answer', { cause: error })
				: error;
		}
		const value = this.queue.shift();
		if (value !== undefined) return { done: false, value };
		if (this.closed || this.state === 'ended') {
			await this.return();
			return { done: true, value: undefined };
		}
		return new Promise((accept) => {
			this.waiting = accept;
		});
	}

	return(): Promise<IteratorResult<StreamEvent>> {
		const done = { done: true, value: undefined } as const;
		if (this.state !== 'ended') {
			this.state = 'ended';
			this.queue.length = 0;
			this.tail.leave(this);
			this.leavePlace();
			this.waiting?.(done);
			this.waiting = null;
		}
		return Promise.resolve(done);
	}

	events(batch: readonly Tailed[]): void {
		if (this.state !== 'live') return;
		for (const { row, sent } of batch) if (wants(this.wanted, row)) this.push(sent);
	}

	told(event: StreamEvent): void {
		if (this.state === 'live') this.push(event);
	}

	private push(event: StreamEvent): void {
		if (this.closed) return;
		if (this.waiting !== null) {
			this.waiting({ done: false, value: event });
			this.waiting = null;
			return;
		}
		if (this.queue.length < MOST_WAITING) {
			this.queue.push(event);
			return;
		}
		// What it has not got is not lost: it goes on after the last id it has.
		this.queue.length = 0;
		this.queue.push({ event: 'closing', id: null, data: { reason: 'SLOW_READER', message: `more than ${MOST_WAITING} events waited` } });
		this.closed = true;
		this.tail.leave(this);
	}

	private async begin(): Promise<void> {
		const { clock, store } = this.context;
		await this.tail.join(this);
		if (this.state === 'ended') {
			this.tail.leave(this);
			return;
		}
		const now = this.tail.mark();
		const connected = (id: string | null): StreamEvent => ({
			event: 'connected',
			id,
			data: { status: 'connected', timestamp: iso(clock.now()) },
		});
		if (this.resume === null) {
			this.queue.push(connected(writeMark(now)));
			this.state = 'live';
			return;
		}
		const from = readMark(this.resume);
		if (from === null || from.position > now.position) {
			const message = 'this log has no such id: what happened since is not sent';
			this.queue.push(connected(null), gapEvent(clock, 'unknown', message, writeMark(now), { last_event_id: this.resume.slice(0, 80) }));
			this.state = 'live';
			return;
		}
		this.at = from;
		this.queue.push(connected(null));
		const { oldest, newest } = await eventBounds(store.read);
		const first = oldest === 0 ? now.position + 1 : oldest;
		if (from.position + 1 < first && (oldest === 0 || newest >= from.position)) {
			const message = 'events after this id were deleted: what is left of them follows';
			const id = String(first - 1);
			this.queue.push(gapEvent(clock, 'pruned', message, id, { last_event_id: this.resume.slice(0, 80) }));
			this.at = { position: first - 1, holes: [] };
		}
		if (this.ended()) return;
		this.state = 'past';
	}

	private ended(): boolean {
		return this.state === 'ended';
	}

	/** Reads the next page of what the tail has passed; without one left, what comes is heard from the tail. */
	private async readPast(): Promise<void> {
		const { read } = this.context.store;
		const { at, wanted } = this;
		const now = this.tail.mark();
		const late = without(at.holes, now.holes);
		const came = await eventsWithin(read, late, wanted.clientId);
		const page =
			at.position < now.position
				? await eventsBetween(read, { after: at.position, to: now.position, clientId: wanted.clientId, limit: PAGE })
				: [];
		if (this.ended()) return;
		for (const row of came) if (wants(wanted, row)) this.queue.push(sentEvent(row, null));
		for (const row of page) {
			// The tail has not passed it yet: it comes as one that is late.
			if (isIn(now.holes, row.id) || !wants(wanted, row)) continue;
			this.queue.push(sentEvent(row, writeMark({ position: row.id, holes: upTo(now.holes, row.id) })));
		}
		const last = page.at(-1);
		const position = page.length === PAGE && last !== undefined ? last.id : now.position;
		this.at = { position, holes: upTo(now.holes, position) };
		// Nothing was told meanwhile: from here on nothing is told without this reader.
		if (position === now.position && this.tail.mark() === now) this.state = 'live';
	}
}

/** Event streams of this process, and how many are open. */
export type EventStreams = {
	readonly open: () => number;
	readonly handler: (input: Valid<'streamEvents'>, caller: Caller) => EventStream;
};

/** X13. Errors: TOO_MANY_STREAMS; 503 DATABASE_UNAVAILABLE with the first event. */
export const createEventStreams = (context: Context, tail: EventTail): EventStreams => {
	const places = createPlaces();
	return {
		open: places.open,
		handler: (input, caller) => {
			const own = clientScope(caller);
			const wanted = { clientId: own ?? (input.client_id || null), types: new Set(input.types) };
			const given = caller.lastEventId ?? input.last_event_id;
			return new Reader(context, tail, wanted, given === undefined || given === '' ? null : given, places.take(own));
		},
	};
};
