import { lockAgent } from '../store/agents.ts';
import { type Command, commandById, dueCommands, saveCommand } from '../store/commands.ts';
import { endlessHosts, hostByHandle, saveHost } from '../store/hosts.ts';
import { livenessOf, markAlive, noteGap, overdueHosts, setWatch } from '../store/liveness.ts';
import { forgottenAgents } from '../store/situations.ts';
import type { Db } from '../store/statement.ts';
import { addSwitchFailure } from '../store/switch-failures.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import { alone } from './alone.ts';
import type { Context } from './context.ts';
import type { Journal } from './journal.ts';
import { failureOf } from './orders.ts';
import { reconcileAgent } from './reconcile.ts';
import { GAP_MS, isSilent, servingSince, WRITE_LAG_MS } from './silence.ts';
import { callsInVain, takeOverIfSilent } from './takeover.ts';

/** Makes what marks that somebody serves and can write; after a gap, silence counts from now (issue: one full timeout passes first). */
export const servingMark = (context: Context): (() => Promise<void>) => {
	let marked = Number.NEGATIVE_INFINITY;
	return async () => {
		const now = context.clock.now();
		const mark = markAlive.of({ now, gap: GAP_MS });
		// Since this daemon's own last mark there is none.
		const gap = now - marked > GAP_MS ? [noteGap.of({ now, gap: GAP_MS })] : [];
		await context.store.transactTogether([...gap, mark]);
		marked = now;
	};
};

/** How many rows one look of a sweep takes, as the statements say. */
const PAGE = 200;
/**
 * How many are worked on side by side: one after the other, 5,000 agents that fall silent at once were all told of after 30 s on MariaDB. On
 * SQLite these share a commit, and a notice waits for it.
 */
const SIDE_BY_SIDE = 5;

/**
 * Works through what `find` finds, a transaction for each, until it finds nothing new: what stays due although it was tried is not tried
 * twice in one run, so that no run is endless. Returns how many `work` says it has changed.
 */
export const sweep = async <R>(
	context: Pick<Context, 'store' | 'log' | 'unit'>,
	find: () => Promise<readonly R[]>,
	idsOf: (row: R) => { readonly key: string; readonly agentId: string },
	work: (tx: Db, journal: Journal, row: R) => Promise<boolean>,
): Promise<number> => {
	const tried = new Set<string>();
	let done = 0;
	for (;;) {
		const found = await find();
		const fresh = found.filter((row) => !tried.has(idsOf(row).key));
		for (let from = 0; from < fresh.length; from += SIDE_BY_SIDE) {
			const worked = await Promise.allSettled(
				fresh.slice(from, from + SIDE_BY_SIDE).map((row) => {
					const { key, agentId } = idsOf(row);
					tried.add(key);
					return alone(context, agentId, () => context.unit(null, (tx, journal) => work(tx, journal, row)));
				}),
			);
			for (const each of worked) {
				if (each.status === 'rejected') throw each.reason;
				if (each.value === true) done += 1;
			}
		}
		if (found.length < PAGE || fresh.length === 0) return done;
	}
};

/**
 * Judges primaries that were not heard for the timeout: agent offline, one event and one notification per transition, and a live
 * candidate takes over (D-46: one rule, conditional, every state but deleted is watched). Returns how many went offline.
 */
export const sweepOffline = async (context: Context): Promise<number> => {
	await context.liveness.flush();
	const overdue = async () => {
		const now = context.clock.now();
		// Null right after an outage, until somebody has marked its end: what is older proves nothing.
		const since = await servingSince(context.store.read, now);
		const timeout = context.settings.heartbeatTimeoutMs + WRITE_LAG_MS;
		if (since === null || now - since < timeout) return [];
		return (await overdueHosts.all(context.store.read, { cutoff: now - timeout })).map((host) => ({ ...host, since }));
	};
	return sweep(
		context,
		overdue,
		({ handle, agent_id }) => ({ key: handle, agentId: agent_id }),
		(tx, journal, { agent_id, handle, since }) => judge(context, tx, journal, agent_id, handle, since),
	);
};

const judge = async (context: Context, tx: Db, journal: Journal, agentId: string, handle: string, since: number): Promise<boolean> => {
	const agent = await lockAgent.first(tx, { id: agentId });
	const [host, liveness] = [await hostByHandle.first(tx, { handle }), await livenessOf.first(tx, { handle })];
	if (agent === undefined || host?.agent_id !== agent.id || liveness?.watch_at == null) return false;
	const now = context.clock.now();
	const heard = Math.max(liveness.watch_at, context.liveness.pending(handle)?.seen_at ?? 0);
	if (!isSilent(heard, since, now, context.settings.heartbeatTimeoutMs)) return false;
	await setWatch.later(tx, { handle, watch_at: null });
	journal.book(host, { at: heard + context.settings.heartbeatTimeoutMs, kind: 'silent' });
	// A standby that fell silent stands by no more.
	if (host.role === 'replica') await reconcileAgent(context, tx, journal, agent.id, since);
	if (agent.status === 'deleted' || agent.status === 'offline' || host.role !== 'primary') return false;
	const saved = await saveAgentOrRetry(tx, agent, { status: 'offline' }, now);
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	const never = host.registered_at === null;
	const left = await callsInVain(context, tx, agent.id);
	const what = never
		? `nobody called from ${host.instance_id}, the new machine of ${agent.logical_agent_id}: its image probably has no agent`
		: `${agent.logical_agent_id} on ${host.instance_id} has not called for ${Math.round((now - heard) / 1000)} s`;
	const message =
		left === null
			? what
			: `${what}; ${left.instance_id} (zombie${left.hold === 1 ? ', on hold' : ''}) still calls; if the primary is gone: spotctl instances promote ${left.instance_id}`;
	journal.event('agent_marked_offline', message, about, { severity: 'warning' });
	journal.notify('agent_offline', never ? 'New machine never called' : 'Agent offline', message, about, 'warning');
	journal.changed('agent', agent.id);
	journal.count('agents_marked_offline_total');
	const taken = await takeOverIfSilent(context, tx, journal, saved, null);
	if (taken === null) await reconcileAgent(context, tx, journal, agent.id, since);
	return true;
};

