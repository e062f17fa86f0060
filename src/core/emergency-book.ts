import type { EventType } from '../contract/event-log.ts';
import { addEmergency, type Emergency, lastEmergenciesOf, saveEmergency } from '../store/emergencies.ts';
import { type Host, saveHost } from '../store/hosts.ts';
import { slowCandidates } from '../store/replicas.ts';
import type { Severity } from '../store/schema.ts';
import { clearsAt, type Move } from './failover-plan.ts';
import type { Rejected } from './pool-choice.ts';
import { aboutOf, type Work } from './work.ts';

/** A plan keeps this many decisions; the first and the newest. */
const MOST_ENTRIES = 60;

/** And of what was rejected in each. */
const MOST_REJECTED = 20;

/** A decision of a plan: what was chosen in a step, why, and what was rejected. */
export type PlanEntry = {
	readonly at: number;
	readonly step: string;
	readonly choice: string;
	readonly why: string;
	readonly rejected: readonly Rejected[];
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

/** Notes what an open emergency waits for, where that is news. */
export const settle = (work: Work, move: Extract<Move, { do: 'wait' }>): void => {
	const { emergency } = work;
	// The step it opens with has to be noted as well: what is planned is planned before anything is promoted.
	if (emergency === null || move.step === null || (emergency.step === move.step && emergency.planned_at !== null)) return;
	note(work, { step: move.step, choice: 'wait', why: move.why, rejected: [] }, { step: move.step, step_at: work.now });
};

/** An event and a notification that name the emergency. */
export const tell = (work: Work, type: EventType, title: string, why: string, severity: Severity): void => {
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
		const surplus: Host = { ...host, role: 'ended', zombie_at: now, tentative_replica_id: null };
		await saveHost.later(tx, surplus);
		journal.book(surplus);
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
		// Last: V8 makes a slow object of one that is copied and then given so many more keys (130 µs, and each copy of it; so 5).
		...row,
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
	if (row.kind === 'termination') journal.book(primary, { kind: 'reclaimed' });
	return emergency;
};

const EVENTS = { termination: 'termination_notice', rebalance: 'rebalance_recommendation', 'silent-primary': 'primary_silent' } as const;
const TITLES = {
	termination: 'AWS takes a machine back',
	rebalance: 'AWS recommends to move',
	'silent-primary': 'A primary is silent',
} as const;

/** Opens the emergency of a primary that is silent while its replica is ready. */
export const openSilence = async (work: Work, why: string): Promise<void> => {
	const since = work.silentSince ?? work.now;
	await openEmergency(work, {
		kind: 'silent-primary',
		notice_at: null,
		deadline_at: since + work.context.settings.failover.silentAfterMs,
		signal_at: since,
		why,
	});
};
