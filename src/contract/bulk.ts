import { z } from 'zod';
import { operation } from './operation.ts';

/**
 * X10. Each agent is a transaction of its own; one that fails stops no other. Ids that are given twice count once. Errors: 400
 * CONFIRMATION_REQUIRED, UNSUPPORTED_OPERATION.
 */
export const bulkExecute = operation({
	id: 'agents.bulk',
	method: 'POST',
	path: '/api/admin/bulk/execute',
	access: 'operate',
	summary: 'Delete, enable or disable many agents',
	input: z.object({
		operation: z.string().max(64),
		agent_ids: z.array(z.string().max(255)).min(1).max(1000),
		confirm: z.unknown().optional(),
	}),
	output: z.object({
		operation: z.string(),
		total: z.number().int(),
		succeeded: z.number().int(),
		failed: z.number().int(),
		results: z.array(
			z.object({ agent_id: z.string(), status: z.enum(['success', 'failed']), error: z.string().optional(), code: z.string().optional() }),
		),
	}),
	idempotent: true,
});