/** Ends commands nobody fetched in time and claims whose lease is over without evidence (decided 9). Returns how many. */
export const sweepCommands = (context: Context): Promise<number> =>
	sweep(
		context,
		() => dueCommands.all(context.store.read, { now: context.clock.now() }),
		({ id, agent_id }) => ({ key: id, agentId: agent_id }),
		(tx, journal, { id, agent_id }) => expire(context, tx, journal, id, agent_id),
	);

const expire = async (context: Context, tx: Db, journal: Journal, id: string, agentId: string): Promise<boolean> => {
	const agent = await lockAgent.first(tx, { id: agentId });
	const command = await commandById.first(tx, { id });
	const now = context.clock.now();
	if (agent === undefined || command === undefined || command.due_at === null || command.due_at > now) return false;
	const unclaimed = command.status === 'pending';
	const closed: Command = {
		...command,
		status: unclaimed ? 'expired' : 'failed',
		outcome: unclaimed ? 'expired' : 'unconfirmed',
		message: unclaimed
			? 'the agent did not fetch it in time'
			: 'the agent had it, but neither a report nor the new machine came; what happened is not known',
		open_switch_of: null,
		completed_at: now,
		due_at: null,
	};
	if ((await saveCommand.run(tx, { ...closed, seen_status: command.status })) === 0) return false;
	if (!unclaimed) await addSwitchFailure.later(tx, failureOf(command, now));
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: command.instance_id };
	const message = `the ${command.command_type} of ${agent.logical_agent_id} ${unclaimed ? 'expired' : 'is unconfirmed'}: ${closed.message}`;
	journal.event(unclaimed ? 'command_expired' : 'command_unconfirmed', message, about, {
		severity: 'warning',
		metadata: { command_id: id },
	});
	if (!unclaimed || command.trigger_type === 'manual')
		journal.notify('command_ended', unclaimed ? 'Switch expired' : 'Switch unconfirmed', message, about, 'warning');
	journal.changed('agent', agent.id);
	journal.count(unclaimed ? 'commands_expired_total' : 'commands_unconfirmed_total');
	return true;
};

/** A machine that was to end and has not for this long costs money that nobody sees. */
const ENDLESS_MS = 3_600_000;

/**
 * Tells a person, once, of machines that were to end an hour ago and did not: nobody fetches the terminate list, the setting is off, or they
 * are on hold. Nothing is terminated by it. Returns how many.
 */
export const sweepTerminations = async (context: Context): Promise<number> => {
	let told = 0;
	for (const role of ['zombie', 'ended', 'candidate'] as const)
		told += await sweep(
			context,
			() => endlessHosts.all(context.store.read, { role, before: context.clock.now() - ENDLESS_MS }),
			({ handle, agent_id }) => ({ key: handle, agentId: agent_id }),
			(tx, journal, { handle, agent_id }) => tellEndless(context, tx, journal, handle, agent_id),
		);
	return told;
};

const tellEndless = async (context: Context, tx: Db, journal: Journal, handle: string, agentId: string): Promise<boolean> => {
	const agent = await lockAgent.first(tx, { id: agentId });
	const host = await hostByHandle.first(tx, { handle });
	if (agent === undefined || host === undefined || host.agent_id !== agent.id || host.ending_told_at !== null) return false;
	if (host.role !== 'zombie' && host.role !== 'ended' && host.role !== 'candidate') return false;
	const now = context.clock.now();
	await saveHost.later(tx, { ...host, ending_told_at: now });
	const why =
		host.role === 'candidate'
			? 'it registered and nothing was ordered that it could be; it stands by for nothing unless the primary falls silent'
			: host.hold === 1
				? `it is on hold; let it end: spotctl instances release ${host.instance_id}`
				: host.role === 'zombie' && agent.auto_terminate_enabled === 0
					? 'auto-terminate is off for its agent'
					: 'nobody has confirmed its end; look whether it runs in EC2';
	const message = `${host.instance_id} of ${agent.logical_agent_id} (${host.role}) ${host.role === 'candidate' ? 'has been running without a role' : 'still costs money, and was to end'} for ${Math.round((now - (host.zombie_at ?? host.created_at)) / 60_000)} minutes: ${why}`;
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	journal.event('machine_endless', message, about, { severity: 'warning' });
	journal.notify('machine_endless', 'A machine does not end', message, about, 'warning');
	return true;
};

/**
 * A net under the coordinator: an emergency that is open, or a replica that is getting ready, while nothing would look at its agent again is
 * looked at. Finds nothing unless something is wrong, and says so. Returns how many.
 */
export const sweepEmergencies = (context: Context): Promise<number> =>
	sweep(
		context,
		async () => {
			const lost = [...new Set((await forgottenAgents.all(context.store.read, {})).map(({ id }) => id))];
			for (const id of lost)
				context.log.warn(
					{ agent_id: id },
					'an emergency is open, or a replica gets ready, and nothing was due for its agent; it is looked at now',
				);
			return lost;
		},
		(id) => ({ key: id, agentId: id }),
		async (tx, journal, id) => {
			await reconcileAgent(context, tx, journal, id);
			return true;
		},
	);
