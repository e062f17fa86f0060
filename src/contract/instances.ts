import { z } from 'zod';
import { flag, fullPage, id, isoOrNull, optionalText, paging, rows, textOrNull, usdOrNull } from './fields.ts';
import { HostRole } from './hosts.ts';
import { operation } from './operation.ts';

/** Whether a machine is kept off the terminate lists, until when, and why; `holdUntil` is null while nobody knows. */
export const held = { hold: z.boolean(), holdUntil: isoOrNull, holdReason: textOrNull };

const wireStatus = z.enum(['running_primary', 'running_replica', 'zombie', 'terminated']);

/** A row of #6. */
export const InstanceRow = z.object({
	id: z.string(),
	instanceId: z.string(),
	clientId: z.string(),
	clientName: z.string(),
	agentId: z.string(),
	logicalAgentId: textOrNull,
	agentStatus: z.string(),
	region: textOrNull,
	az: textOrNull,
	instanceType: textOrNull,
	currentMode: textOrNull,
	currentPoolId: textOrNull,
	spotPrice: usdOrNull,
	ondemandPrice: usdOrNull,
	isActive: z.boolean(),
	instanceStatus: wireStatus,
	role: HostRole,
	installedAt: isoOrNull,
	createdAt: isoOrNull,
});

const filters = {
	status: z.string().max(32).optional(),
	mode: z.string().max(32).optional(),
	region: z.string().max(64).optional(),
	search: z.string().max(128).optional(),
};

/** #6 */
export const listInstances = operation({
	id: 'instances.list',
	method: 'GET',
	path: '/api/admin/instances',
	access: 'read',
	summary: 'All machines, newest first',
	input: z.object({
		...paging,
		limit: fullPage,
		...filters,
		client_id: z.string().max(255).optional(),
		agent_id: z.string().max(255).optional(),
	}),
	output: z.object({
		instances: z.array(InstanceRow),
		total: z.number().int(),
		filters: z.object({
			status: textOrNull,
			mode: textOrNull,
			region: textOrNull,
			client_id: textOrNull,
			agent_id: textOrNull,
			search: textOrNull,
		}),
		count: z.number().int(),
		next_cursor: textOrNull,
	}),
});

/** #27. Unknown prices read 0 here because the old dashboard calls toFixed; `pricesKnown` tells (D-37). */
export const listClientInstances = operation({
	id: 'instances.list_client',
	method: 'GET',
	path: '/api/client/{client_id}/instances',
	access: 'client',
	summary: 'Machines of a client, newest first',
	input: z.object({ client_id: id, ...paging, ...filters }),
	output: z.object({
		id: z.string(),
		type: textOrNull,
		region: textOrNull,
		az: textOrNull,
		mode: z.string(),
		poolId: z.string(),
		spotPrice: z.number(),
		onDemandPrice: z.number(),
		pricesKnown: z.object({ spot: z.boolean(), onDemand: z.boolean() }),
		isActive: z.boolean(),
		isPrimary: z.boolean(),
		instanceStatus: wireStatus,
		role: HostRole,
		agentId: z.string(),
		lastSwitch: isoOrNull,
	}),
	rendering: 'list',
	legacyBare: true,
});

const one = { instance_id: id, client_id: z.string().max(255).optional() };

export const showInstance = operation({
	id: 'instances.show',
	method: 'GET',
	path: '/api/client/instances/{instance_id}',
	access: 'client',
	summary: 'One machine',
	input: z.object(one),
	output: InstanceRow.extend({
		hostname: textOrNull,
		amiId: textOrNull,
		privateIp: textOrNull,
		publicIp: textOrNull,
		lastSeenAt: isoOrNull,
		lastSwitchAt: isoOrNull,
		zombieAt: isoOrNull,
		terminatedAt: isoOrNull,
		...held,
	}),
});

