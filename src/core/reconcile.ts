import { saveAgentState } from '../store/agents.ts';
import { addEmergencies, addEmergency, type Emergency, lastEmergenciesOf, saveEmergency } from '../store/emergencies.ts';
import { type Host, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { newestPrices } from '../store/prices.ts';
import { type PromotionRows, writePromotions } from '../store/promotions.ts';
import { addReplica, lastReplicasOf, type Replica, saveReplica, slowCandidates } from '../store/replicas.ts';
import type { Severity } from '../store/schema.ts';
import { lockSituations, type SituationRows } from '../store/situations.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import { clearsAt, type Move, nextMove, type Situation } from './failover-plan.ts';
import type { Journal } from './journal.ts';
import { type Choice, type Chosen, choosePool, NO_WISHES, type Rejected, readMarket, type Wishes } from './pool-choice.ts';
import { promote } from './promotion.ts';
import { failuresInARow, placeholder, retryAt } from './replica-rules.ts';
import { isSilent, patienceWith, servingSince, WRITE_LAG_MS } from './silence.ts';

/** A host that fetches launch orders has done so by then: classic asks every 30 s from its start. */
const POLL_PATIENCE_MS = 2 * 60_000;
/** A plan keeps this many decisions; the first and the newest. */
const MOST_ENTRIES = 60;
/** An open emergency that waits for nothing in particular is looked at this often. */
const OPEN_MS = 10 * 60_000;
/** And of what was rejected in each. */
const MOST_REJECTED = 20;
/** More moves than any situation takes: a decision that does not settle is a bug, and must not spin. */
const MOST_MOVES = 12;

export type PlanEntry = {
	readonly at: number;
	readonly step: string;
	readonly choice: string;
	readonly why: string;
	readonly rejected: readonly Rejected[];
};

/** One agent at work in a transaction: its rows change here as the moves change them. */
export type Work = Situation & {
	readonly context: Context;
	readonly tx: Db;
	readonly journal: Journal;
	readonly now: number;
	/** What an operator or agent asked of the next order. */
	wishes: Wishes;
	/** Whether the emergency differs from its row: `new` has none yet. Written once, by {@link store}. */
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

const aboutOf = ({ agent, primary }: Pick<Situation, 'agent' | 'primary'>) => ({
	clientId: agent.client_id,
	agentId: agent.id,
	instanceId: primary.instance_id,
});

/** What {@link nextMove} needs, from the rows and from what this daemon has heard and not written yet. */
export const situationOf = (context: Context, rows: SituationRows, since: number | null, now: number): Situation => {
	const { agent, replica, emergency } = rows;
	const { seen_at: primarySeen, replicas_polled_at: polled, ...primary } = rows.primary;
	const heardAt = (handle: string, stored: number | null): number | null => {
		const pending = context.liveness.pending(handle)?.seen_at ?? null;
		return stored === null ? pending : Math.max(stored, pending ?? 0);
	};
	const primaryHeardAt = heardAt(primary.handle, primarySeen) ?? primary.created_at;
	const patience = patienceWith(context, primary) + WRITE_LAG_MS;
	const primarySilent = isSilent(primaryHeardAt, since, now, patience);
	const pendingPoll = context.liveness.pending(primary.handle)?.replicas_polled_at ?? null;
	const fetches = (host: Host, stored: number | null, pending: number | null): boolean | null => {
		if (stored !== null || pending !== null) return true;
		return host.registered_at !== null && now - host.registered_at > POLL_PATIENCE_MS ? false : null;
	};
	const standby = rows.replicaHost;
	const { seen_at: standbySeen = null, replicas_polled_at: _, ...replicaHost } = standby ?? ({} as Partial<SituationRows['primary']>);
	const replicaHeardAt = standby === null || standby.registered_at === null ? null : heardAt(standby.handle, standbySeen);
	return {
		agent,
		primary,
		primaryHeardAt,
		primarySilent,
		silentSince: primarySilent ? Math.max(primaryHeardAt, since ?? 0) : null,
		replica,
		replicaHost: standby === null ? null : (replicaHost as Host),
		replicaHeardAt,
		replicaSilent: replicaHeardAt !== null && isSilent(replicaHeardAt, since, now, context.settings.heartbeatTimeoutMs + WRITE_LAG_MS),
		emergency,
		canLaunch: fetches(primary, polled, pendingPoll),
		replicaCanLaunch:
			standby === null
				? null
				: fetches(standby, standby.replicas_polled_at, context.liveness.pending(standby.handle)?.replicas_polled_at ?? null),
	};
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
	return { ...situationOf(context, rows, since, now), context, tx, journal, now, wishes, unsaved: null, sets };
};

/**
 * Brings an agent to where nothing more is to be done for the moment, one move after the other in the caller's transaction, and notes when
 * it must be looked at again. The agent is locked. Safe to repeat: with nothing to do it writes nothing.
 */
export const reconcile = async (work: Work): Promise<void> => {
	await settleMoves(work);
	await store(work);
};

const settleMoves = async (work: Work): Promise<void> => {
	for (let moves = 0; ; moves++) {
		const move = nextMove(work, work.now, work.context.settings.failover);
		if (move.do === 'wait' || moves === MOST_MOVES) {
			const due = move.do === 'wait' ? move.until : work.now + 60_000;
			// What is open is looked at again even if nothing is known to come.
			const until = due ?? (work.emergency === null ? null : work.now + OPEN_MS);
			if (move.do === 'wait') settle(work, move);
			await attend(work, until);
			return;
		}
		if ((await carryOut(work, move)) === 'later') return;
	}
};

/** Changes the open emergency; its row is written once, whatever the number of changes. */
export const changeEmergency = (work: Work, change: Partial<Emergency>): void => {
	if (work.emergency === null) return;
	work.emergency = { ...work.emergency, ...change };
	work.unsaved ??= 'changed';
};

/** Writes the emergency if it differs from its row. */
export const store = async (work: Work): Promise<void> => {
	const { emergency, unsaved, tx } = work;
	work.unsaved = null;
	if (emergency === null || unsaved === null) return;
	if (unsaved === 'new' && work.sets !== null) work.sets.emergencies.push(emergency);
	else await (unsaved === 'new' ? addEmergency : saveEmergency).later(tx, emergency);
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

/** Locks an agent and brings it to where nothing more is to be done for the moment. */
export const reconcileAgent = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agentId: string,
	since: number | null = null,
): Promise<void> => {
	const work = await lockedWork(context, tx, journal, agentId, since);
	if (work !== null) await reconcile(work);
};

/** Notes when the agent must be looked at again; writes only what differs. */
export const attend = async (work: Work, until: number | null): Promise<void> => {
	const { agent, tx, now } = work;
	if (agent.attention_at === until) return;
	const saved = { ...agent, attention_at: until, version: agent.version + 1, updated_at: now };
	await saveAgentState.must(tx, { ...saved, seen_version: agent.version });
	work.agent = saved;
};

const settle = (work: Work, move: Extract<Move, { do: 'wait' }>): void => {
	const { emergency } = work;
	// The step it opens with has to be noted as well: what is planned is planned before anything is promoted.
	if (emergency === null || move.step === null || (emergency.step === move.step && emergency.planned_at !== null)) return;
	note(work, { step: move.step, choice: 'wait', why: move.why, rejected: [] }, { step: move.step, step_at: work.now });
};

/** Adds a decision to the plan of the open emergency, with what else changes of it. */
export const note = (work: Work, entry: Omit<PlanEntry, 'at'>, change: Partial<Emergency> = {}): void => {
	const { emergency, now } = work;
	if (emergency === null) return;
	const before = JSON.parse(emergency.plan) as PlanEntry[];
	const rejected = entry.rejected.slice(0, MOST_REJECTED);
	const last = before.at(-1);
	// The same again says nothing new: it is looked at every few seconds while nothing can be done.
	const isNews = last === undefined || last.step !== entry.step || last.choice !== entry.choice || last.why !== entry.why;
	const entries = isNews ? [...before, { at: now, ...entry, rejected }] : before;
	const kept = entries.length <= MOST_ENTRIES ? entries : [...entries.slice(0, 10), ...entries.slice(-(MOST_ENTRIES - 10))];
	changeEmergency(work, { ...change, plan: JSON.stringify(kept), planned_at: emergency.planned_at ?? now });
};

const carryOut = async (work: Work, move: Exclude<Move, { do: 'wait' }>): Promise<'on' | 'later'> => {
	switch (move.do) {
		case 'promote':
			note(work, { step: 'promote', choice: work.replicaHost?.instance_id ?? move.replica.id, why: move.why, rejected: [] });
			await promoteReplica(work, move.replica, { reason: move.reason, demote: false });
			// Whoever waits for the promotion hears of it now; the next replica, if one is wanted, is the coordinator's (its attention is due).
			return 'later';
		case 'order':
			return order(work, move);
		case 'fail':
			note(work, { step: 'replica', choice: `give up ${nameOf(move.replica)}`, why: move.why, rejected: [] });
			await endReplica(work, { status: 'failed', why: move.why, machine: move.machine });
			return 'on';
		case 'retire':
			note(work, { step: 'replica', choice: `retire ${nameOf(move.replica)}`, why: move.why, rejected: [] });
			await endReplica(work, { status: 'terminated', why: move.why, machine: 'ended' });
			return 'on';
		case 'watch-silence':
			await openSilence(work, move.why);
			return 'on';
		case 'tell':
			note(work, { step: 'tell', choice: 'tell a person', why: move.why, rejected: [] }, { told: 1, message: move.why });
			tell(work, 'failover_needs_person', move.title, move.why, 'critical');
			return 'on';
		case 'end':
			await endEmergency(work, move.outcome, move.why, move.tell);
			return 'on';
	}
};

const nameOf = (replica: Replica): string => replica.instance_id ?? placeholder(replica);

const tell = (work: Work, type: string, title: string, why: string, severity: Severity): void => {
	const about = aboutOf(work);
	const message = `${work.agent.logical_agent_id}: ${why}`;
	const { emergency } = work;
	work.journal.event(type, message, about, { severity, metadata: { emergency_id: emergency?.id ?? null } });
	work.journal.notify(type, title, message, about, severity);
};

/** Ends the open emergency under a name; a person is told where nothing was left to do by itself. */
export const endEmergency = async (work: Work, outcome: string, why: string, toTell: boolean): Promise<void> => {
	const { emergency, journal, agent, now } = work;
	if (emergency === null) return;
	note(
		work,
		{ step: 'end', choice: outcome, why, rejected: [] },
		{
			open_of: null,
			outcome,
			message: why,
			step: 'ended',
			step_at: now,
			ended_at: now,
			told: toTell ? 1 : emergency.told,
		},
	);
	if (toTell && emergency.told === 0) tell(work, 'failover_needs_person', 'A failover needs a person', why, 'critical');
	else if (!toTell)
		journal.event(
			'emergency_ended',
			`${agent.logical_agent_id}: ${emergency.kind} of ${emergency.instance_id} ended: ${outcome}`,
			aboutOf(work),
			{
				severity: outcome === 'failed-over' ? 'warning' : 'info',
				metadata: { emergency_id: emergency.id, outcome, why },
			},
		);
	if (outcome === 'failed-over') journal.count('emergency_promotion_success_total');
	if (outcome === 'unconfirmed' || (outcome === 'told' && emergency.kind !== 'rebalance'))
		journal.count('instance_promotion_failures_total');
	await store(work);
	work.emergency = null;
	if (outcome === 'recovered') await resume(work);
	if (outcome === 'failed-over') await endSlowOnes(work);
	journal.changed('agent', agent.id);
};

/** Machines that were too slow for the countdown, and were kept in case nothing better came, are one too many now. */
const endSlowOnes = async ({ tx, journal, agent, now }: Work): Promise<void> => {
	for (const host of await slowCandidates.all(tx, { agent_id: agent.id })) {
		await saveHost.later(tx, { ...host, role: 'ended', zombie_at: now, tentative_replica_id: null });
		journal.event('surplus_machine', `${host.instance_id} of ${agent.logical_agent_id} will be terminated: another machine took over`, {
			clientId: agent.client_id,
			agentId: agent.id,
			instanceId: host.instance_id,
		});
	}
};

/** A rebalance that a silence had covered stands again when the primary calls: AWS has not taken its signal back. */
const resume = async (work: Work): Promise<void> => {
	const { tx, agent, primary, now } = work;
	const recent = await lastEmergenciesOf.all(tx, { agent_id: agent.id, since: now - 24 * 3_600_000 });
	const covered = recent.find(({ kind, outcome, handle }) => kind === 'rebalance' && outcome === 'escalated' && handle === primary.handle);
	if (covered === undefined || clearsAt(covered, work.context.settings.failover) <= now) return;
	work.emergency = { ...covered, open_of: agent.id, outcome: null, ended_at: null, step: 'plan', step_at: now };
	work.unsaved = 'changed';
};

/**
 * A new emergency of a kind about the present primary; whatever was open of another kind is escalated to it. Which notices are the same is
 * decided before, under the lock of the agent, and one open at a time is what `open_of` sees to. Its `notice_key` only lets no row be added
 * twice: made of times it refused a second notice of the same millisecond, which the agent then dropped.
 */
export const openEmergency = async (
	work: Work,
	given: Pick<Emergency, 'kind' | 'notice_at' | 'deadline_at' | 'signal_at'> & { why: string; wishes?: string | null },
): Promise<Emergency> => {
	const { context, journal, agent, primary, now } = work;
	if (work.emergency !== null) await endEmergency(work, work.emergency.promoted_at === null ? 'escalated' : 'overtaken', given.why, false);
	const { why, wishes = null, ...row } = given;
	const id = context.ids.uuid();
	const emergency: Emergency = {
		...row,
		id,
		notice_key: `${row.kind} ${primary.instance_id} ${id}`,
		client_id: agent.client_id,
		agent_id: agent.id,
		open_of: agent.id,
		handle: primary.handle,
		instance_id: primary.instance_id,
		pool_id: primary.mode === 'ondemand' ? null : primary.pool_id,
		reports: 1,
		repeats: 0,
		step: 'plan',
		step_at: now,
		outcome: null,
		message: null,
		told: 0,
		plan: '[]',
		wishes,
		replica_id: work.replica?.id ?? null,
		new_handle: null,
		new_instance_id: null,
		received_at: now,
		planned_at: null,
		launched_at: work.replica?.launched_at ?? null,
		ready_at: work.replica?.ready_at ?? null,
		promoted_at: null,
		confirmed_at: null,
		ended_at: null,
		last_report_at: now,
	};
	work.emergency = emergency;
	work.unsaved = 'new';
	journal.count('emergency_events_total');
	const severity: Severity = row.kind === 'rebalance' ? 'warning' : 'critical';
	const message = `${agent.logical_agent_id} on ${primary.instance_id}: ${why}`;
	const about = aboutOf(work);
	journal.event(EVENTS[row.kind], message, about, { severity, metadata: { emergency_id: emergency.id, deadline_at: row.deadline_at } });
	journal.notify(EVENTS[row.kind], TITLES[row.kind], message, about, severity);
	journal.changed('agent', agent.id);
	return emergency;
};

const EVENTS = { termination: 'termination_notice', rebalance: 'rebalance_recommendation', 'silent-primary': 'primary_silent' } as const;
const TITLES = {
	termination: 'AWS takes a machine back',
	rebalance: 'AWS recommends to move',
	'silent-primary': 'A primary is silent',
} as const;

const openSilence = async (work: Work, why: string): Promise<void> => {
	const since = work.silentSince ?? work.now;
	await openEmergency(work, {
		kind: 'silent-primary',
		notice_at: null,
		deadline_at: since + work.context.settings.failover.silentAfterMs,
		signal_at: since,
		why,
	});
};

/** The live replica ends: its slot is free, its machine goes, or stays a candidate where nothing says that it must go. */
export const endReplica = async (
	work: Work,
	end: {
		readonly status: 'failed' | 'terminated';
		readonly why: string;
		readonly machine: 'ended' | 'candidate';
		readonly holdUntil?: number;
		readonly confirmed?: boolean;
	},
): Promise<void> => {
	const { tx, journal, replica, replicaHost, agent, now } = work;
	if (replica === null) return;
	const ended: Replica = {
		...replica,
		live_of: null,
		status: end.status,
		ended_at: now,
		error_message: end.why,
		confirmed_at: end.confirmed === true ? now : null,
	};
	await saveReplica.must(tx, { ...ended, seen_status: replica.status });
	if (replicaHost !== null && replicaHost.role === 'replica') {
		const role = end.confirmed === true ? 'terminated' : end.machine;
		await saveHost.later(tx, {
			...replicaHost,
			role,
			zombie_at: role === 'ended' ? now : replicaHost.zombie_at,
			hold_until: end.holdUntil ?? replicaHost.hold_until,
			// Should it call again, it can stand by again.
			tentative_replica_id: role === 'candidate' ? replica.id : null,
			terminated_at: role === 'terminated' ? now : null,
		});
		await setWatch.later(tx, { handle: replicaHost.handle, watch_at: null });
	}
	const about = { ...aboutOf(work), instanceId: replica.instance_id };
	const failed = end.status === 'failed';
	journal.event(
		failed ? 'replica_failed' : 'replica_terminated',
		`the replica ${nameOf(replica)} of ${agent.logical_agent_id} ended: ${end.why}`,
		about,
		{
			severity: failed ? 'warning' : 'info',
			metadata: { replica_id: replica.id },
		},
	);
	// Once in a row of failures.
	const before = failed
		? failuresInARow(
				(await lastReplicasOf.all(tx, { agent_id: agent.id })).filter(({ id }) => id !== replica.id),
				now,
			)
		: [];
	if (failed && before.length === 0)
		journal.notify('replica_failed', 'Replica failed', `${agent.logical_agent_id}: ${end.why}`, about, 'warning');
	journal.changed('agent', agent.id);
	work.replica = null;
	work.replicaHost = null;
	work.replicaHeardAt = null;
	work.replicaSilent = false;
};

/** Orders a replica where the market and the failures so far allow it; 'later' when that is not now. */
const order = async (work: Work, move: Extract<Move, { do: 'order' }>): Promise<'on' | 'later'> => {
	const { tx, agent, now } = work;
	const latest = await lastReplicasOf.all(tx, { agent_id: agent.id });
	const failures = failuresInARow(latest, now);
	const at = retryAt(failures);
	if (!move.urgent && now < at) {
		settle(work, {
			do: 'wait',
			until: at,
			step: 'plan',
			why: `the last ${failures.length} launches failed; the next is ordered after a pause`,
		});
		await attend(work, at);
		return 'later';
	}
	const chosen = await choose(work, latest);
	if (chosen.choice === null) {
		note(work, { step: 'plan', choice: 'none', why: NO_POOL, rejected: chosen.rejected }, { step: 'plan', step_at: now });
		if (work.emergency !== null && work.emergency.told === 0) {
			changeEmergency(work, { told: 1, message: NO_POOL });
			tell(work, 'failover_needs_person', 'No pool is left for a replica', NO_POOL, 'critical');
		}
		await attend(work, Math.max(now + (move.urgent ? 10_000 : 60_000), move.urgent ? now : at));
		return 'later';
	}
	await orderIn(work, chosen.choice, move.type, move.why, chosen.rejected, 'coordinator');
	return 'on';
};

const NO_POOL =
	'no pool is left for a replica: none is known but the one of the primary, or the type or region of the primary is not known';

/** Failures count against a pool for this long. */
const FAILED_MS = 15 * 60_000;

/** The pool of the next replica: without those that just failed while others are left, then again with them, and no wish stops an emergency. */
const choose = async (work: Work, latest: readonly Replica[]) => {
	const { primary, now } = work;
	const market = await readMarket(work.tx, primary, now);
	const tried = latest.filter(
		({ status, ended_at, void: isVoid }) => status === 'failed' && isVoid === 0 && (ended_at ?? 0) >= now - FAILED_MS,
	);
	const spots = tried.filter((replica) => replica.mode === 'spot').map((replica) => replica.pool_id ?? '');
	const onDemandFailed = tried.some((replica) => replica.mode === 'ondemand');
	const attempts: Wishes[] = [
		{ ...work.wishes, failed: spots, onDemandFailed },
		{ ...NO_WISHES, excludedZones: work.wishes.excludedZones, failed: spots, onDemandFailed },
		// All have failed by now: the one that failed longest ago may do again.
		{ ...NO_WISHES, excludedZones: work.wishes.excludedZones, failed: spots.slice(0, 1), onDemandFailed: true },
		NO_WISHES,
	];
	let first: Chosen | null = null;
	for (const wishes of attempts) {
		const chosen = choosePool(primary, market, wishes);
		if (chosen.choice !== null) return { ...chosen, rejected: [...(first?.rejected ?? []), ...chosen.rejected] };
		first ??= chosen;
	}
	return first ?? { choice: null, rejected: [] };
};

/** Writes the launch order of a replica: from now on the primary's next poll fetches it. */
export const orderIn = async (
	work: Work,
	choice: Choice,
	type: Replica['type'],
	why: string,
	rejected: readonly Rejected[],
	by: string,
	tags: string | null = null,
): Promise<Replica> => {
	const { tx, journal, agent, primary, now } = work;
	const replica: Replica = {
		...blankReplica(work, type, by, why),
		pool_id: choice.poolId,
		instance_type: choice.type,
		region: choice.region,
		az: choice.az,
		mode: choice.mode,
		hourly_micros: choice.hourlyMicros,
		tags,
	};
	await addReplica.later(tx, replica);
	work.replica = replica;
	// What is ordered after the promotion is the next replica, and no stage of this failover.
	if (work.emergency?.promoted_at === null)
		note(
			work,
			{ step: 'launch', choice: choice.mode === 'spot' ? choice.poolId : `on-demand in ${choice.az}`, why: choice.why, rejected },
			{ replica_id: replica.id, launched_at: null, ready_at: null, step: 'launch', step_at: now },
		);
	journal.event(
		'replica_ordered',
		`${agent.logical_agent_id} on ${primary.instance_id} shall launch a replica in ${choice.poolId}: ${why}`,
		aboutOf(work),
		{
			metadata: { replica_id: replica.id, mode: choice.mode, chosen: choice.why },
		},
	);
	journal.changed('agent', agent.id);
	return replica;
};

/** A replica of an agent that has no machine yet. */
export const blankReplica = (
	{ context, agent, primary, emergency, now }: Pick<Work, 'context' | 'agent' | 'primary' | 'emergency' | 'now'>,
	type: Replica['type'],
	by: string,
	why: string | null,
): Replica => ({
	id: context.ids.uuid(),
	client_id: agent.client_id,
	agent_id: agent.id,
	live_of: agent.id,
	status: 'launching',
	type,
	created_by: by,
	reason: why,
	emergency_id: emergency !== null && emergency.promoted_at === null ? emergency.id : null,
	generation: agent.generation,
	pool_id: null,
	instance_type: primary.instance_type,
	region: primary.region,
	az: null,
	mode: 'spot',
	handle: null,
	instance_id: null,
	guess: 0,
	parent_instance_id: primary.instance_id,
	served_handle: null,
	served_at: null,
	served_count: 0,
	serve_id: null,
	lease_until: null,
	awaits_machine: 0,
	void: 0,
	sync_status: 'initializing',
	sync_latency_ms: null,
	state_transfer_progress: 0,
	last_sync_at: null,
	hourly_micros: null,
	tags: null,
	error_message: null,
	created_at: now,
	launched_at: null,
	sync_started_at: null,
	sync_completed_at: null,
	ready_at: null,
	promoted_at: null,
	ended_at: null,
	confirmed_at: null,
});

/** T6 and the silence rule: the replica becomes the primary, by the one promotion. */
export const promoteReplica = async (
	work: Work,
	replica: Replica,
	how:
		| { readonly reason: 'notice' | 'silence'; readonly demote: false }
		| { readonly reason: 'operator'; readonly demote: boolean; readonly calledAt: number },
): Promise<void> => {
	const { context, tx, journal, agent, primary, replicaHost, emergency, now } = work;
	if (replicaHost === null) throw new Error(`replica ${replica.id} has no machine`);
	const { agent: promoted, host } = await promote(context, tx, journal, {
		agent,
		from: primary,
		to: replicaHost,
		reason: how.reason,
		old: {
			role: how.demote ? 'replica' : 'zombie',
			hold: how.reason === 'silence',
			terminatedAt: null,
		},
		command: null,
		calledAt: how.reason === 'operator' ? how.calledAt : emergency?.promoted_at === null ? emergency.received_at : null,
		record: {},
		emergency,
		asStored: true,
		gather: work.sets?.promotions,
	});
	journal.count('emergency_promotion_attempts_total', how.reason === 'operator' ? 0 : 1);
	work.agent = promoted;
	work.replica = null;
	work.replicaHost = null;
	work.replicaHeardAt = null;
	work.replicaSilent = false;
	work.primary = host;
	work.canLaunch = work.replicaCanLaunch;
	work.primarySilent = false;
	work.silentSince = null;
	changeEmergency(work, {
		new_handle: host.handle,
		new_instance_id: host.instance_id,
		promoted_at: emergency?.promoted_at ?? now,
		step: 'confirm',
		step_at: now,
	});
	if (how.demote) await demoted(work, primary);
};

const priceOf = ({ instance_type, region }: Host, now: number) => ({
	instance_type: instance_type ?? '',
	region: region ?? '',
	since: now - 24 * 3_600_000,
});

/** The old primary stays as the replica of the new one, keeping its handle: its machine runs, so it is ready. */
const demoted = async (work: Work, old: Host): Promise<void> => {
	const { tx, now } = work;
	const row: Replica = {
		...blankReplica(work, 'manual', 'promotion', 'it was the primary, and was demoted to a standby'),
		status: 'ready',
		handle: old.handle,
		instance_id: old.instance_id,
		pool_id: old.pool_id,
		az: old.az,
		mode: old.mode ?? 'spot',
		sync_status: 'synced',
		state_transfer_progress: 100,
		hourly_micros:
			old.pool_id === null
				? null
				: ((await newestPrices.all(tx, priceOf(old, now))).find(({ pool_id }) => pool_id === old.pool_id)?.spot_micros ?? null),
		launched_at: now,
		sync_started_at: now,
		ready_at: now,
	};
	await addReplica.later(tx, row);
	work.replica = row;
	work.replicaHost = { ...old, role: 'replica', primary_of: null };
	work.replicaHeardAt = now;
};
