import { type Agent, agentOfLogicalId, lockAgent } from '../store/agents.ts';
import { supersedeCommands } from '../store/commands.ts';
import { type Host, hostByInstance, saveHost } from '../store/hosts.ts';
import { setWatch } from '../store/liveness.ts';
import { foldAgent, hasOneMachine, isBookedAsReplica, moveLogicalId } from '../store/machines.ts';
import type { Mode, Role } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import type { Context } from './context.ts';
import type { Journal } from './journal.ts';
import { StaleRow } from './unit.ts';

/** What a report, or a PUT, says about a machine that may never have called. */
export type Named = {
	readonly instanceId: string;
	readonly type: string | null;
	readonly region: string | null;
	readonly az: string | null;
	readonly mode: Mode | null;
	readonly poolId: string | null;
	readonly ami: string | null;
};

/**
 * The host row of a machine that `agent` says is its own: the one it has (`found`), a new one in role `named` that is not stored yet, or (T8 of identity.md) one that
 * registered elsewhere meanwhile, which only the word of somebody whose report counts can move (`mayMove`). Null when the machine is
 * another agent's and stays there; an event tells.
 */
export const machineOfAgent = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agent: Agent,
	named: Named,
	mayMove: boolean,
	found: Host | undefined,
): Promise<{ readonly machine: Host; readonly isNew: boolean } | null> => {
	if (found === undefined) return { machine: namedHost(context, agent, named, 'named'), isNew: true };
	const known = (machine: Host) => ({ machine, isNew: false });
	if (found.agent_id === agent.id) return known({ ...found, mode: found.mode ?? named.mode, pool_id: found.pool_id ?? named.poolId });
	const other = await lockAgent.first(tx, { id: found.agent_id });
	const settled = await hostByInstance.first(tx, { client_id: agent.client_id, instance_id: named.instanceId });
	if (other === undefined || settled?.agent_id !== other.id) throw new StaleRow();
	if (mayMove && (await isPlacedByGuess(tx, settled))) return known(await moved(tx, journal, settled, other, agent));
	if (mayMove && (await isFreshAndAlone(tx, other))) return known(await folded(context, tx, journal, settled, other, agent));
	journal.event(
		'machine_conflict',
		`${agent.logical_agent_id} says ${named.instanceId} is its new machine, but it is the ${settled.role} of ${other.logical_agent_id}; nothing moved`,
		{ clientId: agent.client_id, agentId: agent.id, instanceId: named.instanceId },
		{ severity: 'error', metadata: { other_agent_id: found.agent_id } },
	);
	return null;
};

/** The host row of a machine that is only named so far; the caller stores it. */
export const namedHost = (context: Context, agent: Agent, named: Named, role: Role): Host => {
	const now = context.clock.now();
	return {
		handle: context.ids.uuid(),
		client_id: agent.client_id,
		agent_id: agent.id,
		instance_id: named.instanceId,
		role,
		primary_of: null,
		generation: null,
		instance_type: named.type,
		region: named.region,
		az: named.az,
		ami_id: named.ami,
		hostname: null,
		private_ip: null,
		public_ip: null,
		agent_version: null,
		mode: named.mode,
		pool_id: named.mode === 'ondemand' ? null : named.poolId,
		registered_at: null,
		said_offline_at: null,
		zombie_at: role === 'zombie' ? now : null,
		hold: 0,
		hold_until: null,
		guess_command_id: null,
		guess_replica_id: null,
		tentative_command_id: null,
		tentative_replica_id: null,
		takes_back: 0,
		termination_attempted_at: null,
		ending_told_at: null,
		terminated_at: null,
		last_switch_at: null,
		created_at: now,
	};
};

const isFreshAndAlone = async (tx: Db, agent: Agent): Promise<boolean> =>
	agent.self_named === 1 && agent.generation === 1 && agent.status !== 'deleted' && (await hasOneMachine(tx, agent.id));

/** Whether a machine came without a logical id of its own and only an order that fitted put it under its agent, where it never served. */
const isPlacedByGuess = async (tx: Db, host: Host): Promise<boolean> =>
	host.role === 'candidate' &&
	host.generation === null &&
	!(await isBookedAsReplica(tx, host.handle)) &&
	(await agentOfLogicalId.first(tx, { client_id: host.client_id, logical_id: host.instance_id }))?.id === host.agent_id;

/** A candidate that a guess put under the wrong agent. */
const moved = async (tx: Db, journal: Journal, host: Host, other: Agent, agent: Agent): Promise<Host> => {
	const here: Host = { ...host, agent_id: agent.id, tentative_command_id: null, tentative_replica_id: null };
	await saveHost.later(tx, here);
	journal.book(here);
	await moveLogicalId.later(tx, { client_id: agent.client_id, logical_id: host.instance_id, from: other.id, to: agent.id });
	journal.changed('agent', other.id);
	journal.changed('agent', agent.id);
	return here;
};

/** A machine that registered as a new agent of its own, before anybody said whose it is: that agent goes, its handle goes on working. */
const folded = async (context: Context, tx: Db, journal: Journal, host: Host, other: Agent, agent: Agent): Promise<Host> => {
	const here: Host = { ...host, agent_id: agent.id, role: 'candidate', primary_of: null, generation: null };
	await saveHost.later(tx, here);
	journal.book(here);
	await setWatch.later(tx, { handle: host.handle, watch_at: null });
	// What it was ordered to do is void: it is not this agent's primary yet, and if it launched something that is one too many.
	await supersedeCommands.later(tx, { agents: [other.id], except: [], now: context.clock.now() });
	await foldAgent(tx, other, agent, context.clock.now());
	journal.event(
		'agent_folded',
		`${host.instance_id} had registered as an agent of its own; it is a machine of ${agent.logical_agent_id}`,
		{ clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id },
		{ metadata: { folded_agent_id: other.id } },
	);
	journal.changed('agent', other.id);
	journal.changed('agent', agent.id);
	return here;
};
