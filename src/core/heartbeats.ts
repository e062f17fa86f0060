import { watchedHosts } from '../store/liveness.ts';
import type { Context } from './context.ts';
import type { Counters } from './counters.ts';
import { servingSince, WRITE_LAG_MS } from './silence.ts';

/** Every agent of the field sends a heartbeat this often (../shared/contract/clients.md). */
export const HEARTBEAT_MS = 30_000;
/** A heartbeat may be this late: its interval begins when the one before was answered. */
const LATE_MS = 4_000;

/** When the heartbeats of an interval were counted last, by what they were counted in: a run by hand counts none twice. */
const countedAt = new WeakMap<Counters, number>();

/**
 * Looks once in every interval who was heard in it: each machine that is watched, and each agent that is offline, owes one heartbeat. Any
 * call counts as one, as it does for silence. After a start or an outage nothing is owed until one interval was listened to. Returns how
 * many are missing.
 */
export const countHeartbeats = async ({ store, clock, liveness, counters }: Context): Promise<number> => {
	await liveness.flush();
	const now = clock.now();
	const patience = HEARTBEAT_MS + LATE_MS + WRITE_LAG_MS;
	const since = await servingSince(store.read, now);
	if (since === null || now - since < patience || now - (countedAt.get(counters) ?? Number.NEGATIVE_INFINITY) < HEARTBEAT_MS - LATE_MS)
		return 0;
	const found = await watchedHosts.first(store.read, { now, cutoff: now - patience });
	if (found === undefined) return 0;
	const [watched, overdue, offline] = [Number(found.watched), Number(found.overdue), Number(found.offline)];
	countedAt.set(counters, now);
	counters.add('agent_heartbeat_expected_total', watched + offline);
	counters.add('agent_heartbeat_missed_total', overdue + offline);
	return overdue + offline;
};
