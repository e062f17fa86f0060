import { checkServing } from '../store/open.ts';
import type { Context } from './context.ts';
import { LeaseLost } from './lease.ts';

/**
 * Does the work of one agent so that its trouble holds up no other: an agent that cannot be decided, or that somebody has locked and sleeps,
 * is logged and left for the next run. Returns null then. Errors: {@link LeaseLost}, and 503 when the database does not answer, since
 * then the run as a whole has failed.
 */
export const alone = async <T>(context: Pick<Context, 'store' | 'log'>, agentId: string, work: () => Promise<T>): Promise<T | null> => {
	try {
		return await work();
	} catch (error) {
		if (error instanceof LeaseLost) throw error;
		await checkServing(context.store);
		context.log.error({ agent_id: agentId, err: error }, 'an agent cannot be decided; the others go on, and it is tried again');
		return null;
	}
};
