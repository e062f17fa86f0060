import { SpotError } from '../errors.ts';
import { type Agent, lockAgentOfHandle } from '../store/agents.ts';
import { type Host, hostByHandle, primaryOf } from '../store/hosts.ts';
import { type Call, type Db, type Rows, together } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import { noAgent } from './directory.ts';
import { StaleRow } from './unit.ts';

/** The host behind a handle and its agent, the agent locked until the transaction ends. */
export type CallingHost = { readonly agent: Agent; readonly host: Host };

/**
 * Finds and locks what a state-changing host route is about. An admin token stands for the agent's primary (identity.md section 7).
 * Errors: 404 for a handle nobody got, or of another client.
 */
export const callingHost = async (tx: Db, handle: string, caller: Caller): Promise<CallingHost> =>
	(await callingHostWith(tx, handle, caller, [])).calling;

/** As {@link callingHost}, reading something else about the host in the same round trip, after the lock. */
export const callingHostWith = async <const C extends ReadonlyArray<Call<unknown>>>(tx: Db, handle: string, caller: Caller, also: C) => {
	const [agents, hosts, ...more] = await together(tx, [lockAgentOfHandle.of({ handle }), hostByHandle.of({ handle }), ...also]);
	const agent = agents[0] as Agent | undefined;
	const named = hosts[0] as Host | undefined;
	if (named === undefined || (caller.principal?.kind === 'client' && caller.principal.clientId !== named.client_id)) throw noAgent(handle);
	// While the lock was waited for, the machine may have been given to another agent (identity.md T8).
	if (agent === undefined || named.agent_id !== agent.id) throw new StaleRow();
	const host = speaksForAgent(caller) ? await primaryOf.first(tx, { agent_id: agent.id }) : named;
	if (host === undefined) throw new StaleRow();
	return { calling: { agent, host }, also: more as unknown as Rows<C> };
};

/** Whether the caller speaks for an agent without being one of its hosts: audited, and never a sign of life. */
export const speaksForAgent = (caller: Caller): boolean => caller.principal?.kind !== 'client';

/** 404 for a deleted agent, where the route is not one that goes on after deletion (design.md, decided 11). */
export const agentDeleted = (id: string): SpotError =>
	new SpotError('missing', 'AGENT_DELETED', `agent "${id}" was deleted`, {
		hint: `an operator can bring it back: spotctl agents restore ${id}`,
	});
