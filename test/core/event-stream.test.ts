import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { StreamEvent } from '../../src/contract/sse.ts';
import type { Caller, Principal } from '../../src/core/caller.ts';
import { missing, readMark, upTo, without, writeMark } from '../../src/core/event-mark.ts';
import { kindOf } from '../../src/core/event-view.ts';
import { systemClock } from '../../src/deps.ts';
import { openStore } from '../../src/store/open.ts';
import type { EventTable } from '../../src/store/schema.ts';
import type { Db } from '../../src/store/statement.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { ClientActor } from '../helpers/world.ts';

const ADMIN: Principal = { kind: 'admin', scope: 'read', tokenId: null, name: 'test' };
const HALF_A_MINUTE = 30_000;

describe('a mark', () => {
	const mark = fc
		.tuple(fc.integer({ min: 0, max: 1_000 }), fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { maxLength: 40 }))
		.map(([position, ids]) => {
			const there = ids.filter((id) => id <= position).sort((a, b) => a - b);
			return { position, holes: missing([...there, position + 1], 0).slice(0, 64) };
		});

	it('is read as it was written', () => {
		fc.assert(fc.property(mark, (each) => void expect(readMark(writeMark(each))).toEqual(each)));
	});

	it('of too many holes goes back before the first, so that nothing is skipped', () => {
		const holes = Array.from({ length: 65 }, (_, index) => [index * 2 + 7, index * 2 + 7] as const);
		expect(readMark(writeMark({ position: 900, holes }))).toEqual({ position: 6, holes: [] });
	});

	it.each(['', 'x', '-1', '1.', '1.2', '9.5.4', '9.5-4', '9.1-3.2', '9.0', '1e3', '9.9.9', '1'.repeat(16), '1; drop table event', ' 1'])(
		'is not read from %j',
		(text) => {
			expect(readMark(text)).toBeNull();
		},
	);

	it('leaves of ids what is in no other', () => {
		expect(
			without(
				[[1, 9]],
				[
					[3, 4],
					[9, 12],
				],
			),
		).toEqual([
			[1, 2],
			[5, 8],
		]);
		expect(without([[5, 5]], [[5, 5]])).toEqual([]);
		expect(
			upTo(
				[
					[1, 2],
					[5, 9],
					[11, 12],
				],
				7,
			),
		).toEqual([
			[1, 2],
			[5, 7],
		]);
	});
});

it('knows what an event is about by its type', () => {
	const kinds = ['switch_completed', 'command_failed', 'replica_ready', 'termination_notice', 'agent_registered', 'instance_ended'];
	expect(kinds.map(kindOf)).toEqual(['switch', 'command', 'replica', 'emergency', 'agent', 'instance']);
	expect(['notification', 'client_created', 'job_paused', 'manual_switch_requested'].map(kindOf)).toEqual([
		'notification',
		'client',
		'system',
		'command',
	]);
});

type Heard = { readonly next: () => Promise<StreamEvent | null>; readonly end: () => void };

