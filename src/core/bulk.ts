import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { deleteAgent } from './agent-deletion.ts';
import { toggleAgent } from './agent-settings.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';

const OPERATIONS = ['delete_agents', 'enable_agents', 'disable_agents'] as const;
type BulkOperation = (typeof OPERATIONS)[number];

type Result = Output<'bulkExecute'>['results'][number];

const isOperation = (name: string): name is BulkOperation => (OPERATIONS as readonly string[]).includes(name);

/** What is done to each agent: the operations of one agent, as they are. */
const workOf = (context: Context, operation: BulkOperation) => {
	if (operation === 'delete_agents') {
		const remove = deleteAgent(context);
		return (agent_id: string, caller: Caller): Promise<unknown> => remove({ agent_id }, caller);
	}
	const toggle = toggleAgent(context);
	return (agent_id: string, caller: Caller): Promise<unknown> => toggle({ agent_id, enabled: operation === 'enable_agents' }, caller);
};

/**
 * X10. Errors: 400 CONFIRMATION_REQUIRED, UNSUPPORTED_OPERATION; what fails for one agent stands in its result. A database that is lost
 * in the middle ends it: a repeat does what is left.
 */
export const bulkExecute =
	(context: Context) =>
	async (input: Valid<'bulkExecute'>, caller: Caller): Promise<Output<'bulkExecute'>> => {
		const { operation } = input;
		if (!isOperation(operation)) {
			throw new SpotError('invalid', 'UNSUPPORTED_OPERATION', `"${operation.slice(0, 40)}" is no bulk operation`, {
				hint: `one of: ${OPERATIONS.join(', ')}`,
			});
		}
		if (input.confirm !== true) {
			throw new SpotError('invalid', 'CONFIRMATION_REQUIRED', `nothing was done: ${operation} needs to be confirmed`, {
				hint: 'send confirm: true',
			});
		}
		const work = workOf(context, operation);
		// The answer that is remembered for repeats is the whole one, below.
		const { remember: _, ...each } = caller;
		const ids = [...new Set(input.agent_ids)];
		const results: Result[] = [];
		for (const agent_id of ids) {
			try {
				await work(agent_id, each);
				results.push({ agent_id, status: 'success' });
			} catch (error) {
				const problem = error instanceof SpotError ? error : null;
				if (problem === null || problem.kind === 'unavailable') throw error;
				results.push({ agent_id, status: 'failed', error: problem.message, code: problem.code });
			}
		}
		const failed = results.filter(({ status }) => status === 'failed').length;
		return context.unit(caller, async (_tx, journal) => {
			journal.audit('agents.bulk', 'agents', operation, null, null, {
				operation,
				total: ids.length,
				failed,
				agent_ids: ids,
			});
			return { operation, total: ids.length, succeeded: ids.length - failed, failed, results };
		});
	};
