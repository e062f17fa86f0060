import { type Agent, saveAgent } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import { StaleRow } from './unit.ts';

/** Writes changes to an agent under its version check; throws StaleRow (the unit begins again) when somebody wrote it since. */
export const saveAgentOrRetry = async (tx: Db, agent: Agent, changes: Partial<Agent>, now: number): Promise<Agent> => {
	const saved: Agent = { ...agent, ...changes, version: agent.version + 1, updated_at: now };
	if ((await saveAgent.run(tx, { ...saved, seen_version: agent.version })) === 0) throw new StaleRow();
	return saved;
};
