import { SpotError } from '../errors.ts';
import { agentOfLogicalId, agentsOfClient } from '../store/agents.ts';
import { type Client, clientById, lockClient } from '../store/clients.ts';
import { hostByInstance, liveHostsOfClient } from '../store/hosts.ts';
import { type Db, together } from '../store/statement.ts';
import { StaleRow } from './unit.ts';

/** The first machine of an agent that nobody knew when its transaction began. */
export type Newcomer = { readonly client_id: string; readonly instance_id: string; readonly logical_id: string };

/**
 * Refuses one more agent where an operator set a limit (design: unlimited unless set). Machines of an agent that is already known are
 * never refused: they exist, and a workload may run on them. Errors: 403 AGENT_LIMIT, INSTANCE_LIMIT; {@link StaleRow} where it has become
 * known meanwhile.
 */
export const checkLimits = async (tx: Db, newcomer: Newcomer): Promise<void> => {
	const limits = await lockLimits(tx, newcomer.client_id);
	if (limits === null) return;
	// Whoever had the lock may have been this machine, asking a second time, or another one of its agent.
	const [hosts, agents] = await together(tx, [hostByInstance.of(newcomer), agentOfLogicalId.of(newcomer)]);
	if (hosts.length > 0 || agents.length > 0) throw new StaleRow();
	await checkAgents(tx, limits);
	if (limits.max_instances !== null) {
		const instances = Number((await liveHostsOfClient.first(tx, { client_id: limits.id }))?.count ?? 0);
		if (instances >= limits.max_instances)
			refuse('INSTANCE_LIMIT', limits.name, `${instances} of at most ${limits.max_instances} instances`, '--max-instances');
	}
};

/** Refuses to bring an agent of this client back where another one has taken its place. To be called before the agent is locked. Errors: 403 AGENT_LIMIT. */
export const checkAgentLimit = async (tx: Db, clientId: string): Promise<void> => {
	const limits = await lockLimits(tx, clientId);
	if (limits !== null) await checkAgents(tx, limits);
};

/** The client, locked, where it has limits: others register side by side. */
const lockLimits = async (tx: Db, id: string): Promise<Client | null> => {
	const found = await clientById.first(tx, { id });
	if (found === undefined || (found.max_agents === null && found.max_instances === null)) return null;
	return (await lockClient.first(tx, { id })) ?? found;
};

const checkAgents = async (tx: Db, { id, name, max_agents }: Client): Promise<void> => {
	if (max_agents === null) return;
	const has = Number((await agentsOfClient.first(tx, { client_id: id }))?.count ?? 0);
	if (has >= max_agents) refuse('AGENT_LIMIT', name, `${has} of at most ${max_agents} agents`, '--max-agents');
};

const refuse = (code: string, name: string, has: string, option: string): never => {
	throw new SpotError('forbidden', code, `client "${name}" has ${has}`, {
		hint: `an operator can raise it: spotctl clients set ${name} ${option} N`,
	});
};
