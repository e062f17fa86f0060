import type { Output, Valid } from '../contract/index.ts';
import { agentById, lockRowOfHandle } from '../store/agents.ts';
import type { View } from '../store/host-view.ts';
import { endedReplicasOf, hastenAttention, listReplicaRows, servedLaunch, serveLaunch, undoServe } from '../store/replicas.ts';
import type { Caller } from './caller.ts';
import { agentDeleted, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { MOST_SERVED } from './failover-plan.ts';
import { pagesOf } from './paging.ts';
import { reconcile } from './reconcile.ts';
import { REPLICA_STATES, SERVE_MS } from './replica-rules.ts';
import { hostReplica } from './replica-view.ts';
import { note, withCurrentHost, withHost } from './routine.ts';
import { isHidden } from './terminations.ts';
import { lockedWork } from './work.ts';

const replicaPages = pagesOf('replicas.list_for_host');

/** #57 */
export const replicaConfig =
	(context: Context) =>
	(input: Valid<'replicaConfig'>, caller: Caller): Output<'replicaConfig'> | Promise<Output<'replicaConfig'>> =>
		withHost(context, input.agent_id, caller, (host) => {
			if (host.status === 'deleted') throw agentDeleted(host.agent_id);
			note(context, host, caller, 'other');
			const enabled = host.manual_replica_enabled === 1;
			return { enabled, count: enabled ? 1 : 0 };
		});

type List = Output<'listHostReplicas'>;
const EMPTY: List = { replicas: [], total: 0, count: 0, next_cursor: null };

type Asked = { readonly status: string | undefined; readonly all: boolean; readonly limit: number; readonly after: string | null };
const LAUNCHING: Asked = { status: 'launching', all: false, limit: 1, after: null };

/** #58: launch orders for the primary, ended replicas for the primary (or a deleted agent's former one), everything else for anybody. */
export const listHostReplicas =
	(context: Context) =>
	async (input: Valid<'listHostReplicas'>, caller: Caller): Promise<List> => {
		const after = replicaPages.after(input.cursor);
		return withCurrentHost(context, input.agent_id, caller, (host) => {
			const { status } = input;
			if (host.status === 'deleted' && status !== 'launching' && status !== 'terminated') throw agentDeleted(host.agent_id);
			note(context, host, caller, status === 'launching' ? 'replicas' : 'other');
			// Polls have one page: nothing comes after it, and nothing is handed out with it.
			if (after !== null && (status === 'launching' || status === 'terminated')) return EMPTY;
			if (status === 'launching') return launching(context, host, caller);
			if (status === 'terminated') return host.ending === 0 || host.role !== 'primary' ? EMPTY : ended(context, host);
			return everything(context, host, { status, all: input.include_terminated === true, limit: input.limit, after });
		});
	};

const launching = (context: Context, host: View, caller: Caller): List | Promise<List> => {
	if (host.role !== 'primary' || host.status === 'deleted') return EMPTY;
	const lacks = host.replica_status === null && host.manual_replica_enabled === 1 && host.enabled === 1;
	if (lacks && !speaksForAgent(caller)) return wake(context, host);
	if (host.replica_status !== 'launching' || host.replica_handle !== null) return EMPTY;
	if (speaksForAgent(caller)) return everything(context, host, LAUNCHING);
	const now = context.clock.now();
	return host.replica_lease_until !== null && host.replica_lease_until > now ? EMPTY : serve(context, host, caller, now);
};

/** The first poll of a host that was thought never to fetch orders: manual mode can have its replica now. */
const wake = async (context: Context, host: View): Promise<List> => {
	const agent = await agentById.first(context.store.read, { id: host.agent_id });
	if (agent?.attention_at != null) return EMPTY;
	await context.unit(null, async (tx, journal) => {
		const work = await lockedWork(context, tx, journal, host.agent_id);
		if (work !== null) await reconcile(work);
	});
	return EMPTY;
};

const serve = async (context: Context, host: View, caller: Caller, now: number): Promise<List> => {
	const since = context.directory.cache.moment();
	const { launchMs } = context.settings.failover;
	const serveId = context.ids.uuid();
	// The agent first, as everywhere: whoever decides about it meanwhile waits, or has decided.
	const [, , , [replica]] = await context.store.transactTogether([
		lockRowOfHandle.of({ handle: host.handle }),
		serveLaunch.of({ handle: host.handle, serve_id: serveId, now, lease_until: now + SERVE_MS, most: MOST_SERVED }),
		hastenAttention.of({ handle: host.handle, at: now + launchMs }),
		servedLaunch.of({ handle: host.handle, serve_id: serveId }),
	]);
	if (context.directory.cache.get(host.handle) === host)
		context.directory.cache.put(host.handle, host.agent_id, { ...host, replica_lease_until: now + SERVE_MS }, since);
	if (replica === undefined) return EMPTY;
	if (!caller.gone()) return { replicas: [hostReplica(replica, now)], total: 1, count: 1, next_cursor: null };
	await context.unit(caller, async (tx, journal) => {
		await undoServe.later(tx, { id: replica.id, serve_id: serveId });
		journal.changed('agent', host.agent_id);
	});
	return EMPTY;
};

const ended = async (context: Context, host: View): Promise<List> => {
	const now = context.clock.now();
	const rows = await endedReplicasOf.all(context.store.read, { agent_id: host.agent_id, primary: host.handle });
	const due = rows.filter(
		(row) => /^i-/.test(row.instance_id ?? '') && row.hold === 0 && (row.hold_until ?? 0) <= now && !isHidden(row, now),
	);
	return {
		replicas: due.map((row) => hostReplica({ ...row, status: 'terminated' }, now)),
		total: due.length,
		count: due.length,
		next_cursor: null,
	};
};

const everything = async (context: Context, host: View, { status, all, limit, after }: Asked): Promise<List> => {
	const known = REPLICA_STATES.find((state) => state === status);
	if (status !== undefined && known === undefined) return EMPTY;
	const now = context.clock.now();
	const rows = await listReplicaRows(context.store.read, {
		clientId: null,
		agentId: host.agent_id,
		status: known ?? (all ? null : 'live'),
		limit,
		after,
	});
	const { items, nextCursor } = replicaPages.page(
		rows,
		limit,
		(row) => hostReplica(row, now),
		({ id }) => id,
	);
	return { replicas: items, total: items.length, count: items.length, next_cursor: nextCursor };
};
