import type { Output, Valid } from '../contract/index.ts';
import { namesMachine } from '../contract/replicas.ts';
import { SpotError } from '../errors.ts';
import { type Host, hostNamedBy } from '../store/hosts.ts';
import { addReplica, liveReplicaOf, type Replica, replicaById } from '../store/replicas.ts';
import { actorOf, type Caller } from './caller.ts';
import { agentDeleted, callingHostWith, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { machineOfAgent } from './machines.ts';
import { zoneOf } from './orders.ts';
import { choosePool, NO_WISHES, readMarket } from './pool-choice.ts';
import { reconcile } from './reconcile.ts';
import { attach, endMachine } from './replica-machine.ts';
import { blankReplica, orderIn } from './replica-order.ts';
import { poolOf, shownReplica } from './replica-view.ts';
import { micros, usd } from './report.ts';
import { StaleRow } from './unit.ts';
import { lockedWork, type Work } from './work.ts';

const TYPES: readonly Replica['type'][] = ['manual', 'automatic-rebalance', 'automatic-termination'];

/** #59: with a machine it is evidence and is never refused; without one it is an operator's order. */
export const createReplica =
	(context: Context) =>
	async (input: Valid<'createReplica'>, caller: Caller): Promise<Output<'createReplica'>> => {
		const instanceId = namesMachine(input.instance_id) ? input.instance_id : null;
		const result = await context.unit(caller, async (tx, journal) => {
			const { calling } = await callingHostWith(tx, input.agent_id, caller, []);
			const { agent, host } = calling;
			const work = await lockedWork(context, tx, journal, agent.id);
			if (work === null) throw new StaleRow();
			const answer = instanceId === null ? await ordered(work, input, caller) : await reported(work, host, input, instanceId, caller);
			return { host, answer };
		});
		if (!speaksForAgent(caller)) context.liveness.seen(result.host.handle, result.host.client_id, 'other');
		return result.answer;
	};

const created = (replica: Replica, message: string): Output<'createReplica'> => ({
	success: true,
	replica_id: replica.id,
	instance_id: replica.instance_id ?? shownReplica(replica, replica.created_at).instance_id,
	pool: poolOf(replica),
	hourly_cost: usd(replica.hourly_micros),
	status: replica.status,
	message,
});

const poolWanted = (input: Valid<'createReplica'>): string | null => input.pool_id ?? input.target_pool_id ?? input.target_pool;

const ordered = async (work: Work, input: Valid<'createReplica'>, caller: Caller): Promise<Output<'createReplica'>> => {
	const { tx, agent, primary, now, journal } = work;
	const bad = (code: string, message: string, hint: string, extras: Record<string, unknown> = {}) =>
		new SpotError('invalid', code, message, { hint, extras: { hint, ...extras } });
	if (agent.status === 'deleted') throw agentDeleted(agent.id);
	if (work.primarySilent || agent.status === 'offline')
		throw new SpotError('missing', 'AGENT_OFFLINE', `${agent.logical_agent_id} is offline: nobody could launch a replica`, {
			hint: `see: spotctl agents show ${agent.id}`,
		});
	if (agent.manual_replica_enabled === 0)
		throw bad(
			'MANUAL_REPLICA_OFF',
			'manual replicas are not enabled for this agent',
			`turn them on: spotctl agents set ${agent.id} --manual-replica on`,
		);
	if (work.replica !== null)
		throw bad('REPLICA_EXISTS', 'the agent has a replica already', `see: spotctl replicas show ${work.replica.id}`, {
			current_count: 1,
			max_allowed: 1,
			note: 'promote or delete it first',
			replica_id: work.replica.id,
		});
	if (work.canLaunch === false)
		throw new SpotError(
			'conflict',
			'AGENT_NEVER_POLLS',
			`the agent on ${primary.instance_id} has never asked for launch orders: it cannot launch a replica`,
			{
				hint: 'install the classic agent on it',
			},
		);
	const wanted = poolWanted(input);
	const market = await readMarket(tx, work.context.signals, primary, now);
	const type = wanted === null ? null : wanted.slice(0, Math.max(0, wanted.lastIndexOf('.')));
	if (wanted !== null && primary.instance_type !== null && type !== primary.instance_type)
		throw bad(
			'POOL_TYPE_MISMATCH',
			`pool "${wanted}" is not of type ${primary.instance_type}`,
			`see: spotctl instances options ${primary.instance_id}`,
			{
				agent_type: primary.instance_type,
				pool_type: type,
			},
		);
	if (wanted !== null && !market.pools.some((pool) => pool.id === wanted))
		throw new SpotError('missing', 'POOL_NOT_FOUND', `no pool "${wanted}" is known in ${primary.region}`, {
			hint: `see: spotctl instances options ${primary.instance_id}`,
		});
	const chosen = choosePool(primary, market, {
		...NO_WISHES,
		excludedZones: input.exclude_zones ?? [],
		mostMicros: micros(input.max_hourly_cost),
		poolId: wanted,
	});
	if (chosen.choice === null)
		throw bad('NO_SUITABLE_POOL', 'no pool is left for a replica', `see: spotctl instances options ${primary.instance_id}`, {
			rejected: chosen.rejected,
		});
	const by = input.created_by ?? actorOf(caller);
	const why = `${actorOf(caller)} asked for it`;
	const tags = input.tags == null ? null : JSON.stringify(input.tags);
	if (tags !== null && tags.length > 10_000) throw bad('VALIDATION_ERROR', 'the tags are longer than 10,000 characters', 'send fewer tags');
	const replica = await orderIn(work, chosen.choice, 'manual', why, chosen.rejected, by, tags);
	journal.audit('replicas.create', 'replica', replica.id, agent.client_id, null, { pool_id: replica.pool_id });
	await reconcile(work);
	return created(replica, `a replica in ${replica.pool_id} was ordered; the agent launches it with its next poll`);
};

/** Tags of a machine that runs are no reason to refuse it: those that are too long are left out. */
const keptTags = (tags: Valid<'createReplica'>['tags']): string | null => {
	const text = tags == null ? null : JSON.stringify(tags);
	return text === null || text.length > 10_000 ? null : text;
};

/** A machine that exists already: attached where the slot is free or waits for one, else it must end. */
const reported = async (
	work: Work,
	host: Host,
	input: Valid<'createReplica'>,
	instanceId: string,
	caller: Caller,
): Promise<Output<'createReplica'>> => {
	const { context, tx, journal, agent, now } = work;
	const poolId = poolWanted(input);
	const named = (await hostNamedBy.all(tx, { handle: host.handle, instance_id: instanceId }))[0];
	const mine = host.role === 'primary' && agent.status !== 'deleted';
	const known = work.replica;
	if (known !== null && known.instance_id === instanceId) return created(known, `${instanceId} is the replica already`);
	// What follows the last dot; a pool without one says nothing about the zone.
	const az = poolId === null || !poolId.includes('.') ? host.az : zoneOf(poolId).slice(0, 48);
	const facts = { instanceId, type: host.instance_type, region: host.region, az, mode: null, poolId, ami: host.ami_id };
	const placed = await machineOfAgent(context, tx, journal, agent, facts, mine, named);
	if (placed === null)
		throw new SpotError('conflict', 'MACHINE_CONFLICT', `${instanceId} is a machine of another agent; nothing moved`, {
			hint: 'see: spotctl instances list',
		});
	const { machine, isNew } = placed;
	const free = machine.role === 'named' || machine.role === 'candidate';
	if (speaksForAgent(caller)) journal.audit('replicas.create', 'instance', instanceId, agent.client_id, null, { pool_id: poolId });
	if (mine && free && (known === null || known.handle === null)) {
		if (known === null) {
			const row: Replica = {
				...blankReplica(work, TYPES.find((type) => type === input.replica_type) ?? 'manual', actorOf(caller), 'the agent launched it'),
				pool_id: poolId,
				az,
				tags: keptTags(input.tags),
				hourly_micros: (await readMarket(tx, context.signals, work.primary, now)).prices.get(poolId ?? '') ?? null,
			};
			await addReplica.later(tx, row);
			work.replica = row;
		}
		await attach(work, machine, isNew, false);
		const before = work.replica;
		await reconcile(work);
		if (before === null) throw new StaleRow();
		const replica = (await replicaById.first(tx, { id: before.id })) ?? before;
		return created(
			replica,
			replica.live_of !== null
				? `${instanceId} is the replica`
				: `${instanceId} is ${replica.status}: ${replica.error_message ?? 'an emergency waited for it'}`,
		);
	}
	const why = mine
		? known === null
			? `it is ${machine.role} already`
			: `the replica is ${known.instance_id}`
		: `${host.instance_id} is not the primary`;
	const row = await endMachine(
		{ context, tx, journal, agent, primary: work.primary, now, replica: null, by: actorOf(caller), why },
		machine,
		isNew,
	);
	if (row !== null) return created(row, `${instanceId} is one too many and will be terminated: ${why}`);
	const other = known ?? (await liveReplicaOf.first(tx, { agent_id: agent.id })) ?? null;
	throw new SpotError('conflict', 'MACHINE_TAKEN', `${instanceId} is ${machine.role} already; nothing moved`, {
		hint: `see: spotctl instances show ${instanceId}`,
		extras: { replica_id: other?.id ?? null },
	});
};
