import { addReplica, lastReplicasOf, type Replica } from '../store/replicas.ts';
import { changeEmergency, note, settle, tell } from './emergency-book.ts';
import type { Move } from './failover-plan.ts';
import { type Choice, type Chosen, choosePool, NO_WISHES, type Rejected, readMarket, type Wishes } from './pool-choice.ts';
import { failuresInARow, retryAt } from './replica-rules.ts';
import { aboutOf, attend, type Work } from './work.ts';

/** Orders a replica where the market and the failures so far allow it; 'later' when that is not now. */
export const order = async (work: Work, move: Extract<Move, { do: 'order' }>): Promise<'on' | 'later'> => {
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
	const market = await readMarket(work.tx, work.context.signals, primary, now);
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
		// What a stricter attempt said of a pool stands, unless this one takes it after all.
		if (chosen.choice !== null) return { ...chosen, rejected: eachOnce([...(first?.rejected ?? []), ...chosen.rejected], chosen.choice) };
		first ??= chosen;
	}
	return first ?? { choice: null, rejected: [] };
};

/** Each once, with the reason that came first. */
const eachOnce = (rejected: readonly Rejected[], choice: Choice): Rejected[] => {
	const taken = choice.mode === 'spot' ? choice.poolId : 'on-demand';
	const reasons = new Map<string, Rejected>();
	for (const each of rejected) if (each.what !== taken && !reasons.has(each.what)) reasons.set(each.what, each);
	return [...reasons.values()];
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
