import type { EmergencyTable, ReplicaTable } from '../../src/store/schema.ts';
import type { Db } from '../../src/store/statement.ts';
import { type Books, contradictions, readBooks } from './books.ts';

export type ReplicaBook = Pick<
	ReplicaTable,
	'id' | 'agent_id' | 'live_of' | 'status' | 'type' | 'handle' | 'instance_id' | 'served_at' | 'ended_at' | 'confirmed_at' | 'error_message'
>;
export type EmergencyBook = Pick<
	EmergencyTable,
	| 'id'
	| 'agent_id'
	| 'open_of'
	| 'kind'
	| 'instance_id'
	| 'notice_key'
	| 'reports'
	| 'step'
	| 'outcome'
	| 'message'
	| 'deadline_at'
	| 'replica_id'
	| 'new_instance_id'
	| 'received_at'
	| 'planned_at'
	| 'launched_at'
	| 'ready_at'
	| 'promoted_at'
	| 'confirmed_at'
	| 'ended_at'
>;

/** The books of the spine, with standby machines and notices. */
export type FailoverBooks = Books & {
	readonly replicas: readonly ReplicaBook[];
	readonly emergencies: readonly EmergencyBook[];
	/** Until when a machine is on no terminate list, by its handle. */
	readonly heldUntil: ReadonlyMap<string, number | null>;
};

/** Reads everything that matters for failover from one snapshot. */
export const readFailoverBooks = (db: Db): Promise<FailoverBooks> =>
	readBooks(db, async (tx) => ({
		replicas: await tx
			.selectFrom('replica')
			.select(['id', 'agent_id', 'live_of', 'status', 'type', 'handle', 'instance_id', 'served_at', 'ended_at', 'confirmed_at'])
			.select('error_message')
			.execute(),
		emergencies: await tx
			.selectFrom('emergency')
			.select([
				'id',
				'agent_id',
				'open_of',
				'kind',
				'instance_id',
				'notice_key',
				'reports',
				'step',
				'outcome',
				'message',
				'deadline_at',
				'replica_id',
			])
			.select(['new_instance_id', 'received_at', 'planned_at', 'launched_at', 'ready_at', 'promoted_at', 'confirmed_at', 'ended_at'])
			.execute(),
		heldUntil: new Map(
			(await tx.selectFrom('host').select(['handle', 'hold_until']).execute()).map(({ handle, hold_until }) => [handle, hold_until]),
		),
	}));

/** The named ends of an emergency (schema.ts). */
const ENDS: ReadonlySet<string | null> = new Set([
	'failed-over',
	'unconfirmed',
	'stood-by',
	'recovered',
	'escalated',
	'overtaken',
	'told',
	'deleted',
]);

const LIVE: ReadonlySet<string> = new Set(['launching', 'syncing', 'ready']);

/** Everything an emergency went through, in the order it must happen. */
const laterStages = (emergency: EmergencyBook): readonly (readonly [stage: string, at: number | null])[] => [
	['received', emergency.received_at],
	['promoted', emergency.promoted_at],
	['confirmed', emergency.confirmed_at],
	['ended', emergency.ended_at],
];

const count = <T>(items: readonly T[], keyOf: (item: T) => string | null): ReadonlyMap<string, number> => {
	const counts = new Map<string, number>();
	for (const item of items) {
		const key = keyOf(item);
		if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
	}
	return counts;
};

/** What must hold at every moment, as far as one look can tell. */
export const failoverContradictions = (books: FailoverBooks): string[] => {
	const { hosts, replicas, emergencies } = books;
	const found = contradictions(books);
	const byHandle = new Map(hosts.map((host) => [host.handle, host]));
	for (const [agentId, live] of count(replicas, ({ live_of }) => live_of))
		if (live > 1) found.push(`agent ${agentId} has ${live} live replicas`);
	const standbyOf = new Map<string, ReplicaBook>();
	for (const replica of replicas) {
		const { id, status, live_of, agent_id, handle, ended_at } = replica;
		if (LIVE.has(status) !== (live_of !== null)) found.push(`replica ${id} is ${status}, live_of says else`);
		if (live_of !== null && live_of !== agent_id) found.push(`replica ${id} of ${agent_id} is in the slot of ${live_of}`);
		if ((status === 'terminated' || status === 'failed') !== (ended_at !== null))
			found.push(`replica ${id} is ${status} and ended_at is ${ended_at}`);
		if (handle === null) {
			if (status === 'ready' || status === 'promoted') found.push(`replica ${id} is ${status} and has no machine`);
			continue;
		}
		const host = byHandle.get(handle);
		if (host === undefined) found.push(`replica ${id} has a machine that is in no books`);
		else if (host.agent_id !== agent_id) found.push(`replica ${id} of ${agent_id} has a machine of ${host.agent_id}`);
		else if (LIVE.has(status) && host.role !== 'replica')
			found.push(`replica ${id} is ${status} and its machine ${host.instance_id} is ${host.role}`);
		if (LIVE.has(status)) standbyOf.set(handle, replica);
	}
	for (const { role, handle, instance_id } of hosts)
		if (role === 'replica' && !standbyOf.has(handle)) found.push(`${instance_id} is a replica and no live replica names it`);
	for (const [agentId, open] of count(emergencies, ({ open_of }) => open_of))
		if (open > 1) found.push(`agent ${agentId} has ${open} open emergencies`);
	for (const [machine, times] of count(emergencies, (one) => (one.kind === 'termination' ? `${one.agent_id}/${one.instance_id}` : null)))
		if (times > 1) found.push(`the termination of ${machine} is ${times} emergencies`);
	for (const emergency of emergencies) {
		const { id, open_of, outcome, ended_at } = emergency;
		if ((open_of === null) !== (ended_at !== null)) found.push(`emergency ${id} holds the slot of its agent, ended_at is ${ended_at}`);
		if (ended_at !== null && !ENDS.has(outcome)) found.push(`emergency ${id} ended as ${outcome}, which is no named end`);
		if (ended_at === null && outcome !== null) found.push(`emergency ${id} is open and its outcome is ${outcome}`);
		let last: readonly [string, number] | null = null;
		for (const [stage, at] of laterStages(emergency)) {
			if (at === null) continue;
			// Two daemons of one machine share a clock; a millisecond of rounding is theirs.
			if (last !== null && at + 1 < last[1]) found.push(`emergency ${id} was ${stage} ${last[1] - at} ms before it was ${last[0]}`);
			last = [stage, at];
		}
	}
	return found;
};

/**
 * Follows every replica and emergency over time: what has ended stays as it ended. Only an emergency that led to no other machine may be
 * taken up again, when AWS still says the same about the same primary.
 */
export const followFailover = (): ((books: FailoverBooks) => string[]) => {
	const ended = new Map<string, string>();
	return ({ replicas, emergencies }) => {
		const found: string[] = [];
		const follow = (what: string, id: string, end: string | null): void => {
			const before = ended.get(id);
			if (before !== undefined && before !== end) found.push(`${what} ${id} had ended as ${before} and is ${end ?? 'open'} now`);
			if (end === null) ended.delete(id);
			else ended.set(id, end);
		};
		for (const { id, status } of replicas) follow('replica', id, LIVE.has(status) ? null : status);
		for (const { id, outcome, ended_at, new_instance_id } of emergencies) {
			const isFinal = ended_at !== null && new_instance_id !== null;
			follow('emergency', id, isFinal ? outcome : null);
		}
		return found;
	};
};
