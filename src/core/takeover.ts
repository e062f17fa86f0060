import type { Agent } from '../store/agents.ts';
import { type Command, commandById } from '../store/commands.ts';
import { type Host, hostsInRole, primaryOf } from '../store/hosts.ts';
import { liveReplicaOf, saveReplica } from '../store/replicas.ts';
import type { Role } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import type { Journal } from './journal.ts';
import { orderState } from './orders.ts';
import { promote } from './promotion.ts';
import { primaryIsSilent } from './silence.ts';

type HeardHost = Host & { readonly seen_at: number };

/** Whether a machine has registered, has not said that it goes, and was heard within the timeout. */
export const isCalling = (context: Context, host: HeardHost): boolean =>
	host.registered_at !== null &&
	host.said_offline_at === null &&
	context.clock.now() - Math.max(host.seen_at, context.liveness.pending(host.handle)?.seen_at ?? 0) < context.settings.heartbeatTimeoutMs;

/**
 * T3 and T9 of identity.md: when the primary of a (locked) agent is silent, a disputed predecessor that still calls takes the agent back,
 * else the oldest live candidate takes over. Without an order the old host is on hold, since silence is no proof of death. `caller` is a
 * host that is calling right now. Returns what changed, or null.
 */
export const takeOverIfSilent = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agent: Agent,
	caller: string | null,
): Promise<{ agent: Agent; host: Host } | null> => {
	if (agent.status === 'deleted') return null;
	const primary = await primaryOf.first(tx, { agent_id: agent.id });
	if (primary === undefined || primary.handle === caller || !(await primaryIsSilent(context, tx, primary))) return null;
	const now = context.clock.now();
	const lives = (host: HeardHost): boolean => isCalling(context, host.handle === caller ? { ...host, seen_at: now } : host);
	const guess = primary.guess_command_id === null ? undefined : await commandById.first(tx, { id: primary.guess_command_id });
	const predecessor =
		guess === undefined
			? undefined
			: (await hostsInRole.all(tx, { agent_id: agent.id, role: 'zombie' })).find(
					(host) => host.takes_back === 1 && host.handle === guess.handle && lives(host),
				);
	const heir = predecessor ?? oldest((await hostsInRole.all(tx, { agent_id: agent.id, role: 'candidate' })).filter(lives));
	if (heir === undefined) return null;
	const { seen_at: _, ...to } = heir;
	const command = predecessor === undefined ? await tentativeOrder(tx, to) : null;
	const launch = predecessor === undefined && command === null && (await tentativeLaunch(tx, to));
	return promote(context, tx, journal, {
		agent,
		from: primary,
		to,
		reason: predecessor === undefined ? 'takeover' : 'taken-back',
		old: { role: 'zombie', hold: command === null && !launch, terminatedAt: null },
		command,
		record: {},
	});
};

/**
 * The zombie that was the primary last of those that still call, where nobody takes over by itself: neither a candidate nor a replica
 * calls (T3 names no zombie but a disputed predecessor, T9). A person has to promote it.
 */
export const callsInVain = async (context: Context, tx: Db, agentId: string): Promise<Host | null> => {
	const calling = async (role: Role) => (await hostsInRole.all(tx, { agent_id: agentId, role })).filter((host) => isCalling(context, host));
	if ((await calling('candidate')).length > 0 || (await calling('replica')).length > 0) return null;
	const [latest] = (await calling('zombie')).sort((a, b) => (b.generation ?? 0) - (a.generation ?? 0));
	return latest === undefined || latest.takes_back === 1 ? null : latest;
};

const oldest = <H extends Host>(hosts: readonly H[]): H | undefined =>
	[...hosts].sort((a, b) => a.created_at - b.created_at || (a.handle < b.handle ? -1 : 1))[0];

/** A candidate that stands for the launch of the live replica is that replica now, and is promoted as such. */
const tentativeLaunch = async (tx: Db, host: Host): Promise<boolean> => {
	if (host.tentative_replica_id === null) return false;
	const replica = await liveReplicaOf.first(tx, { agent_id: host.agent_id });
	if (replica?.id !== host.tentative_replica_id || replica.handle !== null) return false;
	await saveReplica.must(tx, {
		...replica,
		handle: host.handle,
		instance_id: host.instance_id,
		guess: 1,
		awaits_machine: 0,
		seen_status: replica.status,
	});
	return true;
};

const tentativeOrder = async (tx: Db, host: Host): Promise<Command | null> => {
	if (host.tentative_command_id === null) return null;
	const command = await commandById.first(tx, { id: host.tentative_command_id });
	return command?.agent_id === host.agent_id && command.awaits_machine === 1 && orderState(command) === 'open' ? command : null;
};
