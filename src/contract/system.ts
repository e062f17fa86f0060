import { z } from 'zod';
import { isoTime } from './fields.ts';
import { operation } from './operation.ts';

/** X14 */
export const apiRoot = operation({
	id: 'system.root',
	method: 'GET',
	path: '/',
	access: 'public',
	summary: 'What this is and where to look',
	input: z.object({}),
	output: z.object({
		name: z.string(),
		version: z.string(),
		environment: z.string(),
		status: z.literal('running'),
		uptime_seconds: z.number().int(),
		endpoints: z.object({ health: z.string(), admin: z.string(), client: z.string(), agents: z.string(), openapi: z.string() }),
	}),
	daemonOnly: true,
});

/** #68, raw as the seed shows it. 503 with status unhealthy when the database does not answer. */
export const health = operation({
	id: 'system.health',
	method: 'GET',
	path: '/health',
	access: 'public',
	summary: 'Health as the field’s scripts read it',
	input: z.object({}),
	output: z.object({
		status: z.enum(['healthy', 'unhealthy']),
		timestamp: isoTime,
		version: z.string(),
		uptime_seconds: z.number().int(),
		database: z.enum(['connected', 'disconnected']),
		decision_engine_loaded: z.boolean(),
		error: z.string().optional(),
	}),
	rendering: 'raw',
	daemonOnly: true,
});

/** The process runs. No I/O. */
export const livez = operation({
	id: 'system.livez',
	method: 'GET',
	path: '/livez',
	access: 'public',
	summary: 'Is the process alive?',
	input: z.object({}),
	output: z.object({ status: z.literal('ok') }),
	rendering: 'raw',
	daemonOnly: true,
});

/** Database answers and can be written to, schema current, not draining; 503 otherwise, naming the checks that failed. */
export const readyz = operation({
	id: 'system.readyz',
	method: 'GET',
	path: '/readyz',
	access: 'public',
	summary: 'Should requests be sent here?',
	input: z.object({}),
	output: z.object({ status: z.enum(['ok', 'not ready']), checks: z.record(z.string(), z.string()) }),
	rendering: 'raw',
	daemonOnly: true,
});

export const openapiDocument = operation({
	id: 'system.openapi',
	method: 'GET',
	path: '/openapi.json',
	access: 'public',
	summary: 'This contract as OpenAPI 3.1',
	input: z.object({}),
	output: z.record(z.string(), z.unknown()),
	rendering: 'raw',
	daemonOnly: true,
});

/** Prometheus text (names of spec section 18). */
export const metrics = operation({
	id: 'system.metrics',
	method: 'GET',
	path: '/metrics',
	access: 'metrics',
	summary: 'Metrics in Prometheus text format',
	input: z.object({}),
	output: z.string(),
	rendering: 'raw',
	routine: true,
	daemonOnly: true,
});