/** #28. A pool's price is the newest within one hour; older or none reads 0 with `known:false` and its age. */
export const instancePricing = operation({
	id: 'instances.pricing',
	method: 'GET',
	path: '/api/client/instances/{instance_id}/pricing',
	access: 'client',
	summary: 'Price of every pool of this machine’s type and region, cheapest first, unknown last',
	input: z.object(one),
	output: z.object({
		currentMode: z.string(),
		currentPool: z.object({ id: z.string(), name: z.string(), az: z.string() }).nullable(),
		onDemand: z.object({ name: z.string(), price: z.number(), known: z.boolean(), observedAt: isoOrNull }),
		pools: z.array(
			z.object({
				id: z.string(),
				name: z.string(),
				az: z.string(),
				price: z.number(),
				savings: z.number(),
				known: z.boolean(),
				observedAt: isoOrNull,
				confidence: z.number().nullable(),
			}),
		),
	}),
});

/** #31 */
export const instanceOptions = operation({
	id: 'instances.options',
	method: 'GET',
	path: '/api/client/instances/{instance_id}/available-options',
	access: 'client',
	summary: 'Where this machine could switch to',
	input: z.object(one),
	output: z.object({
		currentType: textOrNull,
		currentRegion: textOrNull,
		currentAz: textOrNull,
		currentPoolId: textOrNull,
		availablePools: z.array(
			z.object({ id: z.string(), az: z.string(), instanceType: z.string(), price: usdOrNull, observedAt: isoOrNull, current: z.boolean() }),
		),
		availableTypes: z.array(z.string()),
		pools: z.array(z.object({ id: z.string(), az: z.string(), instanceType: z.string(), price: usdOrNull })),
		instanceTypes: z.array(z.string()),
	}),
});

/** #32. `dry_run` changes nothing and answers what would happen. */
export const forceSwitch = operation({
	id: 'instances.switch',
	method: 'POST',
	path: '/api/client/instances/{instance_id}/force-switch',
	access: 'client',
	summary: 'Queue a manual switch of the primary',
	input: z.object({
		instance_id: id,
		client_id: z.string().max(255).nullish(),
		target: optionalText(32),
		target_type: optionalText(32),
		target_mode: optionalText(32),
		pool_id: optionalText(128),
		target_pool: optionalText(128),
		target_pool_id: optionalText(128),
		new_instance_type: optionalText(64),
		auto_terminate: z.boolean().nullish(),
		dry_run: flag,
	}),
	output: z.object({
		success: z.boolean(),
		command_id: textOrNull,
		message: z.string(),
		dry_run: z.boolean(),
		warnings: z.array(z.string()),
		from: z.object({ instance_id: z.string(), mode: textOrNull, pool_id: textOrNull, price: usdOrNull }),
		to: z.object({
			mode: z.string(),
			pool_id: textOrNull,
			price: usdOrNull,
			price_observed_at: isoOrNull,
			price_age_seconds: z.number().nullable(),
		}),
		saving_per_hour: usdOrNull,
		terminate_wait_seconds: z.number().int(),
		expires_at: isoOrNull,
	}),
	idempotent: true,
});

/** #36 */
export const switchHistory = operation({
	id: 'switches.list',
	method: 'GET',
	path: '/api/client/{client_id}/switch-history',
	access: 'client',
	summary: 'Switches of a client, newest first',
	input: z.object({ client_id: id, ...paging, limit: rows(100), instance_id: z.string().max(64).optional() }),
	output: z.object({
		id: z.string(),
		agentId: z.string(),
		commandId: textOrNull,
		oldInstanceId: textOrNull,
		newInstanceId: textOrNull,
		instanceId: textOrNull,
		timestamp: z.string(),
		fromMode: textOrNull,
		toMode: textOrNull,
		fromPool: z.string(),
		toPool: z.string(),
		trigger: z.string(),
		price: z.number(),
		savingsImpact: z.number(),
		/** False where prices of the report were missing: `price` and `savingsImpact` are then 0 only because old readers need numbers. */
		pricesKnown: z.boolean(),
		success: z.boolean(),
		evidence: z.string(),
		durationSeconds: z.number().nullable(),
		downtimeSeconds: z.number().nullable(),
	}),
	rendering: 'list',
	legacyBare: true,
});
