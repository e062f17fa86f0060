import type { Agent } from '../store/agents.ts';
import type { Emergency } from '../store/emergencies.ts';
import type { Host } from '../store/hosts.ts';
import type { Replica } from '../store/replicas.ts';

/** How long each step of a failover may take, milliseconds (issue "Part 2", section 3). */
export type FailoverSettings = {
	/** From the moment an agent fetched a launch order to the machine it names. */
	readonly launchMs: number;
	/** From the named machine to "ready". */
	readonly readyMs: number;
	/** Silence of a primary after which its ready replica is promoted over it; 0 never. */
	readonly silentAfterMs: number;
	/** A replica made for a rebalance signal retires this long after the last repeat of a host that repeats it (v4). */
	readonly retireRepeatedMs: number;
	/** The same after the one report of a host that does not (classic). */
	readonly retireSingleMs: number;
	/** Whether emergencies bypass auto-switch and manual mode (design.md, decided 10). */
	readonly override: boolean;
};

/** A replica that is not asked for by a countdown may take this long to become ready. */
const CALM_READY_MS = 15 * 60_000;
/** Launch orders handed out this often without a machine are given up. */
export const MOST_SERVED = 3;
const LAUNCH_LEASE_MS = 5 * 60_000;
/** By then a host that fetches launch orders at all has been seen to. */
const FETCH_MS = 2 * 60_000 + 5_000;
/** A new primary that never calls: after this its image probably has no agent (identity.md section 5). */
export const CONFIRM_MS = 10 * 60_000;
/** AWS's notice where it names no time. */
export const NOTICE_MS = 2 * 60_000;
/** A replica counts as living for the silence rule when it was heard within this time. */
export const REPLICA_HEARD_MS = 60_000;

/** Everything a decision about the standby of one agent is made from, read under the lock of its row. */
export type Situation = {
	agent: Agent;
	primary: Host;
	/** When the primary was last heard, buffered calls included. */
	primaryHeardAt: number;
	/** Silent past its timeout, counting only time in which somebody listened. */
	primarySilent: boolean;
	/** Since when it has been silent without doubt; null while it is not. */
	silentSince: number | null;
	replica: Replica | null;
	replicaHost: Host | null;
	/** When the replica's host was last heard; null when it never called. */
	replicaHeardAt: number | null;
	replicaSilent: boolean;
	emergency: Emergency | null;
	/** Whether this primary fetches launch orders at all (v3.2 and v4 never do); null while that cannot be known yet. */
	canLaunch: boolean | null;
	/** The same of the replica's host: what holds once it is the primary. */
	replicaCanLaunch: boolean | null;
};

/** The next thing to do for an agent, and why. */
export type Move =
	| { readonly do: 'promote'; readonly replica: Replica; readonly why: string; readonly reason: 'notice' | 'silence' }
	| { readonly do: 'order'; readonly type: Replica['type']; readonly why: string; readonly urgent: boolean }
	/** The replica leads nowhere. `machine`: what becomes of its machine, if it has one. */
	| { readonly do: 'fail'; readonly replica: Replica; readonly why: string; readonly machine: 'ended' | 'candidate' }
	| { readonly do: 'retire'; readonly replica: Replica; readonly why: string }
	| { readonly do: 'watch-silence'; readonly why: string }
	| { readonly do: 'tell'; readonly title: string; readonly why: string }
	| { readonly do: 'end'; readonly outcome: string; readonly why: string; readonly tell: boolean }
	| { readonly do: 'wait'; readonly until: number | null; readonly step: Emergency['step'] | null; readonly why: string };

const wait = (until: number | null, step: Emergency['step'] | null, why: string): Move => ({ do: 'wait', until, step, why });

/** Ready, with a real machine that has not said it goes (decided 7: never a placeholder). */
export const isPromotable = ({ replica, replicaHost, replicaSilent }: Situation): boolean =>
	replica?.status === 'ready' &&
	replicaHost?.role === 'replica' &&
	/^i-/.test(replicaHost.instance_id) &&
	replicaHost.said_offline_at === null &&
	!replicaSilent;

/** When AWS takes the machine back, as far as anybody knows. */
export const deadlineOf = (emergency: Emergency): number => emergency.deadline_at ?? emergency.received_at + NOTICE_MS;