describeEachDatabase('the event stream', ({ kind, freshUrl }) => {
	let url = '';
	const world = shareWorld(
		async () => {
			url = await freshUrl();
			return url;
		},
		{ daemons: 2, jobs: [] },
	);
	const open: Heard[] = [];
	let marks = 0;

	afterEach(() => {
		for (const each of open.splice(0)) each.end();
	});

	const listen = (who: ClientActor | null, resume: string | null = null, daemon = 0, input: object = {}): Heard => {
		const principal: Principal = who === null ? ADMIN : { kind: 'client', clientId: who.id, tokenId: 't', name: who.name };
		const caller: Caller = { principal, requestId: 'test', idempotencyKey: null, lastEventId: resume, gone: () => false };
		const handlers = world.daemons[daemon]?.core.handlers;
		if (handlers === undefined) throw new Error('no such daemon');
		const stream = handlers.streamEvents({ types: [], ...input }, caller) as AsyncIterable<StreamEvent>;
		const iterator = stream[Symbol.asyncIterator]();
		const heard: Heard = {
			next: async () => {
				const { done, value } = await iterator.next();
				return done === true ? null : value;
			},
			end: () => void iterator.return?.(),
		};
		open.push(heard);
		return heard;
	};

	/** The next `count` events of the log that a reader hears; time passes until they are there. */
	const take = async (heard: Heard, count: number): Promise<StreamEvent[]> => {
		const found: StreamEvent[] = [];
		while (found.length < count) {
			let ready = false;
			const next = heard.next().finally(() => {
				ready = true;
			});
			for (let tries = 0; !ready && tries < 20; tries++) {
				await new Promise((accept) => setImmediate(accept));
				if (!ready) await world.advance(500, 500);
			}
			const event = await next;
			if (event === null) break;
			if (event.event !== 'heartbeat') found.push(event);
		}
		return found;
	};

	const messages = (events: readonly StreamEvent[]) => events.map(({ event, data }) => data['message'] ?? event);

	const row = (client: ClientActor | null, message: string, id?: number): Omit<EventTable, 'id'> & { id?: number } => ({
		type: 'mark',
		severity: 'info',
		client_id: client?.id ?? null,
		agent_id: null,
		instance_id: null,
		message,
		metadata: null,
		request_id: null,
		created_at: world.now(),
		...(id === undefined ? {} : { id }),
	});
	const insert = (db: Db, values: object) =>
		db
			.insertInto('event')
			.values(values as never)
			.execute();
	const tell = async (client: ClientActor | null, id?: number): Promise<string> => {
		const message = `mark ${++marks}`;
		await world.store.transact((tx) => insert(tx, row(client, message, id)));
		return message;
	};
	const newest = async (): Promise<number> =>
		Number(
			(
				await world.store.read
					.selectFrom('event')
					.select((eb) => eb.fn.max('id').as('id'))
					.executeTakeFirst()
			)?.id ?? 0,
		);
	const idOf = (event: StreamEvent | undefined): string => {
		if (event?.id == null) throw new Error('the event has no id');
		return event.id;
	};

	it('says that it is connected, then what happens, to the client it happens to and to admins', async () => {
		const [mine, other] = [await world.client(), await world.client()];
		const [own, all, named] = [listen(mine), listen(null), listen(null, null, 0, { client_id: other.id })];
		for (const each of [own, all, named]) expect(await each.next()).toMatchObject({ event: 'connected', data: { status: 'connected' } });
		const [first, second, third] = [await tell(mine), await tell(other), await tell(null)];
		expect(messages(await take(all, 3))).toEqual([first, second, third]);
		expect(messages(await take(named, 1))).toEqual([second]);
		expect(messages(await take(own, 1))).toEqual([first]);
	});

	it('tells of agents, instances and notifications as they are written', async () => {
		const client = await world.client();
		const heard = listen(client);
		await heard.next();
		const { status } = await client.register(`i-${client.id.slice(-8)}`);
		expect(status).toBe(200);
		const events = await take(heard, 2);
		expect(events.map(({ event }) => event)).toEqual(['agent_registered', 'notification']);
		expect(events[1]?.data).toMatchObject({
			kind: 'notification',
			client_id: client.id,
			metadata: { notification_type: 'agent_registered', title: 'New agent' },
		});
		const only = listen(client, '0', 0, { types: ['notification'] });
		expect((await take(only, 3)).map(({ event }) => event)).toEqual(['connected', 'notification', 'notification']);
	});

	it('goes on after the last id, on another daemon, and after everybody had left', async () => {
		const client = await world.client();
		const heard = listen(client);
		await heard.next();
		const first = await tell(client);
		const [event] = await take(heard, 1);
		heard.end();
		const more = [await tell(client), await tell(client)];
		expect(messages([event as StreamEvent])).toEqual([first]);
		for (const daemon of [0, 1]) expect(messages(await take(listen(client, idOf(event), daemon), 3))).toEqual(['connected', ...more]);
		const live = listen(client, idOf(event), 1);
		await take(live, 3);
		expect(messages(await take(live, 0))).toEqual([]);
		const last = await tell(client);
		expect(messages(await take(live, 1))).toEqual([last]);
	});

	it('skips nothing that commits out of the order of ids, live or resumed', async () => {
		const client = await world.client();
		const live = listen(client);
		await live.next();
		const base = (await newest()) + 1;
		const third = await tell(client, base + 2);
		const [early] = await take(live, 1);
		expect(messages([early as StreamEvent])).toEqual([third]);
		expect(readMark(idOf(early))).toEqual({ position: base + 2, holes: [[base, base + 1]] });
		const resumed = listen(client, idOf(early), 1);
		expect(messages(await take(resumed, 1))).toEqual(['connected']);
		const first = await tell(client, base);
		expect(messages(await take(live, 1))).toEqual([first]);
		expect(messages(await take(resumed, 1))).toEqual([first]);
		resumed.end();
		const second = await tell(client, base + 1);
		expect(messages(await take(live, 1))).toEqual([second]);
		// Both came late, and one of them was never sent to whoever asks now with the id of before.
		const again = await take(listen(client, idOf(early), 1), 3);
		expect(messages(again)).toEqual(['connected', first, second]);
		live.end();
		const cold = await take(listen(client, idOf(early), 0), 3);
		expect(messages(cold)).toEqual(['connected', first, second]);
	});

	it.skipIf(kind === 'sqlite')('skips nothing of two daemons of which one commits late', async () => {
		const client = await world.client();
		const readers = [listen(client, null, 0), listen(client, null, 1)];
		for (const reader of readers) await reader.next();
		// A daemon of its own: the world waits for what its daemons have under way.
		const slow = await openStore({ url, poolSize: 2, clock: systemClock });
		try {
			let commit = (): void => undefined;
			const gate = new Promise<void>((accept) => {
				commit = accept;
			});
			let begun = (): void => undefined;
			const written = new Promise<void>((accept) => {
				begun = accept;
			});
			const late = slow.transact(async (tx) => {
				await insert(tx, row(client, 'late'));
				begun();
				await gate;
			});
			await written;
			await world.store.transact((tx) => insert(tx, row(client, 'soon')));
			const soon: StreamEvent[] = [];
			for (const reader of readers) soon.push(...(await take(reader, 1)));
			expect(messages(soon)).toEqual(['soon', 'soon']);
			commit();
			await late;
			for (const reader of readers) expect(messages(await take(reader, 1))).toEqual(['late']);
			for (const event of soon) expect(messages(await take(listen(client, idOf(event), 1), 2))).toEqual(['connected', 'late']);
		} finally {
			await slow.close();
		}
	});

	it('begins with a gap where what came after the id was deleted, and goes on with what is left', async () => {
		const client = await world.client();
		const heard = listen(client);
		await heard.next();
		await tell(client);
		const [event] = await take(heard, 1);
		heard.end();
		await tell(client);
		const kept = await tell(client);
		await world.store.transact(
			async (tx) =>
				void (await tx
					.deleteFrom('event')
					.where('id', '<', await newest())
					.execute()),
		);
		const events = await take(listen(client, idOf(event)), 3);
		expect(events.map(({ event: name }) => name)).toEqual(['connected', 'gap', 'mark']);
		expect(events[1]).toMatchObject({ id: expect.any(String), data: { reason: 'pruned', last_event_id: idOf(event) } });
		expect(events[2]?.data['message']).toBe(kept);
		// Whoever has the id of the gap is told no second time.
		expect(messages(await take(listen(client, idOf(events[1])), 2))).toEqual(['connected', kept]);
	});

	it('begins with a gap from the begin of the log too, where that was deleted', async () => {
		const client = await world.client();
		const kept = await tell(client);
		await world.store.transact(
			async (tx) =>
				void (await tx
					.deleteFrom('event')
					.where('id', '<', await newest())
					.execute()),
		);
		const events = await take(listen(client, '0'), 3);
		expect(messages(events).slice(0, 1)).toEqual(['connected']);
		expect(events[1]).toMatchObject({ event: 'gap', data: { reason: 'pruned', last_event_id: '0' } });
		expect(events[2]?.data['message']).toBe(kept);
		await world.store.transact(async (tx) => void (await tx.deleteFrom('event').execute()));
		expect((await take(listen(client, '0'), 2)).map(({ event }) => event)).toEqual(['connected', 'gap']);
	});

	it.each(['nonsense', '999999999999', '5.9', "1' or '1'='1"])('begins with a gap for %j, which this log has never sent', async (id) => {
		const client = await world.client();
		const heard = listen(client, id);
		const events = await take(heard, 2);
		expect(events.map(({ event }) => event)).toEqual(['connected', 'gap']);
		expect(events[1]?.data['reason']).toBe('unknown');
		const next = await tell(client);
		expect(messages(await take(heard, 1))).toEqual([next]);
	});

	it('reads the past in pages, no faster than it is taken', async () => {
		const client = await world.client();
		const from = await newest();
		const all: string[] = [];
		for (let n = 0; n < 1200; n++) all.push(`past ${n}`);
		await world.store.transact(async (tx) => {
			for (const message of all) await insert(tx, row(client, message));
		});
		const heard = listen(client, String(from));
		expect(messages(await take(heard, 1201))).toEqual(['connected', ...all]);
	});

	it('is read by one reading for all who listen, and by none when nobody does', async () => {
		const client = await world.client();
		for (let n = 0; n < 50; n++) await listen(client).next();
		const reads = (texts: string[]) => texts.filter((text) => /from .event/.test(text)).length;
		const listening = reads(await world.statements(() => world.advance(5_000, 500)));
		expect(listening).toBeGreaterThan(0);
		expect(listening).toBeLessThanOrEqual(20);
		for (const each of open.splice(0)) each.end();
		await world.advance(1_000, 500);
		expect(reads(await world.statements(() => world.advance(5_000, 500)))).toBe(0);
	});

	it('sends a heartbeat every 30 s that says how far its reader is', async () => {
		const client = await world.client();
		const other = await world.client();
		const heard = listen(client);
		await heard.next();
		await tell(other);
		await world.advance(HALF_A_MINUTE, 500);
		const beat = await heard.next();
		expect(beat).toMatchObject({ event: 'heartbeat', data: { timestamp: expect.any(String) } });
		expect(readMark(idOf(beat as StreamEvent))?.position).toBe(await newest());
	});

	it('disconnects a reader that is too slow, which goes on where it was', async () => {
		const client = await world.client();
		const heard = listen(client);
		const connected = await heard.next();
		await world.store.transact(async (tx) => {
			for (let n = 0; n < 1_001; n++) await insert(tx, row(client, `flood ${n}`));
		});
		await world.advance(1_000, 500);
		expect(await heard.next()).toMatchObject({ event: 'closing', data: { reason: 'SLOW_READER' } });
		expect(await heard.next()).toBeNull();
		const resumed = await take(listen(client, idOf(connected as StreamEvent)), 1_002);
		expect(messages(resumed)).toEqual(['connected', ...Array.from({ length: 1_001 }, (_, n) => `flood ${n}`)]);
	});

	it('is refused to more readers than may be, with a code, and a place that was left is free again', async () => {
		const client = await world.client();
		for (let n = 0; n < 200; n++) listen(client);
		expect(() => listen(client)).toThrow(expect.objectContaining({ code: 'TOO_MANY_STREAMS', status: 429 }));
		open.pop()?.end();
		listen(client);
		await listen(null).next();
	});

	it('is listed newest first, a page at a time, filtered, and for a client its own', async () => {
		const [mine, other] = [await world.client(), await world.client()];
		const told = [await tell(mine), await tell(mine), await tell(mine)];
		await tell(other);
		const names = ({ body }: { body: { data: unknown } }) => (body.data as { message: string }[]).map(({ message }) => message);
		const first = await mine.call('listEvents', { type: 'mark', limit: 2 });
		expect([first.status, names(first)]).toEqual([200, [told[2], told[1]]]);
		const { next_cursor } = first.body as unknown as { next_cursor: string };
		expect(names(await mine.call('listEvents', { type: 'mark', limit: 2, cursor: next_cursor }))).toEqual([told[0]]);
		expect(names(await world.admin.call('listEvents', { client_id: mine.id, type: 'mark' }))).toEqual([...told].reverse());
		expect(names(await mine.call('listEvents', { severity: 'error' }))).toEqual([]);
		expect((await mine.call('listEvents', { client_id: other.id })).status).toBe(403);
		expect((await mine.call('listEvents', { cursor: 'bm9uZQ' })).body.code).toBe('INVALID_CURSOR');
		const since = new Date(world.now() + 1).toISOString();
		expect(names(await world.admin.call('listEvents', { since }))).toEqual([]);
		expect((await world.statements(() => world.admin.call('listEvents', { since: new Date(world.now()).toISOString() }))).length).toBe(2);
	});
});
