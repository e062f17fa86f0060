import { iso } from '../contract/instant.ts';
import type { StreamEvent } from '../contract/sse.ts';
import type { Clock } from '../deps.ts';
import { type EventRecord, eventBounds, eventIds, eventsAfter, eventsWithin, type IdRange } from '../store/events.ts';
import { databaseUnavailable, type Store } from '../store/open.ts';
import { type Mark, missing, without, writeMark } from './event-mark.ts';
import { sentEvent } from './event-view.ts';

/** How often the log is read while somebody listens. */
const POLL_MS = 500;
/** How often listeners hear that the stream lives (endpoints.md X13). */
const HEARTBEAT_MS = 30_000;
/** An id that is missing may belong to a transaction that has not committed yet; after this time it was rolled back. */
const HOLE_MS = 60_000;
/** How far back the first listener looks for ids that were not committed yet when it came. */
const LOOK_BACK = 5_000;
/** More holes than this are not asked for again. */
const MOST_HOLES = 200;
const PAGE = 1_000;
/** After a pause longer than this, events may have been deleted unread. */
const STALLED_MS = 3_600_000;

/** An event of the log with what is sent of it, which is the same for every listener. */
export type Tailed = { readonly row: EventRecord; readonly sent: StreamEvent };

/** Who hears of events: each call comes after the state of the tail has moved past what it tells. */
export type Listener = {
	events(batch: readonly Tailed[]): void;
	/** A heartbeat, or a gap: something may have been missed. */
	told(event: StreamEvent): void;
};

export type EventTail = {
	/** Starts to hear. Everything that was committed before the call is within {@link EventTail.mark} when it resolves. Errors: 503 DATABASE_UNAVAILABLE. */
	join(listener: Listener): Promise<void>;
	leave(listener: Listener): void;
	/** Where the tail is now; the same object until it moves. */
	mark(): Mark;
	stop(): void;
};

/** A gap as listeners hear of it. `reason`: pruned, unknown, late, stalled. */
export const gapEvent = (clock: Clock, reason: string, message: string, id: string | null, more: object = {}): StreamEvent => ({
	event: 'gap',
	id,
	data: { reason, message, timestamp: iso(clock.now()), ...more },
});

type Hole = { readonly range: IdRange; readonly until: number };

const punch = (holes: readonly Hole[], id: number): Hole[] =>
	holes.flatMap((hole) => without([hole.range], [[id, id]]).map((range) => ({ range, until: hole.until })));

/**
 * The one reader of the event log in this process: it reads only while somebody listens, and hands what it reads to all who do. Ids can
 * commit out of order, so a hole is asked for again until it is filled or too old to be, as the change log's are (feed.ts).
 */
export const createEventTail = (store: Store, clock: Clock): EventTail => {
	const listeners = new Set<Listener>();
	let joining = 0;
	let timers: Array<() => void> = [];
	let position: number | null = null;
	let holes: Hole[] = [];
	let current: Mark = { position: 0, holes: [] };
	let freshAt = 0;
	let reading: Promise<void> | null = null;
	let next: Promise<void> | null = null;

	const remark = (): void => {
		current = { position: position ?? 0, holes: holes.map(({ range }) => range) };
	};

	const tellAll = (event: StreamEvent): void => {
		for (const listener of listeners) listener.told(event);
	};

	/** Forgets the oldest holes where there are too many to ask for; whoever listens is told. */
	const bound = (): void => {
		if (holes.length <= MOST_HOLES) return;
		holes = holes.slice(-MOST_HOLES);
		remark();
		tellAll(gapEvent(clock, 'late', 'too many transactions were open at once: an event of one may be missing', writeMark(current)));
	};

	const begin = async (now: number): Promise<void> => {
		const { newest } = await eventBounds(store.read);
		const from = Math.max(0, newest - LOOK_BACK);
		const rows = await eventIds.all(store.read, { after: from, to: newest });
		// Whoever took an id before this row did, and has not committed since, never will.
		const settled = rows.findLastIndex(({ created_at }) => created_at < now - HOLE_MS);
		const after = rows[settled]?.id ?? from;
		position = newest;
		holes = missing(
			rows.slice(settled + 1).map(({ id }) => id),
			after,
		)
			.map((range) => ({ range, until: now + HOLE_MS }))
			.slice(-MOST_HOLES);
		remark();
	};

	const hear = (rows: readonly EventRecord[], now: number): void => {
		const batch: Tailed[] = [];
		for (const row of rows) {
			const last: number = position ?? 0;
			if (row.id > last) {
				if (row.id > last + 1) holes = [...holes, { range: [last + 1, row.id - 1], until: now + HOLE_MS }];
				position = row.id;
			} else holes = punch(holes, row.id);
			remark();
			batch.push({ row, sent: sentEvent(row, writeMark(current)) });
		}
		if (batch.length > 0) for (const listener of listeners) listener.events(batch);
		bound();
	};

	const read = async (): Promise<void> => {
		const now = clock.now();
		if (position !== null && now - freshAt > STALLED_MS) {
			position = null;
			await begin(now);
			tellAll(gapEvent(clock, 'stalled', 'the log was not read for an hour: events may have been deleted unread', writeMark(current)));
		} else if (position === null) await begin(now);
		const late = holes.map(({ range }) => range);
		if (late.length > 0) hear(await eventsWithin(store.read, late, null), now);
		for (;;) {
			const rows = await eventsAfter.all(store.read, { after: position ?? 0 });
			hear(rows, now);
			if (rows.length < PAGE) break;
		}
		const open = holes.filter(({ until }) => until >= now);
		if (open.length < holes.length) {
			holes = open;
			remark();
		}
		freshAt = now;
	};

	const refresh = (): Promise<void> => {
		reading ??= read().finally(() => {
			reading = null;
			rest();
		});
		return reading;
	};

	/** Resolves when the log was read by a reading that began after this call. */
	const catchUp = (): Promise<void> => {
		if (reading === null) return refresh();
		next ??= reading
			.catch(() => undefined)
			.then(() => {
				next = null;
				return refresh();
			});
		return next;
	};

	const rest = (): void => {
		if (listeners.size > 0 || joining > 0 || reading !== null) return;
		for (const stop of timers.splice(0)) stop();
		position = null;
		holes = [];
		remark();
	};

	const wake = (): void => {
		if (timers.length > 0) return;
		timers = [
			clock.every(POLL_MS, () => void refresh().catch(() => undefined)),
			clock.every(HEARTBEAT_MS, () => tellAll({ event: 'heartbeat', id: writeMark(current), data: { timestamp: iso(clock.now()) } })),
		];
	};

	return {
		join: async (listener) => {
			joining++;
			wake();
			try {
				await catchUp();
				listeners.add(listener);
			} catch (error) {
				throw store.dialect.isUnavailable(error) || store.dialect.isBusy(error) ? databaseUnavailable(error) : error;
			} finally {
				joining--;
				rest();
			}
		},
		leave: (listener) => {
			listeners.delete(listener);
			rest();
		},
		mark: () => current,
		stop: () => {
			for (const stop of timers.splice(0)) stop();
			listeners.clear();
		},
	};
};
