import { type Agent, saveAgent, saveAgentState } from '../store/agents.ts';
import type { Db } from '../store/statement.ts';

/** The columns that change with what happens, not with what somebody sets. */
const STATE: ReadonlySet<string> = new Set(['generation', 'status', 'last_switch_at', 'terminated_at', 'attention_at']);

/** Writes changes to an agent under its version check; the unit begins again when somebody wrote it since. */
export const saveAgentOrRetry = async (tx: Db, agent: Agent, changes: Partial<Agent>, now: number): Promise<Agent> => {
	const saved: Agent = { ...agent, ...changes, version: agent.version + 1, updated_at: now };
	const stateOnly = Object.keys(changes).every((name) => STATE.has(name));
	await (stateOnly ? saveAgentState : saveAgent).must(tx, { ...saved, seen_version: agent.version });
	return saved;
};
