import type { Host } from '../store/hosts.ts';
import { livenessOf, serviceClock } from '../store/liveness.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';

/** A primary that nobody registered for is given this long before its silence counts (identity.md T3). */
export const NAMED_PATIENCE_MS = 10 * 60_000;

/** Without a gap longer than this between two marks of the service clock, somebody was listening. */
export const GAP_MS = 5_000;

/** Another daemon writes what it heard at most this late. */
export const WRITE_LAG_MS = 1_000;

/** Since when silence could have been heard at all; null when nobody is known to listen. */
export const servingSince = async (db: Db, now: number): Promise<number | null> => {
	const row = await serviceClock.first(db, {});
	return row === undefined || now - row.alive_at > GAP_MS ? null : row.serving_since;
};

/**
 * Whether a host has been silent for `timeoutMs`, counting only time in which a daemon served and the database could be written: after a
 * start or an outage one full timeout passes first.
 */
export const isSilent = (seenAt: number, since: number | null, now: number, timeoutMs: number): boolean =>
	since !== null && now - Math.max(seenAt, since) >= timeoutMs;

/** When a host was last heard, buffered calls of this daemon included; never before `created_at`. */
export const lastSeen = async (context: Context, db: Db, host: Host): Promise<number> => {
	const stored = await livenessOf.first(db, { handle: host.handle });
	return Math.max(stored?.seen_at ?? host.created_at, context.liveness.pending(host.handle)?.seen_at ?? 0);
};

/** How long the silence of a primary must last before it counts, in milliseconds. */
export const patienceWith = (context: Context, host: Host): number =>
	host.registered_at === null ? NAMED_PATIENCE_MS : context.settings.heartbeatTimeoutMs;

/** Whether the primary of an agent is silent now (T3). */
export const primaryIsSilent = async (context: Context, db: Db, primary: Host): Promise<boolean> => {
	const now = context.clock.now();
	const since = await servingSince(db, now);
	return isSilent(await lastSeen(context, db, primary), since, now, patienceWith(context, primary) + WRITE_LAG_MS);
};
