import { type Agent, agentById } from '../store/agents.ts';
import { hostByHandle } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import { type Caller, clientScope } from './caller.ts';
import { noAgent } from './directory.ts';

/** The agent any of its handles means, for operator routes (identity.md section 7). Errors: 404, also for another client's. */
export const agentIdOf = async (db: Db, handle: string, caller: Caller): Promise<string> => (await agentOf(db, handle, caller)).id;

/** As {@link agentIdOf}, the whole row. */
export const agentOf = async (db: Db, handle: string, caller: Caller): Promise<Agent> => {
	const agent = (await agentById.first(db, { id: handle })) ?? (await byHandle(db, handle));
	const scope = clientScope(caller);
	if (agent === undefined || (scope !== null && scope !== agent.client_id)) throw noAgent(handle);
	return agent;
};

const byHandle = async (db: Db, handle: string): Promise<Agent | undefined> => {
	const host = await hostByHandle.first(db, { handle });
	return host === undefined ? undefined : agentById.first(db, { id: host.agent_id });
};
