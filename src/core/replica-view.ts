import type { Output } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import type { Replica } from '../store/replicas.ts';
import { costOf, isLive, placeholder } from './replica-rules.ts';
import { usd } from './report.ts';

/** The pool of a replica as the wire shows it. */
export const poolOf = (replica: Replica) =>
	replica.pool_id === null
		? null
		: { id: replica.pool_id, name: replica.pool_id, instance_type: replica.instance_type, region: replica.region, az: replica.az };

/** What #34 and #58 say alike. */
export const shownReplica = (replica: Replica, now: number) => {
	const cost = costOf(replica, now);
	return {
		id: replica.id,
		instance_id: replica.instance_id ?? placeholder(replica),
		type: replica.type,
		status: replica.status,
		sync_status: replica.sync_status,
		sync_latency_ms: replica.sync_latency_ms,
		state_transfer_progress: replica.state_transfer_progress,
		pool: poolOf(replica),
		cost: { hourly: usd(replica.hourly_micros), total: usd(cost) ?? 0, known: cost !== null, estimated: true as const },
		created_by: replica.created_by,
		created_at: iso(replica.created_at),
		ready_at: isoOr(replica.ready_at),
		terminated_at: replica.status === 'promoted' ? null : isoOr(replica.ended_at),
		is_active: isLive(replica),
	};
};

type HostRow = Output<'listHostReplicas'>['replicas'][number];

const tagsOf = ({ tags }: Replica): Record<string, unknown> => {
	try {
		return tags === null ? {} : (JSON.parse(tags) as Record<string, unknown>);
	} catch {
		return {};
	}
};

/** A row of #58. Both `pool_id` and `az` flat, or neither: classic skips a replica where one of them is missing. */
export const hostReplica = (replica: Replica, now: number): HostRow => ({
	...shownReplica(replica, now),
	...(replica.pool_id === null || replica.az === null ? {} : { pool_id: replica.pool_id, az: replica.az }),
	mode: replica.mode,
	age_seconds: Math.max(0, Math.floor((now - replica.created_at) / 1000)),
	tags: tagsOf(replica),
});

/** A replica as operators see it. */
export const operatorReplica = (replica: Replica & { logical_agent_id: string }, now: number): Output<'showReplica'> => ({
	id: replica.id,
	client_id: replica.client_id,
	agent_id: replica.agent_id,
	logical_agent_id: replica.logical_agent_id,
	instance_id: replica.instance_id,
	type: replica.type,
	status: replica.status,
	mode: replica.mode,
	pool_id: replica.pool_id,
	instance_type: replica.instance_type,
	region: replica.region,
	az: replica.az,
	sync_status: replica.sync_status,
	state_transfer_progress: replica.state_transfer_progress,
	hourly_cost: usd(replica.hourly_micros),
	total_cost: usd(costOf(replica, now)),
	cost_estimated: true,
	created_by: replica.created_by,
	reason: replica.reason,
	emergency_id: replica.emergency_id,
	error_message: replica.error_message,
	created_at: iso(replica.created_at),
	served_at: isoOr(replica.served_at),
	launched_at: isoOr(replica.launched_at),
	ready_at: isoOr(replica.ready_at),
	promoted_at: isoOr(replica.promoted_at),
	ended_at: isoOr(replica.ended_at),
	confirmed_at: isoOr(replica.confirmed_at),
});
