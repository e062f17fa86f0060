import type { Clock } from '../deps.ts';
import { noteSync } from '../store/clients.ts';
import { existingHandles } from '../store/hosts.ts';
import { mergeLiveness, type Seen } from '../store/liveness.ts';
import { isOutage, type Store } from '../store/open.ts';

/** A routine call of a host, by what it tells about it. */
export type SignOfLife = 'heartbeat' | 'commands' | 'replicas' | 'terminations' | 'other';

const FLUSH_MS = 500;
const CLIENT_SYNC_MS = 60_000;
/**
 * What was written is remembered for so long: longer than a statement waits for a lock, whose reading is then from before the write. A
 * machine that had been silent and called was judged silent by a transaction that had read its row just before (a notice then took it for gone).
 */
const KNOWN_MS = 12_000;

/**
 * Gathers signs of life and writes them at most every 500 ms: the latest per host, in as few statements as rows allow. Plain heartbeats
 * are all that a kill can lose (design.md, decided 16); what changes a state never goes through here.
 */
export type Liveness = {
	seen(handle: string, clientId: string, sign: SignOfLife): void;
	/** What is known of a host that a look at the database may not show yet: not written, or a moment ago. */
	pending(handle: string): Seen | undefined;
	/** Writes everything that is buffered; concurrent calls share one write. Errors: 503. */
	flush(): Promise<void>;
	start(): () => void;
	/** Heartbeats since the start. */
	readonly received: () => number;
};

export const createLiveness = (store: Store, clock: Clock): Liveness => {
	let buffer = new Map<string, Seen>();
	let writing: Map<string, Seen> | null = null;
	let flushing: Promise<void> | null = null;
	const written = createWritten(clock);
	const clients = new Map<string, number>();
	let touched = new Set<string>();
	let received = 0;

	const write = async (): Promise<void> => {
		if (buffer.size === 0) return;
		const rows = buffer;
		const clientIds = [...touched];
		buffer = new Map();
		touched = new Set();
		writing = rows;
		try {
			// Sorted, so that two daemons lock rows in the same order.
			const sorted = [...rows.values()].sort((a, b) => (a.handle < b.handle ? -1 : 1));
			await save(sorted, clientIds).catch(async (error: unknown) => {
				if (isOutage(store.dialect, error)) throw error;
				const alive = await existingHandles(
					store.read,
					sorted.map((row) => row.handle),
				);
				await save(
					sorted.filter((row) => alive.has(row.handle)),
					clientIds,
				);
			});
			written.add(rows);
		} catch (error) {
			// What could not be written stays, newest wins, so that an outage of the database does not look like silence.
			for (const row of rows.values()) {
				const newer = buffer.get(row.handle);
				buffer.set(row.handle, newer === undefined ? row : merge(row, newer));
			}
			for (const client of clientIds) clients.delete(client);
			throw error;
		} finally {
			writing = null;
		}
	};

	const save = (rows: readonly Seen[], clientIds: readonly string[]): Promise<void> =>
		store.transact(async (tx) => {
			await mergeLiveness(tx, store.dialect.name, rows);
			for (const id of clientIds) await noteSync.later(tx, { id, at: clock.now() });
		});

	const flush = (): Promise<void> => {
		flushing ??= write().finally(() => {
			flushing = null;
		});
		return flushing;
	};

	return {
		seen: (handle, clientId, sign) => {
			const now = clock.now();
			let row = buffer.get(handle);
			if (row === undefined) {
				row = {
					handle,
					seen_at: now,
					heartbeat_at: null,
					commands_polled_at: null,
					replicas_polled_at: null,
					terminations_polled_at: null,
				};
				buffer.set(handle, row);
			}
			row.seen_at = now;
			if (sign === 'heartbeat') {
				row.heartbeat_at = now;
				received += 1;
			}
			if (sign === 'commands') row.commands_polled_at = now;
			else if (sign === 'replicas') row.replicas_polled_at = now;
			else if (sign === 'terminations') row.terminations_polled_at = now;
			if (now - (clients.get(clientId) ?? Number.NEGATIVE_INFINITY) >= CLIENT_SYNC_MS) {
				if (clients.size > 10_000) clients.clear();
				clients.set(clientId, now);
				touched.add(clientId);
			}
		},
		pending: (handle) => {
			const known = [written.get(handle), writing?.get(handle), buffer.get(handle)].filter((row) => row !== undefined);
			return known.length === 0 ? undefined : known.reduce(merge);
		},
		flush: async () => {
			await flush();
			if (buffer.size > 0) await flush();
		},
		start: () => clock.every(FLUSH_MS, () => void flush().catch(() => undefined)),
		received: () => received,
	};
};

/** The last write of each host, for {@link KNOWN_MS}: one row a host, however often it calls. */
const createWritten = (clock: Clock) => {
	/** In the order of the writes, the oldest first. */
	const last = new Map<string, { readonly at: number; readonly row: Seen }>();
	return {
		get: (handle: string): Seen | undefined => last.get(handle)?.row,
		add: (rows: ReadonlyMap<string, Seen>): void => {
			const now = clock.elapsed();
			for (const [handle, row] of rows) {
				last.delete(handle);
				last.set(handle, { at: now, row });
			}
			for (const [handle, { at }] of last) {
				if (at > now - KNOWN_MS) break;
				last.delete(handle);
			}
		},
	};
};

const merge = (older: Seen, newer: Seen): Seen => ({
	handle: newer.handle,
	seen_at: Math.max(older.seen_at, newer.seen_at),
	heartbeat_at: newer.heartbeat_at ?? older.heartbeat_at,
	commands_polled_at: newer.commands_polled_at ?? older.commands_polled_at,
	replicas_polled_at: newer.replicas_polled_at ?? older.replicas_polled_at,
	terminations_polled_at: newer.terminations_polled_at ?? older.terminations_polled_at,
});