const leaves = ({ replica, replicaHost, replicaSilent }: Situation): Move | null => {
	if (replica === null || replicaHost === null) return null;
	if (replicaSilent) return { do: 'fail', replica, why: `${replicaHost.instance_id} has fallen silent`, machine: 'candidate' };
	return null;
};

/**
 * Decides the one next move for an agent: a pure function of what is known. Emergencies come first, in the order of issue "Part 2" section 3:
 * ready replica, promote; syncing or launching, promote when ready; none, order one; re-planned when a step fails or overruns, until a
 * primary is confirmed or a person is told. Then what the settings ask for.
 */
export const nextMove = (situation: Situation, now: number, settings: FailoverSettings): Move => {
	const { agent, emergency, replica } = situation;
	if (agent.status === 'deleted') {
		if (replica !== null) return { do: 'retire', replica, why: 'the agent was deleted' };
		if (emergency !== null) return { do: 'end', outcome: 'deleted', why: 'the agent was deleted', tell: false };
		return wait(null, null, 'the agent is deleted');
	}
	const urgent = emergency === null ? silence(situation, settings, now) : inEmergency(situation, emergency, now, settings);
	if (urgent !== null && urgent.do !== 'wait') return urgent;
	const calm = upkeep(situation, now);
	if (calm.do !== 'wait' || urgent === null) return calm;
	const due = [urgent.until, calm.until].filter((at) => at !== null);
	return { ...urgent, until: due.length === 0 ? null : Math.min(...due) };
};

const inEmergency = (s: Situation, emergency: Emergency, now: number, settings: FailoverSettings): Move => {
	if (emergency.promoted_at !== null && s.primary.handle === emergency.handle)
		return { do: 'end', outcome: 'overtaken', why: `${s.primary.instance_id} is the primary again`, tell: false };
	if (emergency.promoted_at !== null) return confirming(emergency, now);
	if (s.primary.handle !== emergency.handle)
		return { do: 'end', outcome: 'overtaken', why: `${s.primary.instance_id} is the primary by another way`, tell: false };
	if (emergency.kind === 'termination') return countdown(s, emergency, now, settings);
	if (emergency.kind === 'rebalance') return standby(s, emergency, now, settings);
	return silentPrimary(s, emergency, now, settings);
};

const confirming = (emergency: Emergency, now: number): Move => {
	if (emergency.confirmed_at !== null) return { do: 'end', outcome: 'failed-over', why: 'the new primary was heard', tell: false };
	const until = (emergency.promoted_at ?? now) + CONFIRM_MS;
	if (now >= until)
		return {
			do: 'end',
			outcome: 'unconfirmed',
			why: `${emergency.new_instance_id} was promoted, but nobody has called from it: its image probably has no agent`,
			tell: true,
		};
	return wait(until, 'confirm', 'waits for the first heartbeat of the new primary');
};

/** Whether the settings let an emergency act at all. */
const mayAct = ({ agent }: Situation, { override }: FailoverSettings): boolean =>
	override || agent.auto_switch_enabled === 1 || agent.manual_replica_enabled === 1;

const forbidden: Move = {
	do: 'end',
	outcome: 'told',
	why: 'emergency.override is off, and neither auto-switch nor manual replica is on for this agent',
	tell: true,
};

/** How a person makes a machine the primary that T3 of identity.md leaves a candidate while the old one calls. */
const PROMOTE = 'spotctl instances promote ITS-ID';

const byHand = ({ instance_id }: Host): string =>
	`${instance_id} never fetches launch orders (v4 and 3.2 agents cannot launch a replica): launch a machine for it by hand`;

