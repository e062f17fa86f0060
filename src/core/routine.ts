import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { lockAgentOfInstance } from '../store/agents.ts';
import { addCleanup } from '../store/cleanups.ts';
import type { View } from '../store/host-view.ts';
import { type Host, hostByInstance, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { addReplica, confirmEnd, type Replica, replicaById } from '../store/replicas.ts';
import { type Db, together } from '../store/statement.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import { type Caller, clientOf } from './caller.ts';
import { agentDeleted, callingHost, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { changeEmergency, openEmergency } from './emergency-book.ts';
import type { Journal } from './journal.ts';
import type { SignOfLife } from './liveness.ts';
import { reconcile, reconcileAgent } from './reconcile.ts';
import { alive } from './register.ts';
import { endReplica } from './replica-end.ts';
import { attach } from './replica-machine.ts';
import { blankReplica } from './replica-order.ts';
import { configFor } from './settings.ts';
import { takeOverIfSilent } from './takeover.ts';
import { StaleRow } from './unit.ts';
import { lockedWork } from './work.ts';

/** Continues with the host of a call at once when it is remembered, later when it has to be read. */
export const withHost = <T>(context: Context, handle: string, caller: Caller, next: (host: View) => T | Promise<T>): T | Promise<T> => {
	const host = context.directory.hostOf(handle, caller);
	return host instanceof Promise ? host.then(next) : next(host);
};

/**
 * The same with what every daemon has answered until now: role changes show in launch leases and terminate lists at once (identity.md
 * section 5). A poll that came too early would leave an order alone for the 30 s until the next, of the 120 that AWS gives. Costs a look at
 * the change log, shared by all who ask meanwhile. Errors: 503.
 */
export const withCurrentHost = async <T>(
	context: Context,
	handle: string,
	caller: Caller,
	next: (host: View) => T | Promise<T>,
): Promise<T> => {
	await context.feed.catchUp();
	return withHost(context, handle, caller, next);
};

/** Notes a call of a host, unless an operator made it. */
export const note = (context: Context, host: View, caller: Caller, sign: SignOfLife): void => {
	if (!speaksForAgent(caller)) context.liveness.seen(host.handle, host.client_id, sign);
};

const OFF = new Set(['offline']);

/**
 * #41. Routine heartbeats touch no row: they are gathered and written together. What changes a state (going offline, coming back, a
 * standby whose primary is silent) is a transaction of its own, answered after its commit.
 */
export const heartbeat =
	(context: Context) =>
	(input: Valid<'heartbeat'>, caller: Caller): Output<'heartbeat'> | Promise<Output<'heartbeat'>> =>
		withHost(context, input.agent_id, caller, (host) => {
			if (host.status === 'deleted') throw agentDeleted(host.agent_id);
			if (speaksForAgent(caller)) return answer(host, input);
			context.liveness.seen(host.handle, host.client_id, 'heartbeat');
			const off = input.status !== null && input.status !== undefined && OFF.has(input.status);
			if (host.role !== 'primary') {
				// A standby's call matters while its primary is silent, or when it says something new.
				const stands = host.role === 'candidate' || host.takes_back === 1 || (host.role === 'replica' && host.status === 'offline');
				const news = off !== (host.said_offline_at !== null) || host.role === 'terminated';
				if (!news && !stands) return answer(host, input);
				return standby(context, host, caller, off).then(() => answer(host, input));
			}
			const settled = host.status === 'online' || host.status === 'disabled';
			const foreign = input.instance_id !== null && input.instance_id !== undefined && input.instance_id !== host.instance_id;
			if (settled && !off && !foreign && host.awaited_handle !== host.handle) return answer(host, input);
			return changed(context, host, caller, off, foreign ? (input.instance_id ?? null) : null).then(() => answer(host, input));
		});

const answer = (host: View, input: Valid<'heartbeat'>): Output<'heartbeat'> => ({
	success: true,
	acknowledged: true,
	config_version: host.config_version,
	config_changed: input.config_version !== null && input.config_version !== undefined && input.config_version !== host.config_version,
});

/** A heartbeat of a primary that says or means something new. */
const changed = (context: Context, host: View, caller: Caller, off: boolean, foreign: string | null): Promise<void> =>
	context.unit(caller, async (tx, journal) => {
		const current = await callingHost(tx, host.handle, caller);
		const { agent } = current;
		const about = { clientId: agent.client_id, agentId: agent.id, instanceId: current.host.instance_id };
		if (foreign !== null) {
			journal.event(
				'heartbeat_instance_mismatch',
				`${current.host.instance_id} sent a heartbeat that names ${foreign}; it was ignored`,
				about,
				{ severity: 'warning' },
			);
		}
		if (current.host.role !== 'primary' || agent.status === 'deleted') return;
		if (off) {
			if (agent.status === 'offline') return;
			await saveAgentOrRetry(tx, agent, { status: 'offline' }, context.clock.now());
			await saveHost.later(tx, { ...current.host, said_offline_at: context.clock.now() });
			await setWatch.later(tx, { handle: current.host.handle, watch_at: null });
			journal.book(current.host, { kind: 'silent' });
			journal.event('agent_marked_offline', `${agent.logical_agent_id} said that it goes offline`, about, { severity: 'warning' });
			journal.notify('agent_offline', 'Agent offline', `${agent.logical_agent_id} went offline`, about, 'warning');
			journal.changed('agent', agent.id);
			return;
		}
		await setWatch.later(tx, { handle: current.host.handle, watch_at: context.clock.now() });
		if (agent.status === 'offline') journal.book(current.host, { kind: 'heard' });
		if (current.host.said_offline_at !== null) await saveHost.later(tx, { ...current.host, said_offline_at: null });
		const saved = await alive(context, tx, journal, agent);
		if (saved.attention_at !== null) await confirm(context, tx, journal, saved.id, current.host.handle);
	});

/** The first heartbeat of the primary after its promotion is what a failover ends with; whatever else was due is done with it. */
const confirm = async (context: Context, tx: Db, journal: Journal, agentId: string, handle: string): Promise<void> => {
	const work = await lockedWork(context, tx, journal, agentId);
	if (work === null) return;
	const { emergency, now } = work;
	if (emergency !== null && emergency.promoted_at !== null && emergency.new_handle === handle) changeEmergency(work, { confirmed_at: now });
	await reconcile(work);
};

/** A machine that is booked as terminated and still calls a minute later was not: a call proves it lives (identity.md section 5). */
const REVIVE_MS = 60_000;

/** A standby that calls: the moment to note that it goes or comes back, and to see whether the primary is silent (T3, T9). */
const standby = (context: Context, view: View, caller: Caller, off: boolean): Promise<void> =>
	context.unit(caller, async (tx, journal) => {
		const { agent, host } = await callingHost(tx, view.handle, caller);
		if (host.role === 'primary') return;
		let current = host;
		const now = context.clock.now();
		const revived = host.role === 'terminated' && !off && now - (host.terminated_at ?? 0) > REVIVE_MS;
		if (revived || off !== (host.said_offline_at !== null)) {
			const back: Host = {
				...host,
				said_offline_at: off ? now : null,
				...(revived ? { role: 'zombie' as const, zombie_at: host.zombie_at ?? now, terminated_at: null } : {}),
			};
			await saveHost.later(tx, back);
			current = back;
			if (revived) journal.book(back);
			else if (host.role === 'replica') journal.book(back, { kind: off ? 'silent' : 'heard' });
			journal.changed('agent', agent.id);
		}
		if (revived) {
			const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
			journal.event('terminated_host_alive', `${host.instance_id} was booked as terminated, but it calls: it is a zombie`, about, {
				severity: 'warning',
			});
		}
		if (off) return;
		const taken = await takeOverIfSilent(context, tx, journal, agent, host.handle);
		if (taken === null && host.role === 'replica') await reconcileAgent(context, tx, journal, agent.id);
		if (taken === null && host.role === 'candidate' && host.tentative_replica_id !== null) await standAgain(context, tx, journal, current);
	});

/** A replica that had fallen silent calls again: where one is wanted and none is, it is the replica again. */
const standAgain = async (context: Context, tx: Db, journal: Journal, host: Host): Promise<void> => {
	const work = await lockedWork(context, tx, journal, host.agent_id);
	const before = host.tentative_replica_id === null ? undefined : await replicaById.first(tx, { id: host.tentative_replica_id });
	if (work === null || before?.handle !== host.handle || before.live_of !== null) return;
	const { agent, emergency, replica } = work;
	const isWanted = agent.manual_replica_enabled === 1 || (emergency !== null && emergency.promoted_at === null);
	if (!isWanted || agent.status === 'deleted' || (replica !== null && (replica.handle !== null || replica.served_at !== null))) return;
	if (replica !== null) await endReplica(work, { status: 'terminated', why: `${host.instance_id} calls again`, machine: 'ended' });
	const why = 'it had fallen silent, and calls again';
	const again: Replica = {
		...blankReplica(work, before.type, 'spotctl', why),
		pool_id: before.pool_id,
		az: before.az,
		mode: before.mode,
		hourly_micros: before.hourly_micros,
	};
	await addReplica.later(tx, again);
	work.replica = again;
	await attach(work, host, false, false, why);
	await reconcile(work);
};

/** #42: every host reads the settings, only the primary of a living agent reads `enabled: true`. */
export const readConfig =
	(context: Context) =>
	(input: Valid<'readConfig'>, caller: Caller): Output<'readConfig'> | Promise<Output<'readConfig'>> =>
		withHost(context, input.agent_id, caller, (host) => {
			note(context, host, caller, 'other');
			return configFor(host, host.role);
		});

/** X20 (D-01): 404 only when the agent was deleted, 403 for an id that is not the caller's, 503 when that cannot be known. */
export const probeAgent =
	(context: Context) =>
	(input: Valid<'probeAgent'>, caller: Caller): Output<'probeAgent'> | Promise<Output<'probeAgent'>> => {
		const strange = (error: unknown): never => {
			if (error instanceof SpotError && error.code === 'NOT_FOUND') {
				throw new SpotError('forbidden', 'UNKNOWN_AGENT', `no agent "${input.agent_id.slice(0, 80)}" of this client`, {
					hint: 'see: spotctl agents list',
				});
			}
			throw error;
		};
		const probed = (host: View): Output<'probeAgent'> => {
			if (host.status === 'deleted') throw agentDeleted(host.agent_id);
			note(context, host, caller, 'other');
			return {
				agent_id: host.agent_id,
				handle: host.handle,
				role: host.role,
				agentStatus: host.status,
				enabled: configFor(host, host.role).enabled,
				generation: host.generation,
				config_version: host.config_version,
				instance_id: host.instance_id,
			};
		};
		try {
			const result = withHost(context, input.agent_id, caller, probed);
			return result instanceof Promise ? result.catch(strange) : result;
		} catch (error) {
			return strange(error);
		}
	};

/** #51 */
export const cleanupReport =
	(context: Context) =>
	async (input: Valid<'cleanupReport'>, caller: Caller): Promise<Output<'cleanupReport'>> => {
		const size = (value: readonly unknown[] | number | null | undefined): number =>
			typeof value === 'number' ? value : (value?.length ?? 0);
		const snapshots = size(input.snapshots?.deleted) + size(input.amis?.deleted_snapshots) + size(input.snapshots_deleted);
		const amis = size(input.amis?.deleted_amis) + size(input.amis_deleted);
		const failures = size(input.snapshots?.failed) + size(input.amis?.failed) + size(input.errors);
		await context.unit(caller, async (tx, journal) => {
			const { agent, host } = await callingHost(tx, input.agent_id, caller);
			const now = context.clock.now();
			await addCleanup.later(tx, {
				client_id: agent.client_id,
				agent_id: agent.id,
				handle: host.handle,
				deleted_snapshots: snapshots,
				deleted_amis: amis,
				failed: failures,
				reported_at: now,
			});
			if (host.role === 'primary' && agent.status !== 'deleted') await saveAgentOrRetry(tx, agent, { last_cleanup_at: now }, now);
			const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
			if (snapshots + amis + failures > 0) {
				journal.event(
					'cleanup_completed',
					`${host.instance_id} removed ${snapshots} snapshots and ${amis} images, ${failures} failed`,
					about,
					{ severity: failures > 0 ? 'warning' : 'info' },
				);
			}
			if (speaksForAgent(caller))
				journal.audit('agents.cleanup_report', 'agent', agent.id, agent.client_id, null, { snapshots, amis, failures });
			else context.liveness.seen(host.handle, agent.client_id, 'other');
		});
		context.counters.add('agent_cleanup_reports_total', 1);
		return { success: true, message: 'cleanup report recorded', deleted_snapshots: snapshots, deleted_amis: amis, failed_count: failures };
	};

/** X22: any HTTP answer counts as success for the script, so an unknown machine is no error. */
export const uninstallHost =
	(context: Context) =>
	async (input: Valid<'uninstallHost'>, caller: Caller): Promise<Output<'uninstallHost'>> => {
		const clientId = clientOf(caller, input.client_id);
		const instanceId = input.instance_id;
		if (instanceId === null || instanceId === 'unknown') return { success: true, message: 'no instance was named; nothing changed' };
		return context.unit(caller, async (tx, journal) => {
			const machine = { client_id: clientId, instance_id: instanceId };
			const [[agent], [found]] = await together(tx, [lockAgentOfInstance.of(machine), hostByInstance.of(machine)]);
			if (found === undefined) return { success: true, message: `no machine "${instanceId}" is known; nothing changed` };
			if (agent === undefined || found.agent_id !== agent.id) throw new StaleRow();
			const now = context.clock.now();
			await saveHost.later(tx, { ...found, said_offline_at: now });
			const about = { clientId, agentId: agent.id, instanceId };
			if (found.role === 'primary' && agent.status !== 'deleted' && agent.status !== 'offline') {
				await saveAgentOrRetry(tx, agent, { status: 'offline' }, now);
				await setWatch.later(tx, { handle: found.handle, watch_at: null });
				journal.book(found, { kind: 'silent' });
				journal.notify(
					'agent_uninstalled',
					'Agent uninstalled',
					`the agent of ${agent.logical_agent_id} was uninstalled on ${instanceId}`,
					about,
					'warning',
				);
			} else if (found.role === 'replica') journal.book(found, { kind: 'silent' });
			journal.event('agent_uninstalled', `the agent on ${instanceId} was uninstalled (${input.reason ?? 'no reason given'})`, about, {
				severity: 'warning',
			});
			if (speaksForAgent(caller)) {
				const after = { instance_id: instanceId, reason: input.reason };
				journal.audit('agents.uninstall', 'agent', agent.id, clientId, { status: agent.status }, after);
			}
			journal.changed('agent', agent.id);
			return { success: true, message: `the agent on ${instanceId} is recorded as uninstalled` };
		});
	};

/** #52: a host says that its instance ended. */
export const hostEnded =
	(context: Context) =>
	async (input: Valid<'hostEnded'>, caller: Caller): Promise<Output<'hostEnded'>> => {
		await context.unit(caller, async (tx, journal) => {
			const { agent, host } = await callingHost(tx, input.agent_id, caller);
			if (agent.status === 'deleted') return;
			const now = context.clock.now();
			const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
			const reason = input.reason ?? 'Unknown';
			if (host.role === 'primary') {
				await saveAgentOrRetry(tx, agent, { status: 'offline', terminated_at: now }, now);
				await setWatch.later(tx, { handle: host.handle, watch_at: null });
				journal.book(host, { kind: 'silent' });
				await failOver(context, tx, journal, agent.id, reason);
				journal.notify(
					'agent_terminated',
					'Agent terminated',
					`${host.instance_id}, the primary of ${agent.logical_agent_id}, ended: ${reason}`,
					about,
					'warning',
				);
			} else if (host.role === 'replica') await loseReplica(context, tx, journal, agent.id, host.handle, reason);
			else if (host.role !== 'terminated') {
				const gone: Host = { ...host, role: 'terminated', terminated_at: now };
				await saveHost.later(tx, gone);
				journal.book(gone);
				await confirmEnd.later(tx, { handle: host.handle, now });
			}
			journal.event('instance_ended', `${host.instance_id} (${host.role}) of ${agent.logical_agent_id} ended: ${reason}`, about, {
				severity: 'warning',
			});
			journal.changed('agent', agent.id);
			if (speaksForAgent(caller)) journal.audit('agents.termination', 'agent', agent.id, agent.client_id, null, { reason });
		});
		return { success: true };
	};

/** The primary says that its instance ended: what would follow a notice follows now, with no time left. */
const failOver = async (context: Context, tx: Db, journal: Journal, agentId: string, reason: string): Promise<void> => {
	const work = await lockedWork(context, tx, journal, agentId);
	if (work === null) return;
	const { emergency, primary, now } = work;
	if (emergency === null || emergency.handle !== primary.handle || emergency.kind !== 'termination') {
		// Without anybody who could take over there is nothing to decide: the agent is offline, and its notification says why.
		if (work.replica === null && emergency === null) return;
		await openEmergency(work, {
			kind: 'termination',
			notice_at: null,
			deadline_at: now,
			signal_at: now,
			why: `the instance ended: ${reason}`,
		});
	}
	await reconcile(work);
};

const loseReplica = async (context: Context, tx: Db, journal: Journal, agentId: string, handle: string, reason: string): Promise<void> => {
	const work = await lockedWork(context, tx, journal, agentId);
	if (work === null || work.replica?.handle !== handle) return;
	await endReplica(work, { status: 'terminated', why: `its instance ended: ${reason}`, machine: 'ended', confirmed: true });
	await reconcile(work);
};
