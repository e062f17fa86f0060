import { SpotError } from '../errors.ts';
import { agentsOfClient } from '../store/agents.ts';
import { clientById, lockClient } from '../store/clients.ts';
import { liveHostsOfClient } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';

/**
 * Refuses one more agent where an operator set a limit (design: unlimited unless set). Machines of an agent that is already known are
 * never refused: they exist, and a workload may run on them. Errors: 403 AGENT_LIMIT, INSTANCE_LIMIT.
 */
export const checkLimits = async (tx: Db, clientId: string): Promise<void> => {
	const found = await clientById.first(tx, { id: clientId });
	// Only a client with limits is locked: others register side by side.
	if (found === undefined || (found.max_agents === null && found.max_instances === null)) return;
	const limits = (await lockClient.first(tx, { id: clientId })) ?? found;
	if (limits.max_agents !== null) {
		const agents = Number((await agentsOfClient.first(tx, { client_id: clientId }))?.count ?? 0);
		if (agents >= limits.max_agents) refuse('AGENT_LIMIT', limits.name, `${agents} of at most ${limits.max_agents} agents`, '--max-agents');
	}
	if (limits.max_instances !== null) {
		const instances = Number((await liveHostsOfClient.first(tx, { client_id: clientId }))?.count ?? 0);
		if (instances >= limits.max_instances)
			refuse('INSTANCE_LIMIT', limits.name, `${instances} of at most ${limits.max_instances} instances`, '--max-instances');
	}
};

const refuse = (code: string, name: string, has: string, option: string): never => {
	throw new SpotError('forbidden', code, `client "${name}" has ${has}`, {
		hint: `an operator can raise it: spotctl clients set ${name} ${option} N`,
	});
};