/** The two minutes of a termination notice. */
const countdown = (s: Situation, emergency: Emergency, now: number, settings: FailoverSettings): Move => {
	const { replica, canLaunch } = s;
	if (!mayAct(s, settings)) return forbidden;
	if (isPromotable(s) && replica !== null) return { do: 'promote', replica, why: 'a ready replica exists', reason: 'notice' };
	const lost = leaves(s);
	if (lost !== null) return lost;
	const deadline = deadlineOf(emergency);
	const isGone = now >= deadline || s.primarySilent || s.agent.terminated_at !== null;
	if (replica === null) {
		if (isGone)
			return {
				do: 'end',
				outcome: 'told',
				why: `AWS has taken the machine back, no replica was there, and nobody is left who could launch one: a machine that calls takes over once the old one has been silent, or at once by ${PROMOTE}`,
				tell: true,
			};
		if (canLaunch === false) {
			const why = `${byHand(s.primary)}, and promote it when it calls: ${PROMOTE}`;
			return emergency.told === 1 ? wait(deadline, 'plan', why) : { do: 'tell', title: 'Nobody can launch a replica', why };
		}
		return { do: 'order', type: 'automatic-termination', why: 'a termination notice came and there is no replica', urgent: true };
	}
	if (replica.handle !== null) {
		if (isGone && isMachine(s))
			return { do: 'promote', replica, why: 'the old machine is gone and this is the only other one, ready or not', reason: 'notice' };
		if (isGone) return { do: 'fail', replica, why: 'the old machine is gone, and this is no machine of EC2', machine: 'candidate' };
		if (replica.status === 'ready')
			return {
				do: 'fail',
				replica,
				why: isMachine(s) ? 'it said that it goes offline' : 'it is no machine of EC2',
				machine: 'candidate',
			};
		// What began before the notice has its time from the notice on.
		const overrunAt = Math.max(syncedSince(replica), emergency.received_at) + settings.readyMs;
		const mayRepeat = canLaunch !== false && deadline - now >= settings.launchMs;
		// Its machine stays a candidate: should nothing better come, it may be the only one left.
		if (now >= overrunAt && mayRepeat)
			return { do: 'fail', replica, why: `not ready after ${seconds(settings.readyMs)} s`, machine: 'candidate' };
		return wait(now < overrunAt ? Math.min(overrunAt, deadline) : deadline, 'sync', 'promotes when ready');
	}
	if (replica.served_at !== null) {
		const overrunAt = Math.max(replica.served_at, emergency.received_at) + settings.launchMs;
		if (!isGone && now >= overrunAt)
			return { do: 'fail', replica, why: `no machine ${seconds(settings.launchMs)} s after the order was fetched`, machine: 'ended' };
		const leaseEnd = replica.lease_until ?? overrunAt;
		if (isGone && now >= leaseEnd) return { do: 'fail', replica, why: 'no machine came before its lease ended', machine: 'ended' };
		if (isGone && now >= overrunAt && emergency.told === 0)
			return {
				do: 'tell',
				title: 'A launch is overdue, and nobody is left to repeat it',
				why: `no machine ${seconds(settings.launchMs)} s after ${s.primary.instance_id} fetched the order, and AWS has taken it back: launch a machine by hand; it takes over when it calls and the old one is silent, or at once by ${PROMOTE}`,
			};
		const next = isGone ? (emergency.told === 0 ? Math.min(overrunAt, leaseEnd) : leaseEnd) : Math.min(overrunAt, deadline);
		return wait(next, 'launch', 'promotes when launched and ready');
	}
	if (isGone) return { do: 'fail', replica, why: 'the old machine is gone before it fetched the order', machine: 'ended' };
	const late = Math.max(replica.created_at, emergency.received_at) + settings.launchMs;
	if (now >= late && emergency.told === 0)
		return {
			do: 'tell',
			title: 'A launch order is not fetched',
			why: `${s.primary.instance_id} has not fetched it for ${seconds(settings.launchMs)} s`,
		};
	return wait(now < late ? Math.min(late, deadline) : deadline, 'launch', 'the order waits for the next poll of the agent');
};

/** Since when a machine has been getting ready. */
const syncedSince = ({ sync_started_at, launched_at, created_at }: Replica): number => sync_started_at ?? launched_at ?? created_at;

const isMachine = ({ replicaHost }: Situation): boolean => replicaHost?.role === 'replica' && /^i-/.test(replicaHost.instance_id);

const seconds = (ms: number): number => Math.round(ms / 1000);

/** When the signal of a rebalance counts as over. */
export const clearsAt = ({ last_report_at, repeats }: Emergency, settings: FailoverSettings): number =>
	last_report_at + (repeats === 1 ? settings.retireRepeatedMs : settings.retireSingleMs);

