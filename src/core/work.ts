import { addEmergencies, type Emergency } from '../store/emergencies.ts';
import type { Host } from '../store/hosts.ts';
import { type PromotionRows, writePromotions } from '../store/promotions.ts';
import type { HostPriceTable } from '../store/schema.ts';
import { lockSituations, type SituationRows } from '../store/situations.ts';
import type { Db } from '../store/statement.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import type { Context } from './context.ts';
import type { Situation } from './failover-plan.ts';
import type { Journal } from './journal.ts';
import { NO_WISHES, type Wishes } from './pool-choice.ts';
import type { OwnPrices } from './promotion-prices.ts';
import { isSilent, patienceWith, servingSince, WRITE_LAG_MS } from './silence.ts';

/** A host that fetches launch orders has done so by then: classic asks every 30 s from its start. */
const POLL_PATIENCE_MS = 2 * 60_000;

/** One agent at work in a transaction: its rows change here as the moves change them. */
export type Work = Situation & {
	readonly context: Context;
	readonly tx: Db;
	readonly journal: Journal;
	readonly now: number;
	/** What the primary and the replica's machine last said they cost. */
	readonly prices: OwnPrices;
	/** What an operator or agent asked of the next order. */
	wishes: Wishes;
	/** Whether the emergency differs from its row: `new` has none yet. Written once, by `store` of the emergency book. */
	unsaved: 'new' | 'changed' | null;
	/** Where many agents are decided in one transaction: what is written for all of them at its end. */
	sets: Sets | null;
};

/** What a set of decisions writes together. */
export type Sets = { readonly promotions: PromotionRows[]; readonly emergencies: Emergency[] };

/** Writes what a set of decisions has gathered. */
export const writeSets = async (tx: Db, { promotions, emergencies }: Sets): Promise<void> => {
	await writePromotions(tx, promotions);
	await addEmergencies(tx, emergencies);
};

/** Whom an event or a notification about the agent is about. */
export const aboutOf = ({ agent, primary }: Pick<Situation, 'agent' | 'primary'>) => ({
	clientId: agent.client_id,
	agentId: agent.id,
	instanceId: primary.instance_id,
});

/** What {@link nextMove} needs, from the rows and from what this daemon has heard and not written yet. */
export const situationOf = (context: Context, rows: SituationRows, since: number | null, now: number): Situation => {
	const { agent, replica, emergency } = rows;
	// As it was read, with what is known of its liveness beside its columns: without them it would be a slow object, and each copy of it.
	const { primary } = rows;
	const heardAt = (handle: string, stored: number | null): number | null => {
		const pending = context.liveness.pending(handle)?.seen_at ?? null;
		return stored === null ? pending : Math.max(stored, pending ?? 0);
	};
	const primaryHeardAt = heardAt(primary.handle, primary.seen_at) ?? primary.created_at;
	const patience = patienceWith(context, primary) + WRITE_LAG_MS;
	const primarySilent = isSilent(primaryHeardAt, since, now, patience);
	const pendingPoll = context.liveness.pending(primary.handle)?.replicas_polled_at ?? null;
	const fetches = (host: Host, stored: number | null, pending: number | null): boolean | null => {
		if (stored !== null || pending !== null) return true;
		return host.registered_at !== null && now - host.registered_at > POLL_PATIENCE_MS ? false : null;
	};
	const standby = rows.replicaHost;
	const replicaHeardAt = standby === null || standby.registered_at === null ? null : heardAt(standby.handle, standby.seen_at);
	return {
		agent,
		primary,
		primaryHeardAt,
		primarySilent,
		silentSince: primarySilent ? Math.max(primaryHeardAt, since ?? 0) : null,
		replica,
		replicaHost: standby,
		replicaHeardAt,
		replicaSilent: replicaHeardAt !== null && isSilent(replicaHeardAt, since, now, context.settings.heartbeatTimeoutMs + WRITE_LAG_MS),
		emergency,
		canLaunch: fetches(primary, primary.replicas_polled_at, pendingPoll),
		replicaCanLaunch:
			standby === null
				? null
				: fetches(standby, standby.replicas_polled_at, context.liveness.pending(standby.handle)?.replicas_polled_at ?? null),
	};
};

const pricesOf = ({ primary, replicaHost }: SituationRows): OwnPrices => {
	const prices = new Map<string, HostPriceTable>();
	for (const host of [primary, replicaHost]) {
		if (host === null || host.priced_at === null) continue;
		const { handle, own_spot_micros: spot_micros, own_ondemand_micros: ondemand_micros, priced_at: reported_at } = host;
		prices.set(handle, { handle, spot_micros, ondemand_micros, reported_at });
	}
	return prices;
};

/** Opens the work on an agent whose rows were locked by {@link lockSituations}. */
export const workOn = (
	context: Context,
	tx: Db,
	journal: Journal,
	rows: SituationRows,
	since: number | null,
	sets: Sets | null = null,
): Work => {
	const now = context.clock.now();
	const wishes = rows.emergency?.wishes == null ? NO_WISHES : { ...NO_WISHES, ...(JSON.parse(rows.emergency.wishes) as Partial<Wishes>) };
	// In this order: keys that are added to a copy make a slow object of it.
	return { context, tx, journal, now, prices: pricesOf(rows), wishes, unsaved: null, sets, ...situationOf(context, rows, since, now) };
};

/** Locks an agent and reads its situation; null when it has no primary. `since`: when silence counts from, where the caller has read it. */
export const lockedWork = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agentId: string,
	since: number | null = null,
): Promise<Work | null> => {
	const { rows } = await lockSituations(tx, [agentId]);
	const found = rows.get(agentId);
	return found === undefined ? null : workOn(context, tx, journal, found, since ?? (await servingSince(tx, context.clock.now())));
};

/** Notes when the agent must be looked at again; writes only what differs. */
export const attend = async (work: Work, until: number | null): Promise<void> => {
	const { agent, tx, now } = work;
	if (agent.attention_at === until) return;
	work.agent = await saveAgentOrRetry(tx, agent, { attention_at: until }, now);
};
