import { type Command, dueCommands, saveCommand } from '../store/commands.ts';
import { hostByHandle, livenessOf, lockAgent, overdueHosts, serviceClock, setWatch } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import type { Context } from './context.ts';
import type { Journal } from './journal.ts';
import { GAP_MS, isSilent, servingSince, WRITE_LAG_MS } from './silence.ts';
import { takeOverIfSilent } from './takeover.ts';

/** Marks that somebody serves and can write; after a gap, silence counts from now (issue: one full timeout passes first). */
export const markServing = async (context: Context): Promise<void> => {
	const now = context.clock.now();
	await context.store.transact(async (tx) => {
		const row = await serviceClock.first(tx, {});
		if (row === undefined) await tx.insertInto('service_clock').values({ id: 1, serving_since: now, alive_at: now }).execute();
		else {
			const since = now - row.alive_at > GAP_MS ? now : row.serving_since;
			await tx
				.updateTable('service_clock')
				.set({ serving_since: since, alive_at: Math.max(now, row.alive_at) })
				.where('id', '=', 1)
				.execute();
		}
	});
};

/**
 * Judges primaries that were not heard for the timeout: agent offline, one event and one notification per transition, and a live
 * candidate takes over (D-46: one rule, conditional, every state but deleted is watched). Returns how many went offline.
 */
export const sweepOffline = async (context: Context): Promise<number> => {
	await context.liveness.flush();
	let judged = 0;
	for (;;) {
		const now = context.clock.now();
		// Null right after an outage, until somebody has marked its end: what is older proves nothing.
		const since = await servingSince(context.store.read, now);
		const timeout = context.settings.heartbeatTimeoutMs + WRITE_LAG_MS;
		if (since === null || now - since < timeout) return judged;
		const overdue = await overdueHosts.all(context.store.read, { cutoff: now - timeout });
		const before = judged;
		for (const { agent_id, handle } of overdue) {
			if (await context.unit(null, (tx, journal) => judge(context, tx, journal, agent_id, handle, since))) judged += 1;
		}
		if (overdue.length < 200 || judged === before) return judged;
	}
};

const judge = async (context: Context, tx: Db, journal: Journal, agentId: string, handle: string, since: number): Promise<boolean> => {
	const agent = await lockAgent.first(tx, { id: agentId });
	const [host, liveness] = [await hostByHandle.first(tx, { handle }), await livenessOf.first(tx, { handle })];
	if (agent === undefined || host?.agent_id !== agent.id || liveness?.watch_at == null) return false;
	const now = context.clock.now();
	const heard = Math.max(liveness.watch_at, context.liveness.pending(handle)?.seen_at ?? 0);
	if (!isSilent(heard, since, now, context.settings.heartbeatTimeoutMs)) return false;
	await setWatch.later(tx, { handle, watch_at: null });
	if (agent.status === 'deleted' || agent.status === 'offline' || host.role !== 'primary') return false;
	const saved = await saveAgentOrRetry(tx, agent, { status: 'offline' }, now);
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	const never = host.registered_at === null;
	const message = never
		? `nobody called from ${host.instance_id}, the new machine of ${agent.logical_agent_id}: its image probably has no agent`
		: `${agent.logical_agent_id} on ${host.instance_id} has not called for ${Math.round((now - heard) / 1000)} s`;
	journal.event('agent_marked_offline', message, about, { severity: 'warning' });
	journal.notify('agent_offline', never ? 'New machine never called' : 'Agent offline', message, about, 'warning');
	journal.changed('agent', agent.id);
	journal.count('agents_marked_offline_total');
	await takeOverIfSilent(context, tx, journal, saved, null);
	return true;
};

/** Ends commands nobody fetched in time and claims whose lease is over without evidence (decided 9). Returns how many. */
export const sweepCommands = async (context: Context): Promise<number> => {
	let ended = 0;
	for (;;) {
		const due = await dueCommands.all(context.store.read, { now: context.clock.now() });
		const before = ended;
		for (const { id, agent_id } of due) {
			if (await context.unit(null, (tx, journal) => expire(context, tx, journal, id, agent_id))) ended += 1;
		}
		if (due.length < 200 || ended === before) return ended;
	}
};

const expire = async (context: Context, tx: Db, journal: Journal, id: string, agentId: string): Promise<boolean> => {
	const agent = await lockAgent.first(tx, { id: agentId });
	const command = await tx.selectFrom('command').selectAll().where('id', '=', id).executeTakeFirst();
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