/** A rebalance recommendation: one usable replica exists until the signal has cleared. */
const standby = (s: Situation, emergency: Emergency, now: number, settings: FailoverSettings): Move => {
	const { replica } = s;
	if (!mayAct(s, settings)) return forbidden;
	const silent = silence(s, settings, now);
	if (silent !== null) return silent;
	const lost = leaves(s);
	if (lost !== null) return lost;
	const clears = clearsAt(emergency, settings);
	if (now >= clears && !s.primarySilent) {
		// Once the emergency has ended, upkeep retires the replica, unless manual mode keeps it.
		return {
			do: 'end',
			outcome: replica === null ? 'told' : 'stood-by',
			why: 'the rebalance signal has cleared',
			tell: replica === null && emergency.told === 0,
		};
	}
	if (s.primarySilent && !isUnderway(replica, now)) {
		// Nobody is left who could launch one, and the silence rule lets nobody take over.
		const since = s.silentSince ?? now;
		const at = since + Math.max(settings.silentAfterMs, 60_000);
		if (now < at) return wait(at, 'watch', 'the primary is silent, and no replica can take over');
		if (replica !== null && replica.status !== 'ready')
			return { do: 'fail', replica, why: 'the primary is silent, and it never became ready', machine: 'candidate' };
		return {
			do: 'end',
			outcome: 'told',
			why: `${s.primary.instance_id} is silent after a rebalance signal, and no replica can take over`,
			tell: true,
		};
	}
	// Nothing to clear while the primary is silent: looked at again when it calls, or when its replica does.
	const until = now >= clears ? null : clears;
	if (replica === null) {
		if (s.canLaunch === false) {
			const why = byHand(s.primary);
			return emergency.told === 1 ? wait(until, 'plan', why) : { do: 'tell', title: 'Nobody can launch a replica', why };
		}
		return { do: 'order', type: 'automatic-rebalance', why: 'AWS recommends to move and there is no replica', urgent: false };
	}
	const from = emergency.received_at;
	return overdue(s, replica, now, settings.readyMs, settings.launchMs, from) ?? waitFor(replica, until, settings, from);
};

/** A launch that was fetched, or a machine that gets ready, may still come without the primary. */
const isUnderway = (replica: Replica | null, now: number): boolean =>
	replica !== null &&
	replica.status !== 'ready' &&
	(replica.handle === null ? (replica.lease_until ?? 0) > now : now - syncedSince(replica) < CALM_READY_MS);

const waitFor = (replica: Replica, until: number | null, settings: FailoverSettings, from: number): Move => {
	if (replica.status === 'ready') return wait(until, 'standby', 'a ready replica stands by');
	const at = stepEnd(replica, settings.readyMs, settings.launchMs, from);
	const due = at === null ? until : until === null ? at : Math.min(at, until);
	return wait(due, replica.handle === null ? 'launch' : 'sync', 'the replica is on its way');
};

/** When the present step of a replica overruns, counted from `from` at the earliest; null while its order waits to be fetched. */
const stepEnd = (replica: Replica, readyMs: number, launchMs: number, from: number): number | null => {
	if (replica.handle !== null) return Math.max(syncedSince(replica), from) + readyMs;
	return replica.served_at === null ? null : Math.max(replica.served_at, from) + launchMs;
};

const overdue = ({ canLaunch }: Situation, replica: Replica, now: number, readyMs: number, launchMs: number, from: number): Move | null => {
	if (replica.status === 'ready') return null;
	if (replica.handle === null && replica.served_at === null)
		return canLaunch === false ? { do: 'fail', replica, why: 'this host never fetches launch orders', machine: 'ended' } : null;
	const end = stepEnd(replica, readyMs, launchMs, from);
	if (end === null || now < end) return null;
	const why =
		replica.handle === null ? `no machine ${seconds(launchMs)} s after the order was fetched` : `not ready after ${seconds(readyMs)} s`;
	return { do: 'fail', replica, why, machine: 'ended' };
};

const isHeard = (s: Situation, now: number): boolean => s.replicaHeardAt !== null && now - s.replicaHeardAt <= REPLICA_HEARD_MS;

