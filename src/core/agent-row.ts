import { type Agent, saveAgentSince } from '../store/agents.ts';
import type { Db } from '../store/statement.ts';

/** Writes changes to an agent under its version check; the unit begins again when somebody wrote it since. */
export const saveAgentOrRetry = async (tx: Db, agent: Agent, changes: Partial<Agent>, now: number): Promise<Agent> => {
	const saved: Agent = { ...agent, ...changes, version: agent.version + 1, updated_at: now };
	await saveAgentSince(tx, agent, saved);
	return saved;
};
