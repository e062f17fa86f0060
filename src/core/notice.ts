import type { Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import type { Emergency } from '../store/emergencies.ts';
import type { Host } from '../store/hosts.ts';
import { NOTICE_MS } from './failover-plan.ts';
import { NO_WISHES, type Wishes } from './pool-choice.ts';

/** A signal of AWS as one of the routes brought it. */
export type Notice = {
	readonly kind: 'termination' | 'rebalance';
	/** What the route is for: to fail over, to see that a replica exists, or only to say it. */
	readonly via: 'failover' | 'replica' | 'signal';
	/** The machine it is about as the agent says; the handle decides. */
	readonly instanceId: string | null;
	/** The time that names this notice: the deadline of a termination, the time of a recommendation; null when it is not said. */
	readonly noticeAt: number | null;
	readonly deadlineAt: number | null;
	/** When the agent saw it. */
	readonly signalAt: number | null;
	/** The caller repeats its signal while it stands (v4's form). */
	readonly repeated: boolean;
	readonly replicaId: string | null;
	readonly wishes: Wishes;
	/** What the route adds about itself in the plan. */
	readonly route: string;
};

const HOUR = 3_600_000;
const SOON_MS = 15 * 60_000;

/** A deadline that can be one: ahead, and not far. A wrong clock must not stop a failover: a host that speaks has its two minutes. */
const deadline = (at: number | null, now: number): number | null => (at === null || at <= now || at > now + SOON_MS ? null : at);

/** The time that names a notice: as it was said, also once it is past. */
const named = (at: number | null, now: number): number | null => (at === null || at < now - 24 * HOUR || at > now + SOON_MS ? null : at);

/** When the agent saw the signal: at most ten minutes before it said so, never after. */
export const seenAt = (at: number | null, now: number): number => (at === null || at > now || at < now - 10 * 60_000 ? now : at);

/** When a machine ends: two minutes after the notice where only that is said (contract/endpoints.md X15). */
const endOf = (end: number | null, noticed: number | null): number | null => end ?? (noticed === null ? null : noticed + NOTICE_MS);

const plain = { instanceId: null, noticeAt: null, deadlineAt: null, signalAt: null, repeated: false, replicaId: null, wishes: NO_WISHES };

/** #53. */
export const fromRecommendation = (input: Valid<'rebalanceRecommendation'>, now: number): Notice => {
	const at = input.notice_time ?? input.recommendation_time;
	const base = { ...plain, instanceId: input.instance_id, signalAt: input.detected_at, repeated: input.notice_time !== null, route: '#53' };
	if (input.immediate === true) {
		return { ...base, kind: 'termination', via: 'failover', noticeAt: named(at, now), deadlineAt: deadline(at, now) };
	}
	return { ...base, kind: 'rebalance', via: 'signal', noticeAt: named(at, now) };
};

/** #54. Errors: 400 INVALID_SIGNAL_TYPE. */
export const fromReplicaRequest = (input: Valid<'createEmergencyReplica'>, now: number): Notice => {
	const signal = (input.signal_type ?? input.reason)?.toLowerCase().replaceAll('_', '-') ?? '';
	const kind = signal.startsWith('termination') ? 'termination' : signal.startsWith('rebalance') ? 'rebalance' : null;
	if (kind === null)
		throw new SpotError(
			'invalid',
			'INVALID_SIGNAL_TYPE',
			`"${signal.slice(0, 40)}" is no signal: rebalance-recommendation or termination-notice`,
			{
				extras: { details: { signal_type: ['must be rebalance-recommendation or termination-notice'] } },
			},
		);
	const ends = kind === 'termination' ? endOf(input.termination_time, input.notice_time) : null;
	return {
		...plain,
		kind,
		via: 'replica',
		instanceId: input.instance_id,
		noticeAt: named(ends, now),
		deadlineAt: deadline(ends, now),
		wishes: {
			...NO_WISHES,
			preferredZones: input.preferred_zones ?? [],
			excludedZones: input.exclude_zones ?? [],
			poolId: input.pool_id,
		},
		route: '#54',
	};
};

/** #55. */
export const fromImminent = (input: Valid<'terminationImminent'>, now: number): Notice => {
	return {
		...plain,
		kind: 'termination',
		via: 'failover',
		instanceId: input.instance_id,
		noticeAt: named(input.termination_time, now),
		deadlineAt: deadline(input.termination_time, now),
		signalAt: input.detected_at,
		replicaId: input.replica_id,
		route: '#55',
	};
};

/** X15: the v6 form says that the deadline is two minutes after the notice. */
export const fromRebalanceNotice = (input: Valid<'rebalanceNotice'>, now: number): Notice => ({
	...plain,
	kind: 'rebalance',
	via: 'signal',
	instanceId: input.instance_id,
	noticeAt: input.notice_time,
	deadlineAt: deadline(input.notice_time === null ? null : input.notice_time + NOTICE_MS, now),
	signalAt: input.notice_time,
	route: 'X15',
});

/** X16. */
export const fromTerminationNotice = (input: Valid<'terminationNotice'>, now: number): Notice => {
	const ends = endOf(input.termination_time, input.notice_time);
	return {
		...plain,
		kind: 'termination',
		via: 'failover',
		instanceId: input.instance_id,
		noticeAt: named(ends, now),
		deadlineAt: deadline(ends, now),
		route: 'X16',
	};
};

/** What a simulated notice says of its route. */
export const SIMULATED = 'simulated';

/** Simulated by an operator of a test client. */
export const simulated = (kind: Notice['kind'], now: number): Notice => ({
	...plain,
	kind,
	via: kind === 'termination' ? 'failover' : 'signal',
	noticeAt: kind === 'termination' ? now + NOTICE_MS : null,
	deadlineAt: kind === 'termination' ? now + NOTICE_MS : null,
	signalAt: now,
	route: SIMULATED,
});

/** Repeats of a notice count to its emergency within this time (spec section 7 "Ours"). */
export const REPEAT_MS = 2 * HOUR;

/**
 * The emergency a notice repeats: of the same host, or, where the word is not the host's own, of the same time whichever host is primary by
 * now (contract/endpoints.md #53). A host's own handle says which machine it means: two machines may be taken back at the same second.
 */
export const repeatedBy = (
	notice: Notice,
	host: Pick<Host, 'handle' | 'instance_id'>,
	isHost: boolean,
	recent: readonly Emergency[],
): Emergency | null => {
	// What was failed over to another primary is over, if this host is the primary again: it must not be told that it may stop.
	const alike = recent.filter(({ kind, handle, new_handle }) => kind === notice.kind && !(handle === host.handle && new_handle !== null));
	const named = (emergency: Emergency): boolean => !isHost || (notice.instanceId !== null && notice.instanceId === emergency.instance_id);
	return (
		alike.find(
			(emergency) =>
				notice.noticeAt !== null && emergency.notice_at === notice.noticeAt && (emergency.handle === host.handle || named(emergency)),
		) ??
		alike.find((emergency) => emergency.handle === host.handle) ??
		null
	);
};