/** A primary that is silent while its ready replica lives opens an emergency of its own; null when there is no such thing. */
const silence = (s: Situation, settings: FailoverSettings, now: number): Move | null => {
	if (settings.silentAfterMs === 0 || !s.primarySilent || !isPromotable(s) || !isHeard(s, now)) return null;
	return { do: 'watch-silence', why: `${s.primary.instance_id} is silent while its replica ${s.replicaHost?.instance_id} calls` };
};

const silentPrimary = (s: Situation, emergency: Emergency, now: number, settings: FailoverSettings): Move => {
	const { replica } = s;
	if (!s.primarySilent) return { do: 'end', outcome: 'recovered', why: `${s.primary.instance_id} calls again`, tell: false };
	if (replica === null) return { do: 'end', outcome: 'told', why: 'the primary is silent and its replica is gone', tell: true };
	const lost = leaves(s);
	if (lost !== null) return lost;
	if (settings.silentAfterMs === 0)
		return { do: 'end', outcome: 'told', why: 'the primary is silent, and failover.silentAfter is 0', tell: true };
	const at = (s.silentSince ?? emergency.signal_at) + settings.silentAfterMs;
	if (now < at) return wait(at, 'watch', `promotes after ${seconds(settings.silentAfterMs)} s of silence`);
	if (isPromotable(s) && isHeard(s, now))
		return { do: 'promote', replica, why: `the primary has been silent for ${seconds(settings.silentAfterMs)} s`, reason: 'silence' };
	if (now >= at + CONFIRM_MS)
		return { do: 'end', outcome: 'told', why: 'the primary is silent, and its replica has not called either', tell: true };
	// Looked at again with the next heartbeat of the replica; until then, now and then.
	return wait(now + REPLICA_HEARD_MS / 2, 'watch', 'the replica has not called within the last minute');
};

/** What the settings ask for when nothing urgent is going on: manual mode keeps exactly one. */
const upkeep = (s: Situation, now: number): Move => {
	const { agent, replica, emergency } = s;
	const isWanted = agent.manual_replica_enabled === 1;
	const isNeeded = emergency !== null && emergency.promoted_at === null;
	if (replica !== null) {
		if (replica.type !== 'manual' && !isWanted && !isNeeded) {
			if (!s.primarySilent && agent.terminated_at === null) return { do: 'retire', replica, why: 'what it was made for is over' };
			const left = leaves(s);
			return left ?? wait(now + CONFIRM_MS, null, 'it may be the only machine left: it stays while the primary is silent');
		}
		if (isNeeded) return wait(null, null, 'an emergency decides');
		const lost = leaves(s);
		if (lost !== null) return lost;
		if (replica.handle === null) return calmLaunch(s, replica, now);
		return overdue(s, replica, now, CALM_READY_MS, LAUNCH_LEASE_MS, 0) ?? wait(stepEndCalm(replica), null, 'a replica exists');
	}
	if (isNeeded || !isWanted || agent.enabled === 0) return wait(null, null, 'no replica is asked for');
	if (s.primarySilent || agent.terminated_at !== null || s.primary.registered_at === null)
		return wait(null, null, 'the primary does not call: nobody could launch a replica');
	if (s.canLaunch === false) return wait(null, null, 'this host never fetches launch orders');
	return { do: 'order', type: 'manual', why: 'manual mode keeps one replica', urgent: false };
};

/** A launch order outside of an emergency: it goes out again when its lease ends, a few times, and is given up then. */
const calmLaunch = (s: Situation, replica: Replica, now: number): Move => {
	const { served_at, served_count, lease_until, created_at } = replica;
	if (served_at === null && s.canLaunch === false)
		return { do: 'fail', replica, why: 'this host never fetches launch orders', machine: 'ended' };
	if (served_at === null) return wait(now < created_at + FETCH_MS ? created_at + FETCH_MS : null, null, 'the order waits for a poll');
	if (served_count >= MOST_SERVED && (lease_until ?? 0) <= now)
		return { do: 'fail', replica, why: `fetched ${served_count} times, but no machine came`, machine: 'ended' };
	return wait((lease_until ?? 0) > now ? lease_until : null, null, 'the replica is on its way');
};

const stepEndCalm = (replica: Replica): number | null => (replica.status === 'ready' ? null : syncedSince(replica) + CALM_READY_MS);
