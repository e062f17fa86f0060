import { z } from 'zod';
import { flag, id } from './fields.ts';
import { operation } from './operation.ts';

/** #17. Active clients, those with the highest savings first. */
export const exportStats = operation({
	id: 'exports.stats',
	method: 'GET',
	path: '/api/admin/export/global-stats',
	access: 'read',
	summary: 'Active clients by savings, as CSV',
	input: z.object({ shares: flag }),
	output: z.string(),
	rendering: 'csv',
});

/** #39. Every switch of the client, newest first. */
export const exportSwitches = operation({
	id: 'exports.switches',
	method: 'GET',
	path: '/api/client/{client_id}/export/switch-history',
	access: 'client',
	summary: 'Switches of a client, as CSV',
	input: z.object({ client_id: id }),
	output: z.string(),
	rendering: 'csv',
});
